//! The operator's view: what `ntp-xdp status` and `top` show of the daemon is what was done, and the exit status
//! says whether the time is good.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::Trial;
use ntp_lab::scene::{CLIENT, DENIED, LAN, SERVER, UPSTREAM};
use ntp_lab::{Finished, Profile, build, command_socket, run};
use serde_json::Value;

use crate::played::{LOCAL, LONG, Played, QUIET, answer, until};
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
        trial("top without a terminal prints a line a look and ends", &[Namespaces], lines),
    ]
}

fn tool(played: &Played, words: &[&str]) -> Result<Finished> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let built = build(Profile::Dev, ["ntp-xdp"]);
        built.map(|[program]| program).map_err(|error| format!("{error:#}"))
    });
    let program = built.as_ref().map_err(|error| anyhow!("{error}"))?;
    let socket = command_socket(&played.scene.lab, &played.scene.server);
    run(Command::new(program).args(words).arg("--host").arg(socket), LONG)
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
    ensure!(told["serving"]["interfaces"][0]["name"] == LAN, "{told:#}");
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
