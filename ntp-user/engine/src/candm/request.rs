//! Requests: what is asked for.

use super::add_source;
use super::address::Address;
use super::code::Code;
use super::octets::Reader;
use super::status::Status;
use super::time::UnixTime;
use crate::conf::{AccessRule, AccessTarget, Local, MakeStep, Source, StepLimit, Verdict};
use crate::operation::{Change, SelectOptions, Selector};

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is named after the command")]
pub enum Request {
    // Reports.
    SourceCount,
    SourceData(u32),
    SourceStats(u32),
    SourceName(Address),
    SelectData(u32),
    NtpData(Address),
    AuthData(Address),
    Tracking,
    Activity,
    Smoothing,
    ServerStats,
    RtcReport,
    ManualList,
    Paths,
    Interface(u32),
    /// The clients from `first` on, at most `count`, with at least `min_hits` packets; with `reset`, their
    /// counts begin anew.
    Clients {
        first: u32,
        count: u32,
        min_hits: u32,
        reset: bool,
    },
    /// Whether an address is allowed.
    Check(AccessTable, Address),
    // Sources.
    Online(Selector),
    Offline(Selector),
    OnOffline,
    /// Measures up to `good` times, with up to `total` requests.
    Burst {
        sources: Selector,
        good: u8,
        total: u8,
    },
    Change(Address, Change),
    /// The options in `mask` become those in `options`.
    SelectOptions {
        address: Address,
        reference_id: u32,
        mask: SelectOptions,
        options: SelectOptions,
    },
    Offset {
        address: Address,
        reference_id: u32,
        offset_s: f64,
    },
    AddSource(Box<Source>),
    DeleteSource(Address),
    Refresh,
    ReloadSources,
    ResetSources,
    Reselect,
    ReselectDistance(f64),
    // The clock.
    MakeStep,
    ModifyMakeStep(MakeStep),
    /// ppm.
    MaxUpdateSkew(f64),
    /// To be added to the frequency, ppm.
    DeltaFrequency(f64),
    /// To be removed from the clock, seconds, positive when the clock is ahead.
    DeltaOffset(f64),
    SetTime(UnixTime),
    Manual(ManualMode),
    ManualDelete(u32),
    Local(Option<Local>),
    /// Whether served time is smoothed from now on; else smoothing begins anew.
    SmoothTime {
        activate: bool,
    },
    WriteRtc,
    TrimRtc,
    // The daemon.
    Access(AccessTable, AccessRule),
    Dump,
    Rekey,
    CycleLogs,
    Shutdown,
}

/// Whose requests a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessTable {
    /// Those of NTP clients.
    Ntp,
    /// Those of chronyc over UDP.
    Command,
}

/// What becomes of times given by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManualMode {
    /// They are refused.
    Off,
    /// They are taken.
    On,
    /// Those so far are forgotten.
    Reset,
}

/// Options from the flags of a request.
pub(super) const fn select_options(flags: u32) -> SelectOptions {
    SelectOptions {
        prefer: flags & 0x8 != 0,
        noselect: flags & 0x10 != 0,
        trust: flags & 0x20 != 0,
        require: flags & 0x40 != 0,
    }
}

/// Which options a request of `selectopts` is about: other bits than those that say what they become.
const fn select_mask(bits: u32) -> SelectOptions {
    SelectOptions {
        noselect: bits & 0x1 != 0,
        prefer: bits & 0x2 != 0,
        trust: bits & 0x4 != 0,
        require: bits & 0x8 != 0,
    }
}

/// A poll exponent; what no exponent is is out of every range all the same.
fn poll(log2: i32) -> i8 {
    i8::try_from(log2.clamp(i8::MIN.into(), i8::MAX.into())).unwrap_or_default()
}

/// A small number; what is larger is out of every range all the same.
fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// Reads the body of a request. It is as long as the command takes.
#[expect(clippy::too_many_lines, reason = "a line or two for each command")]
pub(super) fn read(code: Code, mut from: Reader<'_>) -> Result<Request, Status> {
    Ok(match code {
        Code::SourceCount => Request::SourceCount,
        Code::SourceData => Request::SourceData(from.u32()),
        Code::SourceStats => Request::SourceStats(from.u32()),
        Code::SourceName => Request::SourceName(from.address()),
        Code::SelectData => Request::SelectData(from.u32()),
        Code::NtpData => Request::NtpData(from.address()),
        Code::AuthData => Request::AuthData(from.address()),
        Code::Tracking => Request::Tracking,
        Code::Activity => Request::Activity,
        Code::Smoothing => Request::Smoothing,
        Code::ServerStats => Request::ServerStats,
        Code::RtcReport => Request::RtcReport,
        Code::ManualList => Request::ManualList,
        Code::Paths => Request::Paths,
        Code::Interface => Request::Interface(from.u32()),
        Code::Clients => {
            let (first, count, min_hits) = (from.u32(), from.u32(), from.u32());
            Request::Clients { first, count, min_hits, reset: from.u32() != 0 }
        }
        Code::Accheck => Request::Check(AccessTable::Ntp, from.address()),
        Code::CmdAccheck => Request::Check(AccessTable::Command, from.address()),
        Code::Online => Request::Online(from.selector()?),
        Code::Offline => Request::Offline(from.selector()?),
        Code::OnOffline => Request::OnOffline,
        Code::Burst => {
            let sources = from.selector()?;
            Request::Burst { sources, good: small(from.u32()), total: small(from.u32()) }
        }
        Code::MinPoll => Request::Change(from.address(), Change::Minpoll(poll(from.i32()))),
        Code::MaxPoll => Request::Change(from.address(), Change::Maxpoll(poll(from.i32()))),
        Code::MaxDelay => Request::Change(from.address(), Change::Maxdelay(from.float())),
        Code::MaxDelayRatio => Request::Change(from.address(), Change::Maxdelayratio(from.float())),
        Code::MaxDelayDevRatio => {
            Request::Change(from.address(), Change::Maxdelaydevratio(from.float()))
        }
        Code::MinStratum => Request::Change(from.address(), Change::Minstratum(small(from.u32()))),
        Code::PollTarget => Request::Change(from.address(), Change::Polltarget(from.u32())),
        Code::SelectOptions => {
            let (address, reference_id) = (from.address(), from.u32());
            let (mask, options) = (select_mask(from.u32()), select_options(from.u32()));
            Request::SelectOptions { address, reference_id, mask, options }
        }
        Code::Offset => {
            let (address, reference_id) = (from.address(), from.u32());
            Request::Offset { address, reference_id, offset_s: from.float() }
        }
        Code::AddSource => Request::AddSource(Box::new(add_source::read(&mut from)?)),
        Code::DeleteSource => Request::DeleteSource(from.address()),
        Code::Refresh => Request::Refresh,
        Code::ReloadSources => Request::ReloadSources,
        Code::ResetSources => Request::ResetSources,
        Code::Reselect => Request::Reselect,
        Code::ReselectDistance => Request::ReselectDistance(from.float()),
        Code::MakeStep => Request::MakeStep,
        Code::ModifyMakeStep => {
            let limit = u32::try_from(from.i32());
            let limit = limit.map_or(StepLimit::Unlimited, StepLimit::Updates);
            Request::ModifyMakeStep(MakeStep { threshold_s: from.float(), limit })
        }
        Code::MaxUpdateSkew => Request::MaxUpdateSkew(from.float()),
        Code::DeltaFrequency => Request::DeltaFrequency(from.float()),
        Code::DeltaOffset => Request::DeltaOffset(from.float()),
        Code::SetTime => Request::SetTime(from.time()),
        Code::Manual => Request::Manual(manual_mode(&mut from)?),
        Code::ManualDelete => Request::ManualDelete(from.u32()),
        Code::Local => Request::Local(local(&mut from, true)),
        Code::LocalBefore44 => Request::Local(local(&mut from, false)),
        Code::SmoothTime => Request::SmoothTime { activate: smooths(&mut from)? },
        Code::WriteRtc => Request::WriteRtc,
        Code::TrimRtc => Request::TrimRtc,
        Code::Allow => access(AccessTable::Ntp, Verdict::Allow, false, &mut from)?,
        Code::AllowAll => access(AccessTable::Ntp, Verdict::Allow, true, &mut from)?,
        Code::Deny => access(AccessTable::Ntp, Verdict::Deny, false, &mut from)?,
        Code::DenyAll => access(AccessTable::Ntp, Verdict::Deny, true, &mut from)?,
        Code::CmdAllow => access(AccessTable::Command, Verdict::Allow, false, &mut from)?,
        Code::CmdAllowAll => access(AccessTable::Command, Verdict::Allow, true, &mut from)?,
        Code::CmdDeny => access(AccessTable::Command, Verdict::Deny, false, &mut from)?,
        Code::CmdDenyAll => access(AccessTable::Command, Verdict::Deny, true, &mut from)?,
        Code::Dump => Request::Dump,
        Code::Rekey => Request::Rekey,
        Code::CycleLogs => Request::CycleLogs,
        Code::Shutdown => Request::Shutdown,
    })
}

fn manual_mode(from: &mut Reader<'_>) -> Result<ManualMode, Status> {
    match from.u32() {
        0 => Ok(ManualMode::Off),
        1 => Ok(ManualMode::On),
        2 => Ok(ManualMode::Reset),
        _ => Err(Status::Invalid),
    }
}

fn smooths(from: &mut Reader<'_>) -> Result<bool, Status> {
    match from.u32() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Status::Invalid),
    }
}

fn local(from: &mut Reader<'_>, has_conditions: bool) -> Option<Local> {
    /// What `local orphan` waits for without being told, seconds.
    const ORPHAN_WAIT_S: f64 = 300.0;
    let is_on = from.u32() != 0;
    let stratum = u8::try_from(from.i32().clamp(1, 15)).unwrap_or_default();
    let (distance_s, orphan) = (from.float(), from.u32() != 0);
    let conditions = if has_conditions {
        [from.float(), from.float(), from.float()]
    } else {
        [0.0, 0.0, if orphan { ORPHAN_WAIT_S } else { 0.0 }]
    };
    let [activate_s, waitsynced_s, waitunsynced_s] = conditions;
    is_on.then_some(Local { stratum, orphan, distance_s, activate_s, waitsynced_s, waitunsynced_s })
}

fn access(
    table: AccessTable,
    verdict: Verdict,
    all: bool,
    from: &mut Reader<'_>,
) -> Result<Request, Status> {
    let (address, bits) = (from.address(), from.u32());
    let target = match address {
        Address::Ip(address) => {
            let bits = u8::try_from(bits).map_err(|_| Status::BadSubnet)?;
            let network = ipnet::IpNet::new(address, bits).map_err(|_| Status::BadSubnet)?;
            AccessTarget::Network(network.trunc())
        }
        Address::Unspecified if bits == 0 => AccessTarget::Everyone,
        Address::Unspecified | Address::Id(_) => return Err(Status::BadSubnet),
    };
    Ok(Request::Access(table, AccessRule { verdict, all, target }))
}
