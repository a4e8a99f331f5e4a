//! `allow`, `deny`, `cmdallow`, `cmddeny`: rules in the order of the file, for the caller to compile
//! (the most specific network wins; a rule with `all` removes the rules below its network).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::config::Config;
use super::error::Problem;
use super::lexer::starts_comment;
use super::source::Host;
use super::statement::{Owner, Read, Statement};
use super::suggest::nearest;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Allow or deny.
    pub verdict: Verdict,
    /// `all`: earlier rules for parts of the target no longer hold.
    pub all: bool,
    /// Whom it is about.
    pub target: AccessTarget,
}

/// What a rule says about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer.
    Allow,
    /// Stay silent.
    Deny,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessTarget {
    /// Everyone, over IPv4 and IPv6.
    Everyone,
    /// A network; the bits beyond the prefix are zero.
    Network(IpNet),
    /// A host by name, to resolve; its one address.
    Name(String),
}

const EXPECTED: &str =
    "an address, a network such as 192.0.2.0/24, 192.0.2, 10/8 or 2001:db8::/32, or a host name";

/// Reads the rest of an `allow` line.
pub(super) fn read_allow<'a>(
    config: &mut Config,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let rule = read(Verdict::Allow, statement, owner)?;
    config.access.push(statement.locate(rule, owner.word));
    Ok(())
}

/// Reads the rest of a `deny` line.
pub(super) fn read_deny<'a>(
    config: &mut Config,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let rule = read(Verdict::Deny, statement, owner)?;
    config.access.push(statement.locate(rule, owner.word));
    Ok(())
}

/// Reads the rest of a `cmdallow` line.
pub(super) fn read_cmdallow<'a>(
    config: &mut Config,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let rule = read(Verdict::Allow, statement, owner)?;
    config.cmd_access.push(statement.locate(rule, owner.word));
    Ok(())
}

/// Reads the rest of a `cmddeny` line.
pub(super) fn read_cmddeny<'a>(
    config: &mut Config,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let rule = read(Verdict::Deny, statement, owner)?;
    config.cmd_access.push(statement.locate(rule, owner.word));
    Ok(())
}

/// `[all] [TARGET]`
fn read<'a>(
    verdict: Verdict,
    statement: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<AccessRule> {
    let all = statement.peek().is_some_and(|word| word.text.eq_ignore_ascii_case("all"));
    if all {
        statement.next();
    }
    // A comment behind the directive must not widen the rule to everyone unnoticed: `end` reports it.
    let target = match statement.peek() {
        None => AccessTarget::Everyone,
        Some(word) if starts_comment(word.text) => AccessTarget::Everyone,
        Some(word) => {
            let target = statement.value(owner.part("target"), EXPECTED, target)?;
            if matches!(target, AccessTarget::Name(_)) && nearest(word.text, ["all"]).is_some() {
                let token = word.text.to_owned();
                statement.report(word, Problem::TakenForName { token, nearest: "all" });
            }
            target
        }
    };
    Ok(AccessRule { verdict, all, target })
}

/// Reads an address, a network in full or chrony's short form, or a name.
fn target(text: &str) -> Option<AccessTarget> {
    let (address, prefix) = match text.split_once('/') {
        None => (text, None),
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        let full = if address.is_ipv4() { 32 } else { 128 };
        return network(address, prefix.unwrap_or(full));
    }
    if let Some((address, short)) = short_ipv4(address) {
        return network(IpAddr::V4(address), prefix.unwrap_or(short));
    }
    match (Host::parse(address)?, prefix) {
        (Host::Name(name), None) => Some(AccessTarget::Name(name)),
        (Host::Name(_) | Host::Address(_), _) => None,
    }
}

fn network(address: IpAddr, prefix: u8) -> Option<AccessTarget> {
    Some(AccessTarget::Network(IpNet::new(address, prefix).ok()?.trunc()))
}

/// One to three decimal numbers: the first bytes of an IPv4 network, and its prefix length.
fn short_ipv4(text: &str) -> Option<(Ipv4Addr, u8)> {
    let mut octets = [0; 4];
    let mut prefix = 0;
    for (index, number) in text.split('.').enumerate() {
        let is_decimal = number.chars().all(|c| c.is_ascii_digit());
        if index == 3 || !is_decimal {
            return None;
        }
        octets[index] = number.parse().ok()?;
        prefix += 8;
    }
    Some((octets.into(), prefix))
}
