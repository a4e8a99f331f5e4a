//! SIGHUP: another configuration comes into force while requests are answered.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use ntp_common::counters::{LEAKED, Reason, answered};
use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{HEADER_LEN, Header, NTP_PORT};
use ntp_lab::query::Reply;
use ntp_lab::scene::{CLIENT, DENIED, LAN, SERVER, UPSTREAM};
use ntp_lab::{Host, kernel};

use crate::played::{LOCAL, Played, QUIET, answer, until};
use crate::trial::Needs::{Chronyd, Namespaces, Xdp};
use crate::trial::trial;

/// What the daemon says of a reload.
const DONE: &str = "Configuration reloaded";
const REFUSED: &str = "Configuration not reloaded";

/// Requests of the test under load, and reloads in their midst.
const REQUESTS: u64 = 1_000_000;
const RELOADS: u64 = 20;

/// Requests that are out at one time.
const WINDOW: usize = 16;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("reload changes whom XDP answers, and where", &[Namespaces, Xdp], xdp),
        trial("first xdp line of a reload is in force at once", &[Namespaces, Xdp], first_xdp),
        trial("limit of a reload is in force on both paths", &[Namespaces, Xdp], limit),
        trial("reload keeps what sources have measured", &[Namespaces, Chronyd], sources),
        trial("wrong configuration is refused and the old one stays", &[Namespaces], wrong),
        trial("reloads lose no request in XDP", &[Namespaces, Xdp], || under_load(true)),
        trial("reloads lose no request in user space", &[Namespaces], || under_load(false)),
    ]
}

fn xdp() -> Result<()> {
    let xdp = format!("{LOCAL}xdp {LAN} mode native\n");
    let played = Played::open(&format!("{xdp}allow\n"))?;
    let client = played.client(SERVER.v4)?;
    answer(&client)?;
    played.reload(&format!("{xdp}allow\ndeny {}\n", CLIENT.v4), DONE)?;
    ensure!(matches!(client.query(QUIET)?, Reply::Silence), "a denied client is answered");
    played.reload(&format!("local stratum 9\nxdp {LAN} mode native\nallow\n"), DONE)?;
    let before = answered(&played.xdp()?);
    ensure!(answer(&client)?.header.stratum == 9, "the new `local` is not in force");
    let after = answered(&played.xdp()?);
    ensure!(after == before + 1, "{before} answers in XDP, then {after}");

    played.reload(&format!("{LOCAL}allow\n"), DONE)?;
    ensure!(kernel::attached_xdp(&played.scene.server, LAN)?.is_none(), "XDP is still on");
    ensure!(answer(&client)?.header.stratum == 5, "nobody answers without XDP");
    played.reload(&format!("{xdp}allow\n"), DONE)?;
    answer(&client)?;
    let again = answered(&played.xdp()?);
    ensure!(again == after + 1, "{after} answers in XDP, then {again}");

    let absent = format!("{xdp}xdp nosuch0 mode native\nallow\ndeny {}\n", CLIENT.v4);
    let log = played.reload(&absent, REFUSED)?;
    ensure!(log.contains("interface `nosuch0` does not exist"), "{log}");
    answer(&client).context("half of a refused configuration is in force")?;
    Ok(())
}

fn limit() -> Result<()> {
    let xdp = format!("{LOCAL}xdp {LAN} mode native\nallow\n");
    let played = Played::open(&xdp)?;
    let client = played.client(SERVER.v4)?;
    for _ in 0..20 {
        answer(&client)?;
    }
    let over = || -> Result<u64> {
        let counters = played.xdp()?;
        Ok(counters[LEAKED] + counters[Reason::RateLimited as usize])
    };
    ensure!(over()? == 0, "somebody is over a limit that is none");
    let limit = "ratelimit interval 12 burst 4 leak 4\n";
    let log = played.reload(&format!("{xdp}{limit}"), DONE)?;
    ensure!(!log.contains("takes effect with the next start"), "{log}");
    ensure!(log.contains("Clients are limited"), "{log}");
    for _ in 0..12 {
        client.query(QUIET)?;
    }
    let refused = over()?;
    ensure!(
        refused == 8,
        "{refused} of 12 requests over a limit of 4, whose record is from before it"
    );
    played.reload(&xdp, DONE)?;
    for _ in 0..20 {
        answer(&client).context("the limit is still in force")?;
    }
    // The daemon holds another client, who owes nothing yet, to the same limit.
    played.reload(&format!("{LOCAL}allow\n{limit}"), DONE)?;
    let another = played.client_from(DENIED.v4.into(), SERVER.v4.into())?;
    let answers = (0..12).map(|_| another.query(QUIET));
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let silent = answers.iter().filter(|reply| matches!(reply, Reply::Silence)).count();
    ensure!((4..=8).contains(&silent), "{silent} of 12 requests not answered in user space");
    Ok(())
}

fn first_xdp() -> Result<()> {
    let limit = "ratelimit interval 12 burst 8 leak 4\n";
    let played = Played::open(&format!("{LOCAL}{limit}allow\n"))?;
    let client = played.client(SERVER.v4)?;
    for _ in 0..4 {
        answer(&client)?;
    }
    let denied = format!("deny {}\n", DENIED.v4);
    played.reload(&format!("{LOCAL}{limit}xdp {LAN} mode native\nallow\n{denied}"), DONE)?;
    for _ in 0..4 {
        answer(&client)?;
    }
    let counters = played.xdp()?;
    ensure!(answered(&counters) == 4, "{} of 4 answers in XDP", answered(&counters));
    // Who had answers from the daemon owes them to the limit still.
    client.query(QUIET)?;
    let counters = played.xdp()?;
    let over = counters[LEAKED] + counters[Reason::RateLimited as usize];
    ensure!(over == 1, "a ninth request is not over the limit: {counters:?}");
    played.client_from(DENIED.v4.into(), SERVER.v4.into())?.query(QUIET)?;
    let denied = played.xdp()?[Reason::AccessDenied as usize];
    ensure!(denied == 1, "{denied} denied in XDP");
    played.reload(&format!("{LOCAL}allow\n"), DONE)?;
    ensure!(kernel::attached_xdp(&played.scene.server, LAN)?.is_none(), "XDP is still on");
    Ok(())
}

fn sources() -> Result<()> {
    let server = format!("server {} iburst minpoll 0 maxpoll 0\nallow\n", UPSTREAM.v4);
    let (played, before) = Played::following(3, &server)?;
    played.reload(&format!("{server}maxdistance 2\n"), DONE)?;
    let client = played.client(SERVER.v4)?;
    let after = answer(&client)?.header;
    ensure!(
        (after.stratum, after.reference_id) == (before.stratum, before.reference_id),
        "{before:?}, then {after:?}"
    );
    played.reload(&format!("{LOCAL}allow\n"), DONE)?;
    ensure!(answer(&client)?.header.stratum == 5, "the source is still followed");
    Ok(())
}

fn wrong() -> Result<()> {
    let played = Played::open(&format!("{LOCAL}allow\n"))?;
    let client = played.client(SERVER.v4)?;
    let log = played.reload("local stratum 9\nalow\nserver x ibrust\n", REFUSED)?;
    ensure!(
        log.contains("did you mean `allow`?") && log.contains("did you mean `iburst`?"),
        "{log}"
    );
    ensure!(answer(&client)?.header.stratum == 5, "a wrong configuration is in force");
    played.reload("local stratum 9\nallow\n", DONE)?;
    ensure!(answer(&client)?.header.stratum == 9, "the right one is not in force");
    Ok(())
}

fn under_load(in_xdp: bool) -> Result<()> {
    let xdp = if in_xdp { format!("xdp {LAN} mode native\n") } else { String::new() };
    let directives = |round: u64| {
        let deny = if round.is_multiple_of(2) { "deny 192.0.2.0/24\n" } else { "" };
        let source = if round.is_multiple_of(3) { "server 192.0.2.1\n" } else { "" };
        format!("{LOCAL}{xdp}allow\n{deny}{source}")
    };
    let played = Played::open(&directives(0))?;
    let (sent, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let load = scope.spawn(|| load(&played.scene.client, &sent, &lost));
        for round in 1..=RELOADS {
            while sent.load(Ordering::Relaxed) < round * REQUESTS / (RELOADS + 1) {
                if load.is_finished() {
                    bail!("the load ended early");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            played.reload(&directives(round), DONE)?;
        }
        load.join().map_err(|_| anyhow::anyhow!("the load panicked"))?
    })?;
    let (sent, lost) = (sent.into_inner(), lost.into_inner());
    ensure!(sent >= REQUESTS && lost == 0, "{lost} of {sent} requests lost");
    if in_xdp {
        let answered = answered(&played.xdp()?);
        ensure!(answered * 100 >= sent * 99, "{answered} of {sent} requests answered in XDP");
    }
    Ok(())
}

/// Asks until as many requests as are wanted were sent, a window at a time.
fn load(client: &Host, sent: &AtomicU64, lost: &AtomicU64) -> Result<()> {
    let socket = client.enter(|| {
        let socket = UdpSocket::bind(SocketAddr::new(CLIENT.v4.into(), 0))?;
        socket.connect(SocketAddr::new(SERVER.v4.into(), NTP_PORT))?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(socket)
    })?;
    let mut number = 0u64;
    while number < REQUESTS {
        let first = number;
        for _ in 0..WINDOW {
            number += 1;
            socket.send(&Header::request(NtpTimestamp::from_bits(number)).write())?;
        }
        let mut answered = [false; WINDOW];
        let mut reply = [0; HEADER_LEN];
        while answered.contains(&false) {
            match socket.recv(&mut reply) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Nothing for a second: what is missing is lost.
                Err(_) => break,
            }
            let origin = Header::read(&reply).origin_timestamp.to_bits();
            let place = usize::try_from(origin.wrapping_sub(first + 1)).ok();
            if let Some(place) = place.and_then(|place| answered.get_mut(place)) {
                *place = true;
            }
        }
        let missing = answered.iter().filter(|is_answered| !**is_answered).count();
        lost.fetch_add(u64::try_from(missing)?, Ordering::Relaxed);
        sent.store(number, Ordering::Relaxed);
    }
    Ok(())
}

impl Played {
    /// Has the daemon read another configuration; it must say `outcome`. Gives what it logged meanwhile.
    pub(crate) fn reload(&self, directives: &str, outcome: &str) -> Result<String> {
        let before = self.daemon.log().len();
        self.daemon.reload(&self.scene.lab, &self.scene.server, directives)?;
        until("the configuration is read", || {
            Ok(self.daemon.log().get(before..).is_some_and(|log| log.contains("Configuration ")))
        })?;
        let log = self.daemon.log();
        let since = log.get(before..).unwrap_or_default();
        ensure!(since.contains(outcome), "not `{outcome}`:\n{since}");
        Ok(since.to_owned())
    }
}
