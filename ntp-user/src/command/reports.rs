//! The daemon's state as replies have it. chrony's offsets are positive when the clock is ahead, the engine's
//! when it is behind.

use std::net::{IpAddr, Ipv4Addr};

use ntp_common::counters::{Counters, KISSES, Reason, answered};
use ntp_common::wire::ReferenceId;
use ntp_engine::auth::{KeyId, KeyType, Keys};
use ntp_engine::candm::{
    Address, AuthData, Authentication, NtpData, PacketTotals, SelectData, ServerStats, Smoothing,
    SourceData, SourceMode, SourceStats, SourceStatus, Tracking, UnixTime,
};
use ntp_engine::conf::SourceOptions;
use ntp_engine::report::{self, PacketReport, SelectionReport, SourceReport, SourceState};
use ntp_engine::seams::StampedBy;

use crate::serving::service::Service;

/// Units of short times of NTP in a second.
const SHORT_UNITS: f64 = 65_536.0;

/// `tracking`
pub(super) fn tracking(report: &report::Tracking) -> Tracking {
    Tracking {
        reference_id: report.reference_id.0,
        address: report.address.map_or(Address::Unspecified, Address::Ip),
        stratum: report.stratum,
        leap: report.leap as u8,
        reference_time: UnixTime::from(report.reference_timestamp),
        correction_s: report.remaining_correction_s,
        last_offset_s: -report.last_offset_s,
        rms_offset_s: report.rms_offset_s,
        frequency_ppm: report.frequency_ppm,
        residual_frequency_ppm: -report.residual_frequency_ppm,
        skew_ppm: report.skew_ppm,
        root_delay_s: report.root_delay_s,
        root_dispersion_s: report.root_dispersion_s,
        update_interval_s: report.update_interval_s,
    }
}

/// The address of the source in this place, or the number that stands for it as long as it has none.
pub(super) fn address(source: &SourceReport, place: usize) -> Address {
    clock_or_numbered(source.clock, source.address, place)
}

/// A reference clock is named by its reference ID, as if that was an address.
fn clock_or_numbered(clock: Option<ReferenceId>, address: Option<IpAddr>, place: usize) -> Address {
    let named = |id: ReferenceId| Address::Ip(Ipv4Addr::from_bits(id.0).into());
    clock.map_or_else(|| numbered(address, place), named)
}

fn numbered(address: Option<IpAddr>, place: usize) -> Address {
    let number = u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1);
    address.map_or(Address::Id(number), Address::Ip)
}

/// The source that `address` means.
pub(super) fn find(sources: &[SourceReport], wanted: Address) -> Option<&SourceReport> {
    let mut places = sources.iter().enumerate();
    places.find(|(place, source)| address(source, *place) == wanted).map(|(_, source)| source)
}

/// The name that a source was configured by: its address, if it was by that.
pub(super) fn name(source: &SourceReport) -> String {
    let address = || source.address.map(|address| address.to_string());
    let clock = || source.clock.map(report::clock_name);
    source.name.clone().or_else(clock).or_else(address).unwrap_or_default()
}

/// `sources`
pub(super) fn source_data(source: &SourceReport, place: usize) -> SourceData {
    SourceData {
        address: address(source, place),
        poll_log2: source.poll_log2,
        stratum: source.stratum,
        status: status(source.state),
        mode: match (source.clock, source.is_peer) {
            (Some(_), _) => SourceMode::Reference,
            (None, true) => SourceMode::Peer,
            (None, false) => SourceMode::Client,
        },
        reach: source.reach,
        last_sample_s: source.last_sample_s.map(whole),
        measured_s: -source.measured_offset_s,
        adjusted_s: -source.adjusted_offset_s,
        error_s: source.error_s,
    }
}

fn status(state: SourceState) -> SourceStatus {
    match state {
        SourceState::Selected => SourceStatus::Selected,
        SourceState::Combined => SourceStatus::Combined,
        SourceState::NotCombined => SourceStatus::NotCombined,
        SourceState::Falseticker => SourceStatus::Falseticker,
        SourceState::Jittery => SourceStatus::Jittery,
        SourceState::Unusable => SourceStatus::Unusable,
    }
}

/// `sourcestats`
pub(super) fn source_stats(source: &SourceReport, place: usize) -> SourceStats {
    SourceStats {
        reference_id: reference_id(source.clock, source.address),
        address: match source.clock {
            Some(_) => Address::Unspecified,
            None => address(source, place),
        },
        samples: count(source.samples),
        runs: count(source.runs),
        span_s: whole(source.span_s),
        deviation_s: source.deviation_s,
        frequency_ppm: -source.frequency_ppm,
        skew_ppm: source.skew_ppm,
        offset_s: -source.offset_s,
        offset_error_s: source.deviation_s,
    }
}

/// What those who follow a source say of it; 0 when it is not known.
fn reference_id(clock: Option<ReferenceId>, address: Option<IpAddr>) -> u32 {
    clock.or_else(|| address.map(report::reference_id)).map_or(0, |id| id.0)
}

/// `ntpdata`: zeros as long as there was no reply.
pub(super) fn ntp_data(report: &PacketReport) -> NtpData {
    let header = report.header;
    let (sent_by, received_by) =
        report.stamped_by.unwrap_or((StampedBy::Daemon, StampedBy::Daemon));
    NtpData {
        remote: Address::Ip(report.remote.ip()),
        local: report.local.map_or(Address::Unspecified, Address::Ip),
        port: report.remote.port(),
        leap: header.leap as u8,
        version: header.version,
        mode: header.mode as u8,
        stratum: header.stratum,
        poll_log2: header.poll,
        precision_log2: header.precision,
        root_delay_s: f64::from(header.root_delay.to_bits()) / SHORT_UNITS,
        root_dispersion_s: f64::from(header.root_dispersion.to_bits()) / SHORT_UNITS,
        reference_id: header.reference_id.0,
        reference_time: UnixTime::from(header.reference_timestamp),
        offset_s: report.offset_s,
        delay_s: report.delay_s,
        dispersion_s: report.dispersion_s,
        response_time_s: report.response_s,
        jitter_asymmetry: report.jitter_asymmetry,
        tests: report.tests,
        is_interleaved: report.interleaved,
        is_authenticated: report.authenticated,
        transmit_stamp: stamp(sent_by),
        receive_stamp: stamp(received_by),
        sent: report.sent,
        received: report.received,
        valid: report.valid,
        good: report.good,
        kernel_stamps: report.kernel_stamps,
        hardware_stamps: report.hardware_stamps,
    }
}

/// `selectdata`
pub(super) fn select_data(report: &SelectionReport, place: usize) -> SelectData {
    SelectData {
        reference_id: reference_id(report.clock, report.address),
        address: match report.clock {
            Some(_) => Address::Unspecified,
            None => numbered(report.address, place),
        },
        state: u8::try_from(report.verdict.code()).unwrap_or(b'?'),
        is_authenticated: report.authenticated,
        leap: report.leap as u8,
        configured: report.configured,
        effective: report.effective,
        last_sample_s: report.last_sample_s.map(whole),
        score: report.score,
        low_s: -report.high_s,
        high_s: -report.low_s,
    }
}

/// `smoothing`
pub(super) fn smoothing(report: &report::Smoothing) -> Smoothing {
    Smoothing {
        is_active: report.is_active,
        leap_only: report.leap_only,
        offset_s: report.offset_s,
        frequency_ppm: report.frequency_ppm,
        wander_ppm: report.wander_ppm,
        last_update_s: report.last_update_s,
        remaining_s: report.remaining_s,
    }
}

/// The letter of who took a timestamp.
fn stamp(by: StampedBy) -> u8 {
    match by {
        StampedBy::Daemon => b'D',
        StampedBy::Kernel => b'K',
        StampedBy::Hardware => b'H',
    }
}

/// `authdata`
pub(super) fn auth_data(options: Option<&SourceOptions>, keys: &Keys) -> AuthData {
    let key_id = options.and_then(|options| options.key);
    let mode = match options {
        Some(options) if options.nts => Authentication::Nts,
        _ if key_id.is_some() => Authentication::Symmetric,
        _ => Authentication::None,
    };
    let key = key_id.and_then(|id| keys.find(KeyId(id)));
    AuthData {
        mode,
        key_id: key_id.unwrap_or(0),
        key_type: key.map_or(0, |key| key_type(key.key_type())),
        key_bits: key.and_then(|key| u16::try_from(key.bits()).ok()).unwrap_or(0),
        ..AuthData::default()
    }
}

/// The number that `chronyc authdata` shows for a type of keys.
const fn key_type(key_type: KeyType) -> u16 {
    match key_type {
        KeyType::Md5 => 1,
        KeyType::Sha1 => 2,
        KeyType::Sha256 => 3,
        KeyType::Sha384 => 4,
        KeyType::Sha512 => 5,
        KeyType::Aes128 => 13,
        KeyType::Aes256 => 14,
    }
}

/// `serverstats`: what both paths did together. A request that the program passed up is counted where it was
/// answered.
pub(super) fn server_stats(
    (xdp, user): (&Counters, &Counters),
    service: &Service,
    (timestamps, span_s): (u64, u64),
    commands: PacketTotals,
) -> ServerStats {
    let (in_kernel, in_daemon) = (answered(xdp), answered(user));
    let limited = [xdp, user].map(|path| path[Reason::RateLimited as usize]);
    let dropped = limited.iter().sum();
    let told = xdp[KISSES] + user[KISSES];
    ServerStats {
        ntp: PacketTotals { received: in_kernel + in_daemon + told + dropped, dropped },
        commands,
        // The program reads the clock in the kernel; what comes in for the daemon is stamped there, and what
        // leaves is stamped by the daemon.
        receive_stamps: [0, in_kernel + in_daemon, 0],
        transmit_stamps: [in_daemon, in_kernel, 0],
        authenticated: service.authenticated,
        interleaved: service.interleaved,
        timestamps,
        span_s,
        ..ServerStats::default()
    }
}

/// Whole seconds; saturates.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole(seconds: f64) -> u32 {
    seconds as u32
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
