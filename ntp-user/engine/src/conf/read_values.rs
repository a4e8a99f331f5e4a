//! Readers of the directives that take more than one plain value.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::config::Config;
use super::error::Problem;
use super::options::Kind::{Flag, Value};
use super::options::Support::Works;
use super::options::{OptionEntry, option, read_options};
use super::statement::{FROM_ZERO, Owner, Read, Statement, Unit};
use super::values::{
    AuthSelectMode, DriftFile, FallbackDrift, InitStepSlew, LeapSecMode, Local, LogFile, MakeStep,
    MaxChange, OpenCommand, RateLimit, RateLimitPrefix, SmoothTime, StepLimit,
};

/// A path; `/` means that there shall be none.
pub(super) fn path_unless_root(text: &str) -> Option<PathBuf> {
    (text != "/").then(|| text.into())
}

pub(super) fn driftfile<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    const OPTIONS: &[OptionEntry<DriftFile>] = &[option(
        "interval",
        Works,
        Value(|d, s, o| s.integer(o, 0..=i32::MAX.cast_unsigned()).map(|v| d.interval_s = v)),
    )];
    let path = s.word(owner.part("path"), "a file")?.text.into();
    let mut drift_file = DriftFile { path, interval_s: 3600 };
    read_options(s, owner.subject.name, OPTIONS, &mut drift_file)?;
    c.driftfile = Some(drift_file);
    Ok(())
}

pub(super) fn makestep<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let threshold = s.number(owner.part("threshold"), Unit::Seconds, FROM_ZERO);
    let expected = "a whole number of updates, or -1 for no limit";
    let limit = s.value(owner.part("limit"), expected, |text| text.parse::<i32>().ok());
    let (threshold_s, limit) = (threshold?, limit?);
    let limit = u32::try_from(limit).map_or(StepLimit::Unlimited, StepLimit::Updates);
    c.makestep = Some(MakeStep { threshold_s, limit });
    Ok(())
}

pub(super) fn maxchange<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let offset = s.number(owner.part("offset"), Unit::Seconds, FROM_ZERO);
    let count = |text: &str| text.parse::<i32>().ok();
    let start = s.value(owner.part("start"), "a whole number of updates, or -1 for never", count);
    let expected = "a whole number of offsets, or -1 for all";
    let ignored = s.value(owner.part("ignore"), expected, count);
    let (offset_s, start, ignored) = (offset?, start?, ignored?);
    let (start, ignored) = (u32::try_from(start).ok(), u32::try_from(ignored).ok());
    c.maxchange = Some(MaxChange { offset_s, start, ignored });
    Ok(())
}

pub(super) fn fallbackdrift<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let min_log2 = s.integer(owner.part("min"), 0..=31)?;
    let max_log2 = s.integer(owner.part("max"), 0..=31)?;
    // Zero switches it off, as in chrony.
    let is_on = min_log2 > 0 && max_log2 > 0;
    c.fallbackdrift = is_on.then_some(FallbackDrift { min_log2, max_log2 });
    Ok(())
}

pub(super) fn initstepslew<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let threshold_s = s.number(owner.part("threshold"), Unit::Seconds, FROM_ZERO)?;
    let mut hosts = Vec::new();
    while s.peek().is_some() {
        hosts.push(s.host(owner.part("host"))?);
    }
    c.initstepslew = Some(InitStepSlew { threshold_s, hosts });
    Ok(())
}

pub(super) fn local<'a>(c: &mut Config, s: &mut Statement<'a, '_>, owner: Owner<'a>) -> Read<()> {
    struct Written {
        local: Local,
        waitunsynced_s: Option<f64>,
    }
    const OPTIONS: &[OptionEntry<Written>] = &[
        option(
            "stratum",
            Works,
            Value(|w, s, o| s.integer(o, 1..=15).map(|v| w.local.stratum = v)),
        ),
        option("orphan", Works, Flag(|w| w.local.orphan = true)),
        option(
            "distance",
            Works,
            Value(|w, s, o| s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.local.distance_s = v)),
        ),
        option(
            "activate",
            Works,
            Value(|w, s, o| s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.local.activate_s = v)),
        ),
        option(
            "waitsynced",
            Works,
            Value(|w, s, o| {
                s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.local.waitsynced_s = v)
            }),
        ),
        option(
            "waitunsynced",
            Works,
            Value(|w, s, o| {
                s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.waitunsynced_s = Some(v))
            }),
        ),
    ];
    let local = Local {
        stratum: 10,
        orphan: false,
        distance_s: 1.0,
        activate_s: 0.0,
        waitsynced_s: 0.0,
        waitunsynced_s: 0.0,
    };
    let mut written = Written { local, waitunsynced_s: None };
    read_options(s, owner.subject.name, OPTIONS, &mut written)?;
    let Written { local, waitunsynced_s } = written;
    let default_s = if local.orphan { 300.0 } else { 0.0 };
    c.local = Some(Local { waitunsynced_s: waitunsynced_s.unwrap_or(default_s), ..local });
    Ok(())
}

/// Rates that are no rates at all switch smoothing off, as in chrony.
pub(super) fn smoothtime<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    const OPTIONS: &[OptionEntry<bool>] =
        &[option("leaponly", Works, Flag(|leap_only| *leap_only = true))];
    let max_frequency_ppm = s.number(owner.part("frequency"), Unit::Ppm, FROM_ZERO)?;
    let max_wander_ppm = s.number(owner.part("wander"), Unit::Ppm, FROM_ZERO)?;
    let mut leap_only = false;
    read_options(s, owner.subject.name, OPTIONS, &mut leap_only)?;
    let value = SmoothTime { max_frequency_ppm, max_wander_ppm, leap_only };
    c.smoothtime = (max_frequency_ppm > 0.0 && max_wander_ppm > 0.0).then_some(value);
    Ok(())
}

pub(super) fn authselectmode<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    c.authselectmode = s.choice(owner, AuthSelectMode::NAMES)?;
    Ok(())
}

pub(super) fn leapsecmode<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    c.leapsecmode = s.choice(owner, LeapSecMode::NAMES)?;
    Ok(())
}

/// Sets the address of one family; a second of the same family replaces it with a warning.
fn read_address<'a>(
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
    address: IpAddr,
    names: [&'static str; 2],
    (v4, v6): (impl FnOnce(Ipv4Addr), impl FnOnce(Ipv6Addr)),
) {
    let [name_v4, name_v6] = names;
    match address {
        IpAddr::V4(address) => {
            s.warn_if_repeated(name_v4, owner.part("IPv4 address"));
            v4(address);
        }
        IpAddr::V6(address) => {
            s.warn_if_repeated(name_v6, owner.part("IPv6 address"));
            v6(address);
        }
    }
}

pub(super) fn bindaddress<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let address = s.address(owner)?;
    let set = (|a| c.bindaddress_v4 = Some(a), |a| c.bindaddress_v6 = Some(a));
    read_address(s, owner, address, ["bindaddress v4", "bindaddress v6"], set);
    Ok(())
}

pub(super) fn bindacqaddress<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let address = s.address(owner)?;
    let set = (|a| c.bindacqaddress_v4 = Some(a), |a| c.bindacqaddress_v6 = Some(a));
    read_address(s, owner, address, ["bindacqaddress v4", "bindacqaddress v6"], set);
    Ok(())
}

pub(super) fn bindcmdaddress<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let expected = "an IPv4 or IPv6 address, or the absolute path of a socket (/ for none)";
    if let Some(path) = s.peek().filter(|word| word.text.starts_with('/')) {
        s.next();
        s.warn_if_repeated("bindcmdaddress path", owner.part("path"));
        c.bindcmdaddress_path = path_unless_root(path.text);
        return Ok(());
    }
    let address = s.value(owner, expected, |text| text.parse().ok())?;
    let set = (|a| c.bindcmdaddress_v4 = a, |a| c.bindcmdaddress_v6 = a);
    read_address(s, owner, address, ["bindcmdaddress v4", "bindcmdaddress v6"], set);
    Ok(())
}

pub(super) fn ratelimit<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    const OPTIONS: &[OptionEntry<RateLimit>] = &[
        option(
            "interval",
            Works,
            Value(|r, s, o| s.integer(o, -19..=12).map(|v| r.interval_log2 = v)),
        ),
        option("burst", Works, Value(|r, s, o| s.integer(o, 1..=255).map(|v| r.burst = v))),
        option("leak", Works, Value(|r, s, o| s.integer(o, 1..=4).map(|v| r.leak_log2 = v))),
        option("kod", Works, Value(|r, s, o| s.integer(o, 0..=4).map(|v| r.kod_log2 = v))),
    ];
    let mut limit = RateLimit::default();
    read_options(s, owner.subject.name, OPTIONS, &mut limit)?;
    c.ratelimit = Some(limit);
    exclude(s, owner, "noclientlog")
}

pub(super) fn ratelimitprefix<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let v4_bits = s.integer(owner, 8..=32)?;
    let v6_bits = s.integer(owner, 16..=64)?;
    c.ratelimitprefix = RateLimitPrefix { v4_bits, v6_bits };
    Ok(())
}

pub(super) fn noclientlog<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    c.clientlog = false;
    exclude(s, owner, "ratelimit")
}

/// Limiting clients needs the record of clients.
fn exclude(s: &mut Statement<'_, '_>, owner: Owner<'_>, other: &'static str) -> Read<()> {
    match s.said(other) {
        None => Ok(()),
        Some(other) => Err(s.report(owner.word, Problem::RatelimitWithoutClientlog { other })),
    }
}

pub(super) fn log<'a>(c: &mut Config, s: &mut Statement<'a, '_>, owner: Owner<'a>) -> Read<()> {
    let mut outcome = Ok(());
    while s.peek().is_some() {
        match s.choice(owner, LogFile::NAMES) {
            Ok(Some(file)) => {
                c.log.insert(file);
            }
            Ok(None) => {
                c.log.insert(LogFile::Measurements);
                c.log_rawmeasurements = true;
            }
            Err(reported) => outcome = Err(reported),
        }
    }
    outcome
}

pub(super) fn opencommands<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let mut outcome = Ok(());
    let mut open = BTreeSet::new();
    while s.peek().is_some() {
        match s.choice(owner, OpenCommand::NAMES) {
            Ok(command) => {
                open.insert(command);
            }
            Err(reported) => outcome = Err(reported),
        }
    }
    c.opencommands = open;
    outcome
}
