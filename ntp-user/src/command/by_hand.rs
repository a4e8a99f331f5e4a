//! `settime` and `manual`: times that somebody gives by hand.

use ntp_common::time::NtpTimestamp;
use ntp_engine::candm::{Correction, ManualMode, ManualSample, Reply, Request, Status, UnixTime};
use ntp_engine::engine::ManualOperation;
use ntp_engine::manual::ManualError;

use crate::event_loop::DaemonDriver;

/// Does what is about times given by hand; `None` for what is about something else.
#[expect(clippy::wildcard_enum_match_arm, reason = "other commands are not its business")]
pub(super) fn carry_out(request: &Request, driver: &mut DaemonDriver) -> Option<Reply> {
    Some(match *request {
        Request::SetTime(time) => set_time(time, driver),
        Request::Manual(mode) => {
            let operation = match mode {
                ManualMode::Off => ManualOperation::Enable(false),
                ManualMode::On => ManualOperation::Enable(true),
                ManualMode::Reset => ManualOperation::Reset,
            };
            status(driver.operate_manual(operation)).into()
        }
        Request::ManualDelete(index) => {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            status(driver.operate_manual(ManualOperation::Delete(index))).into()
        }
        Request::ManualList => Reply::ManualList(list(driver)),
        _ => return None,
    })
}

fn set_time(time: UnixTime, driver: &mut DaemonDriver) -> Reply {
    // What NTP can't tell from other times is none that anybody means.
    if u32::try_from(time.seconds).is_err() {
        return Status::Failed.into();
    }
    match driver.set_time(NtpTimestamp::from(time)) {
        Ok(correction) => Reply::Correction(Correction {
            offset_s: correction.offset_s,
            frequency_change_ppm: correction.frequency_change_ppm,
            frequency_ppm: correction.frequency_ppm,
        }),
        Err(error) => status(Err(error)).into(),
    }
}

fn list(driver: &DaemonDriver) -> Vec<ManualSample> {
    let entries = driver.engine().manual().into_iter();
    let sample = |entry: ntp_engine::manual::ManualEntry| ManualSample {
        when: entry.when.into(),
        slewed_offset_s: entry.slewed_offset_s,
        offset_s: entry.offset_s,
        residual_s: entry.residual_s,
    };
    entries.map(sample).collect()
}

fn status(outcome: Result<(), ManualError>) -> Status {
    match outcome {
        Ok(()) => Status::Success,
        Err(ManualError::Disabled) => Status::NotEnabled,
        Err(ManualError::TooSoon) => Status::Failed,
        Err(ManualError::NoSuchEntry) => Status::BadSample,
    }
}
