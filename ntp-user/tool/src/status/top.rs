//! `ntp-xdp top`: the state again and again, on the whole terminal; without one, line by line.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::arguments::TopArguments;
use super::gather::{self, Reading};
use super::keys::{Key, Keys};
use super::link::Link;
use super::screen::{Look, Screen};
use super::{Seen, UNREACHABLE, json};
use crate::units::{show_ns, show_rate};

/// Shortest and longest time between two looks.
const FASTEST: Duration = Duration::from_millis(100);
const SLOWEST: Duration = Duration::from_secs(3600);

/// Another screen than that of the shell, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// The upper left corner; what is left of a line; what is left of the screen.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";

/// Shows the state until it is told to end or has looked often enough. The exit status is that of `status`, of the
/// last look.
///
/// # Errors
/// The terminal can't be written to.
pub fn run(arguments: &TopArguments) -> Result<ExitCode> {
    let mut link = match Link::open(&arguments.link) {
        Ok(link) => link,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(UNREACHABLE));
        }
    };
    let is_live = io::stdout().is_terminal() && !arguments.json;
    let keys = is_live.then(Keys::take).flatten();
    let whole = if is_live { Some(Whole::enter()?) } else { None };
    let outcome = look_on(arguments, &mut link, keys.as_ref(), whole.as_ref());
    drop((whole, keys));
    match outcome {
        Ok(level) => Ok(ExitCode::from(level)),
        // Whoever read on has gone.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("error: {error:#}");
            Ok(ExitCode::from(UNREACHABLE))
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn look_on(
    arguments: &TopArguments,
    link: &mut Link,
    keys: Option<&Keys>,
    whole: Option<&Whole>,
) -> Result<u8> {
    let mut interval = Duration::from_secs_f64(arguments.interval_s);
    let mut before: Option<Reading> = None;
    let mut looks = 0;
    loop {
        let reading = gather::read(link, arguments.clients)?;
        let seen = Seen::new(reading.clone(), before.as_ref());
        match whole {
            Some(whole) => whole.show(&seen, interval)?,
            None if arguments.json => writeln!(io::stdout(), "{}", json::value(&seen))?,
            None => writeln!(io::stdout(), "{}", line(&seen))?,
        }
        before = Some(reading);
        looks += 1;
        let is_last = arguments.count.is_some_and(|count| looks >= count);
        if is_last || !wait(keys, &mut interval) {
            return Ok(seen.health.level as u8);
        }
    }
}

/// Waits for the next look; whether there is to be one.
fn wait(keys: Option<&Keys>, interval: &mut Duration) -> bool {
    let Some(keys) = keys else {
        sleep(*interval);
        return true;
    };
    let start = Instant::now();
    loop {
        let left = interval.saturating_sub(start.elapsed());
        if left.is_zero() {
            return true;
        }
        match keys.wait(left) {
            Some(Key::Quit) => return false,
            Some(Key::Refresh) => return true,
            Some(Key::Faster) => *interval = (*interval / 2).max(FASTEST),
            Some(Key::Slower) => *interval = (*interval * 2).min(SLOWEST),
            None => {}
        }
    }
}

/// The whole terminal, until it is dropped.
struct Whole;

impl Whole {
    fn enter() -> io::Result<Self> {
        let mut out = io::stdout();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "only what was entered can be filled")]
    fn show(&self, seen: &Seen, interval: Duration) -> io::Result<()> {
        let (rows, _) = console::Term::stdout().size();
        let foot = format!(
            "every {:.1} s; q ends, space refreshes, + - faster, slower",
            interval.as_secs_f64()
        );
        let room = usize::from(rows).saturating_sub(1);
        let mut frame = String::from(HOME);
        for line in Screen::new(seen, Look::of(true)).lines(Some(room.saturating_sub(1))) {
            frame.extend([&line, CLEAR_LINE, "\r\n"]);
        }
        frame.extend([&foot, CLEAR_LINE, CLEAR_REST]);
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        let mut out = io::stdout();
        // There is nobody to tell.
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
}

/// The state in one line.
fn line(seen: &Seen) -> String {
    let (state, tracking) = (&seen.state, &seen.state.tracking);
    let rates = seen.rates.map_or(String::new(), |rates| {
        let [all, xdp] = [rates.answered(), rates.xdp.answered].map(show_rate);
        format!(", {all} answers/s, {xdp} of them in XDP")
    });
    let off = show_ns(super::health::most_off_s(tracking) * 1e9);
    let (level, stratum) = (seen.health.level.name(), tracking.stratum);
    let reasons = seen.health.reasons.join("; ");
    let reasons = if reasons.is_empty() { reasons } else { format!(" ({reasons})") };
    format!("{}: {level}{reasons}, stratum {stratum}, at most {off} off{rates}", state.server)
}
