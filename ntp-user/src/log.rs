//! Where log messages go: to the terminal, to a file, or, from the background, to the system log.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use nix::syslog::{Facility, LogFlags, Severity, openlog, syslog};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::args::Args;
use crate::features;

/// Starts logging as the command line says.
///
/// # Errors
/// When the log file can't be written.
pub(crate) fn start(args: &Args) -> anyhow::Result<()> {
    let level = if args.debug > 1 { Level::DEBUG } else { level(args.log_level) };
    let format = tracing_subscriber::fmt().with_max_level(level).with_target(false);
    if let Some(path) = &args.log_file {
        let file = open(path).with_context(|| format!("cannot write {}", path.display()))?;
        format.with_ansi(false).with_writer(Arc::new(file)).init();
    } else if args.in_background {
        openlog(Some(identity()), LogFlags::LOG_PID, Facility::LOG_DAEMON)?;
        format.with_ansi(false).without_time().with_level(false).with_writer(SystemLog).init();
    } else if std::env::var_os("JOURNAL_STREAM").is_some() {
        // The journal has the time.
        format.with_ansi(false).without_time().with_writer(io::stderr).init();
    } else {
        format.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).init();
    }
    Ok(())
}

/// The name that the system log shows.
fn identity() -> &'static CStr {
    if features::is_chronyd() { c"chronyd" } else { c"ntp-xdpd" }
}

/// chrony's numbers of levels.
const fn level(number: i8) -> Level {
    match number {
        ..=-1 => Level::DEBUG,
        0 => Level::INFO,
        1 => Level::WARN,
        _ => Level::ERROR,
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Hands messages to `syslog(3)`.
struct SystemLog;

impl<'a> MakeWriter<'a> for SystemLog {
    type Writer = Message;

    fn make_writer(&'a self) -> Message {
        Message { severity: Severity::LOG_INFO, text: Vec::new() }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Message {
        let severity = match *metadata.level() {
            Level::ERROR => Severity::LOG_ERR,
            Level::WARN => Severity::LOG_WARNING,
            Level::INFO => Severity::LOG_INFO,
            _ => Severity::LOG_DEBUG,
        };
        Message { severity, text: Vec::new() }
    }
}

/// A message on its way to the system log, which it reaches when it is dropped.
struct Message {
    severity: Severity,
    text: Vec<u8>,
}

impl Write for Message {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        // There is nowhere left to complain.
        let _sent = syslog(self.severity, text.trim_end());
    }
}
