//! The clocks of network interfaces (PTP hardware clocks): what one shows beside the kernel's clock.
//! `linux/ptp_clock.h`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::readings::UnixTime;

/// Readings that one measurement is chosen from: the quickest is the best.
const READINGS: usize = 10;
const SAMPLES: u32 = 10;
/// As many as the kernel makes at once.
const MOST_READINGS: usize = 25;

const SYS_OFFSET: libc::Ioctl = 0x4340_3d05;
const PIN_SETFUNC: libc::Ioctl = 0x4060_3d07;
const EXTTS_REQUEST: libc::Ioctl = 0x4010_3d02;
const SYS_OFFSET_PRECISE: libc::Ioctl = 0xc040_3d08;
const SYS_OFFSET_EXTENDED: libc::Ioctl = 0xc4c0_3d09;

/// Flags of external timestamps, and the function of a pin that they need.
const ENABLE: u32 = 1;
const RISING_EDGE: u32 = 2;
const FALLING_EDGE: u32 = 4;
const PIN_TAKES_TIME: u32 = 1;

/// A time of a PTP clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct PtpTime {
    seconds: i64,
    nanos: u32,
    reserved: u32,
}

impl PtpTime {
    fn unix(self) -> Option<UnixTime> {
        UnixTime::from_kernel(self.seconds, self.nanos.into())
    }
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Precise {
    device: PtpTime,
    real: PtpTime,
    raw: PtpTime,
    reserved: [u32; 4],
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Extended {
    samples: u32,
    reserved: [u32; 3],
    /// The kernel's clock, the device's, the kernel's.
    times: [[PtpTime; 3]; MOST_READINGS],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Plain {
    samples: u32,
    reserved: [u32; 3],
    /// The kernel's clock and the device's in turn, beginning and ending with the kernel's.
    times: [PtpTime; 2 * MOST_READINGS + 1],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Pin {
    name: [u8; 64],
    index: u32,
    function: u32,
    channel: u32,
    reserved: [u32; 5],
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
struct PulseRequest {
    channel: u32,
    flags: u32,
    reserved: [u32; 2],
}

/// A pulse that the clock took the time of.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct PulseEvent {
    time: PtpTime,
    channel: u32,
    flags: u32,
    reserved: [u32; 2],
}

const _: () = assert!(size_of::<Precise>() == 64 && size_of::<Extended>() == 1216);
const _: () = assert!(size_of::<Plain>() == 832 && size_of::<Pin>() == 96);
const _: () = assert!(size_of::<PulseRequest>() == 16 && size_of::<PulseEvent>() == 32);

/// The device of the clock with this number.
#[must_use]
pub(crate) fn device(number: u32) -> PathBuf {
    PathBuf::from(format!("/dev/ptp{number}"))
}

/// One reading of a clock beside the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PhcReading {
    /// `CLOCK_REALTIME`.
    pub(crate) real: UnixTime,
    /// What the clock showed then.
    pub(crate) phc: UnixTime,
    /// Time in which both were read, nanoseconds: half of it bounds the error.
    pub(crate) taken_ns: i64,
}

/// How a clock can be read, from the best on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Both clocks at one instant, by the hardware.
    Precise,
    /// The kernel's clock right before and after the register is read.
    Extended,
    /// The kernel's clock between two calls of the driver.
    Plain,
}

/// Who reads a clock: the kernel, or a test.
pub(crate) trait PhcDevice: Send {
    /// The kernel's clock and the device's, at one instant.
    fn precise(&mut self) -> io::Result<[PtpTime; 2]>;
    /// The kernel's clock, the device's, the kernel's, several times.
    fn extended(&mut self) -> io::Result<Vec<[PtpTime; 3]>>;
    /// The kernel's clock and the device's in turn, beginning and ending with the kernel's.
    fn plain(&mut self) -> io::Result<Vec<PtpTime>>;
}

impl PhcDevice for File {
    fn precise(&mut self) -> io::Result<[PtpTime; 2]> {
        let mut both = Precise::default();
        control(self, SYS_OFFSET_PRECISE, &mut both)?;
        Ok([both.real, both.device])
    }

    fn extended(&mut self) -> io::Result<Vec<[PtpTime; 3]>> {
        let mut readings = Extended { samples: SAMPLES, ..Extended::default() };
        control(self, SYS_OFFSET_EXTENDED, &mut readings)?;
        Ok(readings.times[..READINGS].to_vec())
    }

    fn plain(&mut self) -> io::Result<Vec<PtpTime>> {
        let times = [PtpTime::default(); 2 * MOST_READINGS + 1];
        let mut readings = Plain { samples: SAMPLES, reserved: [0; 3], times };
        control(self, SYS_OFFSET, &mut readings)?;
        Ok(readings.times[..=2 * READINGS].to_vec())
    }
}

/// An open clock.
#[derive(Debug)]
pub(crate) struct Phc<D = File> {
    device: D,
    method: Method,
}

impl Phc {
    /// Opens a device; `writable` if it is to do anything but show the time.
    ///
    /// # Errors
    /// When there is none, or it may not be opened.
    pub(crate) fn open(device: &Path, writable: bool, cross_timestamps: bool) -> io::Result<Self> {
        let device = File::options().read(true).write(writable).open(device)?;
        let method = if cross_timestamps { Method::Precise } else { Method::Extended };
        Ok(Self { device, method })
    }

    /// Has the clock take the time of pulses on a channel: of rising edges, or of falling ones.
    ///
    /// # Errors
    /// When it can't.
    pub(crate) fn take_pulses(
        &mut self,
        pin: Option<u32>,
        channel: u32,
        rising: bool,
    ) -> io::Result<()> {
        if let Some(index) = pin {
            let (name, function) = ([0; 64], PIN_TAKES_TIME);
            let mut pin = Pin { name, index, function, channel, reserved: [0; 5] };
            control(&self.device, PIN_SETFUNC, &mut pin)?;
        }
        let edge = if rising { RISING_EDGE } else { FALLING_EDGE };
        let mut request = PulseRequest { channel, flags: ENABLE | edge, reserved: [0; 2] };
        control(&self.device, EXTTS_REQUEST, &mut request)
    }

    /// The descriptor once more, on which pulses come in.
    ///
    /// # Errors
    /// When there are no more descriptors to be had.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.device.try_clone()?.into())
    }
}

/// The next pulse that came in on a descriptor: its channel, and the clock's time.
///
/// # Errors
/// When the descriptor can't be read.
pub(crate) fn read_pulse(descriptor: &OwnedFd) -> io::Result<Option<(u32, UnixTime)>> {
    let mut event = PulseEvent::default();
    let (fd, len) = (descriptor.as_raw_fd(), size_of::<PulseEvent>());
    // SAFETY: the event is as long as is said, lives during the call, and consists of integers.
    let read = unsafe { libc::read(fd, (&raw mut event).cast(), len) };
    match usize::try_from(read) {
        Ok(read) if read == len => Ok(event.time.unix().map(|time| (event.channel, time))),
        Ok(_) => Ok(None),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

impl<D: PhcDevice> Phc<D> {
    /// Reads the clock, in the best way that it and its driver know.
    ///
    /// # Errors
    /// When it can't be read at all.
    pub(crate) fn read(&mut self) -> io::Result<PhcReading> {
        loop {
            let read = match self.method {
                Method::Precise => self.device.precise().map(|both| precise(&both)),
                Method::Extended => self.device.extended().map(|times| best(times.into_iter())),
                Method::Plain => self.device.plain().map(|times| best(triples(&times))),
            };
            match (read, self.method) {
                (Ok(Some(reading)), _) => return Ok(reading),
                (Ok(None), _) => return Err(io::Error::other("the clock shows no time")),
                (Err(error), Method::Precise) if is_unknown(&error) => {
                    self.method = Method::Extended;
                }
                (Err(error), Method::Extended) if is_unknown(&error) => {
                    self.method = Method::Plain;
                }
                (Err(error), _) => return Err(error),
            }
        }
    }
}

/// Whether the driver, or the kernel, does not know a request.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOTTY | libc::EINVAL))
}

fn precise(&[real, phc]: &[PtpTime; 2]) -> Option<PhcReading> {
    Some(PhcReading { real: real.unix()?, phc: phc.unix()?, taken_ns: 0 })
}

/// The kernel's clock before and after each reading of the device's.
fn triples(times: &[PtpTime]) -> impl Iterator<Item = [PtpTime; 3]> {
    times.windows(3).step_by(2).filter_map(|window| window.first_chunk().copied())
}

/// The reading that took least time, with the kernel's clock in the middle of it.
fn best(readings: impl Iterator<Item = [PtpTime; 3]>) -> Option<PhcReading> {
    let reading = |[before, phc, after]: [PtpTime; 3]| {
        let (before, phc, after) = (before.unix()?, phc.unix()?, after.unix()?);
        let taken_ns = after.nanos_since(before);
        (taken_ns >= 0).then(|| PhcReading { real: before.plus(taken_ns / 2), phc, taken_ns })
    };
    readings.filter_map(reading).min_by_key(|reading| reading.taken_ns)
}

/// Calls the driver, which reads and writes a value.
fn control<T>(device: &File, request: libc::Ioctl, value: &mut T) -> io::Result<()> {
    // SAFETY: the request is about a value of this type, which lives during the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request, &raw mut *value) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn time(seconds: i64, nanos: u32) -> PtpTime {
        PtpTime { seconds, nanos, reserved: 0 }
    }

    fn unix(seconds: i64, nanos: u32) -> UnixTime {
        UnixTime { seconds, nanos }
    }

    /// A device that knows some ways to be read.
    #[derive(Debug)]
    pub(crate) struct Told {
        precise: Option<[PtpTime; 2]>,
        extended: Option<Vec<[PtpTime; 3]>>,
        plain: Option<Vec<PtpTime>>,
    }

    impl Told {
        /// A device that tells the kernel's clock and its own at one instant.
        pub(crate) fn precise(real: (i64, u32), phc: (i64, u32)) -> Self {
            let both = [time(real.0, real.1), time(phc.0, phc.1)];
            Self { precise: Some(both), extended: None, plain: None }
        }
    }

    impl Phc<Told> {
        /// A clock that is told what to show.
        pub(crate) fn told(device: Told) -> Self {
            Self { device, method: Method::Precise }
        }
    }

    fn or_unknown<T>(told: Option<T>) -> io::Result<T> {
        told.ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }

    impl PhcDevice for Told {
        fn precise(&mut self) -> io::Result<[PtpTime; 2]> {
            or_unknown(self.precise)
        }

        fn extended(&mut self) -> io::Result<Vec<[PtpTime; 3]>> {
            or_unknown(self.extended.clone())
        }

        fn plain(&mut self) -> io::Result<Vec<PtpTime>> {
            or_unknown(self.plain.clone())
        }
    }

    fn read(device: Told) -> io::Result<PhcReading> {
        Phc { device, method: Method::Precise }.read()
    }

    #[test]
    fn quickest_reading_counts_with_the_middle_of_the_kernels_clock() {
        let extended = vec![
            [time(100, 0), time(137, 500), time(100, 9_000)],
            [time(100, 20_000), time(137, 21_000), time(100, 22_000)],
            [time(100, 999_999_000), time(138, 1_000), time(101, 4_000)],
        ];
        let told = Told { precise: None, extended: Some(extended), plain: None };
        let expected =
            PhcReading { real: unix(100, 21_000), phc: unix(137, 21_000), taken_ns: 2_000 };
        assert_eq!(read(told).unwrap(), expected);
    }

    #[test]
    fn driver_that_knows_no_better_is_read_between_two_readings_of_the_kernels_clock() {
        let plain =
            vec![time(100, 0), time(137, 1), time(100, 800), time(137, 2), time(100, 1_000)];
        let told = Told { precise: None, extended: None, plain: Some(plain) };
        let reading = read(told).unwrap();
        assert_eq!((reading.real, reading.phc), (unix(100, 900), unix(137, 2)));
        assert_eq!(reading.taken_ns, 200);
    }

    #[test]
    fn cross_timestamps_are_exact() {
        let told = Told { precise: Some([time(1, 2), time(3, 4)]), extended: None, plain: None };
        let expected = PhcReading { real: unix(1, 2), phc: unix(3, 4), taken_ns: 0 };
        assert_eq!(read(told).unwrap(), expected);
    }

    #[test]
    fn clock_that_cannot_be_read_or_shows_nothing_is_an_error() {
        assert!(read(Told { precise: None, extended: None, plain: None }).is_err());
        let empty = vec![[time(0, 0); 3]];
        assert!(read(Told { precise: None, extended: Some(empty), plain: None }).is_err());
    }
}
