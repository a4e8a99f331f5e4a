//! `add server` and `add pool`: the source that a request describes. Values out of their range become the
//! nearest in it, or the default where chrony has "unset" out of the range.

use super::octets::Reader;
use super::request::select_options;
use super::status::Status;
use super::{NAME_LEN, octets};
use crate::conf::{ExtensionField, Family, Host, Source, SourceKind, SourceOptions};

const MIN_POLL: i32 = -7;
const MAX_POLL: i32 = 24;

// Flags of the request, but for those of selection.
const ONLINE: u32 = 0x1;
const AUTO_OFFLINE: u32 = 0x2;
const IBURST: u32 = 0x4;
const INTERLEAVED: u32 = 0x80;
const BURST: u32 = 0x100;
const NTS: u32 = 0x200;
const COPY: u32 = 0x400;
const MONO_ROOT: u32 = 0x800;
const CORRECTION: u32 = 0x1000;
const IPV4: u32 = 0x2000;
const IPV6: u32 = 0x4000;

/// Reads the source.
///
/// # Errors
/// How the command ends if it makes no sense.
pub(super) fn read(from: &mut octets::Reader<'_>) -> Result<Source, Status> {
    let kind = match from.u32() {
        1 => SourceKind::Server,
        2 => SourceKind::Peer,
        3 => SourceKind::Pool,
        _ => return Err(Status::Invalid),
    };
    let host = host(&from.take())?;
    Ok(Source { kind, host, options: options(from)? })
}

fn host(name: &[u8; NAME_LEN]) -> Result<Host, Status> {
    let end = name.iter().position(|&octet| octet == 0).ok_or(Status::InvalidName)?;
    let name = str::from_utf8(&name[..end]).map_err(|_| Status::InvalidName)?;
    Host::parse(name).ok_or(Status::InvalidName)
}

/// Reads what follows the name, field by field.
fn options(from: &mut Reader<'_>) -> Result<SourceOptions, Status> {
    let unset = SourceOptions::default();
    let port = u16::try_from(from.u32()).map_err(|_| Status::Invalid)?;
    let minpoll_log2 = poll(from.i32(), unset.minpoll_log2);
    let maxpoll_log2 = poll(from.i32(), unset.maxpoll_log2).max(minpoll_log2);
    let presend = from.i32();
    let presend_log2 =
        (MIN_POLL..=MAX_POLL).contains(&presend).then(|| poll(presend, minpoll_log2));
    let minstratum = narrow(from.u32(), 0..=16);
    let polltarget = from.u32().clamp(1, 60);
    let version = from.u32();
    let maxsources = narrow(from.u32(), 1..=16);
    let minsamples = u32::try_from(from.i32()).ok();
    let maxsamples = u32::try_from(from.i32()).ok();
    let key = Some(from.u32()).filter(|&key| key != 0);
    let ntsport = u16::try_from(from.u32()).map_err(|_| Status::Invalid)?;
    let [maxdelay_s, maxdelayratio, maxdelaydevratio] =
        [from.float(), from.float(), from.float()].map(|value| value.max(0.0));
    let mindelay_s = from.float().max(0.0);
    let asymmetry = Some(from.float()).filter(|asymmetry| asymmetry.abs() <= 0.5);
    let offset_s = from.float();
    let flags = from.u32();
    let is_set = |flag| flags & flag != 0;
    let select = select_options(flags);
    let filter = u32::try_from(from.i32()).unwrap_or_default();
    let certset = from.u32();
    let maxdelayquant = from.float().clamp(0.0, 1.0);
    // chronyc before 4.6 leaves the field empty.
    let maxunreach = Some(from.u32()).filter(|&polls| polls != 0).unwrap_or(unset.maxunreach);
    Ok(SourceOptions {
        minpoll_log2,
        maxpoll_log2,
        iburst: is_set(IBURST),
        burst: is_set(BURST),
        offline: !is_set(ONLINE),
        auto_offline: is_set(AUTO_OFFLINE),
        polltarget,
        presend_log2,
        prefer: select.prefer,
        noselect: select.noselect,
        trust: select.trust,
        require: select.require,
        minstratum,
        maxdelay_s,
        maxdelayratio,
        maxdelaydevratio,
        maxdelayquant,
        mindelay_s,
        asymmetry,
        offset_s,
        minsamples,
        maxsamples,
        maxunreach,
        filter,
        port,
        version: (version != 0).then(|| narrow(version, 1..=4)),
        xleave: is_set(INTERLEAVED),
        copy: is_set(COPY),
        extfields: extension_fields(flags),
        family: family(flags),
        key,
        nts: is_set(NTS),
        ntsport,
        certset,
        maxsources,
    })
}

/// A poll exponent: the default for what is below the range.
fn poll(given_log2: i32, default_log2: i8) -> i8 {
    if given_log2 < MIN_POLL {
        return default_log2;
    }
    i8::try_from(given_log2.min(MAX_POLL)).unwrap_or(default_log2)
}

fn narrow(value: u32, range: std::ops::RangeInclusive<u8>) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX).clamp(*range.start(), *range.end())
}

fn family(flags: u32) -> Option<Family> {
    match (flags & IPV4 != 0, flags & IPV6 != 0) {
        (true, _) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        (false, false) => None,
    }
}

fn extension_fields(flags: u32) -> Vec<ExtensionField> {
    let fields = [
        (MONO_ROOT, ExtensionField::ExperimentalMonoRoot),
        (CORRECTION, ExtensionField::NetworkCorrection),
    ];
    fields.into_iter().filter(|(flag, _)| flags & flag != 0).map(|(_, field)| field).collect()
}
