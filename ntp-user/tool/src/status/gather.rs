//! Asks for everything that is shown.

use std::time::Instant;

use anyhow::{Context, Result};
use ntp_engine::candm::{
    Address, Client, Interface, Paths, Question, Reply, ServerStats, SourceData, Tracking,
};

use super::clients;
use super::link::Link;

/// Sources that are asked about at most.
const MOST_SOURCES: u32 = 256;
/// Interfaces that are asked about at most.
const MOST_INTERFACES: u32 = 64;

/// What the daemon told, and when.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    pub(super) state: State,
}

/// What the daemon told.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Where it was asked.
    pub(super) server: String,
    /// Why it may tell less than it could.
    pub(super) limited_by: Option<String>,
    pub(super) tracking: Tracking,
    pub(super) sources: Vec<Source>,
    /// `None`: it does not tell over this connection.
    pub(super) stats: Option<ServerStats>,
    /// `None`: it does not tell over this connection, or it is chronyd.
    pub(super) paths: Option<Paths>,
    pub(super) interfaces: Vec<Interface>,
    /// Those who ask most, the first most.
    pub(super) clients: Vec<Client>,
}

/// A source.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) data: SourceData,
}

/// Asks for everything, and for as many `clients`.
///
/// # Errors
/// Nobody answers, or not even tells of the clock.
pub(super) fn read(link: &mut Link, clients: usize) -> Result<Reading> {
    let Some(Reply::Tracking(tracking)) = link.ask(Question::Tracking)? else {
        return Err(anyhow::anyhow!("not told")).context("the state of the clock");
    };
    let sources = sources(link)?;
    let totals = match link.ask(Question::ServerStats)? {
        Some(Reply::ServerStats(stats)) => Some(stats),
        _ => None,
    };
    let at = Instant::now();
    let paths = match link.ask(Question::Paths)? {
        Some(Reply::Paths(paths)) => Some(paths),
        _ => None,
    };
    let mut interfaces = Vec::new();
    for index in 0..paths.map_or(0, |paths| paths.interfaces).min(MOST_INTERFACES) {
        if let Some(Reply::Interface(interface)) = link.ask(Question::Interface(index))? {
            interfaces.push(interface);
        }
    }
    let clients = if totals.is_some() { clients::most(link, clients)? } else { Vec::new() };
    let server = link.name().to_owned();
    let limited_by = link.limited_by().map(str::to_owned);
    let state =
        State { server, limited_by, tracking, sources, stats: totals, paths, interfaces, clients };
    Ok(Reading { at, state })
}

fn sources(link: &mut Link) -> Result<Vec<Source>> {
    let count = match link.ask(Question::SourceCount)? {
        Some(Reply::SourceCount(count)) => count.min(MOST_SOURCES),
        _ => 0,
    };
    let mut sources = Vec::new();
    for index in 0..count {
        // One that was removed meanwhile is not told of.
        let Some(Reply::SourceData(data)) = link.ask(Question::SourceData(index))? else {
            continue;
        };
        let name = match link.ask(Question::SourceName(data.address))? {
            // Of a daemon that may be anybody's, and goes to a terminal.
            Some(Reply::SourceName(name)) if !name.is_empty() => {
                name.replace(char::is_control, "?")
            }
            _ => show_address(data.address),
        };
        sources.push(Source { name, data });
    }
    Ok(sources)
}

/// An address as people read it.
pub(super) fn show_address(address: Address) -> String {
    match address {
        Address::Ip(address) => address.to_string(),
        Address::Id(number) => format!("#{number}"),
        Address::Unspecified => "-".to_owned(),
    }
}
