//! The operator's load test against the daemon: nothing is lost at a modest rate, and both sides count the same.

use std::fs;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_common::counters::{Counters, Reason, answered};
use ntp_lab::scene::{LAN, SERVER};
use ntp_lab::{End, Host, Lab, kernel};
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

/// What the server is told where frames are sent.
const SERVING: &str = "local stratum 5\nallow\nxdp lan mode native\n";

/// A million clients, each of whom asks at least once, and the most memory that they may take, octets.
const MILLION: u64 = 1_000_000;
const MILLION_CLIENTS: &str = "10.123.0.1 --generator frames --interface lan --clients 1000000 --clients-from 10.128.0.0 \
                               --rate 150k --duration 8 --probe 0 --quiet";
const MOST_MEMORY: u64 = 64 << 20;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a million clients take 64 MiB with all that the daemon has",
            &[Namespaces, Xdp],
            memory,
        ),
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

/// A server and the host that its clients are behind.
fn hosts() -> Result<(Lab, Host, Host)> {
    let lab = Lab::open()?;
    let (server, client) = (lab.host("server")?, lab.host("client")?);
    let addresses = |host: u8| [format!("10.123.0.{host}/24"), format!("2001:db8:123::{host}/64")];
    let (ours, theirs) = (addresses(1), addresses(2));
    lab.link(
        End { host: &server, interface: LAN, addresses: &ours.each_ref().map(String::as_str) },
        End { host: &client, interface: LAN, addresses: &theirs.each_ref().map(String::as_str) },
    )?;
    Ok((lab, server, client))
}

fn by_frames() -> Result<()> {
    let (lab, server, client) = hosts()?;
    let daemon = daemon()?.start(&lab, &server, SERVING)?;
    for (server_address, clients) in ["10.123.0.1", "2001:db8:123::1"].into_iter().zip(CLIENTS) {
        let before = kernel::xdp_counters(&server, LAN)?;
        let words = format!("{server_address} {FRAMES} --clients-from {clients}");
        let report = client.enter(|| report(&words))?;
        let after = kernel::xdp_counters(&server, LAN)?;
        let counted = std::array::from_fn(|index| after[index].wrapping_sub(before[index]));
        agree(&report, &counted)?;
    }
    for every in [1, 8] {
        let words =
            format!("10.123.0.1 {FRAMES} --clients-from {} --latency-every {every}", CLIENTS[0]);
        let arguments = LoadTest::read(words.split_whitespace())?;
        let report = client.enter(|| Test::open(&arguments)?.run())?;
        let step = report.main_step().context("a step")?;
        let (answered, measured) = (step.answered(), step.latency.len());
        // Each CPU counts by itself which reply's turn it is.
        let expected = answered / every;
        ensure!(
            measured.abs_diff(expected) <= 8,
            "{measured} latencies of {answered}, 1 in {every}"
        );
    }
    drop(daemon);
    Ok(())
}

fn memory() -> Result<()> {
    let (lab, server, client) = hosts()?;
    let daemon = daemon()?.start(&lab, &server, &format!("{SERVING}clientloglimit 50331648\n"))?;
    let report = client.enter(|| report(MILLION_CLIENTS))?;
    let answered = number(&report, "/steps/0/answered")?;
    ensure!(answered >= MILLION, "{answered} answers: not everybody asked");
    // What the daemon says of its maps, which a test of the program compares with what the kernel charges.
    let log = daemon.log();
    let line =
        log.lines().find(|line| line.contains("Memory of XDP")).context("nothing is said")?;
    let maps = line.split("octets=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let maps: u64 = maps.context("no octets")?.parse()?;
    let own = own_memory(daemon.id())?;
    println!("{maps} octets of maps, {own} of the daemon's own, {answered} answers");
    ensure!(maps + own <= MOST_MEMORY, "{maps} octets of maps and {own} of the daemon's own");
    Ok(())
}

/// Memory of a process that is its own, octets: what is mapped from elsewhere, maps of XDP among it, is not.
fn own_memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("no RssAnon")?;
    let kilobytes = line.split_whitespace().nth(1).context("no figure")?;
    Ok(kilobytes.parse::<u64>()? * 1024)
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
