//! `SHM`: another process, such as gpsd or a driver of ntpd, writes samples into a shared memory segment of System V,
//! as ntpd's driver 28 has it.

use std::io;
use std::ptr;
use std::sync::atomic::{Ordering, fence};

use super::{Poll, Shown, leap_indicator};
use crate::clock::readings::UnixTime;

/// The key of segment 0: "NTP0".
const KEY: i32 = 0x4e54_5030;

/// The segment's contents.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Contents {
    /// 0: `valid` alone says that it is whole; 1: it is if `count` is the same before and after.
    mode: i32,
    count: i32,
    clock_s: libc::time_t,
    clock_us: i32,
    receive_s: libc::time_t,
    receive_us: i32,
    leap: i32,
    precision: i32,
    samples: i32,
    valid: i32,
    /// Nanoseconds; of writers that know nothing of them microseconds alone are right.
    clock_ns: u32,
    receive_ns: u32,
    dummy: [i32; 8],
}

const _: () = assert!(size_of::<Contents>() == 96, "the layout that other programs have");

/// The key of a segment, as `ipcs -m` shows it.
pub(super) fn key(unit: u32) -> String {
    format!("{:#010x}", key_of(unit))
}

fn key_of(unit: u32) -> i32 {
    KEY.saturating_add(i32::try_from(unit).unwrap_or(i32::MAX))
}

/// A segment, attached.
#[derive(Debug)]
pub(super) struct Segment {
    contents: *mut Contents,
}

// SAFETY: the segment stays attached to the process as long as this lives, and is read through this alone.
unsafe impl Send for Segment {}

impl Segment {
    /// Attaches the segment, and makes it with these permissions if there is none.
    pub(super) fn open(unit: u32, permissions: u32) -> io::Result<Self> {
        let flags = libc::IPC_CREAT | permissions.cast_signed();
        // SAFETY: the call takes integers.
        let id = unsafe { libc::shmget(key_of(unit), size_of::<Contents>(), flags) };
        if id < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel chooses the place, so that nothing is there.
        let address = unsafe { libc::shmat(id, ptr::null(), 0) };
        if address.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { contents: address.cast() })
    }

    fn count(&self) -> i32 {
        // SAFETY: the segment is attached, and large enough; the place is within it.
        let count = unsafe { &raw const (*self.contents).count };
        // SAFETY: as before; what others write at the same time is some integer.
        unsafe { count.read_volatile() }
    }

    /// The contents, and whether they are whole. They are said to be read.
    fn take(&self) -> (Contents, bool) {
        let before = self.count();
        fence(Ordering::Acquire);
        // SAFETY: the segment is attached, and large enough; all that can be in it are integers.
        let contents = unsafe { self.contents.read_volatile() };
        fence(Ordering::Acquire);
        // SAFETY: the segment is attached, and large enough; the place is within it.
        let valid = unsafe { &raw mut (*self.contents).valid };
        if contents.valid != 0 {
            // SAFETY: as before.
            unsafe { valid.write_volatile(0) };
        }
        let is_whole = contents.mode == 0 || before == self.count();
        (contents, is_whole)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: it was attached there, and nothing points into it any more.
        unsafe { libc::shmdt(self.contents.cast()) };
    }
}

impl Poll for Segment {
    fn read(&mut self) -> io::Result<Option<Shown>> {
        let (contents, is_whole) = self.take();
        Ok(if is_whole { decode(&contents) } else { None })
    }
}

/// Reads a sample; `None` when there is none.
fn decode(contents: &Contents) -> Option<Shown> {
    let is_there = contents.valid != 0 && matches!(contents.mode, 0 | 1);
    let nanos = |nanos: u32, micros: i32| {
        let fits = i64::from(nanos / 1000) == i64::from(micros);
        if fits { i64::from(nanos) } else { i64::from(micros) * 1000 }
    };
    let at =
        UnixTime::from_kernel(contents.receive_s, nanos(contents.receive_ns, contents.receive_us))?;
    let time =
        UnixTime::from_kernel(contents.clock_s, nanos(contents.clock_ns, contents.clock_us))?;
    let leap = leap_indicator(contents.leap)?;
    is_there.then_some(Shown {
        at,
        time: Some(time),
        ahead_s: 0.0,
        is_pulse: false,
        dispersion_s: 0.0,
        leap,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        Contents {
            mode: 1,
            clock_s: 1_800_000_000,
            clock_us: 500_000,
            clock_ns: 500_000_321,
            receive_s: 1_800_000_001,
            receive_us: 7,
            receive_ns: 7_123,
            valid: 1,
            ..Contents::default()
        }
    }

    #[test]
    fn sample_has_nanoseconds_where_the_writer_has_them() {
        let shown = decode(&contents()).unwrap();
        assert_eq!(shown.time, Some(UnixTime { seconds: 1_800_000_000, nanos: 500_000_321 }));
        assert_eq!(shown.at, UnixTime { seconds: 1_800_000_001, nanos: 7_123 });
        let micros = Contents { clock_ns: 0, receive_ns: 0, ..contents() };
        let shown = decode(&micros).unwrap();
        assert_eq!(shown.time, Some(UnixTime { seconds: 1_800_000_000, nanos: 500_000_000 }));
        assert_eq!(shown.at, UnixTime { seconds: 1_800_000_001, nanos: 7_000 });
    }

    #[test]
    fn what_is_not_valid_is_no_sample() {
        for bad in [
            Contents { valid: 0, ..contents() },
            Contents { mode: 2, ..contents() },
            Contents { leap: 4, ..contents() },
            Contents { clock_us: -1, ..contents() },
            Contents { receive_us: 1_000_000, receive_ns: 0, ..contents() },
            Contents { receive_s: 0, receive_us: 0, receive_ns: 0, ..contents() },
        ] {
            assert_eq!(decode(&bad), None, "{bad:?}");
        }
    }
}
