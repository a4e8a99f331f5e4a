//! Where a load may go: loopback, an address of this machine, a network of namespaces that hardware does not belong
//! to, or an address that the operator named twice. Everything else is refused.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use ntp_common::wire::NTP_PORT;
use serde_json::Value;

/// Why an address is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Loopback, or another address of this machine.
    Own,
    /// A neighbour in a namespace that is not the machine's own and has no interface but virtual ones.
    Namespace,
    /// The operator named it by `--allow-remote`.
    Remote,
}

/// A server to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its address and port.
    pub address: SocketAddr,
    /// Why it is allowed.
    pub scope: Scope,
}

/// What decides.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// This namespace's addresses and the lengths of their prefixes.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether this namespace is another than the machine's own and has only interfaces that no hardware is behind.
    pub is_secluded: bool,
}

impl Scope {
    /// Whether server and client read the same clock.
    #[must_use]
    pub const fn shares_clock(self) -> bool {
        !matches!(self, Self::Remote)
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:1123`, `2001:db8::1` or `[2001:db8::1]:1123`.
///
/// # Errors
/// It is none of these. Names are not looked up: what a load is sent to should be beyond doubt.
pub fn server(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>();
    let without = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, NTP_PORT));
    with_port.or_else(|_| without()).map_err(|_| {
        format!("`{text}` is no address, as 192.0.2.1, 192.0.2.1:1123 or [2001:db8::1]:1123 are")
    })
}

/// Judges whether a load may go to `address`.
///
/// # Errors
/// It may not; the error says how to allow it.
pub fn judge(
    address: SocketAddr,
    allowed: Option<IpAddr>,
    surroundings: &Surroundings,
) -> Result<Target, String> {
    let ip = address.ip();
    let is_own = ip.is_loopback() || surroundings.addresses.iter().any(|(own, _)| *own == ip);
    let is_neighbour = surroundings.addresses.iter().any(|own| is_in_network(ip, *own));
    let scope = if is_own {
        Scope::Own
    } else if surroundings.is_secluded && is_neighbour {
        Scope::Namespace
    } else if allowed == Some(ip) {
        Scope::Remote
    } else {
        return Err(format!(
            "{ip} is not on this machine: a load is sent to loopback, to an address of this machine, or within \
             network namespaces without hardware. If {ip} is yours to load, and the networks on the way are, say \
             `--allow-remote {ip}`"
        ));
    };
    Ok(Target { address, scope })
}

impl Surroundings {
    /// Looks at the namespace of this thread.
    #[must_use]
    pub fn read() -> Self {
        Self { addresses: addresses(), is_secluded: is_other_namespace() && !has_hardware() }
    }

    /// This namespace's address in the network of `address`.
    #[must_use]
    pub fn towards(&self, address: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().find(|own| is_in_network(address, **own)).map(|(own, _)| *own)
    }
}

fn addresses() -> Vec<(IpAddr, u8)> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let ip = |storage: Option<SockaddrStorage>| -> Option<IpAddr> {
        let storage = storage?;
        let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    interfaces
        .filter_map(|interface| {
            let prefix = match ip(interface.netmask)? {
                IpAddr::V4(mask) => mask.to_bits().leading_ones(),
                IpAddr::V6(mask) => mask.to_bits().leading_ones(),
            };
            Some((ip(interface.address)?, u8::try_from(prefix).ok()?))
        })
        .collect()
}

fn is_in_network(address: IpAddr, (own, prefix): (IpAddr, u8)) -> bool {
    let (bits, width) = match (address, own) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits() ^ other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    bits.checked_shr(width - u32::from(prefix).min(width)).unwrap_or(0) == 0
}

/// Whether this namespace was made by somebody: it has a name (`ip netns`), or is not that of the first process.
fn is_other_namespace() -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|data| (data.dev(), data.ino())).ok();
    let Some(own) = identity(Path::new("/proc/thread-self/ns/net")) else { return false };
    let first = identity(Path::new("/proc/1/ns/net"));
    let mut names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    first.is_some_and(|first| first != own) || names.any(|name| identity(&name.path()) == Some(own))
}

/// Whether an interface here leads to hardware, or may: what is not known to be virtual counts.
fn has_hardware() -> bool {
    let output = Command::new("ip").args(["-json", "-details", "link", "show"]).output();
    let said = output.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok());
    said.is_none_or(|said| leads_out(&said))
}

fn leads_out(links: &Value) -> bool {
    let Some(links) = links.as_array() else { return true };
    links.iter().any(|link| {
        let is_loopback = link["link_type"] == "loopback";
        let kind = link.pointer("/linkinfo/info_kind").and_then(Value::as_str);
        !is_loopback && !matches!(kind, Some("veth" | "vlan" | "dummy"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, allowed: Option<&str>, is_secluded: bool, expected: Option<Scope>) {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let surroundings = Surroundings {
            addresses: vec![
                (parse("10.1.0.2"), 24),
                (parse("fd00::2"), 64),
                (parse("127.0.0.1"), 8),
            ],
            is_secluded,
        };
        let judged = judge(server(address).unwrap(), allowed.map(parse), &surroundings);
        assert_eq!(judged.as_ref().ok().map(|target| target.scope), expected, "{address}");
        if let Err(error) = judged {
            assert!(error.contains("--allow-remote"), "{error}");
        }
    }

    #[test]
    fn load_goes_nowhere_that_was_not_allowed() {
        for secluded in [false, true] {
            check("127.0.0.1", None, secluded, Some(Scope::Own));
            check("127.9.9.9:1123", None, secluded, Some(Scope::Own));
            check("::1", None, secluded, Some(Scope::Own));
            check("10.1.0.2", None, secluded, Some(Scope::Own));
            check("10.1.1.1", None, secluded, None);
            check("192.0.2.1", None, secluded, None);
            check("192.0.2.1", Some("192.0.2.2"), secluded, None);
            check("192.0.2.1", Some("192.0.2.1"), secluded, Some(Scope::Remote));
            check("fd00:0:0:1::1", None, secluded, None);
        }
        check("10.1.0.1", None, true, Some(Scope::Namespace));
        check("10.1.0.1", None, false, None);
        check("[fd00::1]:123", None, true, Some(Scope::Namespace));
        check("fd00::1", None, false, None);
    }

    #[test]
    fn namespace_with_anything_but_virtual_links_leads_out() {
        let link =
            |kind: &str| format!(r#"{{"link_type":"ether","linkinfo":{{"info_kind":"{kind}"}}}}"#);
        let check = |links: &str, expected: bool| {
            assert_eq!(leads_out(&serde_json::from_str(links).unwrap()), expected, "{links}");
        };
        check(r#"[{"link_type":"loopback"}]"#, false);
        check(&format!(r#"[{{"link_type":"loopback"}},{},{}]"#, link("veth"), link("vlan")), false);
        check(&format!("[{}]", link("macvlan")), true);
        check(r#"[{"link_type":"ether"}]"#, true);
        check("{}", true);
    }

    #[test]
    fn servers_are_addresses() {
        assert_eq!(server("192.0.2.1").unwrap().port(), 123);
        assert_eq!(server("[2001:db8::1]:1123").unwrap().port(), 1123);
        for wrong in ["", "pool.ntp.org", "192.0.2", "2001:db8::1]:1"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
