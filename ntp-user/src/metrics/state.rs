//! What a scrape shows, and the channel on which the endpoint asks for it.

use ntp_common::arrival::ArrivalCounters;
use ntp_common::counters::Counters;
use ntp_engine::report::{SourceReport, Tracking};
use tokio::sync::{mpsc, oneshot};

use super::commands::CommandCounts;
use crate::serving::service::Service;

/// Scrapes that may wait for their turn.
const WAITING: usize = 16;

/// An interface on which requests are answered in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// How the program is attached: `native` or `generic`.
    pub mode: &'static str,
    /// By whose word its requests had come in, if receive timestamps of the hardware are read.
    pub arrivals: Option<ArrivalCounters>,
}

/// The daemon's state at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The clock.
    pub tracking: Tracking,
    /// Its sources.
    pub sources: Vec<SourceReport>,
    /// Whether what is served is synchronised time.
    pub is_live: bool,
    /// Time since the snapshot that both paths answer from was published, seconds; `None`: none is in force.
    pub snapshot_age_s: Option<f64>,
    /// Where XDP answers.
    pub interfaces: Vec<Interface>,
    /// What XDP has counted, if it is on.
    pub xdp: Option<Counters>,
    /// What the daemon itself has counted.
    pub user: Counters,
    /// How it serves.
    pub service: Service,
    /// Clients that there is room for.
    pub client_slots: u32,
    /// Clients that are recorded; `None`: not counted yet.
    pub clients: Option<u32>,
    /// What became of commands.
    pub commands: CommandCounts,
}

/// A request for the state, and where it is waited for.
pub type Question = oneshot::Sender<State>;

/// The end of the channel on which the timekeeping thread is asked.
pub type Questions = mpsc::Receiver<Question>;

/// The channel between endpoint and timekeeping thread.
#[must_use]
pub fn questions() -> (mpsc::Sender<Question>, Questions) {
    mpsc::channel(WAITING)
}
