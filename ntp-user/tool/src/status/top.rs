//! `ntp-xdp top`: the state again and again, on the whole terminal; without one, line by line.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use super::arguments::{LinkArguments, TopArguments};
use super::gather::{self, Reading};
use super::health::{Level, most_off_s};
use super::link::Link;
use super::look::{Look, is_smart_terminal};
use super::screen::Screen;
use super::terminal::{Terminal, Wish};
use super::{Seen, UNREACHABLE, json};
use crate::units::{show_ns, show_rate};

/// Shortest and longest time between two looks.
const FASTEST: Duration = Duration::from_millis(100);
const SLOWEST: Duration = Duration::from_secs(3600);

/// Shows the state until it is told to end or has looked often enough. The exit status is that of `status`, of the
/// last look.
///
/// # Errors
/// The terminal can't be written to.
pub fn run(arguments: &TopArguments) -> Result<ExitCode> {
    let is_live = io::stdout().is_terminal() && !arguments.json && is_smart_terminal();
    let outcome = Link::open(&arguments.link).and_then(|link| {
        if is_live { on_terminal(arguments, link) } else { line_by_line(arguments, link) }
    });
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

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn line_by_line(arguments: &TopArguments, mut link: Link) -> Result<u8> {
    let mut before: Option<Reading> = None;
    let mut looks = 0;
    loop {
        let reading = gather::read(&mut link, arguments.clients)?;
        let seen = Seen::new(reading.clone(), before.as_ref());
        if arguments.json {
            writeln!(io::stdout(), "{}", json::value(&seen))?;
        } else {
            writeln!(io::stdout(), "{}", line(&seen))?;
        }
        before = Some(reading);
        looks += 1;
        if arguments.count.is_some_and(|count| looks >= count) {
            return Ok(seen.health.level as u8);
        }
        sleep(Duration::from_secs_f64(arguments.interval_s));
    }
}

/// What is on the screen.
enum Shown {
    Seen(Box<Seen>),
    /// Nobody answers since then, and why.
    Gone(Instant, Error),
}

fn on_terminal(arguments: &TopArguments, link: Link) -> Result<u8> {
    let mut interval = Duration::from_secs_f64(arguments.interval_s);
    let mut watch = Watch { link: Some(link), before: None, gone: None };
    // Who does not answer at all is told of where it stays to be read.
    let mut shown = Shown::Seen(Box::new(watch.read(arguments)?));
    let mut terminal = Terminal::enter()?;
    let mut looks = 1;
    loop {
        shown.show(&terminal, interval)?;
        if arguments.count.is_some_and(|count| looks >= count) {
            return Ok(shown.level());
        }
        let start = Instant::now();
        while let left = interval.saturating_sub(start.elapsed())
            && !left.is_zero()
        {
            match terminal.wait(left) {
                Some(Wish::End) => return Ok(shown.level()),
                Some(Wish::Look) => break,
                Some(Wish::Faster) => interval = (interval / 2).max(FASTEST),
                Some(Wish::Slower) => interval = (interval * 2).min(SLOWEST),
                Some(Wish::Redraw) => {}
                None => continue,
            }
            shown.show(&terminal, interval)?;
        }
        shown = watch.look(arguments);
        looks += 1;
    }
}

/// Looks again and again, also at a daemon that is started anew.
struct Watch {
    link: Option<Link>,
    before: Option<Reading>,
    gone: Option<Instant>,
}

impl Watch {
    fn read(&mut self, arguments: &TopArguments) -> Result<Seen> {
        let reading = gather::read(self.connect(&arguments.link)?, arguments.clients)?;
        let seen = Seen::new(reading.clone(), self.before.as_ref());
        self.before = Some(reading);
        self.gone = None;
        Ok(seen)
    }

    fn look(&mut self, arguments: &TopArguments) -> Shown {
        match self.read(arguments) {
            Ok(seen) => Shown::Seen(Box::new(seen)),
            Err(error) => {
                (self.link, self.before) = (None, None);
                Shown::Gone(*self.gone.get_or_insert_with(Instant::now), error)
            }
        }
    }

    fn connect(&mut self, arguments: &LinkArguments) -> Result<&mut Link> {
        let link = match self.link.take() {
            Some(link) => link,
            None => Link::open(arguments)?,
        };
        Ok(self.link.insert(link))
    }
}

impl Shown {
    fn show(&self, terminal: &Terminal, interval: Duration) -> io::Result<()> {
        let (rows, _) = console::Term::stdout().size();
        let look = Look::of(true);
        let foot = format!(
            "every {:.1} s    q quit   space look now   + faster   - slower",
            interval.as_secs_f64()
        );
        let room = usize::from(rows).saturating_sub(1);
        let lines = match self {
            Self::Seen(seen) => Screen::new(seen, look).lines(Some(room)),
            Self::Gone(since, error) => vec![
                look.cut(&format!("{}  nobody answers", look.level(Level::Bad, "GONE"))),
                look.cut(&format!("  {} {error:#}", look.level(Level::Bad, "!"))),
                look.cut(&format!("  tried for {} s, and on", since.elapsed().as_secs())),
            ],
        };
        terminal.show(&lines, &look.dim(&look.cut(&foot)))
    }

    /// The exit status for it.
    fn level(&self) -> u8 {
        match self {
            Self::Seen(seen) => seen.health.level as u8,
            Self::Gone(..) => UNREACHABLE,
        }
    }
}

/// The state in one line.
fn line(seen: &Seen) -> String {
    let (state, tracking) = (&seen.state, &seen.state.tracking);
    let rates = seen.rates.map_or(String::new(), |rates| {
        let [all, xdp] = [rates.answered(), rates.xdp.answered].map(show_rate);
        format!(", {all} answers/s, {xdp} of them in XDP")
    });
    let off = show_ns(most_off_s(tracking) * 1e9);
    let (level, stratum) = (seen.health.level.name(), tracking.stratum);
    let reasons = seen.health.reasons.join("; ");
    let reasons = if reasons.is_empty() { reasons } else { format!(" ({reasons})") };
    format!("{}: {level}{reasons}, stratum {stratum}, at most {off} off{rates}", state.server)
}
