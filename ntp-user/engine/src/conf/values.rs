//! The values of single directives, each with the default of its missing options.

use std::path::PathBuf;

use super::source::Host;

/// `driftfile PATH [interval SECONDS]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftFile {
    /// The file.
    pub path: PathBuf,
    /// Least time between two updates of the file, in seconds; 0: update it only on exit. Default 3600.
    pub interval_s: u32,
}

/// `makestep THRESHOLD LIMIT`
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MakeStep {
    /// Offsets larger than this are stepped, in seconds, from 0.
    pub threshold_s: f64,
    /// For how many updates of the clock since the start.
    pub limit: StepLimit,
}

/// How many of the first clock updates may step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepLimit {
    /// That many; 0: none.
    Updates(u32),
    /// Every update, for ever (a negative limit).
    Unlimited,
}

/// `maxchange OFFSET START IGNORE`
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxChange {
    /// Largest change of the estimated time at an update, in seconds, from 0.
    pub offset_s: f64,
    /// Updates before the limit holds; `None`: it never does (a negative number).
    pub start: Option<u32>,
    /// Larger changes that are ignored before the daemon gives up; `None`: all (a negative number).
    pub ignored: Option<u32>,
}

/// `fallbackdrift MIN MAX`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallbackDrift {
    /// Shortest time without updates until a mean frequency is used, log2 seconds, 1..=31.
    pub min_log2: u8,
    /// Longest such time, log2 seconds, 1..=31.
    pub max_log2: u8,
}

/// `tempcomp FILE INTERVAL ...`
#[derive(Debug, Clone, PartialEq)]
pub struct TempComp {
    /// The file with the temperature.
    pub file: PathBuf,
    /// Time between two readings, in seconds, from 1.
    pub interval_s: f64,
    /// What the clock is compensated by.
    pub curve: TempCompCurve,
}

/// A compensation over temperature: `T0 K0 K1 K2` or `POINTS` of `tempcomp`.
#[derive(Debug, Clone, PartialEq)]
pub enum TempCompCurve {
    /// Of the distance from a temperature, in ppm.
    Polynomial {
        /// The temperature.
        t0: f64,
        /// The constant part, in ppm.
        k0: f64,
        /// The linear part, in ppm a degree.
        k1: f64,
        /// The quadratic part, in ppm a square degree.
        k2: f64,
    },
    /// A file of points.
    Points(PathBuf),
}

/// `initstepslew THRESHOLD [HOST]...`
#[derive(Debug, Clone, PartialEq)]
pub struct InitStepSlew {
    /// First offsets larger than this are stepped, in seconds.
    pub threshold_s: f64,
    /// Whom to ask; may be empty.
    pub hosts: Vec<Host>,
}

/// `local [stratum N] [orphan] [distance S] [activate S] [waitsynced S] [waitunsynced S]`
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Local {
    /// The stratum that is served, 1..=15. Default 10.
    pub stratum: u8,
    /// Agree with other servers of the same stratum on one of them.
    pub orphan: bool,
    /// Root distance from which the local reference is preferred, in seconds. Default 1.
    pub distance_s: f64,
    /// Root distance that must have been undercut once before activation, in seconds; 0: no condition. Default 0.
    pub activate_s: f64,
    /// Wait after the last update by a source, in seconds. Default 0.
    pub waitsynced_s: f64,
    /// Wait while never synchronised, in seconds. Default 0, with `orphan` 300.
    pub waitunsynced_s: f64,
}

/// `authselectmode MODE`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthSelectMode {
    /// Only authenticated sources are selectable.
    Require,
    /// Authenticated sources shut the others out, if there are any.
    Prefer,
    /// Authenticated sources are trusted beside the others.
    #[default]
    Mix,
    /// Authentication makes no difference.
    Ignore,
}

impl AuthSelectMode {
    /// All, by name.
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("require", Self::Require),
        ("prefer", Self::Prefer),
        ("mix", Self::Mix),
        ("ignore", Self::Ignore),
    ];
}

/// `leapsecmode MODE`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeapSecMode {
    /// The kernel steps.
    #[default]
    System,
    /// The daemon steps.
    Step,
    /// The daemon slews.
    Slew,
    /// Nobody corrects; the usual discipline removes the second as an error.
    Ignore,
}

impl LeapSecMode {
    /// All, by name.
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("system", Self::System),
        ("step", Self::Step),
        ("slew", Self::Slew),
        ("ignore", Self::Ignore),
    ];
}

/// `smoothtime MAXFREQ MAXWANDER [leaponly]`
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmoothTime {
    /// Largest frequency of served time against true time, in ppm, above 0.
    pub max_frequency_ppm: f64,
    /// Largest change of that frequency, in ppm a second, above 0.
    pub max_wander_ppm: f64,
    /// Smooth leap seconds and nothing else.
    pub leap_only: bool,
}

/// `ratelimit [interval N] [burst N] [leak N] [kod N]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Shortest average interval of one client's requests, log2 seconds, -19..=12. Default 3.
    pub interval_log2: i8,
    /// Replies in a burst, 1..=255. Default 8.
    pub burst: u8,
    /// Of the requests over the limit one in 2^leak is answered, 1..=4. Default 2.
    pub leak_log2: u8,
    /// Of those one in 2^kod is told to slow down; 0: none, 0..=4. Default 0.
    pub kod_log2: u8,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { interval_log2: 3, burst: 8, leak_log2: 2, kod_log2: 0 }
    }
}

/// `ratelimitprefix IPV4BITS IPV6BITS`: addresses that share so many bits are one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitPrefix {
    /// Bits of an IPv4 address, 8..=32. Default 32.
    pub v4_bits: u8,
    /// Bits of an IPv6 address, 16..=64. Default 64.
    pub v6_bits: u8,
}

impl Default for RateLimitPrefix {
    fn default() -> Self {
        Self { v4_bits: 32, v6_bits: 64 }
    }
}

/// `hwtimestamp INTERFACE [OPTION]...`
#[derive(Debug, Clone, PartialEq)]
pub struct HwTimestamp {
    /// The interface, a pattern such as `eth*`, or `*` for all that can.
    pub interface: String,
    /// Shortest interval of readings of the NIC's clock, log2 seconds. Default 0.
    pub minpoll_log2: i8,
    /// Longest interval of readings of the NIC's clock, log2 seconds. Default `minpoll` + 1.
    pub maxpoll_log2: i8,
    /// Fewest readings kept. Default 2.
    pub minsamples: u32,
    /// Most readings kept. Default 16.
    pub maxsamples: u32,
    /// Precision of the NIC's clock, in seconds. Default 100e-9.
    pub precision_s: f64,
    /// Added to transmit timestamps, in seconds. Default 0.
    pub txcomp_s: f64,
    /// Subtracted from receive timestamps, in seconds. Default 0.
    pub rxcomp_s: f64,
    /// Do not use cross timestamping.
    pub nocrossts: bool,
    /// Which received packets are timestamped; `None`: the widest that the NIC can do of all and NTP.
    pub rxfilter: Option<RxFilter>,
}

impl HwTimestamp {
    /// An interface without options.
    pub(super) fn new(interface: &str) -> Self {
        Self {
            interface: interface.to_owned(),
            minpoll_log2: 0,
            maxpoll_log2: 1,
            minsamples: 2,
            maxsamples: 16,
            precision_s: 100e-9,
            txcomp_s: 0.0,
            rxcomp_s: 0.0,
            nocrossts: false,
            rxfilter: None,
        }
    }
}

/// `rxfilter FILTER` of `hwtimestamp`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RxFilter {
    /// No received packet.
    None,
    /// NTP packets.
    Ntp,
    /// PTP packets.
    Ptp,
    /// Every packet.
    All,
}

impl RxFilter {
    /// All, by name.
    pub(super) const NAMES: &[(&str, Self)] =
        &[("none", Self::None), ("ntp", Self::Ntp), ("ptp", Self::Ptp), ("all", Self::All)];
}

/// `xdp INTERFACE [mode MODE] [holdover SECONDS] [hwtimestamp]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Xdp {
    /// The interface's name.
    pub interface: String,
    /// How the program is attached.
    pub mode: XdpMode,
    /// How long requests are still answered in the kernel after the daemon has gone, in seconds, 0..=60; 0: detach on exit.
    pub holdover_s: u8,
    /// Whether receive timestamps are the hardware's, where the driver gives them.
    pub hwtimestamp: bool,
}

/// `mode MODE` of `xdp`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XdpMode {
    /// In the driver when it can, else in the generic hook.
    #[default]
    Auto,
    /// In the driver, or fail.
    Native,
    /// In the generic hook, which every interface has.
    Generic,
}

impl XdpMode {
    /// All, by name.
    pub(super) const NAMES: &[(&str, Self)] =
        &[("auto", Self::Auto), ("native", Self::Native), ("generic", Self::Generic)];
}

/// One kind of record that `log` can switch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogFile {
    /// `measurements.log`
    Measurements,
    /// `statistics.log`
    Statistics,
    /// `tracking.log`
    Tracking,
    /// `selection.log`
    Selection,
    /// `rtc.log`
    Rtc,
    /// `refclocks.log`
    Refclocks,
    /// `tempcomp.log`
    Tempcomp,
}

impl LogFile {
    /// All, by what `log` calls them; without one: measurements with those that were rejected.
    pub(super) const NAMES: &[(&str, Option<Self>)] = &[
        ("measurements", Some(Self::Measurements)),
        ("rawmeasurements", None),
        ("statistics", Some(Self::Statistics)),
        ("tracking", Some(Self::Tracking)),
        ("selection", Some(Self::Selection)),
        ("rtc", Some(Self::Rtc)),
        ("refclocks", Some(Self::Refclocks)),
        ("tempcomp", Some(Self::Tempcomp)),
    ];
}

/// A monitoring command of `chronyc` that may be answered over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named after the command")]
pub enum OpenCommand {
    Activity,
    Authdata,
    Clients,
    Manual,
    Ntpdata,
    Rtcdata,
    Selectdata,
    Serverstats,
    Smoothing,
    Sourcename,
    Sources,
    Sourcestats,
    Tracking,
}

impl OpenCommand {
    /// What is open without an `opencommands` line.
    pub const DEFAULT: [Self; 8] = [
        Self::Activity,
        Self::Manual,
        Self::Rtcdata,
        Self::Smoothing,
        Self::Sourcename,
        Self::Sources,
        Self::Sourcestats,
        Self::Tracking,
    ];

    /// All, by name.
    pub(crate) const NAMES: &[(&str, Self)] = &[
        ("activity", Self::Activity),
        ("authdata", Self::Authdata),
        ("clients", Self::Clients),
        ("manual", Self::Manual),
        ("ntpdata", Self::Ntpdata),
        ("rtcdata", Self::Rtcdata),
        ("selectdata", Self::Selectdata),
        ("serverstats", Self::Serverstats),
        ("smoothing", Self::Smoothing),
        ("sourcename", Self::Sourcename),
        ("sources", Self::Sources),
        ("sourcestats", Self::Sourcestats),
        ("tracking", Self::Tracking),
    ];
}
