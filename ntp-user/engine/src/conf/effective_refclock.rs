//! A `refclock` line as it is in force: the options that were given another value than they have anyway, and the
//! reference ID in any case, since the number of the line may be in it.

use std::fmt::{Display, Write as _};

use super::effective::Number;
use super::refclock::{ClockDriver, Edge, ExternalPulses, RefClock, RefClockOptions};
use crate::refclock::clock_name;

/// The line.
pub(super) fn refclock(clock: &RefClock) -> String {
    let mut line = format!("refclock {} {}", clock.driver.name(), parameter(&clock.driver));
    let (options, usual) = (&clock.options, &RefClockOptions::default());
    let mut value = |name: &str, value: &dyn Display, is_usual: bool| {
        if !is_usual {
            let _infallible = write!(line, " {name} {value}");
        }
    };
    value("refid", &clock_name(options.refid), false);
    value("poll", &options.poll_log2, options.poll_log2 == usual.poll_log2);
    let dpoll_log2 = usual.dpoll_log2.min(options.poll_log2);
    value("dpoll", &options.dpoll_log2, options.dpoll_log2 == dpoll_log2);
    let lock = options.lock.map(clock_name).unwrap_or_default();
    value("lock", &lock, options.lock.is_none());
    value("rate", &options.rate, options.rate == usual.rate);
    value("maxlockage", &options.maxlockage, options.maxlockage == usual.maxlockage);
    value("stratum", &options.stratum, options.stratum == usual.stratum);
    value("filter", &options.filter, options.filter == usual.filter);
    value("maxunreach", &options.maxunreach, options.maxunreach == usual.maxunreach);
    for (name, number, usual) in [
        ("width", options.width_s, usual.width_s),
        ("offset", options.offset_s, usual.offset_s),
        ("delay", options.delay_s, usual.delay_s),
        ("maxdispersion", options.maxdispersion_s, usual.maxdispersion_s),
    ] {
        value(name, &Number(number), number.to_bits() == usual.to_bits());
    }
    let precision_s = Number(options.precision_s.unwrap_or_default());
    value("precision", &precision_s, options.precision_s.is_none());
    let samples = [("minsamples", options.minsamples), ("maxsamples", options.maxsamples)];
    for (name, samples) in samples {
        value(name, &samples.unwrap_or_default(), samples.is_none());
    }
    let flags = [
        ("pps", options.pps),
        ("prefer", options.prefer),
        ("noselect", options.noselect),
        ("trust", options.trust),
        ("require", options.require),
        ("tai", options.tai),
    ];
    for (name, _) in flags.iter().filter(|(_, is_set)| *is_set) {
        let _infallible = write!(line, " {name}");
    }
    line
}

/// The parameter of a driver with the options behind it.
fn parameter(driver: &ClockDriver) -> String {
    let option = |is_set: bool, text: &'static str| if is_set { text } else { "" };
    match driver {
        ClockDriver::Shm { unit, permissions } => format!("{unit}:perm={permissions:04o}"),
        ClockDriver::Sock { path } => path.display().to_string(),
        ClockDriver::Pps { device, edge } => {
            format!("{}{}", device.display(), option(*edge == Edge::Clear, ":clear"))
        }
        ClockDriver::Phc { device, cross_timestamps, pulses } => {
            let plain = format!("{device}{}", option(!cross_timestamps, ":nocrossts"));
            let Some(ExternalPulses { pin, channel, edge }) = pulses else { return plain };
            let pin = pin.map_or("-1".to_owned(), |pin| pin.to_string());
            let clear = option(*edge == Edge::Clear, ":clear");
            format!("{plain}:extpps:pin={pin}:channel={channel}{clear}")
        }
    }
}
