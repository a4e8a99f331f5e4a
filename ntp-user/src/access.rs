//! Access rules with chrony's meaning, and their compilation into the tables that both paths look up.
//!
//! The most specific rule for an address decides; without one the address is denied. `all` removes the
//! rules for parts of its network; a later rule for the same network replaces the earlier one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ntp_common::acl::{AclTable, FamilyRule, RULE_CAPACITY, TableFull};
use ntp_engine::conf::{AccessRule, AccessTarget, Verdict};

/// Addresses of the hosts that rules name, as far as they are known.
pub type HostAddresses = BTreeMap<String, IpAddr>;

/// A set of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessRules {
    v4: BTreeMap<Ipv4Net, bool>,
    v6: BTreeMap<Ipv6Net, bool>,
}

/// There are more rules than a table takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many access rules: {RULE_CAPACITY} of each address family are sure to fit")]
pub struct TooManyRules;

impl From<TableFull> for TooManyRules {
    fn from(_: TableFull) -> Self {
        Self
    }
}

/// Adds a rule to a list, and leaves out the earlier ones that it makes void: however often rules are added, the
/// list is no longer than twice the number of their targets.
pub fn add_rule(rules: &mut Vec<AccessRule>, rule: AccessRule) {
    rules.retain(|earlier| {
        let is_below = match (&rule.target, &earlier.target) {
            (AccessTarget::Everyone, _) => true,
            (AccessTarget::Network(network), AccessTarget::Network(part)) => network.contains(part),
            (AccessTarget::Network(_) | AccessTarget::Name(_), _) => false,
        };
        let is_same = !earlier.all && earlier.target == rule.target;
        !(is_same || rule.all && is_below)
    });
    rules.push(rule);
}

/// What holds for each family, where the table decides if it is [`FamilyRule::Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyRules {
    /// For IPv4 clients.
    pub v4: FamilyRule,
    /// For IPv6 clients.
    pub v6: FamilyRule,
}

impl FamilyRules {
    /// Whether a table is needed.
    #[must_use]
    pub fn need_table(self) -> bool {
        self.v4 == FamilyRule::Table || self.v6 == FamilyRule::Table
    }
}

impl AccessRules {
    /// Takes rules in the order of a configuration. A host whose address is not known has no effect yet.
    pub fn from_config<'a>(
        rules: impl IntoIterator<Item = &'a AccessRule>,
        hosts: &HostAddresses,
    ) -> Self {
        let mut set = Self::default();
        for rule in rules {
            let allow = rule.verdict == Verdict::Allow;
            match &rule.target {
                AccessTarget::Everyone => {
                    set.lay(IpNet::V4(Ipv4Net::default()), allow, rule.all);
                    set.lay(IpNet::V6(Ipv6Net::default()), allow, rule.all);
                }
                AccessTarget::Network(network) => set.lay(*network, allow, rule.all),
                AccessTarget::Name(name) => {
                    if let Some(&address) = hosts.get(name) {
                        set.lay(IpNet::from(address), allow, rule.all);
                    }
                }
            }
        }
        set
    }

    /// Adds a rule; with `all`, the rules for parts of `network` are removed first.
    pub fn lay(&mut self, network: IpNet, allow: bool, all: bool) {
        match network {
            IpNet::V4(network) => {
                let network = network.trunc();
                if all {
                    self.v4.retain(|part, _| !network.contains(part));
                }
                self.v4.insert(network, allow);
            }
            IpNet::V6(network) => {
                let network = network.trunc();
                if all {
                    self.v6.retain(|part, _| !network.contains(part));
                }
                self.v6.insert(network, allow);
            }
        }
    }

    /// What holds for each family as a whole.
    #[must_use]
    pub fn families(&self) -> FamilyRules {
        FamilyRules { v4: uniform(&self.changes_v4()), v6: uniform(&self.changes_v6()) }
    }

    /// Writes the rules into a table, replacing what was in it. Gives the octets of it that lookups may read.
    ///
    /// # Errors
    /// [`TooManyRules`]; the table then holds some of the rules and must not be used.
    pub fn compile(&self, table: &mut AclTable) -> Result<usize, TooManyRules> {
        Ok(table.fill(&self.changes_v4(), &self.changes_v6())?)
    }

    fn changes_v4(&self) -> Vec<u32> {
        let changes = changes(self.v4.iter().map(|(network, &allow)| Interval {
            first: network.network().to_bits().into(),
            last: network.broadcast().to_bits().into(),
            allow,
        }));
        // The one behind the last address is none.
        changes.into_iter().filter_map(|change| u32::try_from(change).ok()).collect()
    }

    fn changes_v6(&self) -> Vec<u128> {
        changes(self.v6.iter().map(|(network, &allow)| Interval {
            first: network.network().to_bits(),
            last: network.broadcast().to_bits(),
            allow,
        }))
    }
}

/// The addresses that one rule is about.
struct Interval {
    first: u128,
    last: u128,
    allow: bool,
}

/// Sweeps over intervals that contain one another or are apart, and gives the addresses from which on the
/// verdict changes, starting from "denied"; the last change holds up to the end of the address space.
fn changes(intervals: impl Iterator<Item = Interval>) -> Vec<u128> {
    let mut intervals: Vec<_> = intervals.collect();
    intervals.sort_by_key(|interval| (interval.first, std::cmp::Reverse(interval.last)));
    let mut changes = Changes(Vec::new());
    let mut around: Vec<Interval> = Vec::new();
    for interval in intervals {
        close(&mut around, &mut changes, Some(interval.first));
        changes.from(interval.first, interval.allow);
        around.push(interval);
    }
    close(&mut around, &mut changes, None);
    changes.finish()
}

/// Leaves the intervals that end before `next`, or all of them.
fn close(around: &mut Vec<Interval>, changes: &mut Changes, next: Option<u128>) {
    while let Some(inner) = around.pop_if(|inner| next.is_none_or(|next| inner.last < next)) {
        if let Some(after) = inner.last.checked_add(1) {
            changes.from(after, around.last().is_some_and(|outer| outer.allow));
        }
    }
}

/// Verdicts by the address from which on they hold, in ascending order.
struct Changes(Vec<(u128, bool)>);

impl Changes {
    fn from(&mut self, address: u128, allow: bool) {
        if self.0.last().is_some_and(|&(last, _)| last == address) {
            self.0.pop();
        }
        self.0.push((address, allow));
    }

    /// Leaves out what changes nothing.
    fn finish(self) -> Vec<u128> {
        let mut verdict = false;
        self.0
            .into_iter()
            .filter(|&(_, allow)| std::mem::replace(&mut verdict, allow) != allow)
            .map(|(address, _)| address)
            .collect()
    }
}

/// What holds for a whole family, if one thing does.
fn uniform<T: PartialEq + Default>(changes: &[T]) -> FamilyRule {
    match changes {
        [] => FamilyRule::Deny,
        [everything] if *everything == T::default() => FamilyRule::Allow,
        _ => FamilyRule::Table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::acl_table::zeroed_table;
    use crate::serving::access_list::AccessList;
    use ntp_engine::conf::parse;
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn rules(text: &str) -> AccessRules {
        let parsed = parse("test.conf", text).unwrap();
        AccessRules::from_config(
            parsed.config.access.iter().map(|rule| &rule.value),
            &HostAddresses::new(),
        )
    }

    fn check(text: &str, allowed: &[&str], denied: &[&str]) {
        let access = AccessList::compile(&rules(text)).unwrap();
        for address in allowed {
            assert!(access.allows(address.parse().unwrap()), "{text:?} denies {address}");
        }
        for address in denied {
            assert!(!access.allows(address.parse().unwrap()), "{text:?} allows {address}");
        }
    }

    #[test]
    fn nobody_is_allowed_without_a_rule() {
        check("", &[], &["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"]);
    }

    #[test]
    fn most_specific_rule_wins_in_whatever_order_they_come() {
        for text in
            ["allow 10/8\ndeny 10.1/16\nallow 10.1.2.3", "allow 10.1.2.3\ndeny 10.1/16\nallow 10/8"]
        {
            check(text, &["10.0.0.1", "10.1.2.3"], &["10.1.2.4", "11.0.0.1", "2001:db8::1"]);
        }
    }

    #[test]
    fn all_removes_the_rules_below_and_no_others() {
        check("deny 10.1/16\nallow all 10/8", &["10.1.0.1"], &["11.0.0.1"]);
        check("allow 11/8\ndeny 10.1/16\nallow all 10/8", &["10.1.0.1", "11.0.0.1"], &[]);
        check("allow 10/8\ndeny all", &[], &["10.0.0.1", "2001:db8::1"]);
        check("allow 10/8\ndeny", &["10.0.0.1"], &["192.0.2.1", "2001:db8::1"]);
    }

    #[test]
    fn later_rule_for_the_same_network_replaces_the_earlier() {
        check("allow 10/8\ndeny 10/8", &[], &["10.0.0.1"]);
        check("deny ::/0\nallow ::/0", &["2001:db8::1"], &["10.0.0.1"]);
    }

    #[test]
    fn rules_of_one_family_say_nothing_about_the_other() {
        check("allow 0.0.0.0/0", &["192.0.2.1"], &["2001:db8::1"]);
        check("allow 2001:db8::/32", &["2001:db8:ffff::1"], &["192.0.2.1", "2001:db9::1"]);
    }

    #[test]
    fn table_is_left_out_where_one_rule_holds_for_all() {
        use FamilyRule::{Allow, Deny, Table};
        for (text, v4, v6) in [
            ("", Deny, Deny),
            ("allow", Allow, Allow),
            ("allow\nallow 10/8", Allow, Allow),
            ("deny 10/8", Deny, Deny),
            ("allow 0.0.0.0/1\nallow 128.0.0.0/1", Allow, Deny),
            ("allow\ndeny 2001:db8::1", Allow, Table),
            ("allow 10/8", Table, Deny),
            ("allow 0.0.0.0/0", Allow, Deny),
            ("allow ::/96", Deny, Table),
        ] {
            assert_eq!(rules(text).families(), FamilyRules { v4, v6 }, "{text:?}");
        }
    }

    #[test]
    fn host_is_allowed_once_its_address_is_known() {
        let parsed = parse("test.conf", "allow ntp.example.net").unwrap();
        let list = || parsed.config.access.iter().map(|rule| &rule.value);
        let mut hosts = HostAddresses::new();
        assert_eq!(AccessRules::from_config(list(), &hosts), AccessRules::default());
        hosts.insert("ntp.example.net".to_owned(), IpAddr::from([192, 0, 2, 7]));
        assert_eq!(AccessRules::from_config(list(), &hosts), rules("allow 192.0.2.7"));
    }

    #[test]
    fn more_rules_than_the_table_takes_are_refused() {
        let mut set = AccessRules::default();
        for index in 0..40_000u128 {
            set.lay(IpNet::from(IpAddr::from(Ipv6Addr::from_bits(index << 8))), true, false);
        }
        assert_eq!(set.compile(&mut zeroed_table()), Err(TooManyRules));
        let spread = (0..40_000u32).map(|index| index << 16 | 1);
        assert_eq!(hosts_v4(spread).compile(&mut zeroed_table()), Err(TooManyRules));
    }

    fn hosts_v4(addresses: impl Iterator<Item = u32>) -> AccessRules {
        let mut set = AccessRules::default();
        for address in addresses {
            set.lay(IpNet::from(IpAddr::from(Ipv4Addr::from_bits(address))), true, false);
        }
        set
    }

    #[test]
    fn as_many_rules_as_are_sure_to_fit_do_where_they_need_most_room() {
        let capacity = u32::try_from(RULE_CAPACITY).unwrap();
        // Three divide a network of 16 bits, and one of 24 bits if they are in the same.
        let thirds = |step| hosts_v4((0..capacity).map(move |i| ((i / 3) << 16) + i % 3 * step));
        let apart = hosts_v4((0..capacity).map(|i| i << 16 | 1));
        for mut set in [thirds(2), thirds(0x100), apart] {
            for index in 0..RULE_CAPACITY as u128 {
                let host = Ipv6Addr::from_bits(2 * index + 1);
                set.lay(IpNet::from(IpAddr::from(host)), true, false);
            }
            let access = AccessList::compile(&set).unwrap();
            let hosts_v4 = set.v4.keys().map(|host| host.network().to_bits());
            let hosts_v6 = set.v6.keys().map(|host| host.network().to_bits());
            let pairs_v4 = hosts_v4
                .map(|host| [host, host ^ 1].map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits))));
            let pairs_v6 = hosts_v6
                .map(|host| [host, host ^ 1].map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits))));
            for [host, beside] in pairs_v4.chain(pairs_v6) {
                assert!(access.allows(host) && !access.allows(beside), "{host}");
            }
        }
    }

    #[test]
    fn lookups_among_ten_thousand_mixed_networks_read_little_memory() {
        let lengths = [16, 20, 22, 24, 24, 24, 24, 28, 32];
        for (rules, most_octets) in [(0, 33_000), (100, 34_000), (10_000, 112_000)] {
            let mut rng = StdRng::seed_from_u64(1);
            let mut set = AccessRules::default();
            for _ in 0..rules {
                let len = lengths[rng.random_range(0..lengths.len())];
                let address = IpAddr::from(Ipv4Addr::from_bits(rng.random()));
                set.lay(IpNet::new(address, len).unwrap(), true, false);
            }
            let octets = set.compile(&mut zeroed_table()).unwrap();
            assert!(octets < most_octets, "{rules} rules: {octets} octets");
        }
    }

    #[test]
    fn crowded_networks_agree_with_the_linear_model_at_every_address() {
        let mut rng = StdRng::seed_from_u64(3);
        for round in 0..40 {
            let mut rules = Vec::new();
            let (bits, allow) = (rng.random_range(8..16), rng.random());
            rules.push(("10.1.0.0/16".parse().unwrap(), allow, false));
            for _ in 0..rng.random_range(0..60) {
                let address = 0x0a01_0000 | rng.random::<u32>() >> (32 - bits);
                let len = rng.random_range(17..=32);
                let network = IpNet::new(IpAddr::from(Ipv4Addr::from_bits(address)), len);
                rules.push((network.unwrap().trunc(), rng.random(), false));
            }
            let mut set = AccessRules::default();
            for &(network, allow, all) in &rules {
                set.lay(network, allow, all);
            }
            let (access, kept) = (AccessList::compile(&set).unwrap(), kept(&rules));
            let beyond = (0..=0xffff).step_by(251);
            for end in (0..1 << bits).chain(beyond) {
                let address = IpAddr::from(Ipv4Addr::from_bits(0x0a01_0000 | end));
                assert_eq!(access.allows(address), model(&kept, address), "{round}: {address}");
            }
        }
    }

    /// The rules that are left when each was laid over those before it.
    fn kept(rules: &[(IpNet, bool, bool)]) -> Vec<(IpNet, bool)> {
        let mut kept: Vec<(IpNet, bool)> = Vec::new();
        for &(network, allow, all) in rules {
            kept.retain(|(part, _)| *part != network && !(all && network.contains(part)));
            kept.push((network, allow));
        }
        kept
    }

    /// What they say, looked up one by one.
    fn model(kept: &[(IpNet, bool)], address: IpAddr) -> bool {
        kept.iter()
            .filter(|(network, _)| network.contains(&address))
            .max_by_key(|(network, _)| network.prefix_len())
            .is_some_and(|&(_, allow)| allow)
    }

    /// Addresses that are close together in a few places, so that networks overlap.
    fn bits() -> impl Strategy<Value = u128> {
        (
            prop_oneof![Just(0u128), Just(u128::MAX), Just(0x2001_0db8 << 96)],
            0u8..128,
            any::<u128>(),
        )
            .prop_map(|(base, shift, noise)| base ^ (noise >> shift))
    }

    fn v4(bits: u128) -> Ipv4Addr {
        Ipv4Addr::from_bits(((bits ^ bits >> 96) & 0xffff_ffff).try_into().unwrap())
    }

    fn network() -> impl Strategy<Value = IpNet> {
        (bits(), 0u8..=128, any::<bool>()).prop_map(|(bits, len, is_v4)| {
            let network = if is_v4 {
                IpNet::new(v4(bits).into(), len / 4)
            } else {
                IpNet::new(Ipv6Addr::from_bits(bits).into(), len)
            };
            network.unwrap().trunc()
        })
    }

    /// A rule for a network that overlaps with others.
    fn random_rule(rng: &mut StdRng) -> AccessRule {
        let bases = [0, u128::MAX, 0x2001_0db8 << 96];
        let bits = bases[rng.random_range(0..bases.len())]
            ^ (rng.random::<u128>() >> rng.random_range(0..128));
        let network = if rng.random() {
            IpNet::new(v4(bits).into(), rng.random_range(0..=32))
        } else {
            IpNet::new(Ipv6Addr::from_bits(bits).into(), rng.random_range(0..=128))
        };
        let target = if rng.random_ratio(1, 30) {
            AccessTarget::Everyone
        } else {
            AccessTarget::Network(network.unwrap().trunc())
        };
        let verdict = if rng.random() { Verdict::Allow } else { Verdict::Deny };
        AccessRule { verdict, all: rng.random_ratio(1, 8), target }
    }

    #[test]
    fn rules_that_are_added_at_run_time_agree_with_the_linear_model_on_a_million_pairs() {
        const ADDRESSES: usize = 1_000;
        let mut rng = StdRng::seed_from_u64(7);
        let (mut rules, mut history) = (Vec::new(), Vec::new());
        for change in 0..1_000 {
            if change % 50 == 0 {
                (rules, history) = (Vec::new(), Vec::new());
            }
            let rule = random_rule(&mut rng);
            let everyone = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
            let networks = match &rule.target {
                AccessTarget::Network(network) => vec![*network],
                AccessTarget::Everyone | AccessTarget::Name(_) => everyone.to_vec(),
            };
            let allow = rule.verdict == Verdict::Allow;
            history.extend(networks.into_iter().map(|network: IpNet| (network, allow, rule.all)));
            add_rule(&mut rules, rule);
            let set = AccessRules::from_config(&rules, &HostAddresses::new());
            let access = AccessList::compile(&set).unwrap();
            let kept = kept(&history);
            for _ in 0..ADDRESSES {
                // Near the edges of a rule, where there is something to be wrong about.
                let (network, ..) = history[rng.random_range(0..history.len())];
                let address = match network.network() {
                    IpAddr::V4(start) => {
                        let noise = rng.random::<u32>() >> rng.random_range(0..32);
                        IpAddr::from(Ipv4Addr::from_bits(start.to_bits() ^ noise))
                    }
                    IpAddr::V6(start) => {
                        let noise = rng.random::<u128>() >> rng.random_range(0..128);
                        IpAddr::from(Ipv6Addr::from_bits(start.to_bits() ^ noise))
                    }
                };
                assert_eq!(access.allows(address), model(&kept, address), "{address}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn table_agrees_with_the_linear_model(
            rules in prop::collection::vec((network(), any::<bool>(), prop::bool::weighted(0.1)), 0..24),
            addresses in prop::collection::vec(bits(), 150),
        ) {
            let mut set = AccessRules::default();
            for &(network, allow, all) in &rules {
                set.lay(network, allow, all);
            }
            let access = AccessList::compile(&set).unwrap();
            let kept = kept(&rules);
            let edges = rules.iter().flat_map(|(network, ..)| [network.network(), network.broadcast()]);
            let random = addresses.iter().flat_map(|&bits| {
                [IpAddr::from(v4(bits)), IpAddr::from(Ipv6Addr::from_bits(bits))]
            });
            for address in edges.chain(random) {
                prop_assert_eq!(access.allows(address), model(&kept, address), "{}", address);
            }
        }
    }
}
