//! Access rules: compiled for both paths, and in force on both at once. Invariant: rules that can't be put into
//! force change nothing.

use std::collections::BTreeSet;
use std::io;

use ntp_common::acl::AclControl;
use ntp_engine::conf::{AccessRule, AccessTarget};
use ntp_engine::seams::Resolver;

use super::Tasks;
use crate::access::{AccessRules, HostAddresses, TooManyRules, add_rule};
use crate::event_loop::DaemonDriver;
use crate::net::server_socket::{self, ServerSocketError};
use crate::resolver::Resolved;
use crate::serving::access_list::{AccessList, SharedAccess};
use crate::serving::published::Published;

/// Access rules, as far as they are known.
pub(crate) struct Access {
    /// The rules in the order of the configuration.
    pub(crate) rules: Vec<AccessRule>,
    /// Addresses of the hosts that they name.
    pub(crate) hosts: HostAddresses,
    /// Hosts that were said to have no address.
    unresolved: BTreeSet<String>,
    /// Where the user path finds them.
    pub(crate) shared: std::sync::Arc<SharedAccess>,
}

/// Why rules stay as they were.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// They do not fit.
    #[error(transparent)]
    TooMany(#[from] TooManyRules),
    /// Somebody is allowed in a family that nobody was, and there is no socket to be had for it.
    #[error(transparent)]
    NoSocket(#[from] ServerSocketError),
    /// There is a socket, and nobody to serve on it.
    #[error("cannot serve: {0}")]
    NoThread(#[from] io::Error),
}

impl Access {
    /// Rules whose hosts have no addresses yet.
    pub(crate) fn new(rules: Vec<AccessRule>, shared: std::sync::Arc<SharedAccess>) -> Self {
        Self { rules, hosts: HostAddresses::new(), unresolved: BTreeSet::new(), shared }
    }

    fn compiled(&self) -> AccessRules {
        AccessRules::from_config(&self.rules, &self.hosts)
    }

    /// Hosts that rules name.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| match &rule.target {
            AccessTarget::Name(name) => Some(name.as_str()),
            AccessTarget::Everyone | AccessTarget::Network(_) => None,
        })
    }
}

impl Tasks {
    /// Takes the address of a host that access rules name.
    pub(crate) fn host_resolved(&mut self, driver: &DaemonDriver, resolved: &Resolved) {
        let is_named = self.access.names().any(|name| name == resolved.name);
        if !is_named {
            return;
        }
        let Some(&address) = resolved.addresses.first() else {
            return self.unresolved(&resolved.name);
        };
        self.access.unresolved.remove(&resolved.name);
        let earlier = self.access.hosts.insert(resolved.name.clone(), address);
        if earlier == Some(address) {
            return;
        }
        match self.apply_access(&driver.seams().ref_map) {
            Ok(()) => tracing::info!(host = resolved.name, %address, "Access rule takes effect"),
            Err(error) => tracing::error!(%error, "Access rules stay as they were"),
        }
    }

    /// Says once that rules about a host have no effect.
    fn unresolved(&mut self, name: &str) {
        let is_news = !self.access.hosts.contains_key(name);
        if is_news && self.access.unresolved.insert(name.to_owned()) {
            tracing::warn!(
                host = name,
                "Access rules for {name} have no effect: it has no address"
            );
        }
    }

    /// Puts other access rules into force, and gives those that were.
    ///
    /// # Errors
    /// [`AccessError`]; nothing is changed then.
    pub(crate) fn change_access(
        &mut self,
        rules: Vec<AccessRule>,
        driver: &mut DaemonDriver,
    ) -> Result<Vec<AccessRule>, AccessError> {
        let earlier = std::mem::replace(&mut self.access.rules, rules);
        if let Err(error) = self.apply_access(&driver.seams().ref_map) {
            self.access.rules = earlier;
            return Err(error);
        }
        self.resolve_hosts(driver);
        Ok(earlier)
    }

    /// Adds an access rule, which is in force on both paths when this returns.
    ///
    /// # Errors
    /// [`AccessError`], with nothing changed.
    pub(crate) fn add_access(
        &mut self,
        rule: AccessRule,
        driver: &DaemonDriver,
    ) -> Result<(), AccessError> {
        let before = self.access.rules.clone();
        add_rule(&mut self.access.rules, rule);
        let applied = self.apply_access(&driver.seams().ref_map);
        if applied.is_err() {
            self.access.rules = before;
        }
        applied
    }

    /// Has the names in rules resolved.
    pub(super) fn resolve_hosts(&self, driver: &mut DaemonDriver) {
        for name in self.access.names() {
            driver.seams_mut().resolver.resolve(name);
        }
    }

    /// Compiles the rules for XDP, which is yet to be told of them.
    pub(super) fn fill_xdp(&mut self) -> Result<AclControl, TooManyRules> {
        let rules = self.access.compiled();
        self.xdp.as_mut().map_or(Ok(AclControl::DENY_ALL), |xdp| xdp.fill_access(&rules))
    }

    fn apply_access(&mut self, published: &Published) -> Result<(), AccessError> {
        let rules = self.access.compiled();
        let list = AccessList::compile(&rules)?;
        // First there is somebody to answer, then somebody who is answered.
        self.listen(&rules)?;
        let control = self.fill_xdp()?;
        published.set_access(control);
        self.access.shared.replace(list);
        self.refresh_addresses(published);
        Ok(())
    }

    /// Opens the sockets of families that nobody was allowed in so far and somebody is by `rules`.
    fn listen(&mut self, rules: &AccessRules) -> Result<(), AccessError> {
        let bound = &self.served.bound;
        let mut addresses = self.listening.wanted(&self.access.rules, rules);
        addresses.retain(|address| !bound.contains(&address.ip()));
        if addresses.is_empty() {
            return Ok(());
        }
        let wanted = self.listening.sockets(addresses);
        let mut groups = server_socket::open(&wanted)?;
        groups.retain(|group| !group.is_empty());
        self.user_path.add(groups, &self.listening, &self.shared)?;
        let added: Vec<_> = wanted.addresses.iter().map(std::net::SocketAddr::ip).collect();
        tracing::info!(bound = ?added, port = self.listening.port, "Answering in user space, too");
        self.served.bound.extend(added);
        Ok(())
    }
}
