//! Timestamps that network interfaces take (`hwtimestamp`): which interfaces do, and what their clocks' times are on the
//! kernel's clock. `Documentation/networking/timestamping.rst` of Linux.
//!
//! Invariant: an interface's clock is read when one of its timestamps comes in, so that what is converted is moments
//! old, however the kernel's clock is being steered; what can't be converted is not used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use nix::net::if_::if_nameindex;
use ntp_common::time::NtpTimestamp;
use ntp_engine::conf::{HwTimestamp, Located, RxFilter};
use ntp_engine::seams::{Stamped, StampedBy};

use super::control::Received;
use super::nic::ethtool::{Socket, Timestamps};
use crate::clock::TimeBase;
use crate::clock::phc::{Phc, PhcDevice, PhcReading, device};
use crate::clock::readings::UnixTime;

/// Oldest timestamp that is converted, nanoseconds.
const OLDEST_NS: i64 = 1_000_000_000;
/// What an interface needs to be able to do: stamp what leaves and what comes in, and show the stamps as they are.
const NEEDED: u32 = libc::SOF_TIMESTAMPING_TX_HARDWARE
    | libc::SOF_TIMESTAMPING_RX_HARDWARE
    | libc::SOF_TIMESTAMPING_RAW_HARDWARE;

/// `HWTSTAMP_TX_ON`, and filters of packets that come in: `HWTSTAMP_FILTER_*`.
const TRANSMIT_ON: u32 = 1;
const FILTER_NONE: u32 = 0;
const FILTER_ALL: u32 = 1;
const FILTER_PTP: u32 = 12;
const FILTER_NTP: u32 = 15;

/// Whether a packet left or came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It left.
    Out,
    /// It came in.
    In,
}

/// An interface that stamps packets.
#[derive(Debug)]
struct Interface<D> {
    clock: Mutex<Phc<D>>,
    /// Added to timestamps of packets that leave, nanoseconds.
    out_ns: i64,
    /// Added to timestamps of packets that come in, nanoseconds.
    in_ns: i64,
}

/// The interfaces that stamp packets, by their numbers.
#[derive(Debug)]
pub(crate) struct Hardware<D = File>(BTreeMap<u32, Interface<D>>);

impl Hardware {
    /// Has interfaces stamp packets, as far as they can: what is missing is logged. `None` when none does.
    pub(crate) fn switch_on(lines: &[Located<HwTimestamp>]) -> Option<Self> {
        if lines.is_empty() {
            return None;
        }
        let mut interfaces = BTreeMap::new();
        for (number, name) in present() {
            let by_name = lines.iter().find(|line| line.value.interface == name);
            let meant = || lines.iter().find(|line| is_meant(&line.value, &name));
            let Some(line) = by_name.or_else(meant) else { continue };
            match open(&name, &line.value) {
                Ok(interface) => {
                    tracing::info!(interface = name, "Enabled hardware timestamping on {name}");
                    interfaces.insert(number, interface);
                }
                Err(reason) if line.value.interface == name => {
                    tracing::warn!(
                        interface = name,
                        "No hardware timestamps of {name}: {reason}; the kernel's are used"
                    );
                }
                Err(reason) => tracing::debug!(interface = name, reason, "No hardware timestamps"),
            }
        }
        if interfaces.is_empty() {
            tracing::warn!("No interface takes hardware timestamps; the kernel's are used");
        }
        (!interfaces.is_empty()).then_some(Self(interfaces))
    }
}

impl<D: PhcDevice> Hardware<D> {
    /// Reads the clock of an interface; `None` when that can't be done.
    fn read(&self, interface: u32) -> Option<PhcReading> {
        let clock = &self.0.get(&interface)?.clock;
        clock.lock().unwrap_or_else(PoisonError::into_inner).read().ok()
    }

    /// The kernel's time when a packet passed an interface whose clock showed `stamp`, by a reading of that clock
    /// since; `None` when that can't be said.
    fn convert(
        &self,
        interface: u32,
        reading: &PhcReading,
        stamp: UnixTime,
        way: Way,
    ) -> Option<UnixTime> {
        let interface = self.0.get(&interface)?;
        let ago_ns = reading.phc.nanos_since(stamp);
        let moved_ns = match way {
            Way::Out => interface.out_ns,
            Way::In => interface.in_ns,
        };
        (0..OLDEST_NS).contains(&ago_ns).then(|| reading.real.plus(moved_ns.saturating_sub(ago_ns)))
    }
}

/// Timestamps of packets that were all taken before this was made: a clock is read once for all of them.
pub(super) struct Stamps<'a, D = File> {
    hardware: Option<&'a Hardware<D>>,
    read: Option<(u32, PhcReading)>,
}

impl<'a, D: PhcDevice> Stamps<'a, D> {
    /// Of packets that passed interfaces of `hardware`, if there are any.
    pub(super) fn new(hardware: Option<&'a Hardware<D>>) -> Self {
        Self { hardware, read: None }
    }

    /// When a packet passed on the kernel's clock, by the interface's word, or else by the kernel's.
    pub(super) fn at(&mut self, told: &Received, way: Way) -> Option<(UnixTime, StampedBy)> {
        let by_hardware = self.by_hardware(told, way).map(|stamp| (stamp, StampedBy::Hardware));
        by_hardware.or_else(|| told.stamp.map(|stamp| (stamp, StampedBy::Kernel)))
    }

    fn by_hardware(&mut self, told: &Received, way: Way) -> Option<UnixTime> {
        let (hardware, stamp) = (self.hardware?, told.hardware?);
        let interface = told.interface.or_else(|| told.to.map(|to| to.interface))?;
        let known = self.read.filter(|(of, _)| *of == interface).map(|(_, reading)| reading);
        let reading = known.or_else(|| hardware.read(interface))?;
        self.read = Some((interface, reading));
        hardware.convert(interface, &reading, stamp, way)
    }
}

/// Longest wait for the time at which a request left without `hwtstimeout`, seconds.
pub const USUAL_WAIT_S: f64 = 1e-3;

/// Tells of packets when they passed on the steered clock: by the interface's word, or else by the kernel's.
#[derive(Clone, Debug)]
pub struct Stamper {
    time: TimeBase,
    hardware: Option<Arc<Hardware>>,
    wait_ms: u8,
}

impl Stamper {
    /// By the kernel's word alone.
    #[must_use]
    pub fn kernel(time: TimeBase) -> Self {
        Self::new(time, None, USUAL_WAIT_S)
    }

    /// By that of interfaces, too; `longest_s` is how long the time is waited for at which a request left.
    pub(crate) fn new(time: TimeBase, hardware: Option<Arc<Hardware>>, longest_s: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        let wait_ms = (longest_s * 1e3).ceil() as u8;
        Self { time, hardware, wait_ms }
    }

    /// The time now.
    pub(super) fn now(&self) -> NtpTimestamp {
        self.time.now()
    }

    /// Whether interfaces may stamp packets.
    pub(super) fn has_hardware(&self) -> bool {
        self.hardware.is_some()
    }

    /// How long the time is waited for at which a request left, milliseconds.
    pub(super) fn wait_ms(&self) -> u8 {
        self.wait_ms
    }

    /// When a packet passed, as far as the kernel told of it.
    pub(super) fn stamped(&self, told: &Received, way: Way) -> Option<Stamped> {
        let stamp = Stamps::new(self.hardware.as_deref()).at(told, way);
        stamp.map(|(stamp, by)| Stamped { at: self.time.when(stamp), by })
    }
}

/// The interfaces of this host: their numbers and names.
fn present() -> Vec<(u32, String)> {
    let Ok(interfaces) = if_nameindex() else { return Vec::new() };
    let named = interfaces.iter();
    named.map(|it| (it.index(), it.name().to_string_lossy().into_owned())).collect()
}

/// Whether a line is about an interface: by its name, or by the beginning of it and a star.
fn is_meant(line: &HwTimestamp, name: &str) -> bool {
    match line.interface.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => line.interface == name,
    }
}

/// Has an interface stamp packets, and opens its clock.
fn open(name: &str, line: &HwTimestamp) -> Result<Interface<File>, String> {
    let asked = Socket::open(name).and_then(|socket| Ok((socket.timestamps()?, socket)));
    let (can, socket) = asked.map_err(|error| error.to_string())?;
    let number = can.clock.ok_or("it has no clock")?;
    let filter = filter(&can, line.rxfilter).ok_or("it can't stamp what is needed")?;
    let mut clock = Phc::open(&device(number), false, !line.nocrossts)
        .map_err(|error| explain("its clock can't be opened", &error))?;
    clock.read().map_err(|error| explain("its clock can't be read", &error))?;
    socket
        .stamp_packets(TRANSMIT_ON, filter)
        .map_err(|error| explain("it can't be switched on", &error))?;
    let (out_ns, in_ns) = (nanos(line.txcomp_s), nanos(line.rxcomp_s).saturating_neg());
    Ok(Interface { clock: Mutex::new(clock), out_ns, in_ns })
}

fn explain(what: &str, error: &io::Error) -> String {
    let is_refused = error.kind() == io::ErrorKind::PermissionDenied;
    let hint = if is_refused { " (CAP_NET_ADMIN is missing)" } else { "" };
    format!("{what}: {error}{hint}")
}

/// The filter that the line asks for, or else the widest that NTP passes; `None` when the interface can't stamp both
/// what leaves and what passes it.
fn filter(can: &Timestamps, wanted: Option<RxFilter>) -> Option<u32> {
    let has = |filter: u32| can.receive_filters & (1 << filter) != 0;
    let stamps = can.flags & NEEDED == NEEDED && can.transmit_types & (1 << TRANSMIT_ON) != 0;
    let filter = match wanted {
        Some(RxFilter::None) => Some(FILTER_NONE),
        Some(RxFilter::All) => Some(FILTER_ALL),
        Some(RxFilter::Ntp) => Some(FILTER_NTP),
        Some(RxFilter::Ptp) => Some(FILTER_PTP),
        // What comes in is stamped by the kernel then.
        None => [FILTER_ALL, FILTER_NTP].into_iter().find(|&filter| has(filter)).or(Some(0)),
    };
    filter.filter(|&filter| stamps && has(filter))
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::phc::tests::Told;
    use ntp_engine::conf::parse;

    fn line(text: &str) -> HwTimestamp {
        let parsed = parse("test.conf", &format!("hwtimestamp {text}")).unwrap();
        parsed.config.hwtimestamp[0].value.clone()
    }

    fn can(flags: u32, transmit_types: u32, receive_filters: &[u32]) -> Timestamps {
        let receive_filters = receive_filters.iter().map(|filter| 1 << filter).sum();
        Timestamps { flags, clock: Some(0), transmit_types, receive_filters }
    }

    #[test]
    fn widest_filter_that_ntp_passes_is_chosen() {
        let chosen = |filters: &[u32], wanted| filter(&can(NEEDED, 0b11, filters), wanted);
        assert_eq!(chosen(&[0, 1, 12, 15], None), Some(FILTER_ALL));
        assert_eq!(chosen(&[0, 12, 15], None), Some(FILTER_NTP));
        assert_eq!(chosen(&[0, 12], None), Some(FILTER_NONE));
        assert_eq!(chosen(&[0, 1, 15], Some(RxFilter::Ntp)), Some(FILTER_NTP));
        assert_eq!(chosen(&[0, 12], Some(RxFilter::Ptp)), Some(FILTER_PTP));
        assert_eq!(chosen(&[0, 12], Some(RxFilter::All)), None);
        assert_eq!(
            filter(&can(NEEDED, 0b01, &[0, 1]), None),
            None,
            "nothing that leaves is stamped"
        );
        let software = can(libc::SOF_TIMESTAMPING_TX_SOFTWARE, 0b11, &[0, 1]);
        assert_eq!(filter(&software, None), None);
    }

    #[test]
    fn line_is_about_an_interface_or_about_all_that_begin_alike() {
        for (text, name, expected) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("eth*", "eth1", true),
            ("eth*", "wlan0", false),
            ("*", "wlan0", true),
        ] {
            assert_eq!(is_meant(&line(text), name), expected, "{text} {name}");
        }
    }

    #[test]
    fn stamp_is_told_on_the_kernels_clock_with_the_compensations() {
        // The interface's clock is 37 s ahead, and read at 100.5 s of the kernel's.
        let unix = |seconds, nanos| UnixTime { seconds, nanos };
        let told = Told::precise((100, 500_000_000), (137, 500_000_000));
        let clock = Mutex::new(Phc::told(told));
        let interface = Interface { clock, out_ns: 300, in_ns: -200 };
        let hardware = Hardware(BTreeMap::from([(7, interface)]));
        let stamp = unix(137, 499_000_000);
        let at = |interface, hardware_stamp, way| {
            let told = Received {
                hardware: Some(hardware_stamp),
                interface: Some(interface),
                ..Received::default()
            };
            Stamps::new(Some(&hardware)).at(&told, way).map(|(stamp, _)| stamp)
        };
        assert_eq!(at(7, stamp, Way::Out), Some(unix(100, 499_000_300)));
        assert_eq!(at(7, stamp, Way::In), Some(unix(100, 498_999_800)));
        assert_eq!(at(8, stamp, Way::In), None, "of another interface");
        assert_eq!(at(7, unix(137, 600_000_000), Way::In), None, "from the future");
        assert_eq!(at(7, unix(136, 0), Way::In), None, "of long ago");
    }

    #[test]
    fn kernels_word_counts_where_the_interface_says_nothing() {
        let hardware: Hardware<Told> = Hardware(BTreeMap::new());
        let stamp = Some(UnixTime { seconds: 5, nanos: 6 });
        let told = Received { stamp, hardware: stamp, interface: Some(7), ..Received::default() };
        for hardware in [None, Some(&hardware)] {
            let expected = stamp.map(|stamp| (stamp, StampedBy::Kernel));
            assert_eq!(Stamps::new(hardware).at(&told, Way::In), expected);
        }
    }

    #[test]
    fn interfaces_without_clocks_are_gone_without() {
        let parsed = parse("test.conf", "hwtimestamp *\nhwtimestamp lo").unwrap();
        assert!(open("lo", &line("lo")).is_err());
        assert!(Hardware::switch_on(&parsed.config.hwtimestamp[1..]).is_none());
        assert!(Hardware::switch_on(&[]).is_none());
    }
}
