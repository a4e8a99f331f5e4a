//! What the kernel says of a host, whatever the programs in it say: attached XDP programs and their counters,
//! datagrams sent and received.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aya::maps::MapInfo;
use aya::programs::loaded_programs;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use ntp_common::counters::{COUNTER_COUNT, Counters, Family};
use ntp_common::maps::COUNTERS_MAP;
use serde_json::Value;

use crate::{Host, run};

const AT_ONCE: Duration = Duration::from_secs(10);

/// Where in the driver an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before a packet is one of the kernel's.
    Native,
    /// In the kernel, for drivers that know nothing of XDP.
    Generic,
    /// In the device.
    Offloaded,
}

/// An XDP program that is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The program's number in the kernel.
    pub id: u32,
    /// Where it runs.
    pub mode: XdpMode,
}

/// UDP datagrams of a host, of one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Datagrams {
    /// Delivered to sockets.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

/// The XDP program that is attached to `interface` of `host`, if there is one.
///
/// # Errors
/// There is no such interface, or `ip` is too old to say.
pub fn attached_xdp(host: &Host, interface: &str) -> Result<Option<AttachedXdp>> {
    let mut ip = host.command("ip");
    ip.args(["-json", "-details", "link", "show", "dev", interface]);
    let said = run(&mut ip, AT_ONCE)?.success()?.output;
    attachment(&said).with_context(|| format!("`ip` said of {interface}:\n{said}"))
}

fn attachment(said: &str) -> Result<Option<AttachedXdp>> {
    let links: Value = serde_json::from_str(said)?;
    let Some(xdp) = links.get(0).context("no link")?.get("xdp") else { return Ok(None) };
    let mode = match xdp.get("mode").and_then(Value::as_u64) {
        Some(1) => XdpMode::Native,
        Some(2) => XdpMode::Generic,
        Some(3) => XdpMode::Offloaded,
        other => bail!("{other:?} is no known mode of XDP"),
    };
    let id = xdp.pointer("/prog/id").and_then(Value::as_u64).context("a program without number")?;
    Ok(Some(AttachedXdp { id: id.try_into()?, mode }))
}

/// The counters of our XDP program that is attached to `interface` of `host`, summed over the CPUs.
///
/// # Errors
/// None is attached there, or it has no counters as ours have.
pub fn xdp_counters(host: &Host, interface: &str) -> Result<Counters> {
    let attached = attached_xdp(host, interface)?;
    let id = attached.with_context(|| format!("no XDP program on {interface}"))?.id;
    let program = loaded_programs().find_map(|program| program.ok().filter(|info| info.id() == id));
    let maps = program.context("the XDP program is gone")?.map_ids()?.unwrap_or_default();
    for id in maps {
        if MapInfo::from_id(id)?.name_as_str() == Some(COUNTERS_MAP) {
            return counters(id);
        }
    }
    bail!("the XDP program on {interface} has no map {COUNTERS_MAP}")
}

/// The sum of what a map holds for each CPU.
fn counters(map: u32) -> Result<Counters> {
    let info = MapInfo::from_id(map)?;
    let len = usize::try_from(info.value_size())?;
    let size = NonZeroUsize::new(len).context("a map without octets")?;
    // SAFETY: the kernel chooses a place that nothing else is mapped to.
    let memory =
        unsafe { mmap(None, size, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, info.fd()?, 0) }?;
    let words = memory.cast::<u64>();
    let mut sum = [0u64; COUNTER_COUNT];
    for word in 0..len / size_of::<u64>() {
        // SAFETY: the word lies within the memory, which is aligned to a page.
        let word_at = unsafe { words.add(word) };
        // SAFETY: as above; a program may be writing it.
        sum[word % COUNTER_COUNT] += unsafe { word_at.read_volatile() };
    }
    // SAFETY: it was mapped with this length, and nothing points into it.
    unsafe { munmap(memory, len) }?;
    Ok(sum)
}

/// The UDP datagrams of `host` so far.
///
/// # Errors
/// The kernel's table is not to be read.
pub fn datagrams(host: &Host, family: Family) -> Result<Datagrams> {
    let read = |name: &'static str| {
        host.enter(move || Ok(std::fs::read_to_string(format!("/proc/thread-self/net/{name}"))?))
    };
    match family {
        Family::V4 => datagrams_v4(&read("snmp")?),
        Family::V6 => datagrams_v6(&read("snmp6")?),
    }
}

/// Reads a table that has a line of names and below it a line of values.
fn datagrams_v4(table: &str) -> Result<Datagrams> {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let names = lines.next().context("no line of names")?.split(' ');
    let values = lines.next().context("no line of values")?.split(' ');
    let pairs: Vec<(&str, &str)> = names.zip(values).collect();
    both(&pairs, "InDatagrams", "OutDatagrams")
}

/// Reads a table that has a line for each name.
fn datagrams_v6(table: &str) -> Result<Datagrams> {
    let pairs = table.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let pairs: Vec<(&str, &str)> = pairs.map(|(name, value)| (name, value.trim())).collect();
    both(&pairs, "Udp6InDatagrams", "Udp6OutDatagrams")
}

fn both(pairs: &[(&str, &str)], received: &str, sent: &str) -> Result<Datagrams> {
    let value = |wanted: &str| {
        let pair = pairs.iter().find(|(name, _)| *name == wanted);
        let (_, value) = pair.with_context(|| format!("no {wanted}"))?;
        Ok::<u64, anyhow::Error>(value.parse()?)
    };
    Ok(Datagrams { received: value(received)?, sent: value(sent)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachment_is_read_off_what_ip_says() {
        let check = |said: &str, expected: Option<(u32, XdpMode)>| {
            let attached = attachment(said).unwrap();
            assert_eq!(attached.map(|xdp| (xdp.id, xdp.mode)), expected, "{said}");
        };
        check(r#"[{"ifname":"lan"}]"#, None);
        check(r#"[{"xdp":{"mode":1,"prog":{"id":41,"tag":"ab"}}}]"#, Some((41, XdpMode::Native)));
        check(r#"[{"xdp":{"mode":2,"prog":{"id":7}}}]"#, Some((7, XdpMode::Generic)));
        assert!(attachment("[]").is_err());
        assert!(attachment(r#"[{"xdp":{"mode":9,"prog":{"id":7}}}]"#).is_err());
    }

    #[test]
    fn datagrams_are_read_off_both_kinds_of_table() {
        let v4 = "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts OutDatagrams\nUdp: 3 9 5\n\
                  UdpLite: InDatagrams NoPorts OutDatagrams\nUdpLite: 0 0 0\n";
        let v6 = "Ip6InReceives    \t8\nUdp6InDatagrams   \t3\nUdp6OutDatagrams \t5\n";
        let expected = Datagrams { received: 3, sent: 5 };
        assert_eq!(datagrams_v4(v4).unwrap(), expected);
        assert_eq!(datagrams_v6(v6).unwrap(), expected);
        assert!(datagrams_v6("Udp6InDatagrams 3\n").is_err());
    }
}
