//! What replies report. Offsets have chrony's signs, which differ: each says its own.

use super::address::Address;
use super::time::UnixTime;
use crate::operation::SelectOptions;

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum SourceMode {
    /// A server that is asked.
    Client = 0,
    /// A peer.
    Peer = 1,
    /// A reference clock.
    Reference = 2,
}

/// What became of a source in the last selection, as `sources` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum SourceStatus {
    /// `*`
    Selected = 0,
    /// `?`
    Unusable = 1,
    /// `x`
    Falseticker = 2,
    /// `~`
    Jittery = 3,
    /// `+`
    Combined = 4,
    /// `-`
    NotCombined = 5,
}

/// `sources`: one source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourceData {
    /// Its address; of a reference clock, its reference ID as an IPv4 address.
    pub address: Address,
    /// Poll interval, log2 seconds.
    pub poll_log2: i8,
    /// Stratum of its last sample.
    pub stratum: u8,
    /// What the last selection made of it.
    pub status: SourceStatus,
    /// What it is.
    pub mode: SourceMode,
    /// Reachability: one bit for each of the last 8 polls, the latest lowest.
    pub reach: u8,
    /// Seconds since its last sample; `None`: there is none.
    pub last_sample_s: Option<u32>,
    /// Offset of the last sample as measured, seconds, positive when our clock was ahead.
    pub measured_s: f64,
    /// The same on the clock as it has been corrected since.
    pub adjusted_s: f64,
    /// Bound of its error, seconds.
    pub error_s: f64,
}

/// `tracking`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking {
    /// What the clock is synchronised to.
    pub reference_id: u32,
    /// Address of the selected source.
    pub address: Address,
    /// Stratum that is served; 0 when not synchronised.
    pub stratum: u8,
    /// Leap indicator that is served, as replies of NTP have it.
    pub leap: u8,
    /// When the clock was last corrected.
    pub reference_time: UnixTime,
    /// Correction that is still to be slewed, seconds, positive when the clock is behind.
    pub correction_s: f64,
    /// Offset at the last update, seconds, positive when the clock was ahead.
    pub last_offset_s: f64,
    /// Long-term root mean square of that.
    pub rms_offset_s: f64,
    /// How much faster than true time the clock runs by itself, ppm.
    pub frequency_ppm: f64,
    /// What the source sees left over of it, ppm.
    pub residual_frequency_ppm: f64,
    /// Bound of the frequency's error, ppm.
    pub skew_ppm: f64,
    /// Round trip to the reference clock, seconds.
    pub root_delay_s: f64,
    /// Dispersion to the reference clock, seconds.
    pub root_dispersion_s: f64,
    /// Time between the last two updates, seconds.
    pub update_interval_s: f64,
}

/// `sourcestats`: one source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourceStats {
    /// Its reference ID: of a server, made of its address.
    pub reference_id: u32,
    /// Its address; none for a reference clock.
    pub address: Address,
    /// Samples in use.
    pub samples: u32,
    /// Runs of residuals with the same sign.
    pub runs: u32,
    /// Time that they span, seconds.
    pub span_s: u32,
    /// Their standard deviation, seconds.
    pub deviation_s: f64,
    /// Estimated residual frequency, ppm, positive when our clock gains.
    pub frequency_ppm: f64,
    /// Bound of its error, ppm.
    pub skew_ppm: f64,
    /// Estimated offset, seconds, positive when our clock is ahead.
    pub offset_s: f64,
    /// Its error, seconds.
    pub offset_error_s: f64,
}

/// `settime`: what a time given by hand led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correction {
    /// Offset of the clock, seconds, positive when the clock was ahead.
    pub offset_s: f64,
    /// Change of the frequency, ppm.
    pub frequency_change_ppm: f64,
    /// The frequency now, ppm.
    pub frequency_ppm: f64,
}

/// `manual list`: one time given by hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManualSample {
    /// When it was given.
    pub when: UnixTime,
    /// Offset on the clock as it has been corrected since, seconds.
    pub slewed_offset_s: f64,
    /// Offset as it was given, seconds.
    pub offset_s: f64,
    /// What the regression leaves, seconds.
    pub residual_s: f64,
}

/// `smoothing`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothing {
    /// Whether served time differs from the clock, or would.
    pub is_active: bool,
    /// Whether only leap seconds are smoothed.
    pub leap_only: bool,
    /// Served time less true time, seconds.
    pub offset_s: f64,
    /// Its rate, ppm.
    pub frequency_ppm: f64,
    /// The change of its rate, ppm a second.
    pub wander_ppm: f64,
    /// Since the last update, seconds.
    pub last_update_s: f64,
    /// Until nothing is left, seconds.
    pub remaining_s: f64,
}

/// `serverstats`: what was served since the start, by all paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// NTP requests that are counted: allowed ones.
    pub ntp: PacketTotals,
    /// Connections for NTS key establishment.
    pub nts_ke: PacketTotals,
    /// Commands.
    pub commands: PacketTotals,
    /// Client records that gave way to others.
    pub log_drops: u64,
    /// Authenticated NTP requests.
    pub authenticated: u64,
    /// Requests that were answered in interleaved mode.
    pub interleaved: u64,
    /// Timestamps kept for interleaved mode.
    pub timestamps: u64,
    /// Time that these span, seconds.
    pub span_s: u64,
    /// Receive timestamps by the daemon, the kernel, the network interface.
    pub receive_stamps: [u64; 3],
    /// Transmit timestamps by the daemon, the kernel, the network interface.
    pub transmit_stamps: [u64; 3],
}

/// Packets of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketTotals {
    /// That came in.
    pub received: u64,
    /// Of these, that got no answer since there were too many.
    pub dropped: u64,
}

/// `ntpdata`: the last measurement of a source, and its packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NtpData {
    /// The source's address.
    pub remote: Address,
    /// Our address towards it.
    pub local: Address,
    /// The source's port.
    pub port: u16,
    /// Leap indicator of its last valid reply.
    pub leap: u8,
    /// Version of that reply.
    pub version: u8,
    /// Mode of that reply.
    pub mode: u8,
    /// Stratum of that reply.
    pub stratum: u8,
    /// Poll exponent of that reply, log2 seconds.
    pub poll_log2: i8,
    /// Precision of that reply, log2 seconds.
    pub precision_log2: i8,
    /// Root delay of that reply, seconds.
    pub root_delay_s: f64,
    /// Root dispersion of that reply, seconds.
    pub root_dispersion_s: f64,
    /// Reference ID of that reply.
    pub reference_id: u32,
    /// Reference timestamp of that reply.
    pub reference_time: UnixTime,
    /// Measured offset, seconds, positive when our clock was behind.
    pub offset_s: f64,
    /// Round trip, seconds.
    pub delay_s: f64,
    /// Dispersion of the measurement, seconds.
    pub dispersion_s: f64,
    /// Time that the source took to reply, seconds.
    pub response_time_s: f64,
    /// Asymmetry of the path's jitter, -0.5 to 0.5.
    pub jitter_asymmetry: f64,
    /// Results of the tests that RFC 5905 numbers from 1 and chrony's own: ten bits, the first highest.
    pub tests: u16,
    /// Whether the measurement was made in interleaved mode.
    pub is_interleaved: bool,
    /// Whether the reply was authenticated.
    pub is_authenticated: bool,
    /// Who stamped the request when it left: `D`aemon, `K`ernel, `H`ardware.
    pub transmit_stamp: u8,
    /// Who stamped the reply when it came in.
    pub receive_stamp: u8,
    /// Requests sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Of these, valid replies.
    pub valid: u64,
    /// Of these, measurements that were used.
    pub good: u64,
    /// Timestamps by the kernel, of requests and replies.
    pub kernel_stamps: [u64; 2],
    /// Timestamps by the network interface, of requests and replies.
    pub hardware_stamps: [u64; 2],
}

/// How a source is authenticated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u16)]
pub enum Authentication {
    /// Not at all.
    #[default]
    None = 0,
    /// With a symmetric key.
    Symmetric = 1,
    /// With Network Time Security.
    Nts = 2,
}

/// `authdata`: one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthData {
    /// How it is authenticated.
    pub mode: Authentication,
    /// Number of the algorithm, as chrony counts them.
    pub key_type: u16,
    /// The key.
    pub key_id: u32,
    /// Its length, bits.
    pub key_bits: u16,
    /// Tries of key establishment.
    pub attempts: u16,
    /// Since the last one, seconds; `None`: there was none.
    pub last_attempt_s: Option<u32>,
    /// Cookies in stock.
    pub cookies: u16,
    /// Length of the last one, octets.
    pub cookie_len: u16,
    /// Refusals of cookies since the last valid reply.
    pub naks: u16,
}

/// `selectdata`: one source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectData {
    /// Its reference ID: of a server, made of its address.
    pub reference_id: u32,
    /// Its address.
    pub address: Address,
    /// The letter that says what became of it.
    pub state: u8,
    /// Whether it is authenticated.
    pub is_authenticated: bool,
    /// Leap indicator that it announces.
    pub leap: u8,
    /// Options of the configuration.
    pub configured: SelectOptions,
    /// Options that count after `authselectmode`.
    pub effective: SelectOptions,
    /// Seconds since its last sample; `None`: there is none.
    pub last_sample_s: Option<u32>,
    /// Its score against the selected source.
    pub score: f64,
    /// Least offset that it may have, seconds, positive when our clock is ahead.
    pub low_s: f64,
    /// Largest.
    pub high_s: f64,
}

/// `clients`: a part of the table of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Entries that the table has room for.
    pub indices: u32,
    /// The first entry that was not looked at.
    pub next: u32,
    /// At most [`Clients::MOST`] clients.
    pub clients: Vec<Client>,
}

impl Clients {
    /// Clients in a reply at most.
    pub const MOST: usize = 8;
}

/// A client that is kept account of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: Address,
    /// NTP requests.
    pub ntp: PacketTotals,
    /// Connections for key establishment.
    pub nts_ke: PacketTotals,
    /// Commands.
    pub commands: PacketTotals,
    /// Mean interval of NTP requests, log2 seconds; 127: not known.
    pub ntp_interval_log2: i8,
    /// The same of key establishment.
    pub nts_ke_interval_log2: i8,
    /// The same of commands.
    pub command_interval_log2: i8,
    /// The same of NTP requests while they got no answer.
    pub limited_interval_log2: i8,
    /// Seconds since the last NTP request; `None`: never.
    pub last_ntp_s: Option<u32>,
    /// The same of key establishment.
    pub last_nts_ke_s: Option<u32>,
    /// The same of commands.
    pub last_command_s: Option<u32>,
}
