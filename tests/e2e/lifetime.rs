//! How the daemon ends, and what XDP does from then on.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ntp_common::counters::{Counters, Reason, answered};
use ntp_lab::counters::Served;
use ntp_lab::query::{Client, Reply};
use ntp_lab::scene::{LAN, SERVER, Scene};
use ntp_lab::{kernel, pidfile};

use crate::played::{LOCAL, PATIENCE, Played, QUIET, answer, until};
use crate::trial::Needs::{Namespaces, Xdp};
use crate::trial::{daemon, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "daemon in the background serves when its starter returns",
            &[Namespaces],
            background,
        ),
        trial("clean end detaches XDP", &[Namespaces, Xdp], clean_end),
        trial("killed daemon leaves no XDP behind without holdover", &[Namespaces, Xdp], killed),
        trial(
            "with holdover XDP answers after a kill until the snapshot expires",
            &[Namespaces, Xdp],
            killed_with_holdover,
        ),
        trial(
            "with holdover XDP outlives a clean end and the next run takes over",
            &[Namespaces, Xdp],
            next_run,
        ),
    ]
}

fn directives(holdover_s: u32) -> String {
    format!("{LOCAL}allow\nxdp {LAN} mode native holdover {holdover_s}\n")
}

/// A process that is no child of this one. Dropping it kills it.
struct Background(Pid);

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended, as it should.
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

fn background() -> Result<()> {
    let scene = Scene::open()?;
    daemon()?.start_in_background(&scene.lab, &scene.server, &format!("{LOCAL}allow\n"))?;
    let pidfile = pidfile(&scene.lab, &scene.server);
    let pid = Pid::from_raw(std::fs::read_to_string(&pidfile)?.trim().parse()?);
    let process = Background(pid);
    answer(&Client::open(&scene.client, SERVER.v4)?)?;
    // What keeps another one from serving is said by whoever started it, and is no success.
    let other =
        scene.lab.file("other.conf", "local\nallow\npidfile /\nbindcmdaddress /\ncmdport 0\n")?;
    let mut command = daemon()?.command(&scene.server);
    let output = command.args(["-x", "-f"]).arg(other).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains("UDP port 123 is in use"), "not said: {said}");
    answer(&Client::open(&scene.client, SERVER.v4)?)?;
    kill(pid, Signal::SIGTERM)?;
    until("it ends", || Ok(!pidfile.exists() && kill(pid, None).is_err()))?;
    drop(process);
    Played::has_ended(&scene)
}

fn clean_end() -> Result<()> {
    let Played { daemon, scene, .. } = answering(&directives(0))?;
    let said = daemon.stop()?.success()?.output;
    let last = said.lines().rfind(|line| line.contains(" served "));
    ensure!(Served::read(last.context(said.clone())?)?.xdp.answered > 0, "{said}");
    Played::has_ended(&scene)
}

fn killed() -> Result<()> {
    let Played { daemon, scene, .. } = answering(&directives(0))?;
    daemon.kill()?;
    Played::has_ended(&scene)
}

fn killed_with_holdover() -> Result<()> {
    let Played { daemon, scene, .. } = answering(&directives(5))?;
    daemon.kill()?;
    holds_over(&scene)
}

fn next_run() -> Result<()> {
    let directives = directives(3);
    let Played { daemon: first, scene, .. } = answering(&directives)?;
    first.stop()?.success()?;
    holds_over(&scene)?;

    let mut second = daemon()?.start(&scene.lab, &scene.server, &directives)?;
    let client = Client::open(&scene.client, SERVER.v4)?;
    until("the second run answers in XDP", || {
        answer(&client)?;
        Ok(second.served()?.xdp.answered > 0)
    })?;
    ensure!(second.stop()?.success()?.output.contains("Took over"), "the first run's link is lost");
    Ok(())
}

/// Starts the daemon and waits until it answers in XDP.
fn answering(directives: &str) -> Result<Played> {
    let played = Played::open(directives)?;
    let client = played.client(SERVER.v4)?;
    until("XDP answers", || {
        answer(&client)?;
        Ok(answered(&played.xdp()?) > 0)
    })?;
    Ok(played)
}

/// Without a daemon: XDP answers at first, then passes up what nobody answers.
fn holds_over(scene: &Scene) -> Result<()> {
    let counters = || kernel::xdp_counters(&scene.server, LAN);
    let expired = |counters: &Counters| counters[Reason::NoSnapshot as usize];
    let client = Client::open(&scene.client, SERVER.v4)?;
    let before = counters()?;
    let stratum = answer(&client)?.header.stratum;
    ensure!(stratum == 5, "stratum {stratum} of a snapshot that is still good");
    ensure!(answered(&counters()?) == answered(&before) + 1, "not answered in XDP");

    let is_answered = |within| anyhow::Ok(matches!(client.query(within)?, Reply::Answered(_)));
    until("the snapshot expires", || Ok(!is_answered(PATIENCE)?))?;
    let at_expiry = counters()?;
    for _ in 0..10 {
        ensure!(!is_answered(QUIET)?, "answered after the snapshot has expired");
    }
    let after = counters()?;
    ensure!(answered(&after) == answered(&at_expiry), "answered from an expired snapshot");
    ensure!(expired(&after) == expired(&at_expiry) + 10, "not counted: {after:?}");
    Ok(())
}
