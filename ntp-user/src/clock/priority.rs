//! Real-time scheduling of the timekeeping thread: whenever it has something to do, it runs.

use std::io;

/// The priorities that the kernel knows. chrony takes 100 for the highest, too.
const HIGHEST: u8 = 99;

/// Runs this thread first in, first out, with `priority`, from 1; threads that it starts run as others do.
///
/// # Errors
/// When the process may not.
pub(crate) fn real_time(priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority.clamp(1, HIGHEST).into() };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the parameters are only read, and live during the call.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
