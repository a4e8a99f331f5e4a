//! What the daemon goes without: it starts, serves, and says so.

use std::fs;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::kernel;
use ntp_lab::scene::{LAN, SERVER, Scene, UPSTREAM};
use ntp_lab::{Daemon, query::Client};

use crate::played::{LOCAL, LONG, Played, answer, counted};
use crate::trial::Needs::{Chronyd, Namespaces, Xdp};
use crate::trial::{daemon, trial};

/// Everything that XDP takes, as `setpriv` names it.
pub(crate) const XDP_RIGHTS: &[&str] = &["bpf", "net_admin", "perfmon", "sys_admin"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("without the right to XDP the daemon serves alone", &[Namespaces, Xdp], no_rights),
        trial("drift file that cannot be used is warned of", &[Namespaces], bad_drift_file),
        trial(
            "drift file is read at the start and written at the end",
            &[Namespaces, Chronyd],
            drift_file,
        ),
    ]
}

fn no_rights() -> Result<()> {
    let scene = Scene::open()?;
    let command = daemon()?.command_without(&scene.server, XDP_RIGHTS);
    let directives = format!("{LOCAL}allow\nxdp {LAN}\n");
    let mut daemon = Daemon::start(&scene.lab, &scene.server, command, &directives)?;
    daemon.wait_for_line("Serving without XDP", LONG)?;
    for server in SERVER.both() {
        answer(&Client::open(&scene.client, server)?)?;
    }
    ensure!(kernel::attached_xdp(&scene.server, LAN)?.is_none(), "XDP is attached");
    counted(&mut daemon, 2)
}

fn bad_drift_file() -> Result<()> {
    let scene = Scene::open()?;
    let folder = scene.lab.folder().join("folder");
    fs::create_dir(&folder)?;
    let nonsense = scene.lab.file("nonsense", "not a number\n")?;
    for path in [folder, nonsense] {
        let directives = format!("{LOCAL}allow\ndriftfile {}\n", path.display());
        let mut daemon = daemon()?.start(&scene.lab, &scene.server, &directives)?;
        daemon.wait_for_line("Drift file can't be used", LONG)?;
        answer(&Client::open(&scene.client, SERVER.v4)?)?;
        daemon.stop()?.success()?;
    }
    Ok(())
}

fn drift_file() -> Result<()> {
    let directives =
        format!("server {} iburst minpoll -2 maxpoll 0\nallow\ndriftfile drift\n", UPSTREAM.v4);
    let (played, _) = Played::following(3, &directives)?;
    let Played { daemon: first, scene, .. } = played;
    let path = scene.lab.folder().join("drift");
    first.stop()?.success()?;
    let text = fs::read_to_string(path).context("nothing was written")?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(text.lines().count() == 1 && numbers.len() == 2, "{text:?}");

    let mut second = daemon()?.start(&scene.lab, &scene.server, &directives)?;
    let said = second.wait_for_line("Frequency ", LONG)?;
    let expected = format!("Frequency {:.3} +/- {:.3} ppm read from", numbers[0], numbers[1]);
    ensure!(said.contains(&expected), "{said}\nof {text:?}");
    Ok(())
}
