//! `server`, `pool` and `peer`: the host and its options.

use std::fmt;
use std::net::IpAddr;

use super::config::Config;
use super::error::Problem;
use super::options::read_options;
use super::source_options::OPTIONS;
use super::statement::{Owner, Read, Statement};

/// A host as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name to resolve.
    Name(String),
}

impl Host {
    /// Reads an address or a name. A name is not resolved, but what cannot be one is refused
    /// (`192.0.2.300`, `192.0.2.1-192.0.2.9`, `2001:db8::1:g`, `10.0.0.0/8`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const MAX_NAME_BYTES: usize = 255;
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let name_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        let is_name = text.len() <= MAX_NAME_BYTES
            && !text.starts_with(['-', '.'])
            && text.chars().all(name_part)
            // The last part of a name is none (RFC 3696 section 2): this is a slip in an address.
            && !is_number(text.trim_end_matches('.').rsplit('.').next().unwrap_or_default());
        is_name.then(|| Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// `server HOST [OPTION]...`, `pool NAME [OPTION]...` or `peer HOST [OPTION]...`
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Which directive it was.
    pub kind: SourceKind,
    /// Whom to ask.
    pub host: Host,
    /// How to ask, and what to make of the answers.
    pub options: SourceOptions,
}

impl Source {
    /// Whether two lines are about the same sources, however they are asked.
    #[must_use]
    pub fn is_same_source(&self, other: &Self) -> bool {
        let (a, b) = (&self.options, &other.options);
        self.kind == other.kind
            && self.host == other.host
            && (a.port, a.family, a.offline) == (b.port, b.family, b.offline)
    }
}

/// How many sources one line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// `server`: one source, at one of the name's addresses.
    Server,
    /// `pool`: up to `maxsources` sources, at the name's different addresses.
    Pool,
    /// `peer`: one source, which we are one of, too: both send on their own account.
    Peer,
}

/// To which family a name is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `ipv4`
    V4,
    /// `ipv6`
    V6,
}

/// The options of a source. A field is named after its option.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each option of chrony.conf")]
pub struct SourceOptions {
    // Polling.
    /// Shortest poll interval, log2 seconds, -7..=24. Default 6.
    pub minpoll_log2: i8,
    /// Longest poll interval, log2 seconds, from `minpoll` to 24. Default 10, or `minpoll` when that is more.
    pub maxpoll_log2: i8,
    /// Start with a burst of requests, so that the clock is right within seconds.
    pub iburst: bool,
    /// Replace one request by a burst of requests where the interval allows it.
    pub burst: bool,
    /// Do not poll until told that the network is there.
    pub offline: bool,
    /// Go offline by itself when requests cannot be sent.
    pub auto_offline: bool,
    /// Measurements that polling aims at having since the last change of the clock's behaviour, from 1. Default 8.
    pub polltarget: u32,
    /// From this interval (log2 seconds) on a packet is sent ahead, to warm up caches on the path. `None`: never.
    pub presend_log2: Option<i8>,

    // Selection.
    /// Preferred over sources without this option.
    pub prefer: bool,
    /// Measured, never selected.
    pub noselect: bool,
    /// Assumed right: outvotes any number of sources without this option.
    pub trust: bool,
    /// The clock is only updated while one source with this option is selectable.
    pub require: bool,
    /// Stratum is assumed to be at least this, 0..=16. Default 0.
    pub minstratum: u8,

    // Measurements.
    /// Round trips longer than this are rejected, in seconds. Default 3.
    pub maxdelay_s: f64,
    /// Round trips longer than the shortest by this factor are rejected; 0: not. Default 0.
    pub maxdelayratio: f64,
    /// Round trips longer than the shortest by this many deviations of the offset are rejected. Default 10.
    pub maxdelaydevratio: f64,
    /// Round trips beyond this quantile are rejected; 0: not. Default 0, 0..=1.
    pub maxdelayquant: f64,
    /// A shortest round trip that is known, in seconds; 0: it is measured. Default 0.
    pub mindelay_s: f64,
    /// Asymmetry of the path's jitter, -0.5..=0.5. `None`: it is estimated.
    pub asymmetry: Option<f64>,
    /// Added to measured offsets, in seconds. Default 0.
    pub offset_s: f64,
    /// Fewest samples kept. `None`: the global setting.
    pub minsamples: Option<u32>,
    /// Most samples kept. `None`: the global setting.
    pub maxsamples: Option<u32>,
    /// Polls without a reply after which a selected source is left for others. Default 100000.
    pub maxunreach: u32,
    /// Samples that are reduced to one by the median filter; 0 or 1: no filter. Default 0.
    pub filter: u32,

    // Protocol.
    /// UDP port. Default 123.
    pub port: u16,
    /// Protocol version of requests, 1..=4. `None`: 4, or what authentication needs.
    pub version: Option<u8>,
    /// Interleaved mode.
    pub xleave: bool,
    /// Take over the server's stratum and reference ID.
    pub copy: bool,
    /// Experimental extension fields to add to requests.
    pub extfields: Vec<ExtensionField>,
    /// The only family that the name is resolved to.
    pub family: Option<Family>,

    // Authentication.
    /// Symmetric key, from 1.
    pub key: Option<u32>,
    /// Network Time Security.
    pub nts: bool,
    /// TCP port of key establishment. Default 4460.
    pub ntsport: u16,
    /// Set of trusted certificates. Default 0.
    pub certset: u32,

    // Pools.
    /// Most sources of a pool, 1..=16. Default 4.
    pub maxsources: u8,
}

/// `extfield TYPE`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionField {
    /// `F323`: monotonic timestamps and precise root delay and dispersion.
    ExperimentalMonoRoot,
    /// `010A` (formerly `F324`): correction by switches and routers on the path.
    NetworkCorrection,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            minpoll_log2: 6,
            maxpoll_log2: 10,
            iburst: false,
            burst: false,
            offline: false,
            auto_offline: false,
            polltarget: 8,
            presend_log2: None,
            prefer: false,
            noselect: false,
            trust: false,
            require: false,
            minstratum: 0,
            maxdelay_s: 3.0,
            maxdelayratio: 0.0,
            maxdelaydevratio: 10.0,
            maxdelayquant: 0.0,
            mindelay_s: 0.0,
            asymmetry: None,
            offset_s: 0.0,
            minsamples: None,
            maxsamples: None,
            maxunreach: 100_000,
            filter: 0,
            port: 123,
            version: None,
            xleave: false,
            copy: false,
            extfields: Vec::new(),
            family: None,
            key: None,
            nts: false,
            ntsport: 4460,
            certset: 0,
            maxsources: 4,
        }
    }
}

/// Reads the rest of a `server` line.
pub(super) fn read_server<'a>(
    config: &mut Config,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    read(SourceKind::Server, config, statement, owner)
}

/// Reads the rest of a `pool` line.
pub(super) fn read_pool<'a>(
    config: &mut Config,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    read(SourceKind::Pool, config, statement, owner)
}

/// Reads the rest of a `peer` line.
pub(super) fn read_peer<'a>(
    config: &mut Config,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    read(SourceKind::Peer, config, statement, owner)
}

fn read<'a>(
    kind: SourceKind,
    config: &mut Config,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    // A bad host must not hide bad options.
    let host = statement.host(owner.part("host"));
    let mut written = Written::default();
    let options = read_options(statement, owner.subject.name, OPTIONS, &mut written);
    let host = host?;
    options?;
    let Written { mut options, maxpoll_log2, maxsources } = written;
    settle_maxpoll(&mut options, maxpoll_log2, statement, owner);
    if kind != SourceKind::Pool && maxsources {
        statement.report(owner.word, Problem::MaxsourcesOfServer);
    }
    config.sources.push(statement.locate(Source { kind, host, options }, owner.word));
    Ok(())
}

/// Options as they are being read.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) options: SourceOptions,
    /// `maxpoll`, if it was written.
    pub(super) maxpoll_log2: Option<i8>,
    /// Whether `maxsources` was written.
    pub(super) maxsources: bool,
}

/// Like chrony, raises `maxpoll` to `minpoll`; says so when both cannot be had.
fn settle_maxpoll(
    options: &mut SourceOptions,
    written_log2: Option<i8>,
    statement: &mut Statement<'_, '_>,
    owner: Owner<'_>,
) {
    let minpoll = options.minpoll_log2;
    let maxpoll = written_log2.unwrap_or(options.maxpoll_log2);
    options.maxpoll_log2 = maxpoll.max(minpoll);
    if written_log2.is_some_and(|maxpoll| maxpoll < minpoll) {
        statement.report(owner.word, Problem::MaxpollRaised { minpoll, maxpoll });
    }
}
