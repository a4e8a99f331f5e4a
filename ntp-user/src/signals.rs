//! Signals: a handler sets a flag, and the event loop, which the signal wakes, looks at it.
//!
//! A second signal to end kills: whoever sends it has waited long enough.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::flag;

/// What signals have asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    end: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn install() -> io::Result<Self> {
        let signals = Self::default();
        for signal in [SIGTERM, SIGINT, SIGQUIT] {
            // In this order: the first signal finds the flag not set yet.
            flag::register_conditional_default(signal, Arc::clone(&signals.end))?;
            flag::register(signal, Arc::clone(&signals.end))?;
        }
        flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        flag::register(SIGUSR1, Arc::clone(&signals.report))?;
        Ok(signals)
    }

    /// Whether a signal has come that the event loop does not know of.
    #[must_use]
    pub(crate) fn is_pending(&self) -> bool {
        [&self.end, &self.reload, &self.report].iter().any(|flag| flag.load(Ordering::Relaxed))
    }

    /// Whether the daemon is to end.
    #[must_use]
    pub(crate) fn is_end(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether the configuration is to be read again; a request counts once.
    #[must_use]
    pub(crate) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Whether counters are to be logged; a request counts once.
    #[must_use]
    pub(crate) fn take_report(&self) -> bool {
        self.report.swap(false, Ordering::Relaxed)
    }
}
