//! The table of source options, with what the daemon does about each.

use std::ops::RangeInclusive;

use super::directive::NO_NTS;
use super::options::Kind::{Flag, Value, Values};
use super::options::Support::{NoEffect, NotBuiltIn, Works};
use super::options::{OptionEntry, option};
use super::source::{ExtensionField, Family, Written};
use super::statement::{ANY, FROM_ZERO, Unit};

/// Intervals that polling knows, log2 seconds.
const POLL: RangeInclusive<i8> = -7..=24;
/// Counts that have no limit of their own.
const COUNT: RangeInclusive<u32> = 0..=i32::MAX.cast_unsigned();

const OWN_STRATUM: &str = "what is served has a stratum and a reference ID of its own";
const NO_FIELDS: &str = "requests have no extension fields";

/// `nts` is refused while it is not built in: unauthenticated time must not pass for authenticated.
pub(super) const OPTIONS: &[OptionEntry<Written>] = &[
    option(
        "minpoll",
        Works,
        Value(|w, s, o| s.integer(o, POLL).map(|v| w.options.minpoll_log2 = v)),
    ),
    option("maxpoll", Works, Value(|w, s, o| s.integer(o, POLL).map(|v| w.maxpoll_log2 = Some(v)))),
    option("iburst", Works, Flag(|w| w.options.iburst = true)),
    option("burst", Works, Flag(|w| w.options.burst = true)),
    option(
        "key",
        Works,
        Value(|w, s, o| s.integer(o, 1..=u32::MAX).map(|v| w.options.key = Some(v))),
    ),
    option("nts", NotBuiltIn, Flag(|w| w.options.nts = true)),
    option(
        "certset",
        NoEffect(NO_NTS),
        Value(|w, s, o| s.integer(o, 0..=u32::MAX).map(|v| w.options.certset = v)),
    ),
    option(
        "maxdelay",
        Works,
        Value(|w, s, o| s.number(o, Unit::Seconds, 0.0..=1000.0).map(|v| w.options.maxdelay_s = v)),
    ),
    option(
        "maxdelayratio",
        Works,
        Value(|w, s, o| s.number(o, Unit::None, FROM_ZERO).map(|v| w.options.maxdelayratio = v)),
    ),
    option(
        "maxdelaydevratio",
        Works,
        Value(|w, s, o| s.number(o, Unit::None, FROM_ZERO).map(|v| w.options.maxdelaydevratio = v)),
    ),
    option(
        "maxdelayquant",
        Works,
        Value(|w, s, o| s.number(o, Unit::None, 0.0..=1.0).map(|v| w.options.maxdelayquant = v)),
    ),
    option(
        "mindelay",
        Works,
        Value(|w, s, o| s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.options.mindelay_s = v)),
    ),
    option(
        "asymmetry",
        Works,
        Value(|w, s, o| s.number(o, Unit::None, -0.5..=0.5).map(|v| w.options.asymmetry = Some(v))),
    ),
    option(
        "offset",
        Works,
        Value(|w, s, o| s.number(o, Unit::Seconds, ANY).map(|v| w.options.offset_s = v)),
    ),
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
    option("filter", Works, Value(|w, s, o| s.integer(o, COUNT).map(|v| w.options.filter = v))),
    option("offline", Works, Flag(|w| w.options.offline = true)),
    option("auto_offline", Works, Flag(|w| w.options.auto_offline = true)),
    option("prefer", Works, Flag(|w| w.options.prefer = true)),
    option("noselect", Works, Flag(|w| w.options.noselect = true)),
    option("trust", Works, Flag(|w| w.options.trust = true)),
    option("require", Works, Flag(|w| w.options.require = true)),
    option("xleave", Works, Flag(|w| w.options.xleave = true)),
    option(
        "polltarget",
        Works,
        Value(|w, s, o| s.integer(o, 1..=*COUNT.end()).map(|v| w.options.polltarget = v)),
    ),
    option("port", Works, Value(|w, s, o| s.integer(o, 0..=65535).map(|v| w.options.port = v))),
    option(
        "ntsport",
        NoEffect(NO_NTS),
        Value(|w, s, o| s.integer(o, 0..=65535).map(|v| w.options.ntsport = v)),
    ),
    option(
        "presend",
        Works,
        Value(|w, s, o| s.integer(o, -32..=32).map(|v| w.options.presend_log2 = Some(v))),
    ),
    option(
        "minstratum",
        Works,
        Value(|w, s, o| s.integer(o, 0..=16).map(|v| w.options.minstratum = v)),
    ),
    option(
        "version",
        Works,
        Value(|w, s, o| s.integer(o, 1..=4).map(|v| w.options.version = Some(v))),
    ),
    option("copy", NoEffect(OWN_STRATUM), Flag(|w| w.options.copy = true)),
    option(
        "extfield",
        NoEffect(NO_FIELDS),
        Values(|w, s, o| {
            let field = s.value(o, "one of F323, 010A, F324", extension_field)?;
            w.options.extfields.push(field);
            Ok(())
        }),
    ),
    option("ipv4", Works, Flag(|w| w.options.family = Some(Family::V4))),
    option("ipv6", Works, Flag(|w| w.options.family = Some(Family::V6))),
    option(
        "maxsources",
        Works,
        Value(|w, s, o| {
            w.maxsources = true;
            s.integer(o, 1..=16).map(|v| w.options.maxsources = v)
        }),
    ),
];

/// Types are hexadecimal, with or without `0x`.
fn extension_field(text: &str) -> Option<ExtensionField> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    match u32::from_str_radix(digits, 16).ok()? {
        0xF323 => Some(ExtensionField::ExperimentalMonoRoot),
        0x010A | 0xF324 => Some(ExtensionField::NetworkCorrection),
        _ => None,
    }
}
