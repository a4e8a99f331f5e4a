//! What a configuration comes to, as text: files are included, repetitions settled, short forms written out.
//!
//! Invariant: the text, read as a file, gives the same configuration again; only `sourcedir` is a comment in
//! it, since what its folders hold is there already.

use std::fmt::{self, Display, Write as _};
use std::net::IpAddr;

use super::access::{AccessRule, AccessTarget, Verdict};
use super::config::Config;
use super::effective_refclock::refclock;
use super::effective_source::source;
use super::location::Located;
use super::render::Clean;
use super::values::{
    AuthSelectMode, HwTimestamp, InitStepSlew, LeapSecMode, Local, LogFile, OpenCommand, RateLimit,
    RxFilter, StepLimit, TempComp, TempCompCurve, Xdp, XdpMode,
};

/// A configuration that is shown as the directives that it comes to; those that hold because nothing else was said
/// are comments.
#[derive(Clone, Copy, Debug)]
pub struct Effective<'a>(pub &'a Config);

impl Display for Effective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Text::default();
        let (config, default) = (self.0, &Config::default());
        text.sources(config, default);
        text.selection(config, default);
        text.clock(config, default);
        text.steering(config, default);
        text.serving(config, default);
        text.commands(config, default);
        text.files(config, default);
        writeln!(f, "{}\n", text.said.trim_end())?;
        write!(f, "# In force because nothing else was said:\n{}", text.defaults)
    }
}

/// A directive with a number, and where that is kept.
type Figure = (&'static str, fn(&Config) -> f64);

/// The text as far as it goes.
#[derive(Default)]
struct Text {
    said: String,
    defaults: String,
}

impl Text {
    /// A directive that has a value in any case.
    fn value(&mut self, name: &str, value: impl Display, default: impl Display) {
        let (value, default) = (value.to_string(), default.to_string());
        let is_default = value == default;
        let (text, mark) =
            if is_default { (&mut self.defaults, "#") } else { (&mut self.said, "") };
        let _infallible = writeln!(text, "{mark}{}", format!("{name} {value}").trim_end());
    }

    /// A directive that stands or does not.
    fn line(&mut self, line: Option<impl Display>) {
        if let Some(line) = line {
            let _infallible = writeln!(self.said, "{}", line.to_string().trim_end());
        }
    }

    /// A directive with one value, or none.
    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        self.line(value.map(|value| format!("{name} {value}")));
    }

    /// A block of lines whose order counts, below the names of the files that they stand in.
    fn located<T>(&mut self, lines: &[Located<T>], show: impl Fn(&T) -> String) {
        let mut file = "";
        for Located { value, at } in lines {
            if *at.file != *file {
                file = &at.file;
                self.line(Some(format!("# {}", Clean(file))));
            }
            self.line(Some(show(value)));
        }
        self.line((!lines.is_empty()).then_some(""));
    }

    fn sources(&mut self, config: &Config, default: &Config) {
        self.located(&config.sources, source);
        self.located(&config.refclocks, refclock);
        for line in &config.sourcedir {
            let folders = line.value.iter().map(|path| path.display().to_string());
            let folders: Vec<_> = folders.collect();
            self.line(Some(format!("#sourcedir {}", folders.join(" "))));
        }
        self.line(config.initstepslew.as_ref().map(initstepslew));
        self.optional("acquisitionport", config.acquisitionport);
        self.optional("bindacqaddress", config.bindacqaddress_v4);
        self.optional("bindacqaddress", config.bindacqaddress_v6);
        self.optional("bindacqdevice", config.bindacqdevice.as_ref());
        self.value("dscp", config.dscp, default.dscp);
        self.value("refresh", config.refresh_s, default.refresh_s);
        self.value("minsamples", config.minsamples, default.minsamples);
        self.value("maxsamples", config.maxsamples, default.maxsamples);
    }

    fn selection(&mut self, config: &Config, default: &Config) {
        let mode = |mode: AuthSelectMode| word(AuthSelectMode::NAMES, &mode);
        self.value("authselectmode", mode(config.authselectmode), mode(default.authselectmode));
        self.value("minsources", config.minsources, default.minsources);
        self.value("minstratum", config.minstratum, default.minstratum);
        self.value("maxstratum", config.maxstratum, default.maxstratum);
        let numbers: [Figure; 5] = [
            ("maxdistance", |c| c.maxdistance_s),
            ("maxjitter", |c| c.maxjitter_s),
            ("combinelimit", |c| c.combinelimit),
            ("reselectdist", |c| c.reselectdist_s),
            ("stratumweight", |c| c.stratumweight_s),
        ];
        self.numbers(&numbers, config, default);
    }

    fn clock(&mut self, config: &Config, default: &Config) {
        self.line(
            config.driftfile.as_ref().map(|file| {
                format!("driftfile {} interval {}", file.path.display(), file.interval_s)
            }),
        );
        self.optional(
            "makestep",
            config.makestep.map(|step| {
                let limit = match step.limit {
                    StepLimit::Updates(updates) => i64::from(updates),
                    StepLimit::Unlimited => -1,
                };
                format!("{} {limit}", Number(step.threshold_s))
            }),
        );
        self.line(config.rtcsync.then_some("rtcsync"));
        self.line(config.manual.then_some("manual"));
        self.line(config.tempcomp.as_ref().map(tempcomp));
        self.optional("clockprecision", config.clockprecision_s.map(Number));
        let count = |count: Option<u32>| count.map_or(-1, i64::from);
        self.optional(
            "maxchange",
            config.maxchange.map(|change| {
                let (start, ignored) = (count(change.start), count(change.ignored));
                format!("{} {start} {ignored}", Number(change.offset_s))
            }),
        );
        let mode = |mode: LeapSecMode| word(LeapSecMode::NAMES, &mode);
        self.value("leapsecmode", mode(config.leapsecmode), mode(default.leapsecmode));
        self.optional("leapsectz", config.leapsectz.as_ref());
        self.optional("leapseclist", config.leapseclist.as_ref().map(|path| path.display()));
    }

    fn steering(&mut self, config: &Config, default: &Config) {
        let numbers: [Figure; 5] = [
            ("maxupdateskew", |c| c.maxupdateskew_ppm),
            ("maxslewrate", |c| c.maxslewrate_ppm),
            ("maxdrift", |c| c.maxdrift_ppm),
            ("maxclockerror", |c| c.maxclockerror_ppm),
            ("corrtimeratio", |c| c.corrtimeratio),
        ];
        self.numbers(&numbers, config, default);
        let fallback = config.fallbackdrift;
        self.optional("fallbackdrift", fallback.map(|f| format!("{} {}", f.min_log2, f.max_log2)));
        self.located(&config.hwtimestamp, hwtimestamp);
        self.numbers(&[("hwtstimeout", |c| c.hwtstimeout_s)], config, default);
    }

    fn serving(&mut self, config: &Config, default: &Config) {
        self.located(&config.access, |rule| access(rule, ["allow", "deny"]));
        self.value("port", config.port, default.port);
        self.optional("bindaddress", config.bindaddress_v4);
        self.optional("bindaddress", config.bindaddress_v6);
        self.optional("binddevice", config.binddevice.as_ref());
        self.line(config.local.as_ref().map(local));
        self.optional(
            "smoothtime",
            config.smoothtime.map(|smooth| {
                let leap_only = if smooth.leap_only { " leaponly" } else { "" };
                let frequency = Number(smooth.max_frequency_ppm);
                format!("{frequency} {}{leap_only}", Number(smooth.max_wander_ppm))
            }),
        );
        let limit = config.ratelimit;
        self.line(limit.map(|limit| format!("ratelimit {} kod {}", rate(limit), limit.kod_log2)));
        let prefix = |config: &Config| {
            let prefix = config.ratelimitprefix;
            format!("{} {}", prefix.v4_bits, prefix.v6_bits)
        };
        self.value("ratelimitprefix", prefix(config), prefix(default));
        self.line((!config.clientlog).then_some("noclientlog"));
        let limit = |config: &Config| config.clientloglimit_bytes;
        self.value("clientloglimit", limit(config), limit(default));
        self.located(&config.xdp, xdp);
        self.optional("serverthreads", config.serverthreads.map(|count| threads(count, config)));
        for address in &config.metricsaddress {
            self.optional("metricsaddress", Some(address));
        }
    }

    fn commands(&mut self, config: &Config, default: &Config) {
        let path = |config: &Config| path_or_root(config.bindcmdaddress_path.as_ref());
        self.value("bindcmdaddress", path(config), path(default));
        let addresses = |config: &Config| {
            [IpAddr::V4(config.bindcmdaddress_v4), IpAddr::V6(config.bindcmdaddress_v6)]
        };
        for (address, default) in addresses(config).iter().zip(addresses(default)) {
            self.value("bindcmdaddress", address, default);
        }
        self.value("cmdport", config.cmdport, default.cmdport);
        self.located(&config.cmd_access, |rule| access(rule, ["cmdallow", "cmddeny"]));
        self.optional("bindcmddevice", config.bindcmddevice.as_ref());
        self.line(config.cmdratelimit.map(|limit| format!("cmdratelimit {}", rate(limit))));
        let open = |config: &Config| {
            let names = config.opencommands.iter().map(|command| word(OpenCommand::NAMES, command));
            names.collect::<Vec<_>>().join(" ")
        };
        self.value("opencommands", open(config), open(default));
    }

    fn files(&mut self, config: &Config, default: &Config) {
        self.optional("keyfile", config.keyfile.as_ref().map(|path| path.display()));
        if !config.log.is_empty() {
            let raw = config.log_rawmeasurements.then(|| word(LogFile::NAMES, &None));
            let kinds = config.log.iter().map(|&file| word(LogFile::NAMES, &Some(file)));
            let kinds: Vec<_> = raw.into_iter().chain(kinds).collect();
            self.line(Some(format!("log {}", kinds.join(" "))));
        }
        self.value("logbanner", config.logbanner, default.logbanner);
        self.value("logchange", Number(config.logchange_s), Number(default.logchange_s));
        self.optional("logdir", config.logdir.as_ref().map(|path| path.display()));
        self.optional("dumpdir", config.dumpdir.as_ref().map(|path| path.display()));
        let path = |config: &Config| path_or_root(config.pidfile.as_ref());
        self.value("pidfile", path(config), path(default));
        self.line(config.lock_all.then_some("lock_all"));
        self.value("sched_priority", config.sched_priority, default.sched_priority);
        self.optional("user", config.user.as_ref());
    }

    fn numbers(&mut self, numbers: &[Figure], config: &Config, default: &Config) {
        for (name, value) in numbers {
            self.value(name, Number(value(config)), Number(value(default)));
        }
    }
}

/// A number in digits that give the same number again, and not in hundreds of them.
pub(super) struct Number(pub(super) f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = self;
        if *number == 0.0 || (1e-9..1e15).contains(&number.abs()) {
            write!(f, "{number}")
        } else {
            write!(f, "{number:e}")
        }
    }
}

/// The name of a value.
fn word<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, named)| named == value).map_or("", |(name, _)| name)
}

fn threads(count: u8, config: &Config) -> String {
    let cpus: Vec<String> = config.servercpus.iter().map(u16::to_string).collect();
    if cpus.is_empty() { count.to_string() } else { format!("{count} cpus {}", cpus.join(",")) }
}

fn path_or_root(path: Option<&std::path::PathBuf>) -> String {
    path.map_or_else(|| "/".to_owned(), |path| path.display().to_string())
}

fn initstepslew(it: &InitStepSlew) -> String {
    let hosts = it.hosts.iter().map(|host| format!(" {host}"));
    format!("initstepslew {}{}", Number(it.threshold_s), hosts.collect::<String>())
}

fn tempcomp(it: &TempComp) -> String {
    let curve = match &it.curve {
        TempCompCurve::Points(path) => path.display().to_string(),
        TempCompCurve::Polynomial { t0, k0, k1, k2 } => {
            [t0, k0, k1, k2].map(|number| Number(*number).to_string()).join(" ")
        }
    };
    format!("tempcomp {} {} {curve}", it.file.display(), Number(it.interval_s))
}

fn access(rule: &AccessRule, [allow, deny]: [&str; 2]) -> String {
    let name = match rule.verdict {
        Verdict::Allow => allow,
        Verdict::Deny => deny,
    };
    let all = if rule.all { " all" } else { "" };
    match &rule.target {
        AccessTarget::Everyone => format!("{name}{all}"),
        AccessTarget::Network(network) => format!("{name}{all} {network}"),
        AccessTarget::Name(host) => format!("{name}{all} {host}"),
    }
}

fn local(it: &Local) -> String {
    let orphan = if it.orphan { " orphan" } else { "" };
    let (distance, activate) = (Number(it.distance_s), Number(it.activate_s));
    let (synced, unsynced) = (Number(it.waitsynced_s), Number(it.waitunsynced_s));
    format!(
        "local stratum {}{orphan} distance {distance} activate {activate} waitsynced {synced} \
         waitunsynced {unsynced}",
        it.stratum
    )
}

fn rate(limit: RateLimit) -> String {
    let RateLimit { interval_log2, burst, leak_log2, kod_log2: _ } = limit;
    format!("interval {interval_log2} burst {burst} leak {leak_log2}")
}

fn xdp(it: &Xdp) -> String {
    let mode = word(XdpMode::NAMES, &it.mode);
    let stamped = if it.hwtimestamp { " hwtimestamp" } else { "" };
    format!("xdp {} mode {mode} holdover {}{stamped}", it.interface, it.holdover_s)
}

fn hwtimestamp(it: &HwTimestamp) -> String {
    let (precision, tx, rx) = (Number(it.precision_s), Number(it.txcomp_s), Number(it.rxcomp_s));
    let crossing = if it.nocrossts { " nocrossts" } else { "" };
    let filter = it.rxfilter.map(|filter| format!(" rxfilter {}", word(RxFilter::NAMES, &filter)));
    format!(
        "hwtimestamp {} minpoll {} maxpoll {} minsamples {} maxsamples {} precision {precision} \
         txcomp {tx} rxcomp {rx}{crossing}{}",
        it.interface,
        it.minpoll_log2,
        it.maxpoll_log2,
        it.minsamples,
        it.maxsamples,
        filter.unwrap_or_default()
    )
}
