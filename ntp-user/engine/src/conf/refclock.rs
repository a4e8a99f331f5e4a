//! `refclock`: a reference clock at this machine, who reads it, and what is made of the readings.

use std::path::PathBuf;

use ntp_common::wire::ReferenceId;

/// `refclock DRIVER PARAMETER[:OPTION]... [OPTION]...`
#[derive(Debug, Clone, PartialEq)]
pub struct RefClock {
    /// Who reads it.
    pub driver: ClockDriver,
    /// What is made of the readings.
    pub options: RefClockOptions,
}

/// Who reads a reference clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClockDriver {
    /// `SHM UNIT[:perm=MODE]`: another process writes into a shared memory segment of System V.
    Shm {
        /// Which segment: its key is 0x4e545030 and this.
        unit: u32,
        /// Permissions of the segment, if it is not there yet. Default 0600.
        permissions: u32,
    },
    /// `SOCK PATH`: another process sends to a Unix datagram socket.
    Sock {
        /// Where the socket is made.
        path: PathBuf,
    },
    /// `PPS DEVICE[:clear]`: the kernel takes the time of pulses.
    Pps {
        /// The device.
        device: PathBuf,
        /// Which end of a pulse counts.
        edge: Edge,
    },
    /// `PHC DEVICE[:OPTION]...`: a clock of a network interface, or beside one.
    Phc {
        /// The absolute path of the device, or the name of the interface.
        device: String,
        /// Not `nocrossts`: both clocks may be read at the same instant by the hardware.
        cross_timestamps: bool,
        /// `extpps`: the clock takes the time of pulses from outside, and need not be right itself.
        pulses: Option<ExternalPulses>,
    },
}

impl ClockDriver {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Shm { .. } => "SHM",
            Self::Sock { .. } => "SOCK",
            Self::Pps { .. } => "PPS",
            Self::Phc { .. } => "PHC",
        }
    }
}

/// The end of a pulse that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The rising edge.
    Assert,
    /// The falling edge.
    Clear,
}

/// Where a PTP clock takes pulses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExternalPulses {
    /// The pin; `None` (`pin=-1`): the channel has a fixed one. Default 0.
    pub pin: Option<u32>,
    /// The channel. Default 0.
    pub channel: u32,
    /// Which end of a pulse counts.
    pub edge: Edge,
}

/// What is made of the readings of a reference clock. A field is named after its option.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each option of chrony.conf")]
pub struct RefClockOptions {
    /// What those who follow us are told. Default: three letters of the driver and the number of the line.
    pub refid: ReferenceId,
    /// Readings are made one sample in this interval, log2 seconds. Default 4.
    pub poll_log2: i8,
    /// The driver looks for a reading in this interval, log2 seconds, at most `poll`. Default 0.
    pub dpoll_log2: i8,
    /// The reference clock whose readings say which second a pulse is of.
    pub lock: Option<ReferenceId>,
    /// Pulses a second. Default 1.
    pub rate: u32,
    /// How many pulses old the other clock's reading may be. Default 2.
    pub maxlockage: u32,
    /// Length of a pulse, seconds, where the driver reports both ends; 0: it reports one. Default 0.
    pub width_s: f64,
    /// Only the fraction of the second counts.
    pub pps: bool,
    /// Added to readings, seconds. Default 0.
    pub offset_s: f64,
    /// What the delay of a server would be, seconds. Default 1e-9.
    pub delay_s: f64,
    /// Stratum of the clock. Default 0.
    pub stratum: u8,
    /// Precision of the clock, seconds; `None`: that of our clock.
    pub precision_s: Option<f64>,
    /// Samples with a larger dispersion are not used, seconds; 0: no limit. Default 0.
    pub maxdispersion_s: f64,
    /// Most readings that one sample is made of. Default 64.
    pub filter: u32,
    /// Preferred over sources without this option.
    pub prefer: bool,
    /// Measured, never selected.
    pub noselect: bool,
    /// Assumed right.
    pub trust: bool,
    /// The clock is only updated while one source with this option is selectable.
    pub require: bool,
    /// The clock keeps TAI.
    pub tai: bool,
    /// Fewest samples kept. `None`: the global setting.
    pub minsamples: Option<u32>,
    /// Most samples kept. `None`: the global setting.
    pub maxsamples: Option<u32>,
    /// Polls without a sample after which it is left for others. Default 100000.
    pub maxunreach: u32,
}

impl Default for RefClockOptions {
    fn default() -> Self {
        Self {
            refid: ReferenceId::NONE,
            poll_log2: 4,
            dpoll_log2: 0,
            lock: None,
            rate: 1,
            maxlockage: 2,
            width_s: 0.0,
            pps: false,
            offset_s: 0.0,
            delay_s: 1e-9,
            stratum: 0,
            precision_s: None,
            maxdispersion_s: 0.0,
            filter: 64,
            prefer: false,
            noselect: false,
            trust: false,
            require: false,
            tai: false,
            minsamples: None,
            maxsamples: None,
            maxunreach: 100_000,
        }
    }
}

impl RefClock {
    /// Whether its readings tell only where seconds begin, and not which.
    #[must_use]
    pub fn gives_pulses(&self) -> bool {
        let is_pulse = match &self.driver {
            ClockDriver::Pps { .. } => true,
            ClockDriver::Phc { pulses, .. } => pulses.is_some(),
            ClockDriver::Shm { .. } | ClockDriver::Sock { .. } => false,
        };
        is_pulse || self.options.pps
    }
}
