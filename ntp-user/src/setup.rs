//! Everything that takes privileges, once, before anything runs: opens the clock, binds sockets, loads and
//! attaches the XDP program. What fails here leaves nothing behind.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use ntp_common::ratelimit::{ClientRules, Limit};
use ntp_engine::conf::{Config, RateLimit, Xdp as WantedXdp, XdpMode};
use ntp_engine::seams::ClockError;
use rand::RngExt;

use crate::access::{AccessRules, HostAddresses};
use crate::bpf::attachment::index_of;
use crate::bpf::earlier_runs::remove_stale_pins;
use crate::bpf::program::Built;
use crate::bpf::xdp::{Loaded, SharedMaps, Xdp, XdpError};
use crate::clock::DaemonClock;
use crate::clock::follow::FollowClock;
use crate::clock::readings::{log2_of, precision_log2};
use crate::clock::reference::{self, Opened};
use crate::clock::system::SystemClock;
use crate::key_file::KeyFile;
use crate::listening::Listening;
use crate::metrics::{Endpoint, EndpointError};
use crate::net::hardware::Hardware;
use crate::net::interleaved::Exchanges;
use crate::net::server_socket;
use crate::net::socket::Manner;
use crate::net::worker::Shared;
use crate::resolver::Families;
use crate::serving::access_list::{AccessList, SharedAccess};
use crate::serving::clients::{Clients, sets_in};
use crate::serving::published::Published;
use crate::serving::ring::OwnedPage;

/// What the command line says about clocks and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Means {
    /// The kernel's clock is left alone (`-x`, `-Q`).
    pub(crate) follow: bool,
    /// Address families of use (`-4`, `-6`).
    pub(crate) families: Families,
    /// Nobody is served (`-q`, `-Q`).
    pub(crate) is_one_shot: bool,
}

/// What was set up.
pub(crate) struct Parts {
    /// The clock to steer.
    pub(crate) clock: DaemonClock,
    /// Where snapshots are published.
    pub(crate) published: Published,
    /// Reference clocks, open.
    pub(crate) refclocks: Vec<Opened>,
    /// Symmetric keys.
    pub(crate) key_file: KeyFile,
    /// What serving threads share.
    pub(crate) shared: Shared,
    /// Server sockets, in a group for each thread; empty when nobody is served.
    pub(crate) sockets: Vec<Vec<OwnedFd>>,
    /// Where requests may come in.
    pub(crate) listening: Listening,
    /// Addresses that are bound.
    pub(crate) bound: Vec<IpAddr>,
    /// Where metrics are asked for; `None`: nowhere.
    pub(crate) metrics: Option<Endpoint>,
    /// XDP, if it is on.
    pub(crate) xdp: Option<Xdp>,
}

/// Sets everything up.
///
/// # Errors
/// What can't be had and not be gone without, in words for the operator.
pub(crate) fn set_up(config: &Config, means: Means) -> anyhow::Result<Parts> {
    check_interfaces(config)?;
    let rules = AccessRules::from_config(
        config.access.iter().map(|rule| &rule.value),
        &HostAddresses::new(),
    );
    let access = AccessList::compile(&rules)?;
    let listening = Listening::new(config, means);
    let addresses = listening.wanted(config.access.iter().map(|rule| &rule.value), &rules);
    let wanted = listening.sockets(addresses);
    let mut sockets = server_socket::open(&wanted)?;
    sockets.retain(|group| !group.is_empty());
    let metrics = metrics(config, means)?;
    let clock = open_clock(means.follow)?;
    let refclocks = reference::open(&config.refclocks)?;
    // Who is not served yet may be allowed later.
    let limits = client_rules(config, listening.is_possible());
    let xdp =
        if means.is_one_shot { None } else { load_xdp(config, listening.is_possible(), limits)? };
    let (xdp, maps) = xdp.unzip();
    let (xdp_page, client_map) = maps.map(|maps| (maps.page, maps.clients)).unzip();
    let clients = match client_map.flatten() {
        Some(map) => Clients::mapped(limits, map),
        None => Clients::on_heap(limits),
    };
    let page = OwnedPage::new();
    let hold = xdp.as_ref().and_then(Xdp::hold);
    let published = Published::new(Arc::clone(&page), xdp_page, hold);
    published.set_clients(&limits);
    let key_file = KeyFile::new(config.keyfile.clone());
    let shared = Shared {
        page,
        access: SharedAccess::new(access),
        keys: Arc::clone(key_file.keys()),
        clients,
        exchanges: Exchanges::new(),
        hardware: Hardware::switch_on(&config.hwtimestamp).map(Arc::new),
        precision_log2: config.clockprecision_s.map_or_else(precision_log2, log2_of),
    };
    Ok(Parts {
        clock,
        published,
        shared,
        refclocks,
        key_file,
        listening,
        bound: wanted.addresses.iter().map(SocketAddr::ip).collect(),
        sockets,
        metrics,
        xdp,
    })
}

/// Refuses interfaces that are not there: more likely a slip of the pen than one that is still to come. Only that of
/// `bindacqdevice` may come later: until then no source is heard.
fn check_interfaces(config: &Config) -> anyhow::Result<()> {
    for xdp in &config.xdp {
        if let Err(error) = index_of(&xdp.value.interface) {
            bail!("{}: {error}", xdp.at);
        }
        check_bound(config, &xdp.value.interface).with_context(|| xdp.at.to_string())?;
    }
    if let Some(interface) = &config.binddevice {
        index_of(interface).context("`binddevice`")?;
    }
    if let Some(interface) = &config.bindacqdevice
        && let Err(error) = index_of(interface)
    {
        tracing::warn!("`bindacqdevice`: {error}: no source can be asked until it does");
    }
    Ok(())
}

/// Checks that XDP answers for the interface that is served alone: on itself, or on one that it consists of, as a bond or a
/// bridge does.
///
/// # Errors
/// What is wrong.
pub(crate) fn check_bound(config: &Config, interface: &str) -> anyhow::Result<()> {
    let Some(served) = &config.binddevice else { return Ok(()) };
    let below = Path::new("/sys/class/net").join(interface).join(format!("upper_{served}"));
    if interface != served && !below.exists() {
        bail!("`xdp {interface}` would answer there, and `binddevice` serves {served} alone");
    }
    Ok(())
}

/// The manner of what is served.
pub(crate) fn served_manner(config: &Config) -> Manner {
    Manner { interface: config.binddevice.clone(), dscp: config.dscp }
}

fn metrics(config: &Config, means: Means) -> Result<Option<Endpoint>, EndpointError> {
    let is_wanted = !config.metricsaddress.is_empty() && !means.is_one_shot;
    is_wanted.then(|| Endpoint::bind(&config.metricsaddress)).transpose()
}

fn open_clock(follow: bool) -> anyhow::Result<DaemonClock> {
    if follow {
        tracing::info!("Disabled control of system clock");
        return Ok(DaemonClock::Follow(FollowClock::start()));
    }
    match SystemClock::open() {
        Ok(clock) => Ok(DaemonClock::System(clock)),
        Err(error @ ClockError::NotPermitted) => {
            bail!("{error}; with -x it is left alone, and the time is served all the same")
        }
        Err(error) => Err(error.into()),
    }
}

/// Says how often each client is answered.
pub(crate) fn log_limit(config: &Config) {
    let Some(RateLimit { interval_log2, burst, .. }) = config.ratelimit else {
        return tracing::info!("Clients are no longer limited");
    };
    tracing::info!(interval_log2, burst, "Clients are limited");
}

/// How clients are counted and limited: by places in a table that nobody else can foretell.
pub(crate) fn client_rules(config: &Config, may_serve: bool) -> ClientRules {
    if !config.clientlog || !may_serve {
        return ClientRules::OFF;
    }
    let sets = sets_in(config.clientloglimit_bytes);
    let prefix = config.ratelimitprefix;
    let rules = ClientRules::new(sets, rand::rng().random())
        .with_prefixes(prefix.v4_bits.into(), prefix.v6_bits.into());
    config.ratelimit.map_or(rules, |limit| {
        let RateLimit { interval_log2, burst, leak_log2, kod_log2 } = limit;
        rules.with_limit(Limit { interval_log2, burst, leak_log2, kod_log2 })
    })
}

/// Loads XDP if it is asked for and of use. Interfaces whose mode is `auto` can go without.
fn load_xdp(
    config: &Config,
    may_serve: bool,
    clients: ClientRules,
) -> anyhow::Result<Option<(Xdp, SharedMaps)>> {
    let wanted: Vec<WantedXdp> = config.xdp.iter().map(|xdp| xdp.value.clone()).collect();
    remove_stale_pins(if may_serve { &wanted } else { &[] });
    if wanted.is_empty() {
        return Ok(None);
    }
    if !may_serve {
        tracing::warn!("`xdp` has no effect: nobody is served without a `port`");
        return Ok(None);
    }
    let built = Built { port: config.port, client_sets: clients.sets };
    let attached = Loaded::new(built).and_then(|loaded| loaded.attach(&wanted));
    match attached {
        Ok((xdp, _)) if xdp.interfaces().is_empty() => Ok(None),
        Ok(attached) => Ok(Some(attached)),
        Err(error @ XdpError::Load(_)) if wanted.iter().all(|xdp| xdp.mode == XdpMode::Auto) => {
            tracing::warn!(%error, "Serving without XDP");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
