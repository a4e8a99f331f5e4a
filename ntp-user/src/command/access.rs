//! Who may ask over the network: `cmdallow` and `cmddeny`, with the meaning that `allow` and `deny` have.

use std::net::IpAddr;

use ntp_engine::conf::{AccessRule, AccessTarget};

use crate::access::{AccessRules, HostAddresses, TooManyRules, add_rule};
use crate::resolver::Resolved;
use crate::serving::access_list::AccessList;

/// The rules, as far as they are known.
pub(crate) struct CommandAccess {
    rules: Vec<AccessRule>,
    hosts: HostAddresses,
    list: AccessList,
}

impl CommandAccess {
    /// Rules in the order of the configuration.
    ///
    /// # Errors
    /// [`TooManyRules`].
    pub(crate) fn new(rules: Vec<AccessRule>) -> Result<Self, TooManyRules> {
        let hosts = HostAddresses::new();
        let list = AccessList::compile(&AccessRules::from_config(&rules, &hosts))?;
        Ok(Self { rules, hosts, list })
    }

    /// Whether somebody at `address` is answered. This host always is, at its loopback address.
    #[must_use]
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        is_loopback(address) || self.allows(address)
    }

    /// Whether the rules allow `address`.
    #[must_use]
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.list.allows(address)
    }

    /// Adds a rule.
    ///
    /// # Errors
    /// [`TooManyRules`], with nothing changed.
    pub(crate) fn add(&mut self, rule: AccessRule) -> Result<(), TooManyRules> {
        let mut rules = self.rules.clone();
        add_rule(&mut rules, rule);
        self.list = AccessList::compile(&AccessRules::from_config(&rules, &self.hosts))?;
        self.rules = rules;
        Ok(())
    }

    /// Hosts that rules name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| match &rule.target {
            AccessTarget::Name(name) => Some(name.as_str()),
            AccessTarget::Everyone | AccessTarget::Network(_) => None,
        })
    }

    /// Takes the address of a host that rules name.
    pub(crate) fn host_resolved(&mut self, resolved: &Resolved) {
        let is_named = self.names().any(|name| name == resolved.name);
        let Some(&address) = resolved.addresses.first().filter(|_| is_named) else { return };
        self.hosts.insert(resolved.name.clone(), address);
        match AccessList::compile(&AccessRules::from_config(&self.rules, &self.hosts)) {
            Ok(list) => self.list = list,
            Err(error) => tracing::error!(%error, "Command access rules stay as they were"),
        }
    }
}

/// Whether a packet from `address` can only come from this host. Of `127.0.0.0/8`, that is the one address
/// that chrony always admits.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address == std::net::Ipv4Addr::LOCALHOST,
        IpAddr::V6(address) => address == std::net::Ipv6Addr::LOCALHOST,
    }
}
