//! Interfaces that stamp packets, whose interrupts come late: the daemon as a client, and as a server.

use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use ntp_common::wire::NTP_PORT;
use ntp_lab::query::Client;

use crate::client::ask;
use crate::daemon::Daemon;
use crate::devices;
use crate::guest::Guest;
use crate::network::{PEER, SERVER_V4, STAMPING, UPSTREAM_PORT, set_stamping_up};
use crate::truth::{SECOND, Truth, ntp, seconds};
use crate::upstream;
use crate::watch::{settled_after, worst_us};

/// How far true time is ahead.
const AHEAD: i64 = 3 * SECOND;

/// The interfaces' clock is ahead of true time: it keeps TAI.
const TAI_NS: i64 = 37 * SECOND;

/// At the daemon's end packets wait 2 ms to leave, and 8 ms until it is told of those that came in: by the kernel's
/// timestamps it is 3 ms off.
const DEVICES: &str = "clock_ahead_ns=37000000000 queue_ns=2000000,0 interrupt_ns=8000000,0";

/// How late the daemon is told of requests, seconds, and as the module takes it.
const LATE_S: f64 = 0.1;
const LATE: (&str, &str) = ("interrupt_ns", "100000000,0");

/// How long the frequency is learnt before it is watched.
const LEARNING: Duration = Duration::from_secs(6);

/// How long it is watched, seconds.
const WATCHED_S: f64 = 5.0;

/// How often the daemon is asked.
const REQUESTS: usize = 10;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let truth = Truth::ahead_of_system(AHEAD);
    devices::load(&truth, DEVICES)?;
    let (upstream, client) = set_stamping_up(|| {
        let server = SocketAddr::new(SERVER_V4, NTP_PORT);
        let client = Client::here([0; 4].into(), server)?;
        Ok((UdpSocket::bind((PEER, UPSTREAM_PORT))?, client))
    })?;
    upstream::serve_stamped(upstream, truth, TAI_NS)?;
    let [here, _] = STAMPING;
    let start = truth.now();
    let daemon = Daemon::start_with(&format!(
        "server {PEER} port {UPSTREAM_PORT} iburst minpoll 0 maxpoll 0\nmakestep 1 3\nhwtstimeout 0.05\nhwtimestamp {here}\n"
    ))?;
    guest.with(daemon, |guest, _| {
        guest.figure("within_1ms_after_s", settled_after(&truth, start, || Ok(()))?);
        sleep(LEARNING);
        guest.figure("worst_us", worst_us(&truth, WATCHED_S));
        devices::set(LATE.0, LATE.1)?;
        served(guest, &truth, &client)
    })
}

/// Asks the daemon, and looks at when it says that requests came in.
fn served(guest: &mut Guest, truth: &Truth, client: &Client) -> Result<()> {
    let (mut late_s, mut soonest_s) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..REQUESTS {
        let told = ask(client, truth, &[])?.context("no reply")?;
        let came_in = told.header.receive_timestamp.since(ntp(truth.utc(told.sent)));
        late_s = late_s.min(seconds(came_in.to_nanos()).abs());
        soonest_s = soonest_s.min(told.arrived.since(told.sent));
    }
    guest.figure("receive_timestamps_late_ms", late_s * 1e3);
    guest.figure("soonest_reply_part", soonest_s / LATE_S);
    Ok(())
}
