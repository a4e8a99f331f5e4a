//! `clients`: the record of clients, a few at a time. What the program answered in the kernel is in it: both
//! paths charge the same records.

use std::time::Duration;

use ntp_common::time::MonoNs;
use ntp_engine::candm::{Address, Client, Clients as Report, PacketTotals};

use crate::serving::clients::{Activity, ClientRecord, Clients};

/// Records that one command looks at: the table may have millions, and the clock waits meanwhile.
const MOST_SLOTS: usize = 16_384;

/// Stands for an interval that is not known.
const NO_INTERVAL: i8 = 127;

/// Which clients are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The first record to look at.
    pub(super) first: u32,
    /// Clients at most.
    pub(super) count: u32,
    /// Packets that a client must have sent.
    pub(super) min_hits: u32,
    /// Whether their counts begin anew.
    pub(super) reset: bool,
}

/// Lists clients.
pub(super) fn list(clients: &Clients, wanted: &Wanted, now: MonoNs) -> Report {
    let slots = clients.slots();
    let most = usize::try_from(wanted.count).unwrap_or(usize::MAX).min(Report::MOST);
    let first = usize::try_from(wanted.first).unwrap_or(usize::MAX).min(slots);
    let end = slots.min(first.saturating_add(MOST_SLOTS));
    let mut listed = Vec::with_capacity(most);
    let mut slot = first;
    while slot < end && listed.len() < most {
        if let Some(record) = clients.at(slot, now).filter(|record| is_wanted(record, wanted)) {
            listed.push(client(&record));
            if wanted.reset {
                clients.reset(slot);
            }
        }
        slot += 1;
    }
    Report { indices: number(slots), next: number(slot), clients: listed }
}

fn is_wanted(record: &ClientRecord, wanted: &Wanted) -> bool {
    record.requests.hits.max(record.commands.hits) >= wanted.min_hits
}

fn client(record: &ClientRecord) -> Client {
    let (requests, commands) = (&record.requests, &record.commands);
    Client {
        address: Address::Ip(record.address),
        ntp: totals(requests),
        nts_ke: PacketTotals::default(),
        commands: totals(commands),
        ntp_interval_log2: requests.interval_log2.unwrap_or(NO_INTERVAL),
        nts_ke_interval_log2: NO_INTERVAL,
        command_interval_log2: commands.interval_log2.unwrap_or(NO_INTERVAL),
        limited_interval_log2: NO_INTERVAL,
        last_ntp_s: requests.since_last.map(seconds),
        last_nts_ke_s: None,
        last_command_s: commands.since_last.map(seconds),
    }
}

fn totals(activity: &Activity) -> PacketTotals {
    PacketTotals { received: activity.hits.into(), dropped: activity.drops.into() }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
