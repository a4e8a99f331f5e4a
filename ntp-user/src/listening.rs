//! Where requests may come in: the addresses of each family, and in which of them anybody is allowed. Invariant: no
//! socket is open for a family before anybody may be answered there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread::available_parallelism;

use ntp_common::acl::FamilyRule;
use ntp_engine::conf::{AccessRule, AccessTarget, Config, Verdict};

use crate::access::{AccessRules, FamilyRules};
use crate::net::server_socket::ServerAddresses;
use crate::net::socket::Manner;
use crate::setup::{Means, served_manner};

/// Serving threads when the configuration does not say.
const MAX_DEFAULT_THREADS: usize = 4;

/// The addresses that can be served on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// One of each family of use; none when nobody is served whatever rules say.
    addresses: Vec<SocketAddr>,
    /// Threads that serve; 0: the timekeeping thread does.
    pub(crate) threads: usize,
    /// The CPU of each thread; empty: any.
    pub(crate) cpus: Vec<u16>,
    /// The served UDP port.
    pub(crate) port: u16,
    /// The manner of what is served.
    manner: Manner,
}

impl Listening {
    /// What configuration and command line say.
    pub(crate) fn new(config: &Config, means: Means) -> Self {
        let default =
            || available_parallelism().map_or(1, |cpus| cpus.get().min(MAX_DEFAULT_THREADS));
        let threads = config.serverthreads.map_or_else(default, usize::from);
        let port = if means.is_one_shot { 0 } else { config.port };
        let addresses = [
            IpAddr::V4(config.bindaddress_v4.unwrap_or(Ipv4Addr::UNSPECIFIED)),
            IpAddr::V6(config.bindaddress_v6.unwrap_or(Ipv6Addr::UNSPECIFIED)),
        ];
        let is_of_use = |address: &IpAddr| port != 0 && means.families.include(*address);
        let addresses = addresses.into_iter().filter(is_of_use);
        let addresses = addresses.map(|address| SocketAddr::new(address, port)).collect();
        Self {
            addresses,
            threads,
            cpus: config.servercpus.clone(),
            port,
            manner: served_manner(config),
        }
    }

    /// Whether anybody may be served, now or once somebody is allowed.
    pub(crate) fn is_possible(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// How the sockets of some of the addresses are opened.
    pub(crate) fn sockets(&self, addresses: Vec<SocketAddr>) -> ServerAddresses {
        let (sockets_each, cpus) = (self.threads.max(1), self.cpus.clone());
        ServerAddresses { addresses, sockets_each, cpus, manner: self.manner.clone() }
    }

    /// Whether there are addresses besides those that are `bound`.
    pub(crate) fn may_grow(&self, bound: &[IpAddr]) -> bool {
        self.addresses.iter().any(|address| !bound.contains(&address.ip()))
    }

    /// The addresses of families that anybody is allowed in by `compiled` rules, or may be once the names in
    /// `rules` are resolved.
    pub(crate) fn wanted<'a>(
        &self,
        rules: impl IntoIterator<Item = &'a AccessRule>,
        compiled: &AccessRules,
    ) -> Vec<SocketAddr> {
        let allows_names = rules.into_iter().any(|rule| {
            rule.verdict == Verdict::Allow && matches!(rule.target, AccessTarget::Name(_))
        });
        let FamilyRules { v4, v6 } = compiled.families();
        let is_wanted = |address: &&SocketAddr| {
            let rule = if address.is_ipv4() { v4 } else { v6 };
            rule != FamilyRule::Deny || allows_names
        };
        self.addresses.iter().filter(is_wanted).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::HostAddresses;
    use crate::resolver::Families;
    use ntp_engine::conf::parse;

    fn check(text: &str, families: Families, expected: &[&str]) {
        let config = parse("test", text).unwrap().config;
        let means = Means { follow: true, families, is_one_shot: false };
        let rules: Vec<_> = config.access.iter().map(|rule| rule.value.clone()).collect();
        let compiled = AccessRules::from_config(&rules, &HostAddresses::new());
        let wanted = Listening::new(&config, means).wanted(&rules, &compiled);
        let expected: Vec<SocketAddr> = expected.iter().map(|it| it.parse().unwrap()).collect();
        assert_eq!(wanted, expected, "{text}");
    }

    #[test]
    fn families_are_served_that_somebody_is_allowed_in() {
        let both = &["0.0.0.0:123", "[::]:123"];
        check("", Families::Both, &[]);
        check("allow", Families::Both, both);
        check("allow", Families::V6, &both[1..]);
        check("allow 192.0.2.0/24", Families::Both, &both[..1]);
        check("allow 2001:db8::/32", Families::Both, &both[1..]);
        check("allow ntp.example.net", Families::Both, both);
        check("deny 192.0.2.0/24", Families::Both, &[]);
        check("port 0\nallow", Families::Both, &[]);
        check("bindaddress 192.0.2.1\nport 1123\nallow 0/0", Families::Both, &["192.0.2.1:1123"]);
    }
}
