//! The operator's view: what `ntp-xdp status` and `top` show of the daemon is what was done, and the exit status
//! says whether the time is good.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use ntp_lab::scene::{CLIENT, DENIED, LAN, SERVER, UPSTREAM};
use ntp_lab::{Finished, Profile, build, command_socket, run};
use serde_json::Value;

use crate::played::{LOCAL, LONG, Played, QUIET, answer, until};
use crate::terminal::{Terminal, is_left_as_it_was};
use crate::trial::Needs::{Chronyd, Namespaces, Xdp};
use crate::trial::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "status shows what both paths have done and that the time is good",
            &[Namespaces, Chronyd, Xdp],
            good,
        ),
        trial("status says by its exit status that the time is not good", &[Namespaces], not_good),
        trial(
            "top on a terminal obeys keys, fits it, and leaves it as it was",
            &[Namespaces],
            on_terminal,
        ),
        trial(
            "top ends with the terminal as it was when it is told to",
            &[Namespaces],
            told_to_end,
        ),
        trial("top and status on a terminal that knows lines alone are lines", &[Namespaces], dumb),
        trial(
            "status without the rights to the socket says what it lacks",
            &[Namespaces],
            no_rights,
        ),
        trial("top without a terminal prints a line a look and ends", &[Namespaces], lines),
    ]
}

fn program() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let built = build(Profile::Dev, ["ntp-xdp"]);
        built.map(|[program]| program).map_err(|error| format!("{error:#}"))
    });
    Ok(built.as_ref().map_err(|error| anyhow!("{error}"))?)
}

fn tool(played: &Played, words: &[&str]) -> Result<Finished> {
    let socket = command_socket(&played.scene.lab, &played.scene.server);
    run(Command::new(program()?).args(words).arg("--host").arg(socket), LONG)
}

fn json(finished: &Finished) -> Result<Value> {
    serde_json::from_str(&finished.output).with_context(|| finished.output.clone())
}

fn good() -> Result<()> {
    let directives = format!(
        "server {} iburst minpoll -2 maxpoll 0\nxdp {LAN} mode native\nallow\ndeny {}\n",
        UPSTREAM.v4, DENIED.v4
    );
    let (played, _) = Played::following(3, &directives)?;
    until("the time is good", || {
        Ok(tool(&played, &["status", "--interval", "0"])?.status.code() == Some(0))
    })?;
    let before = ntp_common::counters::answered(&played.xdp()?);
    for server in SERVER.both() {
        let client = played.client(server)?;
        for _ in 0..20 {
            answer(&client)?;
        }
    }
    played.client_from(DENIED.v4.into(), SERVER.v4.into())?.query(QUIET)?;
    let finished = tool(&played, &["status", "--json"])?;
    let told = json(&finished)?;
    ensure!(told["health"] == "good" && told["clock"]["stratum"] == 4, "{told:#}");
    ensure!(told["sources"][0]["name"] == UPSTREAM.v4.to_string(), "{told:#}");
    let xdp = &told["serving"]["xdp"];
    let answered = xdp["answered_ipv4"].as_u64().zip(xdp["answered_ipv6"].as_u64());
    let answered = answered.map(|(v4, v6)| v4 + v6);
    ensure!(answered == Some(before + 40) && xdp["denied"] == 1, "{told:#}");
    let interface = &told["serving"]["interfaces"][0];
    ensure!(interface["name"] == LAN, "{told:#}");
    let note = interface["note"].as_str().unwrap_or_default();
    for part in ["driver veth", "receive queue", "XDP_TX yes", "receive timestamps in XDP"] {
        ensure!(note.contains(part), "no `{part}` in {note}");
    }
    ensure!(!note.contains("hardware"), "nobody wishes for them: {note}");
    let clients = told["clients"].as_array().context("no clients")?;
    let is_client = |it: &Value| it["address"] == CLIENT.v4.to_string();
    ensure!(clients.iter().any(is_client), "{told:#}");
    let printed = tool(&played, &["status"])?.success()?.output;
    for part in ["GOOD", "stratum 4", "XDP", "lan native", &CLIENT.v4.to_string()] {
        ensure!(printed.contains(part), "no `{part}` in\n{printed}");
    }
    Ok(())
}

fn not_good() -> Result<()> {
    let played = Played::open(&format!("{LOCAL}allow\n"))?;
    let look = |code: i32, health: &str| -> Result<()> {
        let finished = tool(&played, &["status", "--json", "--interval", "0"])?;
        ensure!(finished.status.code() == Some(code), "{finished:?}");
        ensure!(json(&finished)?["health"] == health, "{finished:?}");
        Ok(())
    };
    look(1, "doubtful")?;
    played.reload("allow\n", "Configuration reloaded")?;
    look(2, "bad")?;
    let mut played = played;
    let socket = command_socket(&played.scene.lab, &played.scene.server);
    std::fs::remove_file(socket)?;
    let finished = tool(&played, &["status"])?;
    ensure!(finished.status.code() == Some(3), "{finished:?}");
    ensure!(finished.output.contains("cannot reach the daemon"), "{finished:?}");
    played.daemon.served()?;
    Ok(())
}

/// `top` or `status`, as it is run on a terminal.
fn on(played: &Played, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(program()?);
    let socket = command_socket(&played.scene.lab, &played.scene.server);
    command.args(words).arg("--host").arg(socket);
    Ok(command)
}

fn on_terminal() -> Result<()> {
    let played = Played::open(&format!("{LOCAL}allow\n"))?;
    // Nothing changes by itself: what does comes of a key or a signal.
    let command = on(&played, &["top", "--interval", "3600"])?;
    let mut terminal = Terminal::start(&command, "xterm-256color", (24, 80))?;
    terminal.shows("every 3600.0 s")?;
    for part in ["DOUBTFUL", "stratum 5", "Requests", "daemon", "Clients", "q quit"] {
        terminal.shows(part)?;
    }
    ensure!(terminal.look(|screen| screen.is_other && screen.is_cursor_hidden), "not whole");
    // Both at once, as of somebody who is in a hurry.
    terminal.keys("++")?;
    terminal.shows("every 900.0 s")?;
    terminal.keys("-")?;
    terminal.shows("every 1800.0 s")?;
    terminal.keys("\x1b[A")?;
    terminal.resize((12, 50))?;
    terminal.shows("DOUBTFUL")?;
    terminal.shows("Clients")?;

    let Played { daemon, scene, .. } = played;
    daemon.stop()?;
    terminal.keys(" ")?;
    terminal.shows("nobody answers")?;
    let again = Played::open_in(scene, "local stratum 7\nallow\n")?;
    terminal.keys(" ")?;
    terminal.shows("stratum 7")?;
    terminal.keys("q")?;
    ensure!(terminal.ends()?.code() == Some(1), "the exit status is not that of the last look");
    drop(again);
    terminal.look(|screen| {
        ensure!(screen.faults.is_empty(), "{:?}", screen.faults);
        ensure!(!screen.is_cursor_hidden, "{:?}", screen.raw);
        Ok(())
    })
}

fn told_to_end() -> Result<()> {
    let played = Played::open(&format!("{LOCAL}allow\n"))?;
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let command = on(&played, &["top", "--interval", "3600"])?;
        let mut terminal = Terminal::start(&command, "xterm", (24, 80))?;
        let settings = terminal.settings()?;
        terminal.shows("q quit")?;
        ensure!(terminal.settings()? != settings, "keys are not taken one by one");
        terminal.signal(signal)?;
        ensure!(terminal.ends()?.code() == Some(1), "{signal} ended it otherwise");
        until("all that it printed is read", || {
            Ok(terminal.look(|screen| screen.raw.ends_with("\x1b[?1049l")))
        })?;
        is_left_as_it_was(&terminal, &settings).with_context(|| signal.to_string())?;
    }
    Ok(())
}

fn dumb() -> Result<()> {
    let played = Played::open(&format!("{LOCAL}allow\n"))?;
    for words in [&["top", "--count", "2", "--interval", "0.1"][..], &["status"]] {
        let mut terminal = Terminal::start(&on(&played, words)?, "dumb", (24, 80))?;
        let settings = terminal.settings()?;
        // Lines may be longer than the terminal is wide.
        until("it says the stratum", || {
            Ok(terminal.look(|screen| screen.raw.contains("stratum 5")))
        })?;
        ensure!(terminal.ends()?.code() == Some(1), "{words:?} ended otherwise");
        ensure!(terminal.look(|screen| !screen.raw.contains('\x1b')), "{words:?} has colours");
        is_left_as_it_was(&terminal, &settings)?;
    }
    Ok(())
}

fn no_rights() -> Result<()> {
    let played = Played::open(&format!("{LOCAL}allow\ncmdport 323\n"))?;
    let mut command = played.scene.server.command(program()?);
    let finished = run(command.args(["status", "--host", "127.0.0.1"]), LONG)?;
    ensure!(finished.status.code() == Some(1), "{finished:?}");
    let parts = ["stratum 5", "Requests  not told: over the network"];
    ensure!(parts.iter().all(|part| finished.output.contains(part)), "{finished:?}");
    let mut command = played.scene.server.command(program()?);
    let finished = run(command.args(["status", "--json", "--host", "127.0.0.1"]), LONG)?;
    let told = json(&finished)?;
    ensure!(told["serving"].is_null() && told["health"] == "doubtful", "{told:#}");
    let mut command = played.scene.client.command(program()?);
    let finished = run(command.args(["status", "--json", "--host", "127.0.0.1"]), LONG)?;
    ensure!(finished.status.code() == Some(3), "{finished:?}");
    ensure!(finished.output.contains("\"health\": \"unreachable\""), "{finished:?}");
    ensure!(finished.output.contains("no daemon listens at 127.0.0.1:323"), "{finished:?}");
    Ok(())
}

fn lines() -> Result<()> {
    let played = Played::open(&format!("{LOCAL}allow\n"))?;
    let words = ["top", "--count", "3", "--interval", "0.1"];
    let finished = tool(&played, &words)?;
    ensure!(finished.output.lines().count() == 3, "{finished:?}");
    ensure!(finished.output.lines().all(|line| line.contains("stratum 5")), "{finished:?}");
    ensure!(!finished.output.contains('\x1b'), "{finished:?}");
    let finished = tool(&played, &[&words[..], &["--json"]].concat())?;
    for line in finished.output.lines() {
        let told: Value = serde_json::from_str(line)?;
        ensure!(told["clock"]["stratum"] == 5, "{told:#}");
    }
    Ok(())
}
