//! XDP with receive timestamps of the hardware: an interface whose interrupts are 200 ms late, and pairs of virtual
//! ones that have none and go away while the program is attached.

use std::fs;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use ntp_common::wire::NTP_PORT;
use ntp_lab::query::Client;

use crate::client::{Told, ask};
use crate::daemon::Daemon;
use crate::devices;
use crate::guest::Guest;
use crate::network::{SERVER_V4, STAMPING, ip, set_stamping_up};
use crate::truth::{SECOND, Truth, seconds};

/// How much later than a packet came in the program sees it, seconds.
const LATE_S: f64 = 0.2;

/// The interface's clock is a TAI clock; the daemon's end is late.
const DEVICES: &str = "clock_ahead_ns=37000000000 interrupt_ns=200000000,0";

/// How far off timestamps may be, seconds: true time is 200 ppm faster than the clock, which nobody corrects.
const TOLERANCE_S: f64 = 0.02;

/// How long the daemon looks at the interface's clock before it is used.
const LEARNING: Duration = Duration::from_secs(4);

/// Requests of each kind.
const REQUESTS: usize = 10;

/// Pairs of virtual interfaces.
const PAIRS: usize = 5;

/// What the daemon logs of timestamps.
const READ: &str = "Hardware receive timestamps in XDP are read";
const ABSENT: &str = "Hardware receive timestamps in XDP are absent: the interface has no clock";
const NO_CALL: &str = "No hardware receive timestamps in XDP: this kernel has no call for it";
const COUNTED: &str = "Hardware receive timestamps in XDP: ";

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let has_call = has_call()?;
    stamping(guest, has_call)?;
    removal(guest, has_call)
}

/// Whether this kernel has the call, Linux 6.3.
fn has_call() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split('.').map(str::parse::<u32>);
    let (major, minor) = numbers.next().zip(numbers.next()).context("no release")?;
    Ok((major?, minor?) >= (6, 3))
}

/// Receive timestamps are when requests came in, or, without the hardware's, when the program saw them.
fn stamping(guest: &mut Guest, has_call: bool) -> Result<()> {
    let truth = Truth::ahead_of_system(0);
    devices::load(&truth, DEVICES)?;
    let server = SocketAddr::new(SERVER_V4, NTP_PORT);
    let client = set_stamping_up(move || Client::here([0; 4].into(), server))?;
    let daemon =
        Daemon::start_with(&format!("local\nxdp {} mode native hwtimestamp\n", STAMPING[0]))?;
    guest.with(daemon, |guest, daemon| {
        sleep(LEARNING);
        let before = daemon.served()?;
        let stamped = asked(&client, &truth)?;
        // What is in the future, by what the program is told, is not believed.
        devices::set("stamp_off_ns", &(5 * SECOND).to_string())?;
        let doubted = asked(&client, &truth)?;
        daemon.served_since(&before, u64::try_from(stamped.len() + doubted.len())?)?;
        guest.count("unanswered", 2 * REQUESTS - stamped.len() - doubted.len());
        let wrong =
            |told: &[Told], is_stamped| told.iter().filter(|it| is_wrong(it, is_stamped)).count();
        guest.count("wrongly_stamped", wrong(&stamped, has_call));
        guest.count("wrongly_believed", wrong(&doubted, false));
        let log = daemon.log();
        let expected = if has_call { READ } else { NO_CALL };
        guest.count("says_so", usize::from(log.contains(expected)));
        let counted = log.lines().filter_map(|line| line.split_once(COUNTED)).next_back();
        let expected = format!("{} of {}", stamped.len(), stamped.len() + doubted.len());
        let expected = if has_call { &expected } else { "off: " };
        let is_counted = counted.is_some_and(|(_, counted)| counted.starts_with(expected));
        guest.count("counts_so", usize::from(is_counted));
        Ok(())
    })
}

/// The replies to some requests.
fn asked(client: &Client, truth: &Truth) -> Result<Vec<Told>> {
    let asked = (0..REQUESTS).map(|_| ask(client, truth, &[]));
    Ok(asked.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Whether a reply does not say when the request came in, or, without the hardware's timestamps, when the program saw
/// it, at which it left, too.
fn is_wrong(told: &Told, is_stamped: bool) -> bool {
    let header = told.header;
    let held_s = seconds(header.transmit_timestamp.since(header.receive_timestamp).to_nanos());
    let is_held = if is_stamped { (LATE_S..1.0).contains(&held_s) } else { held_s < LATE_S / 2.0 };
    !is_held || told.error_s > TOLERANCE_S
}

/// Interfaces go away while the program is attached to them, bound where the kernel can.
fn removal(guest: &mut Guest, has_call: bool) -> Result<()> {
    let mut directives = "local\n".to_owned();
    for pair in 0..PAIRS {
        ip(&format!("link add here{pair} type veth peer name there{pair}"))?;
        ip(&format!("link set here{pair} up"))?;
        directives.push_str("xdp here");
        directives.push_str(&pair.to_string());
        directives.push_str(" mode native hwtimestamp\n");
    }
    let daemon = Daemon::start_with(&directives)?;
    guest.with(daemon, |guest, daemon| {
        let log = daemon.log();
        let expected = if has_call { ABSENT } else { NO_CALL };
        let says = log.lines().filter(|line| line.contains(expected)).count();
        guest.count("veth_not_told_of", PAIRS - says);
        for pair in 0..PAIRS {
            ip(&format!("link del here{pair}"))?;
        }
        daemon.served()?;
        guest.count("removed", PAIRS);
        Ok(())
    })
}
