//! Reader of `refclock` lines. Which clock a `lock` names is checked once all lines are known.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ntp_common::wire::ReferenceId;

use super::config::Config;
use super::error::{Diagnostic, Problem, Subject};
use super::lexer::Word;
use super::options::Kind::{Flag, Value};
use super::options::Support::{NotBuiltIn, Works};
use super::options::{OptionEntry, option, read_options};
use super::refclock::{ClockDriver, Edge, ExternalPulses, RefClock, RefClockOptions};
use super::statement::{ANY, FROM_ZERO, Owner, Read, Reported, Statement, Unit};
use super::suggest::nearest;

/// Intervals of polls, log2 seconds.
const POLL: RangeInclusive<i8> = -7..=24;
/// Counts that have no limit of their own.
const COUNT: RangeInclusive<u32> = 0..=i32::MAX.cast_unsigned();
/// Most readings that a sample can be made of: they are kept until then.
const FILTER: RangeInclusive<u32> = 1..=4096;
/// What a reference ID looks like.
const REFERENCE_ID: &str = "a reference ID of one to four printable characters";

/// The drivers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Shm,
    Sock,
    Pps,
    Phc,
    Rtc,
}

const NAMES: &[(&str, Name)] = &[
    ("SHM", Name::Shm),
    ("SOCK", Name::Sock),
    ("PPS", Name::Pps),
    ("PHC", Name::Phc),
    ("RTC", Name::Rtc),
];

/// Options as they are being read.
#[derive(Debug, Default)]
struct Written {
    options: RefClockOptions,
    /// What is to be said if there is no clock to lock to.
    bad_lock: Option<Diagnostic>,
}

/// Reads the rest of a `refclock` line.
pub(super) fn read_refclock<'a>(
    config: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let name = s.choice(owner.part("driver"), NAMES)?;
    let expected = match name {
        Name::Shm => "the number of a segment, such as 0",
        Name::Sock => "the absolute path of a socket",
        Name::Pps => "the absolute path of a device, such as /dev/pps0",
        Name::Phc => "a device, such as /dev/ptp0, or an interface",
        Name::Rtc => {
            let subject = Subject { name: "refclock RTC", part: None };
            return Err(s.report(owner.word, Problem::NotBuiltIn { subject }));
        }
    };
    let word = s.word(owner.part("parameter"), expected)?;
    let mut parts = word.text.split(':');
    let parameter = parts.next().unwrap_or_default();
    let driver = driver(name, parameter)
        .ok_or_else(|| s.bad_value(owner.part("parameter"), word, expected))
        .and_then(|driver| driver_options(driver, parts, word, s));
    // A bad parameter must not hide bad options.
    let mut written = Written::default();
    let read = read_options(s, owner.subject.name, OPTIONS, &mut written);
    let (driver, Written { options, bad_lock }) = (driver?, written);
    read?;
    settle(config, s, owner, RefClock { driver, options }, bad_lock)
}

/// The driver, without its options.
fn driver(name: Name, parameter: &str) -> Option<ClockDriver> {
    let absolute = || Some(PathBuf::from(parameter)).filter(|path| path.is_absolute());
    match name {
        Name::Shm => {
            let unit = parameter.parse().ok().filter(|&unit: &u32| unit <= 0xff)?;
            Some(ClockDriver::Shm { unit, permissions: 0o600 })
        }
        Name::Sock => absolute().map(|path| ClockDriver::Sock { path }),
        Name::Pps => absolute().map(|device| ClockDriver::Pps { device, edge: Edge::Assert }),
        Name::Phc => {
            let is_interface = !parameter.is_empty() && !parameter.contains('/');
            let device = parameter.to_owned();
            (is_interface || Path::new(parameter).is_absolute()).then_some(ClockDriver::Phc {
                device,
                cross_timestamps: true,
                pulses: None,
            })
        }
        Name::Rtc => None,
    }
}

/// The options behind the parameter, each after a colon.
fn driver_options<'a>(
    driver: ClockDriver,
    parts: std::str::Split<'_, char>,
    word: Word<'a>,
    s: &mut Statement<'a, '_>,
) -> Read<ClockDriver> {
    let accepted: &[&'static str] = match driver {
        ClockDriver::Shm { .. } => &["perm"],
        ClockDriver::Sock { .. } => &[],
        ClockDriver::Pps { .. } => &["clear"],
        ClockDriver::Phc { .. } => &["nocrossts", "extpps", "pin", "channel", "clear"],
    };
    let mut driver = driver;
    let mut external = ExternalPulses { pin: Some(0), channel: 0, edge: Edge::Assert };
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if take(&mut driver, &mut external, name, value).is_some() {
            continue;
        }
        return Err(bad_driver_option(&driver, accepted, (name, part), word, s));
    }
    Ok(driver)
}

/// Reports an option of a driver that is unknown, or has a wrong value.
fn bad_driver_option<'a>(
    driver: &ClockDriver,
    accepted: &[&'static str],
    (name, part): (&str, &str),
    word: Word<'a>,
    s: &mut Statement<'a, '_>,
) -> Reported {
    let (directive, token) = (driver.name(), part.to_owned());
    let Some(name) = accepted.iter().find(|known| **known == name) else {
        let nearest = nearest(name, accepted.iter().copied());
        let accepted = accepted.to_vec();
        return s.report(word, Problem::UnknownOption { directive, token, nearest, accepted });
    };
    let expected = match *name {
        "perm" => "an octal mode such as perm=0644",
        "pin" => "a whole number such as pin=0, or -1",
        "channel" => "a whole number such as channel=0",
        _ => "without a value",
    };
    let subject = Subject { name, part: None };
    s.report(word, Problem::BadValue { subject, expected: expected.to_owned(), token })
}

/// Takes one option of a driver; `None` when it has no such option, or not with this value.
fn take(
    driver: &mut ClockDriver,
    external: &mut ExternalPulses,
    name: &str,
    value: &str,
) -> Option<()> {
    match (driver, name, value) {
        (ClockDriver::Shm { permissions, .. }, "perm", mode) => {
            *permissions = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777)?;
        }
        (ClockDriver::Pps { edge, .. }, "clear", "") => *edge = Edge::Clear,
        (ClockDriver::Phc { cross_timestamps, .. }, "nocrossts", "") => *cross_timestamps = false,
        (ClockDriver::Phc { pulses, .. }, name, value) => {
            match (name, value) {
                ("extpps", "") => *pulses = Some(*external),
                ("clear", "") => external.edge = Edge::Clear,
                ("pin", "-1") => external.pin = None,
                ("pin", index) => external.pin = Some(index.parse().ok()?),
                ("channel", index) => external.channel = index.parse().ok()?,
                _ => return None,
            }
            // They may come in any order.
            *pulses = pulses.map(|_| *external);
        }
        _ => return None,
    }
    Some(())
}

/// Completes what was read with what the other lines say, and keeps it.
fn settle<'a>(
    config: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
    mut clock: RefClock,
    bad_lock: Option<Diagnostic>,
) -> Read<()> {
    let number = config.refclocks.len();
    let options = &mut clock.options;
    if options.refid == ReferenceId::NONE {
        options.refid = default_reference_id(clock.driver.name(), number);
    }
    options.dpoll_log2 = options.dpoll_log2.min(options.poll_log2);
    let same = |other: &&super::Located<RefClock>| other.value.options.refid == options.refid;
    if let Some(other) = config.refclocks.iter().find(same) {
        let subject = Subject { name: "refclock", part: Some("reference ID") };
        let first = Some(other.at.clone());
        return Err(s.report(owner.word, Problem::Duplicate { subject, first }));
    }
    if let Some(diagnostic) = bad_lock {
        s.postpone(options.refid, diagnostic);
    }
    config.refclocks.push(s.locate(clock, owner.word));
    Ok(())
}

/// What stands for the number of a line.
const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Three letters of the driver, and the number of the line: a digit, or from ten on a letter.
fn default_reference_id(name: &str, number: usize) -> ReferenceId {
    let mut octets = [0; 4];
    for (octet, letter) in octets.iter_mut().zip(name.bytes().take(3)) {
        *octet = letter;
    }
    octets[3] = DIGITS[number % DIGITS.len()];
    ReferenceId::from_octets(octets)
}

fn reference_id(text: &str) -> Option<ReferenceId> {
    let fits = (1..=4).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic());
    let mut octets = [0; 4];
    octets.iter_mut().zip(text.bytes()).for_each(|(octet, letter)| *octet = letter);
    fits.then(|| ReferenceId::from_octets(octets))
}

const OPTIONS: &[OptionEntry<Written>] = &[
    option("poll", Works, Value(|w, s, o| s.integer(o, POLL).map(|v| w.options.poll_log2 = v))),
    option("dpoll", Works, Value(|w, s, o| s.integer(o, POLL).map(|v| w.options.dpoll_log2 = v))),
    option(
        "refid",
        Works,
        Value(|w, s, o| s.value(o, REFERENCE_ID, reference_id).map(|v| w.options.refid = v)),
    ),
    option(
        "lock",
        Works,
        Value(|w, s, o| {
            let word = s.peek();
            w.options.lock = Some(s.value(o, REFERENCE_ID, reference_id)?);
            w.bad_lock = word.map(|word| {
                let expected =
                    "the reference ID of another `refclock` that tells whole seconds".to_owned();
                let token = word.text.to_owned();
                s.diagnose(word, Problem::BadValue { subject: o.subject, expected, token })
            });
            Ok(())
        }),
    ),
    option("rate", Works, Value(|w, s, o| s.integer(o, 1..=1_000_000).map(|v| w.options.rate = v))),
    option(
        "maxlockage",
        Works,
        Value(|w, s, o| s.integer(o, COUNT).map(|v| w.options.maxlockage = v)),
    ),
    option(
        "width",
        Works,
        Value(|w, s, o| s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.options.width_s = v)),
    ),
    option("pps", Works, Flag(|w| w.options.pps = true)),
    option(
        "offset",
        Works,
        Value(|w, s, o| s.number(o, Unit::Seconds, ANY).map(|v| w.options.offset_s = v)),
    ),
    option(
        "delay",
        Works,
        Value(|w, s, o| s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.options.delay_s = v)),
    ),
    option("stratum", Works, Value(|w, s, o| s.integer(o, 0..=15).map(|v| w.options.stratum = v))),
    option(
        "precision",
        Works,
        Value(|w, s, o| {
            s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.options.precision_s = Some(v))
        }),
    ),
    option(
        "maxdispersion",
        Works,
        Value(|w, s, o| {
            s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.options.maxdispersion_s = v)
        }),
    ),
    option("filter", Works, Value(|w, s, o| s.integer(o, FILTER).map(|v| w.options.filter = v))),
    option("prefer", Works, Flag(|w| w.options.prefer = true)),
    option("noselect", Works, Flag(|w| w.options.noselect = true)),
    option("trust", Works, Flag(|w| w.options.trust = true)),
    option("require", Works, Flag(|w| w.options.require = true)),
    option("tai", Works, Flag(|w| w.options.tai = true)),
    // The clock would be followed as if it were right, and not for its steadiness alone.
    option("local", NotBuiltIn, Flag(|_| {})),
    option(
        "minsamples",
        Works,
        Value(|w, s, o| s.integer(o, COUNT).map(|v| w.options.minsamples = Some(v))),
    ),
    option(
        "maxsamples",
        Works,
        Value(|w, s, o| s.integer(o, COUNT).map(|v| w.options.maxsamples = Some(v))),
    ),
    option(
        "maxunreach",
        Works,
        Value(|w, s, o| s.integer(o, COUNT).map(|v| w.options.maxunreach = v)),
    ),
];
