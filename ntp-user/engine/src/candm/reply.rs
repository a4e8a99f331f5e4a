//! Replies: what is answered, and its octets.

use super::NAME_LEN;
use super::address::ADDRESS_LEN;
use super::code::Code;
use super::octets::Writer;
use super::own::{INTERFACE_LEN, Interface, PATHS_LEN, Paths};
use super::reports::{
    AuthData, Client, Clients, Correction, ManualSample, NtpData, PacketTotals, SelectData,
    ServerStats, Smoothing, SourceData, SourceStats, Tracking,
};
use super::status::Status;
use crate::operation::{Activity, SelectOptions};

// Octets of the bodies.
pub(super) const SOURCE_COUNT_LEN: usize = 4;
pub(super) const SOURCE_DATA_LEN: usize = ADDRESS_LEN + 28;
pub(super) const TRACKING_LEN: usize = ADDRESS_LEN + 56;
pub(super) const SOURCE_STATS_LEN: usize = ADDRESS_LEN + 36;
pub(super) const RTC_LEN: usize = 28;
pub(super) const CORRECTION_LEN: usize = 12;
pub(super) const MANUAL_LIST_LEN: usize = 4 + MOST_MANUAL_SAMPLES * 24;
pub(super) const ACTIVITY_LEN: usize = 20;
pub(super) const SMOOTHING_LEN: usize = 24;
pub(super) const SERVER_STATS_LEN: usize = 21 * 8;
pub(super) const SERVER_STATS_BEFORE_44_LEN: usize = 11 * 4;
pub(super) const NTP_DATA_LEN: usize = NTP_DATA_BEFORE_44_LEN + 20;
pub(super) const NTP_DATA_BEFORE_44_LEN: usize = 2 * ADDRESS_LEN + 84;
pub(super) const AUTH_DATA_LEN: usize = 24;
pub(super) const SELECT_DATA_LEN: usize = ADDRESS_LEN + 28;
pub(super) const CLIENTS_LEN: usize = 12 + Clients::MOST * (ADDRESS_LEN + 40);

/// Times given by hand in a reply at most.
const MOST_MANUAL_SAMPLES: usize = 16;
/// Stands for "never" and "not known".
pub(super) const NEVER: u32 = u32::MAX;

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// How the command ended, and nothing else.
    Status(Status),
    /// How many sources there are.
    SourceCount(u32),
    /// A source.
    SourceData(SourceData),
    /// The clock.
    Tracking(Tracking),
    /// A source's statistics.
    SourceStats(SourceStats),
    /// What a time given by hand led to.
    Correction(Correction),
    /// Times given by hand; the first 16 are told.
    ManualList(Vec<ManualSample>),
    /// How many sources are what.
    Activity(Activity),
    /// How served time is smoothed.
    Smoothing(Smoothing),
    /// What was served.
    ServerStats(ServerStats),
    /// A source's last measurement.
    NtpData(NtpData),
    /// A source's name.
    SourceName(String),
    /// A source's authentication.
    AuthData(AuthData),
    /// A source's selection.
    SelectData(SelectData),
    /// Clients.
    Clients(Clients),
    /// Both paths.
    Paths(Paths),
    /// An interface of the XDP program.
    Interface(Interface),
}

impl From<Status> for Reply {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Reply {
    /// It was done.
    pub const DONE: Self = Self::Status(Status::Success);

    /// How the command ended.
    #[must_use]
    pub fn status(&self) -> Status {
        if let Self::Status(status) = self { *status } else { Status::Success }
    }

    /// The number of the reply's form. With `before_44`, in the form that chrony 4.3 has.
    pub(super) fn number(&self, before_44: bool) -> u16 {
        match self {
            Self::Status(_) => 1,
            Self::SourceCount(_) => 2,
            Self::SourceData(_) => 3,
            Self::Tracking(_) => 5,
            Self::SourceStats(_) => 6,
            Self::Activity(_) => 12,
            Self::Smoothing(_) => 13,
            Self::Correction(_) => 17,
            Self::ManualList(_) => 18,
            Self::SourceName(_) => 19,
            Self::AuthData(_) => 20,
            Self::Clients(_) => 21,
            Self::SelectData(_) => 23,
            Self::Paths(_) => Code::Paths as u16,
            Self::Interface(_) => Code::Interface as u16,
            Self::ServerStats(_) => {
                if before_44 {
                    24
                } else {
                    25
                }
            }
            Self::NtpData(_) => {
                if before_44 {
                    16
                } else {
                    26
                }
            }
        }
    }

    /// Octets of the body.
    pub(super) fn body_len(&self, before_44: bool) -> usize {
        match self {
            Self::Status(_) => 0,
            Self::SourceCount(_) => SOURCE_COUNT_LEN,
            Self::SourceData(_) => SOURCE_DATA_LEN,
            Self::Tracking(_) => TRACKING_LEN,
            Self::SourceStats(_) => SOURCE_STATS_LEN,
            Self::Activity(_) => ACTIVITY_LEN,
            Self::Smoothing(_) => SMOOTHING_LEN,
            Self::Correction(_) => CORRECTION_LEN,
            Self::ManualList(_) => MANUAL_LIST_LEN,
            Self::SourceName(_) => NAME_LEN,
            Self::AuthData(_) => AUTH_DATA_LEN,
            Self::Clients(_) => CLIENTS_LEN,
            Self::SelectData(_) => SELECT_DATA_LEN,
            Self::Paths(_) => PATHS_LEN,
            Self::Interface(_) => INTERFACE_LEN,
            Self::ServerStats(_) if before_44 => SERVER_STATS_BEFORE_44_LEN,
            Self::ServerStats(_) => SERVER_STATS_LEN,
            Self::NtpData(_) if before_44 => NTP_DATA_BEFORE_44_LEN,
            Self::NtpData(_) => NTP_DATA_LEN,
        }
    }

    pub(super) fn write(&self, to: &mut Writer, before_44: bool) {
        match self {
            Self::Status(_) => {}
            Self::SourceCount(count) => {
                to.u32(*count);
            }
            Self::SourceData(source) => source_data(source, to),
            Self::Tracking(tracking) => write_tracking(tracking, to),
            Self::SourceStats(stats) => source_stats(stats, to),
            Self::Activity(activity) => write_activity(activity, to),
            Self::Smoothing(smoothing) => write_smoothing(smoothing, to),
            Self::Correction(correction) => {
                to.float(correction.offset_s);
                to.float(correction.frequency_change_ppm).float(correction.frequency_ppm);
            }
            Self::ManualList(samples) => manual_list(samples, to),
            Self::SourceName(name) => source_name(name, to),
            Self::AuthData(data) => auth_data(data, to),
            Self::Clients(table) => write_clients(table, to),
            Self::SelectData(data) => select_data(data, to),
            Self::Paths(paths) => paths.write(to),
            Self::Interface(interface) => interface.write(to),
            Self::ServerStats(stats) => server_stats(stats, to, before_44),
            Self::NtpData(data) => ntp_data(data, to, before_44),
        }
    }
}

fn source_data(source: &SourceData, to: &mut Writer) {
    to.address(source.address);
    to.u16(i16::from(source.poll_log2).cast_unsigned()).u16(source.stratum.into());
    to.u16(source.status as u16).u16(source.mode as u16).u16(0).u16(source.reach.into());
    to.u32(source.last_sample_s.unwrap_or(NEVER));
    to.float(source.measured_s).float(source.adjusted_s).float(source.error_s);
}

fn write_tracking(tracking: &Tracking, to: &mut Writer) {
    to.u32(tracking.reference_id).address(tracking.address);
    to.u16(tracking.stratum.into()).u16(tracking.leap.into()).time(tracking.reference_time);
    to.float(tracking.correction_s).float(tracking.last_offset_s).float(tracking.rms_offset_s);
    to.float(tracking.frequency_ppm).float(tracking.residual_frequency_ppm);
    to.float(tracking.skew_ppm).float(tracking.root_delay_s);
    to.float(tracking.root_dispersion_s).float(tracking.update_interval_s);
}

fn source_stats(stats: &SourceStats, to: &mut Writer) {
    to.u32(stats.reference_id).address(stats.address);
    to.u32(stats.samples).u32(stats.runs).u32(stats.span_s);
    to.float(stats.deviation_s).float(stats.frequency_ppm).float(stats.skew_ppm);
    to.float(stats.offset_s).float(stats.offset_error_s);
}

fn write_activity(activity: &Activity, to: &mut Writer) {
    to.u32(activity.online).u32(activity.offline);
    to.u32(activity.burst_online).u32(activity.burst_offline).u32(activity.unresolved);
}

fn write_smoothing(smoothing: &Smoothing, to: &mut Writer) {
    to.u32(u32::from(smoothing.is_active) | u32::from(smoothing.leap_only) << 1);
    to.float(smoothing.offset_s).float(smoothing.frequency_ppm).float(smoothing.wander_ppm);
    to.float(smoothing.last_update_s).float(smoothing.remaining_s);
}

fn manual_list(samples: &[ManualSample], to: &mut Writer) {
    let samples = &samples[..samples.len().min(MOST_MANUAL_SAMPLES)];
    to.count(samples.len() as u64);
    for sample in samples {
        to.time(sample.when).float(sample.slewed_offset_s);
        to.float(sample.offset_s).float(sample.residual_s);
    }
}

fn source_name(name: &str, to: &mut Writer) {
    // Without the zero at its end, chronyc would not take it.
    let kept = name.len().min(NAME_LEN - 1);
    to.octets(&name.as_bytes()[..kept]);
}

fn auth_data(data: &AuthData, to: &mut Writer) {
    to.u16(data.mode as u16).u16(data.key_type).u32(data.key_id).u16(data.key_bits);
    to.u16(data.attempts).u32(data.last_attempt_s.unwrap_or(NEVER));
    to.u16(data.cookies).u16(data.cookie_len).u16(data.naks).u16(0);
}

fn select_data(data: &SelectData, to: &mut Writer) {
    to.u32(data.reference_id).address(data.address);
    to.u8(data.state).u8(data.is_authenticated.into()).u8(data.leap).u8(0);
    to.u16(select_bits(data.configured)).u16(select_bits(data.effective));
    to.u32(data.last_sample_s.unwrap_or(NEVER));
    to.float(data.score).float(data.low_s).float(data.high_s);
}

fn select_bits(options: SelectOptions) -> u16 {
    u16::from(options.noselect)
        | u16::from(options.prefer) << 1
        | u16::from(options.trust) << 2
        | u16::from(options.require) << 3
}

fn server_stats(stats: &ServerStats, to: &mut Writer, before_44: bool) {
    let kinds = [stats.ntp, stats.nts_ke, stats.commands];
    let received = kinds.map(|kind| kind.received);
    let dropped = kinds.map(|kind| kind.dropped);
    let others =
        [stats.log_drops, stats.authenticated, stats.interleaved, stats.timestamps, stats.span_s];
    let counts = received.into_iter().chain(dropped).chain(others);
    if before_44 {
        counts.for_each(|count| {
            // chrony counted in 32 bits and wrapped; a rate worked out from two readings stays right.
            to.u32((count & u64::from(u32::MAX)).try_into().unwrap_or(u32::MAX));
        });
        return;
    }
    let stamps = stats.receive_stamps.into_iter().zip(stats.transmit_stamps);
    let stamps = stamps.flat_map(|(receive, transmit)| [receive, transmit]);
    let reserved = [u64::MAX; 4];
    counts.chain(stamps).chain(reserved).for_each(|count| {
        to.u64(count);
    });
}

fn ntp_data(data: &NtpData, to: &mut Writer, before_44: bool) {
    to.address(data.remote).address(data.local).u16(data.port);
    to.u8(data.leap).u8(data.version).u8(data.mode).u8(data.stratum);
    to.u8(data.poll_log2.cast_unsigned()).u8(data.precision_log2.cast_unsigned());
    to.float(data.root_delay_s).float(data.root_dispersion_s);
    to.u32(data.reference_id).time(data.reference_time);
    to.float(data.offset_s).float(data.delay_s).float(data.dispersion_s);
    to.float(data.response_time_s).float(data.jitter_asymmetry);
    let interleaved = u16::from(data.is_interleaved) << 14;
    let authenticated = u16::from(data.is_authenticated) << 15;
    to.u16((data.tests & 0x3ff) | interleaved | authenticated);
    to.u8(data.transmit_stamp).u8(data.receive_stamp);
    to.count(data.sent).count(data.received).count(data.valid).count(data.good);
    let reserved = if before_44 {
        3
    } else {
        data.kernel_stamps.iter().chain(&data.hardware_stamps).for_each(|&stamps| {
            to.count(stamps);
        });
        4
    };
    for _ in 0..reserved {
        to.u32(u32::MAX);
    }
}

fn write_clients(table: &Clients, to: &mut Writer) {
    let clients = &table.clients[..table.clients.len().min(Clients::MOST)];
    to.u32(table.indices).u32(table.next).count(clients.len() as u64);
    for client in clients {
        write_client(client, to);
    }
}

fn write_client(client: &Client, to: &mut Writer) {
    let kinds: [PacketTotals; 3] = [client.ntp, client.nts_ke, client.commands];
    to.address(client.address);
    for kind in kinds {
        to.count(kind.received);
    }
    for kind in kinds {
        to.count(kind.dropped);
    }
    let intervals = [
        client.ntp_interval_log2,
        client.nts_ke_interval_log2,
        client.command_interval_log2,
        client.limited_interval_log2,
    ];
    to.octets(&intervals.map(i8::cast_unsigned));
    for last_s in [client.last_ntp_s, client.last_nts_ke_s, client.last_command_s] {
        to.u32(last_s.unwrap_or(NEVER));
    }
}
