//! Ethernet addresses: of an interface of ours, and of the next hop on the way to a server.

use std::net::IpAddr;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use nix::ifaddrs::getifaddrs;
use serde_json::Value;

/// The Ethernet address of this namespace's interface.
///
/// # Errors
/// There is no such interface, or it has none.
pub fn station_of(interface: &str) -> Result<[u8; 6]> {
    let mut interfaces = getifaddrs()?.filter(|found| found.interface_name == interface);
    interfaces
        .find_map(|found| found.address?.as_link_addr()?.addr())
        .with_context(|| format!("{interface} has no Ethernet address"))
}

/// The Ethernet address of the way to `address`, which the kernel knows since something was sent there.
///
/// # Errors
/// It is not known.
pub fn next_hop(address: IpAddr, interface: &str) -> Result<[u8; 6]> {
    let route = ip(&["route", "get", &address.to_string()])?;
    let gateway = route.pointer("/0/gateway").and_then(Value::as_str).map(str::to_owned);
    let hop = gateway.unwrap_or_else(|| address.to_string());
    let neighbour = ip(&["neigh", "show", "to", &hop, "dev", interface])?;
    let station = neighbour.pointer("/0/lladdr").and_then(Value::as_str);
    let octets: Option<Vec<u8>> = station.and_then(|station| {
        station.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect()
    });
    octets.and_then(|octets| octets.try_into().ok()).ok_or_else(|| {
        anyhow!("the Ethernet address of {hop} is not known on {interface}: give it by --station")
    })
}

fn ip(words: &[&str]) -> Result<Value> {
    let output = Command::new("ip").arg("-json").args(words).output();
    let output = output.context("cannot run `ip` (package iproute2)")?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!("`ip {}`: {}", words.join(" "), String::from_utf8_lossy(&output.stderr))
    })
}
