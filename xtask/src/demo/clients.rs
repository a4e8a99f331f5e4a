//! The clients, one after the other, so that the counters tell which path answered whom.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use ntp_common::counters::{Counters, Family, Reason};
use ntp_common::wire::NTP_PORT;
use ntp_lab::counters::{Told, answered_over};
use ntp_lab::kernel::{self, Datagrams};
use ntp_lab::peers::{self, Seen};
use ntp_lab::query::{Client, EXTENSION_FIELD, Reply};
use ntp_lab::scene::{DENIED, SERVER};

use super::play::Play;
use super::row::{Due, Row};
use crate::report::{Paint, paint, present, step};

/// Plain requests of our own client over each family.
const PLAIN: usize = 2000;
/// Requests with an extension field.
const EXTENDED: usize = 100;
/// Requests of the denied client.
const FUTILE: usize = 50;

/// Requests without a reply, in a row, after which a client gives up.
const MOST_MISSES: usize = 4;

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long silence is listened to, for each request.
const SILENCE: Duration = Duration::from_millis(20);

/// What to do as a client: ask a server, say what was seen.
type Ask<'a> = &'a dyn Fn(&Play, IpAddr) -> Result<Vec<Seen>>;

/// All clients, over both families.
///
/// # Errors
/// Counters could not be read.
pub(crate) fn ask_all(play: &mut Play) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    match peers::chronyd() {
        Some(chronyd) => both(play, &mut rows, "chronyd -Q", Due::Xdp, &|play, server| {
            chronyd.measure(&play.scene.lab, &play.scene.client, server)
        })?,
        None => present("chronyd -Q", &paint(Paint::Note, "absent")),
    }
    match peers::ntpdig() {
        Some(ntpdig) => both(play, &mut rows, "ntpdig", Due::Xdp, &|play, server| {
            Ok(vec![ntpdig.measure(&play.scene.client, server)?])
        })?,
        None => present("ntpdig", &paint(Paint::Note, "absent")),
    }
    both(play, &mut rows, "plain requests", Due::Xdp, &|play, server| {
        query(&Client::open(&play.scene.client, server)?, PLAIN, &[])
    })?;
    both(play, &mut rows, "extension field", Due::User, &|play, server| {
        query(&Client::open(&play.scene.client, server)?, EXTENDED, &EXTENSION_FIELD)
    })?;
    both(play, &mut rows, "denied client", Due::Silence, &denied)?;
    Ok(rows)
}

fn both(play: &mut Play, rows: &mut Vec<Row>, name: &str, due: Due, ask: Ask<'_>) -> Result<()> {
    step(name, "over IPv4 and IPv6", || {
        let mut answers = Vec::new();
        for (family, server) in [Family::V4, Family::V6].into_iter().zip(SERVER.both()) {
            let row = observe(play, name, family, due, ask, server)?;
            answers.push(format!("{} of {}", row.answered, row.asked));
            rows.push(row);
        }
        Ok(format!("{} answered", answers.join(" and ")))
    })
}

/// All counters that a client's requests move.
struct Counts {
    datagrams: Datagrams,
    xdp: Counters,
    user: Told,
}

impl Counts {
    fn read(play: &mut Play, family: Family) -> Result<Self> {
        Ok(Self {
            datagrams: kernel::datagrams(&play.scene.client, family)?,
            xdp: play.xdp()?,
            user: play.user()?,
        })
    }
}

/// Runs one client between two readings of the counters.
fn observe(
    play: &mut Play,
    client: &str,
    family: Family,
    due: Due,
    ask: Ask<'_>,
    server: IpAddr,
) -> Result<Row> {
    let before = Counts::read(play, family)?;
    let (seen, failure) = match ask(play, server) {
        Ok(seen) => (seen, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    let after = Counts::read(play, family)?;
    let over = |counters: &Counters| answered_over(counters, family);
    let denied = |counts: &Counts| counts.xdp[Reason::AccessDenied as usize];
    Ok(Row {
        client: client.to_owned(),
        family,
        due,
        asked: after.datagrams.sent - before.datagrams.sent,
        answered: after.datagrams.received - before.datagrams.received,
        by_xdp: over(&after.xdp) - over(&before.xdp),
        by_user: after.user.answered - before.user.answered,
        denied: denied(&after) - denied(&before),
        seen,
        failure,
    })
}

/// Asks a number of times. A request without a reply is one that the counters tell of; after a few in a row,
/// the rest is left out.
fn query(client: &Client, times: usize, trailer: &[u8]) -> Result<Vec<Seen>> {
    let mut seen = Vec::with_capacity(times);
    let mut misses = 0;
    for _ in 0..times {
        match client.query_with(trailer, PATIENCE)? {
            Reply::Answered(answer) => {
                seen.push(answer.seen());
                misses = 0;
            }
            Reply::Silence | Reply::Refused => misses += 1,
        }
        if misses == MOST_MISSES {
            bail!("the last {MOST_MISSES} requests had no reply");
        }
    }
    Ok(seen)
}

fn denied(play: &Play, server: IpAddr) -> Result<Vec<Seen>> {
    let [v4, v6] = DENIED.both();
    let source = if server.is_ipv4() { v4 } else { v6 };
    let server = SocketAddr::new(server, NTP_PORT);
    let client = Client::between(&play.scene.client, source, server)?;
    let mut seen = Vec::new();
    for index in 0..FUTILE {
        // With and without what only the daemon answers: rules hold on both paths.
        let trailer: &[u8] = if index % 2 == 0 { &[] } else { &EXTENSION_FIELD };
        if let Reply::Answered(answer) = client.query_with(trailer, SILENCE)? {
            seen.push(answer.seen());
        }
    }
    Ok(seen)
}
