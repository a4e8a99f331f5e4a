//! Who answers requests in user space.

use std::io;
use std::os::fd::OwnedFd;

use ntp_common::counters::{COUNTER_COUNT, Counters};

use crate::listening::Listening;
use crate::net::server::{InlineServer, WorkerThreads};
use crate::net::worker::Shared;
use crate::serving::service::Service;

/// Who answers requests in user space.
pub(crate) enum UserPath {
    /// Nobody.
    Nobody,
    /// The timekeeping thread.
    Inline(Box<InlineServer>),
    /// Threads.
    Threads(WorkerThreads),
}

impl UserPath {
    /// Serves on more sockets, in groups for one thread each; without threads, on the timekeeping thread. To be
    /// called within the runtime.
    ///
    /// # Errors
    /// When a socket can't be watched or a thread not be made.
    pub(crate) fn add(
        &mut self,
        groups: Vec<Vec<OwnedFd>>,
        listening: &Listening,
        shared: &Shared,
    ) -> io::Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        match self {
            Self::Nobody if listening.threads == 0 => {
                let sockets = groups.into_iter().flatten().collect();
                *self = Self::Inline(Box::new(InlineServer::new(sockets, shared)?));
            }
            Self::Nobody => {
                *self = Self::Threads(WorkerThreads::start(groups, shared, &listening.cpus)?);
            }
            Self::Inline(server) => server.add(groups.into_iter().flatten().collect())?,
            Self::Threads(threads) => threads.add(groups, shared, &listening.cpus)?,
        }
        Ok(())
    }

    /// What was served so far.
    #[must_use]
    pub(crate) fn counters(&self) -> Counters {
        match self {
            Self::Nobody => [0; COUNTER_COUNT],
            Self::Inline(server) => server.counters(),
            Self::Threads(threads) => threads.counters(),
        }
    }

    /// How it was served.
    #[must_use]
    pub(crate) fn service(&self) -> Service {
        match self {
            Self::Nobody => Service::default(),
            Self::Inline(server) => server.service(),
            Self::Threads(threads) => threads.service(),
        }
    }
}
