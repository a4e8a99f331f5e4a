//! `PPS`: the kernel takes the time of pulses, and tells of the last one. `linux/pps.h`, RFC 2783.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use ntp_common::wire::LeapIndicator;
use ntp_engine::conf::Edge;

use super::{Poll, Shown};
use crate::clock::readings::UnixTime;

/// `PPS_GETPARAMS`, `PPS_SETPARAMS`, `PPS_GETCAP`, `PPS_FETCH`: the sizes in them are those of pointers.
const GET_PARAMETERS: libc::Ioctl = 0x8008_70a1;
const SET_PARAMETERS: libc::Ioctl = 0x4008_70a2;
const GET_CAPABILITIES: libc::Ioctl = 0x8008_70a3;
const FETCH: libc::Ioctl = 0xc008_70a4;

/// Ends of pulses, in modes and capabilities.
const CAPTURE_ASSERT: i32 = 0x01;
const CAPTURE_CLEAR: i32 = 0x02;
/// Times are `struct timespec`.
const TIME_AS_TIMESPEC: i32 = 0x1000;

/// A time of the kernel's.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct KernelTime {
    seconds: i64,
    nanos: i32,
    flags: u32,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Parameters {
    version: i32,
    mode: i32,
    assert_offset: KernelTime,
    clear_offset: KernelTime,
}

/// The last pulses, and how long to wait for another.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Pulses {
    assert_number: u32,
    clear_number: u32,
    assert: KernelTime,
    clear: KernelTime,
    mode: i32,
    timeout: KernelTime,
}

const _: () = assert!(size_of::<Parameters>() == 40 && size_of::<Pulses>() == 64);

/// Who tells of pulses: the kernel, or a test.
pub(super) trait PulseDevice: Send {
    /// The last pulses, without waiting for another.
    fn fetch(&mut self) -> io::Result<Pulses>;
}

impl PulseDevice for File {
    fn fetch(&mut self) -> io::Result<Pulses> {
        let mut pulses = Pulses::default();
        control(self, FETCH, &mut pulses)?;
        Ok(pulses)
    }
}

/// A device.
pub(super) struct Pps<D = File> {
    device: D,
    edge: Edge,
    /// The number of the pulse that was told last.
    last: Option<u32>,
}

impl Pps {
    /// Opens a device and has it take the time of one end of its pulses.
    pub(super) fn open(path: &Path, edge: Edge) -> io::Result<Self> {
        let device = File::options().read(true).write(true).open(path)?;
        let mut capabilities = 0i32;
        control(&device, GET_CAPABILITIES, &mut capabilities)?;
        let wanted = match edge {
            Edge::Assert => CAPTURE_ASSERT,
            Edge::Clear => CAPTURE_CLEAR,
        };
        if capabilities & wanted == 0 {
            let what = "the device does not tell of this end of a pulse";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let mut parameters = Parameters::default();
        control(&device, GET_PARAMETERS, &mut parameters)?;
        if parameters.mode & wanted == 0 {
            parameters.mode |= wanted | TIME_AS_TIMESPEC;
            control(&device, SET_PARAMETERS, &mut parameters)?;
        }
        Ok(Self { device, edge, last: None })
    }
}

impl<D: PulseDevice> Poll for Pps<D> {
    fn read(&mut self) -> io::Result<Option<Shown>> {
        let pulses = self.device.fetch()?;
        let (number, time) = match self.edge {
            Edge::Assert => (pulses.assert_number, pulses.assert),
            Edge::Clear => (pulses.clear_number, pulses.clear),
        };
        // The first may be an old one.
        let is_new = self.last.replace(number).is_some_and(|last| last != number);
        let at = UnixTime::from_kernel(time.seconds, time.nanos.into()).filter(|_| is_new);
        Ok(at.map(|at| Shown {
            at,
            time: None,
            ahead_s: 0.0,
            is_pulse: true,
            dispersion_s: 0.0,
            leap: LeapIndicator::Normal,
        }))
    }
}

/// Calls the driver, which reads and writes a value.
fn control<T>(device: &File, request: libc::Ioctl, value: &mut T) -> io::Result<()> {
    // SAFETY: the request is about a value of this type, which lives during the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request, &raw mut *value) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that tells what it is told.
    struct Told(Vec<io::Result<Pulses>>);

    impl PulseDevice for Told {
        fn fetch(&mut self) -> io::Result<Pulses> {
            self.0.remove(0)
        }
    }

    fn pulses(number: u32, seconds: i64) -> Pulses {
        Pulses {
            assert_number: number,
            assert: KernelTime { seconds, nanos: 123, flags: 0 },
            clear_number: 7,
            ..Pulses::default()
        }
    }

    #[test]
    fn every_pulse_is_told_once() {
        let told = [pulses(4, 100), pulses(4, 100), pulses(5, 101), pulses(5, 101), pulses(7, 103)];
        let device = Told(told.into_iter().map(Ok).collect());
        let mut pps = Pps { device, edge: Edge::Assert, last: None };
        let mut next = || pps.read().unwrap().map(|shown| (shown.at.seconds, shown.at.nanos));
        let found: Vec<_> = (0..5).map(|_| next()).collect();
        assert_eq!(found, [None, None, Some((101, 123)), None, Some((103, 123))]);
    }

    #[test]
    fn the_other_end_of_pulses_does_not_count() {
        let device = Told(vec![Ok(pulses(1, 100)), Ok(pulses(2, 101))]);
        let mut pps = Pps { device, edge: Edge::Clear, last: None };
        assert!((0..2).all(|_| pps.read().unwrap().is_none()));
    }

    #[test]
    fn device_that_has_vanished_is_an_error() {
        let device = Told(vec![Err(io::Error::from_raw_os_error(libc::ENODEV))]);
        assert!(Pps { device, edge: Edge::Assert, last: None }.read().is_err());
    }
}
