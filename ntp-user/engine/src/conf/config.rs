//! The typed configuration. Every field is named after its directive, carries its unit in the name,
//! and defaults to what chrony does without the directive.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::access::AccessRule;
use super::location::Located;
use super::refclock::RefClock;
use super::source::Source;
use super::values::{
    AuthSelectMode, DriftFile, FallbackDrift, HwTimestamp, InitStepSlew, LeapSecMode, Local,
    LogFile, MakeStep, MaxChange, OpenCommand, RateLimit, RateLimitPrefix, SmoothTime, TempComp,
    Xdp,
};

/// Everything that a configuration says.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each directive without a value")]
pub struct Config {
    // Sources and their selection.
    /// `server`, `pool` and `peer` lines, in order.
    pub sources: Vec<Located<Source>>,
    /// `sourcedir`: the directories of each line, whose `*.sources` files were read into `sources`.
    pub sourcedir: Vec<Located<Vec<PathBuf>>>,
    /// `refclock` lines, in order; no two have the same reference ID.
    pub refclocks: Vec<Located<RefClock>>,
    /// `initstepslew`: the start-up correction.
    pub initstepslew: Option<InitStepSlew>,
    /// `authselectmode`: how authenticated and other sources mix.
    pub authselectmode: AuthSelectMode,
    /// `refresh`: time between two looks at the addresses of names that are in use, in seconds; 0: none. Default
    /// 1209600 (two weeks).
    pub refresh_s: u32,
    /// `minsamples`: fewest samples kept of a source that has no such option. Default 6.
    pub minsamples: u32,
    /// `maxsamples`: most samples kept of a source that has no such option; 0: as many as fit. Default 0.
    pub maxsamples: u32,
    /// `maxdistance`: largest root distance of a selectable source, in seconds. Default 3.
    pub maxdistance_s: f64,
    /// `maxjitter`: largest jitter of a selectable source, in seconds. Default 1.
    pub maxjitter_s: f64,
    /// `minsources`: selectable sources needed before the clock is updated, from 1. Default 1.
    pub minsources: u32,
    /// `minstratum`: smallest stratum of a selectable source. Default 0.
    pub minstratum: u8,
    /// `maxstratum`: largest stratum of a selectable source. Default 15.
    pub maxstratum: u8,
    /// `combinelimit`: root distances of the selected source within which others are combined with it. Default 3.
    pub combinelimit: f64,
    /// `reselectdist`: added to the distance of sources that are not selected, in seconds. Default 0.0001.
    pub reselectdist_s: f64,
    /// `stratumweight`: distance that a stratum counts for, in seconds. Default 0.001.
    pub stratumweight_s: f64,
    /// `acquisitionport`: source port of requests; `None`: a new socket and port for each request.
    pub acquisitionport: Option<u16>,
    /// `bindacqaddress`: source address of requests over IPv4.
    pub bindacqaddress_v4: Option<Ipv4Addr>,
    /// `bindacqaddress`: source address of requests over IPv6.
    pub bindacqaddress_v6: Option<Ipv6Addr>,
    /// `bindacqdevice`: the interface that requests leave by; `None`: any.
    pub bindacqdevice: Option<String>,
    /// `dscp`: Differentiated Services Code Point of NTP packets, 0..=63. Default 0.
    pub dscp: u8,

    // The clock.
    /// `driftfile`: where the clock's frequency is kept between runs.
    pub driftfile: Option<DriftFile>,
    /// `makestep`: when to step instead of slewing. `None`: never.
    pub makestep: Option<MakeStep>,
    /// `rtcsync`: let the kernel copy the system time to the real-time clock.
    pub rtcsync: bool,
    /// `maxupdateskew`: largest estimated error of the frequency that is accepted, in ppm. Default 1000.
    pub maxupdateskew_ppm: f64,
    /// `maxslewrate`: largest rate of slewing, in ppm. Default 83333.333.
    pub maxslewrate_ppm: f64,
    /// `maxchange`: the largest change at an update. `None`: no limit.
    pub maxchange: Option<MaxChange>,
    /// `maxdrift`: largest frequency error that is corrected, in ppm. Default 100,000, what the kernel can do.
    pub maxdrift_ppm: f64,
    /// `maxclockerror`: what the clock may gain or lose that was never seen of it, in ppm. Default 1.
    pub maxclockerror_ppm: f64,
    /// `clockprecision`: precision of the system clock, in seconds. `None`: as it is measured.
    pub clockprecision_s: Option<f64>,
    /// `corrtimeratio`: how long slews take in proportion to the time between updates. Default 3.
    pub corrtimeratio: f64,
    /// `fallbackdrift`: mean frequencies for times without updates. `None`: none.
    pub fallbackdrift: Option<FallbackDrift>,
    /// `tempcomp`: what the clock is compensated by for its temperature. `None`: nothing.
    pub tempcomp: Option<TempComp>,
    /// `manual`: times are taken by hand (`chronyc settime`).
    pub manual: bool,
    /// `leapsecmode`: what happens at a leap second.
    pub leapsecmode: LeapSecMode,
    /// `leapsectz`: the time zone that lists leap seconds, such as `right/UTC`.
    pub leapsectz: Option<String>,
    /// `leapseclist`: the file that lists leap seconds.
    pub leapseclist: Option<PathBuf>,
    /// `hwtimestamp`: interfaces with hardware timestamping.
    pub hwtimestamp: Vec<Located<HwTimestamp>>,
    /// `hwtstimeout`: how long the time is waited for at which a request left, in seconds. Default 0.001.
    pub hwtstimeout_s: f64,

    // Serving.
    /// `allow` and `deny`, in order. Without any `allow` nobody is served.
    pub access: Vec<Located<AccessRule>>,
    /// `port`: the UDP port that is served; 0: do not serve. Default 123.
    pub port: u16,
    /// `bindaddress`: the IPv4 address that is served on.
    pub bindaddress_v4: Option<Ipv4Addr>,
    /// `bindaddress`: the IPv6 address that is served on.
    pub bindaddress_v6: Option<Ipv6Addr>,
    /// `binddevice`: the interface that is served on; `None`: all.
    pub binddevice: Option<String>,
    /// `smoothtime`: how corrections and leap seconds reach clients. `None`: at once.
    pub smoothtime: Option<SmoothTime>,
    /// `local`: serve the clock as it is when there are no sources.
    pub local: Option<Local>,
    /// `ratelimit`: limit of replies to one client.
    pub ratelimit: Option<RateLimit>,
    /// `ratelimitprefix`: addresses that are counted and limited as one client. Default 32 and 64 bits.
    pub ratelimitprefix: RateLimitPrefix,
    /// `noclientlog` absent: keep a record of clients. Default true.
    pub clientlog: bool,
    /// `clientloglimit`: memory for the record of clients, in bytes. Default 524288.
    pub clientloglimit_bytes: u64,
    /// `xdp`: interfaces on which requests are answered in the kernel, each at most once.
    pub xdp: Vec<Located<Xdp>>,
    /// `serverthreads`: serving threads, 0 (everything on the main thread) to 64. `None`: the daemon decides.
    pub serverthreads: Option<u8>,
    /// `serverthreads ... cpus`: the CPU of each serving thread, none twice. Empty: they run where the kernel puts them.
    pub servercpus: Vec<u16>,
    /// `metricsaddress`: where metrics are served over HTTP.
    pub metricsaddress: Vec<SocketAddr>,

    // Command access.
    /// `bindcmdaddress`: the Unix socket of commands; `None` when switched off by `/`.
    pub bindcmdaddress_path: Option<PathBuf>,
    /// `bindcmdaddress`: the IPv4 address of commands. Default 127.0.0.1.
    pub bindcmdaddress_v4: Ipv4Addr,
    /// `bindcmdaddress`: the IPv6 address of commands. Default `::1`.
    pub bindcmdaddress_v6: Ipv6Addr,
    /// `cmdport`: the UDP port of commands; 0: none. Default 323.
    pub cmdport: u16,
    /// `cmdallow` and `cmddeny`, in order.
    pub cmd_access: Vec<Located<AccessRule>>,
    /// `bindcmddevice`: the interface that commands come in on over UDP; `None`: any.
    pub bindcmddevice: Option<String>,
    /// `cmdratelimit`: limit of replies to one host that gives commands over the network.
    pub cmdratelimit: Option<RateLimit>,
    /// `opencommands`: the commands that are answered over UDP.
    pub opencommands: BTreeSet<OpenCommand>,

    // Files, logs, privileges.
    /// `keyfile`: symmetric keys.
    pub keyfile: Option<PathBuf>,
    /// `log`: the statistics that are written to `logdir`.
    pub log: BTreeSet<LogFile>,
    /// `log rawmeasurements`: write also the samples that were rejected.
    pub log_rawmeasurements: bool,
    /// `logbanner`: lines between two headings in those files; 0: no headings. Default 32.
    pub logbanner: u32,
    /// `logchange`: offsets beyond this go to the system log, in seconds. Default 1.
    pub logchange_s: f64,
    /// `logdir`: the directory of those files.
    pub logdir: Option<PathBuf>,
    /// `dumpdir`: the directory where measurements are kept between runs.
    pub dumpdir: Option<PathBuf>,
    /// `pidfile`: `None` when switched off by `/`. Default [`DEFAULT_PIDFILE`].
    pub pidfile: Option<PathBuf>,
    /// `lock_all`: keep the daemon's memory from being paged out.
    pub lock_all: bool,
    /// `sched_priority`: real-time priority of the timekeeping thread, 1..=100; 0: none. Default 0.
    pub sched_priority: u8,
    /// `user`: whom to become once privileged steps are done. `None`: stay.
    pub user: Option<String>,
}

/// The process id file that is used without a `pidfile` line.
pub const DEFAULT_PIDFILE: &str = "/run/ntp-xdp/ntp-xdpd.pid";
/// The Unix socket of commands that is used without a `bindcmdaddress` line, where `chronyc` looks for it.
pub const DEFAULT_COMMAND_SOCKET: &str = "/run/chrony/chronyd.sock";

impl Default for Config {
    #[expect(clippy::too_many_lines, reason = "a line for each directive")]
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            sourcedir: Vec::new(),
            refclocks: Vec::new(),
            initstepslew: None,
            authselectmode: AuthSelectMode::default(),
            refresh_s: 1_209_600,
            minsamples: 6,
            maxsamples: 0,
            maxdistance_s: 3.0,
            maxjitter_s: 1.0,
            minsources: 1,
            minstratum: 0,
            maxstratum: 15,
            combinelimit: 3.0,
            reselectdist_s: 1e-4,
            stratumweight_s: 1e-3,
            acquisitionport: None,
            bindacqaddress_v4: None,
            bindacqaddress_v6: None,
            bindacqdevice: None,
            dscp: 0,
            driftfile: None,
            makestep: None,
            rtcsync: false,
            maxupdateskew_ppm: 1000.0,
            maxslewrate_ppm: 1e6 / 12.0,
            maxchange: None,
            maxdrift_ppm: 100_000.0,
            maxclockerror_ppm: 1.0,
            clockprecision_s: None,
            corrtimeratio: 3.0,
            fallbackdrift: None,
            tempcomp: None,
            manual: false,
            leapsecmode: LeapSecMode::default(),
            leapsectz: None,
            leapseclist: None,
            hwtimestamp: Vec::new(),
            hwtstimeout_s: 0.001,
            access: Vec::new(),
            port: 123,
            bindaddress_v4: None,
            bindaddress_v6: None,
            binddevice: None,
            smoothtime: None,
            local: None,
            ratelimit: None,
            ratelimitprefix: RateLimitPrefix::default(),
            clientlog: true,
            clientloglimit_bytes: 524_288,
            xdp: Vec::new(),
            serverthreads: None,
            servercpus: Vec::new(),
            metricsaddress: Vec::new(),
            bindcmdaddress_path: Some(DEFAULT_COMMAND_SOCKET.into()),
            bindcmdaddress_v4: Ipv4Addr::LOCALHOST,
            bindcmdaddress_v6: Ipv6Addr::LOCALHOST,
            cmdport: 323,
            cmd_access: Vec::new(),
            bindcmddevice: None,
            cmdratelimit: None,
            opencommands: OpenCommand::DEFAULT.into(),
            keyfile: None,
            log: BTreeSet::new(),
            log_rawmeasurements: false,
            logbanner: 32,
            logchange_s: 1.0,
            logdir: None,
            dumpdir: None,
            pidfile: Some(DEFAULT_PIDFILE.into()),
            lock_all: false,
            sched_priority: 0,
            user: None,
        }
    }
}
