//! Symmetric associations and interleaved mode, with chronyd and with ourselves on the other side.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::peers;
use ntp_lab::scene::{CLIENT, SERVER, SERVER_UPWARDS, Scene, UPSTREAM};

use crate::played::{LONG, until};
use crate::trial::Needs::{Chronyd, Namespaces};
use crate::trial::{daemon, trial};

/// What is logged when the first interleaved reply of a source was measured.
const INTERLEAVED: &str = "answers in interleaved mode";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("we follow a chronyd that is our peer", &[Namespaces, Chronyd], follow),
        trial("chronyd follows us as its peer", &[Namespaces, Chronyd], lead),
        trial("two of our daemons are peers of each other", &[Namespaces, Chronyd], ourselves),
        trial("server answers our interleaved requests", &[Namespaces, Chronyd], client),
        trial("peer's address is served like others", &[Namespaces, Chronyd], passive),
    ]
}

/// A `peer` line for tests that can't wait.
fn peer(address: impl std::fmt::Display) -> String {
    format!("peer {address} minpoll 0 maxpoll 0 xleave\n")
}

fn follow() -> Result<()> {
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    for (ours, theirs) in SERVER_UPWARDS.both().into_iter().zip(UPSTREAM.both()) {
        let scene = Scene::open()?;
        let upstream = format!("local stratum 3\nallow\n{}", peer(ours));
        let _upstream = chronyd.serve(&scene.lab, &scene.upstream, &upstream)?;
        let directives = format!("{}allow\n", peer(theirs));
        let mut daemon = daemon()?.start(&scene.lab, &scene.server, &directives)?;
        daemon.wait_for_line(&format!("Selected source {theirs}"), LONG)?;
        daemon.wait_for_line(&format!("Source {theirs} {INTERLEAVED}"), LONG)?;
    }
    Ok(())
}

fn lead() -> Result<()> {
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let scene = Scene::open()?;
    let ours = format!("local stratum 3\nallow\n{}", peer(CLIENT.v4));
    let _daemon = daemon()?.start(&scene.lab, &scene.server, &ours)?;
    let logs = scene.lab.folder().join("measurements");
    let theirs = format!("{}log measurements\nlogdir {}\n", peer(SERVER.v4), logs.display());
    let mut follower = chronyd.serve(&scene.lab, &scene.client, &theirs)?;
    follower.wait_for_line(&format!("Selected source {}", SERVER.v4), LONG)?;
    let mut text = String::new();
    until("chronyd measures by interleaved packets", || {
        text = std::fs::read_to_string(logs.join("measurements.log"))?;
        Ok(text.lines().filter(|line| line.contains(" 1I ")).count() >= 5)
    })
    .with_context(|| text.clone())?;
    Ok(())
}

fn ourselves() -> Result<()> {
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let scene = Scene::open()?;
    let _upstream = chronyd.serve(&scene.lab, &scene.upstream, "local stratum 3\nallow\n")?;
    let first = format!(
        "server {} iburst minpoll 0 maxpoll 0\nallow\nserverthreads 2\n{}",
        UPSTREAM.v4,
        peer(CLIENT.v4)
    );
    let mut first = daemon()?.start(&scene.lab, &scene.server, &first)?;
    let second = format!("{}allow\n", peer(SERVER.v4));
    let mut second = daemon()?.start(&scene.lab, &scene.client, &second)?;
    first.wait_for_line(&format!("Selected source {}", UPSTREAM.v4), LONG)?;
    second.wait_for_line(&format!("Selected source {}", SERVER.v4), LONG)?;
    second.wait_for_line(&format!("Source {} {INTERLEAVED}", SERVER.v4), LONG)?;
    Ok(())
}

fn client() -> Result<()> {
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let scene = Scene::open()?;
    let _upstream = chronyd.serve(&scene.lab, &scene.upstream, "local stratum 3\nallow\n")?;
    let ours = format!("server {} iburst minpoll 0 maxpoll 0 xleave\nallow\n", UPSTREAM.v4);
    let mut daemon = daemon()?.start(&scene.lab, &scene.server, &ours)?;
    daemon.wait_for_line(&format!("Source {} {INTERLEAVED}", UPSTREAM.v4), LONG)?;
    daemon.wait_for_line(&format!("Selected source {}", UPSTREAM.v4), LONG)?;
    Ok(())
}

/// A peer that does not have us as its own: we are asked, and answer without an association.
fn passive() -> Result<()> {
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let scene = Scene::open()?;
    let mut ours = daemon()?.start(&scene.lab, &scene.server, "local stratum 3\nallow\n")?;
    let mut follower = chronyd.serve(&scene.lab, &scene.client, &peer(SERVER.v4))?;
    follower.wait_for_line(&format!("Selected source {}", SERVER.v4), LONG)?;
    ensure!(ours.served()?.user.answered > 0, "nothing answered\n{}", ours.log());
    Ok(())
}
