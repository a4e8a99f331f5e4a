//! Commands that change what the daemon does: to sources and to the clock.

use std::net::IpAddr;

use ntp_common::wire::ReferenceId;
use ntp_engine::candm::{Address, Request, Status};
use ntp_engine::conf::{MakeStep, StepLimit};
use ntp_engine::engine::ClockOperation;
use ntp_engine::operation::{Change, Named, Operation, OperationError, Selector};

/// The operation on sources that a command stands for; none if it is about something else.
///
/// # Errors
/// The status of a command that can't be one.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "commands that are not about sources are not its business"
)]
pub(super) fn operation(request: &Request) -> Result<Option<Operation>, Status> {
    Ok(Some(match *request {
        Request::Online(sources) => Operation::Online(sources),
        Request::Offline(sources) => Operation::Offline(sources),
        Request::OnOffline => Operation::OnlineIfRouted(Selector::All),
        Request::Burst { sources, good, total } => Operation::Burst { sources, good, total },
        Request::Change(address, change) => {
            Operation::Change { source: Named::Address(address_of(address)?), change }
        }
        Request::Offset { address, reference_id, offset_s } => {
            let source = clock_or_address(address, reference_id)?;
            Operation::Change { source, change: Change::Offset(offset_s) }
        }
        Request::SelectOptions { address, reference_id, mask, options } => {
            let source = clock_or_address(address, reference_id)?;
            Operation::Change { source, change: Change::Selection { mask, options } }
        }
        Request::AddSource(ref source) => Operation::Add(source.clone()),
        Request::DeleteSource(address) => Operation::Delete(address_of(address)?),
        Request::Refresh => Operation::Refresh,
        Request::ResetSources => Operation::ResetSources,
        _ => return Ok(None),
    }))
}

/// The operation on the clock that a command stands for; none if it is about something else.
#[expect(clippy::wildcard_enum_match_arm, reason = "other commands are not its business")]
pub(super) fn clock_operation(request: &Request) -> Option<ClockOperation> {
    Some(match *request {
        Request::MakeStep => ClockOperation::Step,
        Request::ModifyMakeStep(MakeStep { threshold_s, limit }) => {
            let limit = match limit {
                StepLimit::Updates(updates) => Some(updates),
                StepLimit::Unlimited => None,
            };
            ClockOperation::AllowSteps { threshold_s, limit }
        }
        Request::DeltaFrequency(ppm) => ClockOperation::Frequency(ppm),
        Request::DeltaOffset(ahead_s) => ClockOperation::Offset(ahead_s),
        Request::MaxUpdateSkew(ppm) => ClockOperation::MaxUpdateSkew(ppm),
        Request::ReselectDistance(seconds) => ClockOperation::ReselectDistance(seconds),
        Request::Reselect => ClockOperation::Reselect,
        _ => return None,
    })
}

/// The source that is meant where reference clocks may be: by their ID, without an address.
fn clock_or_address(address: Address, reference_id: u32) -> Result<Named, Status> {
    match address {
        Address::Unspecified => Ok(Named::Clock(ReferenceId(reference_id))),
        Address::Ip(_) | Address::Id(_) => address_of(address).map(Named::Address),
    }
}

/// The address of a source; sources without one are not told apart.
fn address_of(address: Address) -> Result<IpAddr, Status> {
    match address {
        Address::Ip(address) => Ok(address),
        Address::Id(_) | Address::Unspecified => Err(Status::NoSuchSource),
    }
}

/// How an operation ended.
pub(super) fn status(outcome: Result<(), OperationError>) -> Status {
    match outcome {
        Ok(()) => Status::Success,
        Err(OperationError::NoSuchSource) => Status::NoSuchSource,
        Err(OperationError::AlreadyPresent) => Status::SourceAlreadyKnown,
        Err(OperationError::TooMany) => Status::TooManySources,
        Err(OperationError::OutOfRange) => Status::Invalid,
        Err(OperationError::Unsupported) => Status::Failed,
    }
}
