//! What the daemon refuses to start with: it says why, ends with a failure, and has started nothing.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use ntp_common::wire::NTP_PORT;
use ntp_lab::scene::{LAN, Scene};
use ntp_lab::{Finished, NtpXdpd, kernel, pidfile};

use crate::degraded::XDP_RIGHTS;
use crate::played::{LOCAL, Played};
use crate::trial::Needs::{Namespaces, Xdp};
use crate::trial::{daemon, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("misspelt configuration is refused with place and advice", &[Namespaces], misspelt),
        trial("interface that does not exist is refused", &[Namespaces], no_interface),
        trial("port in use is refused and XDP is not attached", &[Namespaces], port_in_use),
        trial("native XDP without the right to it is refused", &[Namespaces, Xdp], no_rights),
    ]
}

fn misspelt() -> Result<()> {
    let scene = Scene::open()?;
    let directives = format!(
        "server 10.123.1.1 ibrust maxpoll 6\n{LOCAL}allow\nxdp {LAN}\nport 99999\nmakestp 1 3\n"
    );
    let finished = daemon()?.refuse(&scene.lab, &scene.server, &directives)?;
    let file = "ntp-xdpd-server.conf";
    is_refused(
        &scene,
        &finished,
        &[
            &format!("{file}:1:19: "),
            "`ibrust`",
            "did you mean `iburst`?",
            &format!("{file}:5:6: "),
            "99999",
            &format!("{file}:6:1: "),
            "`makestp`",
            "did you mean `makestep`?",
        ],
    )?;
    Played::has_ended(&scene)
}

fn no_interface() -> Result<()> {
    let scene = Scene::open()?;
    let directives = format!("{LOCAL}allow\nxdp lan0 mode auto\n");
    let finished = daemon()?.refuse(&scene.lab, &scene.server, &directives)?;
    is_refused(&scene, &finished, &["ntp-xdpd-server.conf:3:5", "`lan0`", "does not exist"])?;
    Played::has_ended(&scene)
}

fn port_in_use() -> Result<()> {
    let scene = Scene::open()?;
    let _other = scene.server.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, NTP_PORT))?))?;
    for threads in [0, 2] {
        let directives = format!("{LOCAL}allow\nxdp {LAN}\nserverthreads {threads}\n");
        let finished = daemon()?.refuse(&scene.lab, &scene.server, &directives)?;
        is_refused(&scene, &finished, &["port 123", "in use"])?;
        let xdp = kernel::attached_xdp(&scene.server, LAN)?;
        ensure!(xdp.is_none(), "XDP is attached: {xdp:?}");
    }
    Ok(())
}

fn no_rights() -> Result<()> {
    let scene = Scene::open()?;
    let directives = format!("{LOCAL}allow\nxdp {LAN} mode native\n");
    let command = daemon()?.command_without(&scene.server, XDP_RIGHTS);
    let finished = NtpXdpd::refuse_as(&scene.lab, &scene.server, command, &directives)?;
    is_refused(&scene, &finished, &["CAP_BPF", "CAP_NET_ADMIN"])?;
    Played::has_ended(&scene)
}

fn is_refused(scene: &Scene, finished: &Finished, said: &[&str]) -> Result<()> {
    let Finished { status, output, .. } = finished;
    ensure!(status.code() == Some(1), "{status}\n{output}");
    for words in said {
        ensure!(output.contains(words), "not said: {words}\n{output}");
    }
    ensure!(!pidfile(&scene.lab, &scene.server).exists(), "there is a process id file");
    Ok(())
}
