//! The operator's load test against the daemon: nothing is lost at a modest rate, and both sides count the same.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_common::counters::{Counters, Reason, answered};
use ntp_lab::scene::{LAN, SERVER};
use ntp_lab::{End, Lab, kernel};
use ntp_xdp::load::Test;
use ntp_xdp::load::arguments::LoadTest;
use serde_json::Value;

use crate::played::{LOCAL, Played};
use crate::trial::Needs::{Namespaces, Xdp};
use crate::trial::{daemon, trial};

/// Fewer requests than a socket's buffer holds: a machine that is busy with other things loses none either.
const SOCKETS: &str = "--rate 100 --duration 2 --clients 8 --probe 0 --quiet";

/// The clients' networks, which are behind the client's host.
const CLIENTS: [&str; 2] = ["10.77.0.0", "2001:db8:77::"];
const FRAMES: &str = "--generator frames --interface lan --clients 1000 --rate 2k --duration 1 --probe 0 --quiet \
                      --mix plain=3,garbage=1";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("load by sockets is answered and counted by the daemon", &[Namespaces], by_sockets),
        trial("load by frames is answered and counted in XDP", &[Namespaces, Xdp], by_frames),
        trial("load test refuses a server beyond its namespace", &[Namespaces], refusal),
    ]
}

fn by_sockets() -> Result<()> {
    let mut played = Played::open(&format!("{LOCAL}allow\n"))?;
    for server in SERVER.both() {
        let before = played.daemon.served()?.user.answered;
        let words = format!("{server} {SOCKETS}");
        let report = played.scene.client.enter(|| report(&words))?;
        let (sent, count) =
            (number(&report, "/steps/0/sent")?, number(&report, "/steps/0/answered")?);
        ensure!(sent > 0, "{sent} requests sent to {server}");
        ensure!(number(&report, "/steps/0/lost")? == 0, "{report:#}");
        let served = played.daemon.served()?.user.answered - before;
        ensure!(served == count, "{server} says {served} answers, the load test {count}");
        ensure!(number(&report, "/steps/0/latency_ns/p50")? > 0, "{report:#}");
    }
    Ok(())
}

fn by_frames() -> Result<()> {
    let lab = Lab::open()?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let addresses = |host: u8| [format!("10.123.0.{host}/24"), format!("2001:db8:123::{host}/64")];
    let (ours, theirs) = (addresses(1), addresses(2));
    lab.link(
        End { host: &server, interface: LAN, addresses: &ours.each_ref().map(String::as_str) },
        End { host: &client, interface: LAN, addresses: &theirs.each_ref().map(String::as_str) },
    )?;
    let daemon =
        daemon()?.start(&lab, &server, &format!("{LOCAL}allow\nxdp {LAN} mode native\n"))?;
    for (server_address, clients) in ["10.123.0.1", "2001:db8:123::1"].into_iter().zip(CLIENTS) {
        let before = kernel::xdp_counters(&server, LAN)?;
        let words = format!("{server_address} {FRAMES} --clients-from {clients}");
        let report = client.enter(|| report(&words))?;
        let after = kernel::xdp_counters(&server, LAN)?;
        let counted = std::array::from_fn(|index| after[index].wrapping_sub(before[index]));
        agree(&report, &counted)?;
    }
    drop(daemon);
    Ok(())
}

/// Whether the load test and the kernel's counters say the same.
fn agree(report: &Value, counters: &Counters) -> Result<()> {
    let kind = |kind: &str, what: &str| number(report, &format!("/steps/0/kinds/{kind}/{what}"));
    let (sent, count) = (kind("plain", "sent")?, kind("plain", "answered")?);
    ensure!(sent > 0 && sent == count, "{count} of {sent} answered: {report:#}");
    // One request goes before the load.
    let in_kernel = answered(counters);
    ensure!(in_kernel == count + 1, "the kernel counts {in_kernel} answers, the load test {count}");
    let reasons =
        [Reason::Short, Reason::BadLength, Reason::BadVersion, Reason::BadMode, Reason::NotRequest];
    let left: u64 = reasons.iter().map(|&reason| counters[reason as usize]).sum();
    let garbage = kind("garbage", "sent")?;
    ensure!(
        left == garbage,
        "the kernel counts {left} packets of garbage, the load test {garbage}"
    );
    ensure!(kind("garbage", "answered")? == 0, "{report:#}");
    Ok(())
}

fn refusal() -> Result<()> {
    let lab = Lab::open()?;
    let refused = lab.host("client")?.enter(|| report("192.0.2.1 --duration 1 --quiet"));
    let error = refused.err().context("192.0.2.1 was not refused")?;
    ensure!(format!("{error:#}").contains("--allow-remote 192.0.2.1"), "{error:#}");
    Ok(())
}

fn report(words: &str) -> Result<Value> {
    let arguments = LoadTest::read(words.split_whitespace())?;
    Ok(Test::open(&arguments)?.run()?.json())
}

fn number(report: &Value, path: &str) -> Result<u64> {
    let value = report.pointer(path).and_then(Value::as_u64);
    value.with_context(|| format!("no {path} in {report:#}"))
}
