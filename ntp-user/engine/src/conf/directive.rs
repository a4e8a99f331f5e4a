//! The table of all directives: chrony's and ours, their form, what the daemon does about each, and who reads
//! its arguments. Building in a feature begins with flipping its row.
//!
//! A directive that is not built in is refused ([`NotBuiltIn`]) when the daemon would otherwise seem to do what it
//! does not: serve other time than promised, on other interfaces, to others, or without the safeguard that was asked
//! for. One that only tunes something, or belongs to what is refused, is passed over with a warning that says why
//! ([`NoEffect`]).

use super::access::{read_allow, read_cmdallow, read_cmddeny, read_deny};
use super::config::Config;
use super::options::Support::{self, Legacy, NoEffect, NotBuiltIn, Works};
use super::read_interfaces::{INTERFACE, interface_name};
use super::read_refclock::read_refclock;
use super::source::{read_peer, read_pool, read_server};
use super::statement::{ANY, FROM_ZERO, Owner, Read, Statement, Unit};
use super::{read_clock, read_commands, read_interfaces, read_values as read};
use Action::{Apply, Confdir, Include, Sourcedir, Unread};

/// A directive.
pub(super) struct Directive {
    /// Its form, beginning with its name.
    pub(super) usage: &'static str,
    /// What the daemon does about it.
    pub(super) support: Support,
    /// Whether it holds one value, so that repeating it replaces the first.
    pub(super) once: bool,
    /// Who reads its arguments.
    pub(super) action: Action,
}

/// How a directive's arguments are read.
#[derive(Clone, Copy)]
pub(super) enum Action {
    /// Into the configuration.
    Apply(for<'a> fn(&mut Config, &mut Statement<'a, '_>, Owner<'a>) -> Read<()>),
    /// Files in place of the line.
    Include,
    /// A directory's files in place of the line.
    Confdir,
    /// A directory's files, which hold nothing but sources.
    Sourcedir,
    /// Not at all, as long as the directive has no effect.
    Unread,
}

impl Directive {
    /// The name.
    pub(super) fn name(&self) -> &'static str {
        self.usage.split_once(' ').map_or(self.usage, |(name, _)| name)
    }

    /// Whether files stand in its place.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self.action, Include | Confdir)
    }

    /// Whether it may stand in a file of sources.
    pub(super) fn is_source(&self) -> bool {
        matches!(self.name(), "server" | "pool" | "peer")
    }
}

/// Finds a directive by its name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Directive> {
    all().find(|directive| directive.name().eq_ignore_ascii_case(name))
}

/// The names of all directives.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().map(Directive::name)
}

/// The names of the directives that have an effect.
pub(super) fn names_that_work() -> Vec<&'static str> {
    all().filter(|directive| directive.support == Works).map(Directive::name).collect()
}

/// The names of the directives whose arguments are put into the configuration.
#[cfg(test)]
pub(super) fn names_of_values() -> impl Iterator<Item = &'static str> {
    all().filter(|directive| matches!(directive.action, Apply(_))).map(Directive::name)
}

fn all() -> impl Iterator<Item = &'static Directive> {
    READ.iter().chain(UNREAD)
}

/// A directive that holds one value.
const fn one(
    usage: &'static str,
    support: Support,
    apply: for<'a> fn(&mut Config, &mut Statement<'a, '_>, Owner<'a>) -> Read<()>,
) -> Directive {
    Directive { usage, support, once: true, action: Apply(apply) }
}

/// A directive that adds to a list, or looks after repetition itself.
const fn many(usage: &'static str, support: Support, action: Action) -> Directive {
    Directive { usage, support, once: false, action }
}

/// A directive without an effect.
const fn unread(usage: &'static str, support: Support) -> Directive {
    Directive { usage, support, once: false, action: Unread }
}

/// The directives whose arguments are read.
const READ: &[Directive] = &[
    // Sources.
    many("server HOST [OPTION]...", Works, Apply(read_server)),
    many("pool NAME [OPTION]...", Works, Apply(read_pool)),
    many("peer HOST [OPTION]...", Works, Apply(read_peer)),
    many("refclock DRIVER PARAMETER[:OPTION]... [OPTION]...", Works, Apply(read_refclock)),
    many("sourcedir DIRECTORY...", Works, Sourcedir),
    one("initstepslew THRESHOLD [HOST]...", Works, read::initstepslew),
    one("authselectmode require|prefer|mix|ignore", Works, read::authselectmode),
    one("acquisitionport PORT", Works, |c, s, o| {
        s.integer(o, 0..=65535).map(|v| c.acquisitionport = Some(v))
    }),
    many("bindacqaddress ADDRESS", Works, Apply(read::bindacqaddress)),
    one("bindacqdevice INTERFACE", Works, |c, s, o| {
        s.value(o, INTERFACE, interface_name).map(|v| c.bindacqdevice = Some(v))
    }),
    one("dscp POINT", Works, |c, s, o| s.integer(o, 0..=63).map(|v| c.dscp = v)),
    one("refresh SECONDS", Works, |c, s, o| {
        s.integer(o, 0..=i32::MAX.cast_unsigned()).map(|v| c.refresh_s = v)
    }),
    one("minsamples SAMPLES", Works, |c, s, o| {
        s.integer(o, 0..=i32::MAX.cast_unsigned()).map(|v| c.minsamples = v)
    }),
    one("maxsamples SAMPLES", Works, |c, s, o| {
        s.integer(o, 0..=i32::MAX.cast_unsigned()).map(|v| c.maxsamples = v)
    }),
    one("maxdistance SECONDS", Works, |c, s, o| {
        s.number(o, Unit::Seconds, FROM_ZERO).map(|v| c.maxdistance_s = v)
    }),
    one("maxjitter SECONDS", Works, |c, s, o| {
        s.number(o, Unit::Seconds, FROM_ZERO).map(|v| c.maxjitter_s = v)
    }),
    one("minsources COUNT", Works, |c, s, o| {
        s.integer(o, 1..=i32::MAX.cast_unsigned()).map(|v| c.minsources = v)
    }),
    one("minstratum STRATUM", Works, |c, s, o| s.integer(o, 0..=15).map(|v| c.minstratum = v)),
    one("maxstratum STRATUM", Works, |c, s, o| s.integer(o, 0..=15).map(|v| c.maxstratum = v)),
    one("combinelimit LIMIT", Works, |c, s, o| {
        s.number(o, Unit::None, FROM_ZERO).map(|v| c.combinelimit = v)
    }),
    one("reselectdist SECONDS", Works, |c, s, o| {
        s.number(o, Unit::Seconds, FROM_ZERO).map(|v| c.reselectdist_s = v)
    }),
    one("stratumweight SECONDS", Works, |c, s, o| {
        s.number(o, Unit::Seconds, FROM_ZERO).map(|v| c.stratumweight_s = v)
    }),
    // The clock.
    one("driftfile PATH [interval SECONDS]", Works, read::driftfile),
    one("makestep THRESHOLD LIMIT", Works, read::makestep),
    one("rtcsync", Works, |c, _, _| {
        c.rtcsync = true;
        Ok(())
    }),
    one("maxupdateskew PPM", Works, |c, s, o| {
        s.number(o, Unit::Ppm, FROM_ZERO).map(|v| c.maxupdateskew_ppm = v)
    }),
    one("maxslewrate PPM", Works, |c, s, o| {
        s.number(o, Unit::Ppm, FROM_ZERO).map(|v| c.maxslewrate_ppm = v)
    }),
    one("maxchange OFFSET START IGNORE", Works, read::maxchange),
    one("maxdrift PPM", Works, |c, s, o| {
        s.number(o, Unit::Ppm, FROM_ZERO).map(|v| c.maxdrift_ppm = v)
    }),
    one("maxclockerror PPM", Works, |c, s, o| {
        s.number(o, Unit::Ppm, FROM_ZERO).map(|v| c.maxclockerror_ppm = v)
    }),
    one("clockprecision SECONDS", Works, |c, s, o| {
        s.number(o, Unit::Seconds, 1e-9..=0.5).map(|v| c.clockprecision_s = Some(v))
    }),
    one("corrtimeratio RATIO", Works, |c, s, o| {
        s.number(o, Unit::None, FROM_ZERO).map(|v| c.corrtimeratio = v)
    }),
    one("fallbackdrift MIN MAX", Works, read::fallbackdrift),
    one("tempcomp FILE INTERVAL POINTS|T0 K0 K1 K2", Works, read_clock::tempcomp),
    one("manual", Works, |c, _, _| {
        c.manual = true;
        Ok(())
    }),
    one("leapsecmode system|step|slew|ignore", Works, read::leapsecmode),
    one("leapsectz TIMEZONE", Works, |c, s, o| {
        s.word(o, "a time zone such as right/UTC").map(|v| c.leapsectz = Some(v.text.into()))
    }),
    one("leapseclist FILE", Works, |c, s, o| {
        s.word(o, "a file").map(|v| c.leapseclist = Some(v.text.into()))
    }),
    many("hwtimestamp INTERFACE [OPTION]...", Works, Apply(read_interfaces::hwtimestamp)),
    one("hwtstimeout SECONDS", Works, |c, s, o| {
        s.number(o, Unit::Seconds, 0.0..=0.25).map(|v| c.hwtstimeout_s = v)
    }),
    // Serving.
    many("allow [all] [NETWORK]", Works, Apply(read_allow)),
    many("deny [all] [NETWORK]", Works, Apply(read_deny)),
    one("port PORT", Works, |c, s, o| s.integer(o, 0..=65535).map(|v| c.port = v)),
    many("bindaddress ADDRESS", Works, Apply(read::bindaddress)),
    one("binddevice INTERFACE", Works, |c, s, o| {
        s.value(o, INTERFACE, interface_name).map(|v| c.binddevice = Some(v))
    }),
    one("local [OPTION]...", Works, read::local),
    one("smoothtime MAXFREQ MAXWANDER [leaponly]", Works, read::smoothtime),
    one("ratelimit [OPTION]...", Works, read::ratelimit),
    one("ratelimitprefix IPV4BITS IPV6BITS", Works, read::ratelimitprefix),
    one("noclientlog", Works, read::noclientlog),
    one("clientloglimit BYTES", Works, |c, s, o| {
        s.integer(o, 0..=u64::MAX).map(|v| c.clientloglimit_bytes = v)
    }),
    many(
        "xdp INTERFACE [mode auto|native|generic] [holdover SECONDS] [hwtimestamp]",
        Works,
        Apply(read_interfaces::xdp),
    ),
    many("serverthreads COUNT [cpus LIST]", Works, Apply(read_interfaces::serverthreads)),
    many("metricsaddress ADDRESS:PORT", Works, Apply(read_interfaces::metricsaddress)),
    // Command access.
    many("bindcmdaddress ADDRESS|PATH", Works, Apply(read::bindcmdaddress)),
    one("cmdport PORT", Works, |c, s, o| s.integer(o, 0..=65535).map(|v| c.cmdport = v)),
    many("cmdallow [all] [NETWORK]", Works, Apply(read_cmdallow)),
    many("cmddeny [all] [NETWORK]", Works, Apply(read_cmddeny)),
    one("opencommands [COMMAND]...", Works, read::opencommands),
    one("bindcmddevice INTERFACE", Works, |c, s, o| {
        s.value(o, INTERFACE, interface_name).map(|v| c.bindcmddevice = Some(v))
    }),
    one("cmdratelimit [OPTION]...", Works, read_commands::cmdratelimit),
    // Files, logs, privileges.
    many("include PATTERN", Works, Include),
    many("confdir DIRECTORY...", Works, Confdir),
    one("keyfile FILE", Works, |c, s, o| {
        s.word(o, "a file").map(|v| c.keyfile = Some(v.text.into()))
    }),
    many("log [KIND]...", Works, Apply(read::log)),
    one("logbanner LINES", Works, |c, s, o| {
        s.integer(o, 0..=i32::MAX.cast_unsigned()).map(|v| c.logbanner = v)
    }),
    one("logchange SECONDS", Works, |c, s, o| {
        s.number(o, Unit::Seconds, ANY).map(|v| c.logchange_s = v)
    }),
    one("logdir DIRECTORY", Works, |c, s, o| {
        s.word(o, "a directory").map(|v| c.logdir = Some(v.text.into()))
    }),
    one("dumpdir DIRECTORY", Works, |c, s, o| {
        s.word(o, "a directory").map(|v| c.dumpdir = Some(v.text.into()))
    }),
    one("pidfile FILE", Works, |c, s, o| {
        s.word(o, "a file, or / for none").map(|v| c.pidfile = read::path_unless_root(v.text))
    }),
    one("lock_all", Works, |c, _, _| {
        c.lock_all = true;
        Ok(())
    }),
    one("sched_priority PRIORITY", Works, |c, s, o| {
        s.integer(o, 0..=100).map(|v| c.sched_priority = v)
    }),
    one("user NAME", Works, |c, s, o| {
        s.word(o, "a user's name").map(|v| c.user = Some(v.text.into()))
    }),
];

/// Why what belongs to Network Time Security has no effect.
pub(super) const NO_NTS: &str = "Network Time Security is not built in yet";
const NO_PTP: &str = "NTP over PTP (`ptpport`) is not built in yet";
const FIXED_BUFFERS: &str =
    "packets that wait for their transmit timestamp have a table of fixed size";

/// The directives whose arguments are not read.
const UNREAD: &[Directive] = &[
    // Clients would look for a service that is not there.
    unread("ntsserverkey FILE", NotBuiltIn),
    unread("ntsservercert FILE", NotBuiltIn),
    unread("ptpport PORT", NotBuiltIn),
    // Tuning, and trimmings of what is refused above.
    unread("maxtxbuffers COUNT", NoEffect(FIXED_BUFFERS)),
    unread("ptpdomain DOMAIN", NoEffect(NO_PTP)),
    unread("ntsport PORT", NoEffect(NO_NTS)),
    unread("ntsprocesses COUNT", NoEffect(NO_NTS)),
    unread("maxntsconnections COUNT", NoEffect(NO_NTS)),
    unread("ntsaeads ID...", NoEffect(NO_NTS)),
    unread("ntsratelimit [OPTION]...", NoEffect(NO_NTS)),
    unread("ntsrotate SECONDS", NoEffect(NO_NTS)),
    unread("ntsdumpdir DIRECTORY", NoEffect(NO_NTS)),
    unread("ntscachedir DIRECTORY", NoEffect(NO_NTS)),
    unread("ntsntpserver HOST", NoEffect(NO_NTS)),
    unread("ntstrustedcerts [SET] FILE|DIRECTORY", NoEffect(NO_NTS)),
    unread("nosystemcert", NoEffect(NO_NTS)),
    unread("nocerttimecheck LIMIT", NoEffect(NO_NTS)),
    unread("ntsrefresh SECONDS", NoEffect(NO_NTS)),
    // Of the past.
    unread("broadcast INTERVAL ADDRESS [PORT]", Legacy),
    unread("ntpsigndsocket DIRECTORY", Legacy),
    unread("mailonchange ADDRESS THRESHOLD", Legacy),
    unread("hwclockfile FILE", Legacy),
    unread("rtcautotrim THRESHOLD", Legacy),
    unread("rtcdevice DEVICE", Legacy),
    unread("rtcfile FILE", Legacy),
    unread("rtconutc", Legacy),
    unread("dumponexit", Legacy),
    unread("commandkey", Legacy),
    unread("generatecommandkey", Legacy),
    unread("linux_freq_scale", Legacy),
    unread("linux_hz", Legacy),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_is_named_once() {
        let mut names: Vec<_> = names().collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        // chrony's 45 + 42 + 13, and `xdp`, `serverthreads`, `metricsaddress`, `ratelimitprefix`.
        assert_eq!(count, 104);
    }

    #[test]
    fn nothing_that_works_is_left_unread() {
        for directive in all() {
            let unread = matches!(directive.action, Unread);
            assert!(!(unread && directive.support == Works), "{}", directive.usage);
        }
    }
}
