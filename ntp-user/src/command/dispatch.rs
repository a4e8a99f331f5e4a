//! Carries out commands. What can't be done is answered with the status that says so, never with success.

use ntp_engine::candm::{AccessTable, Address, Reply, Request, Status};
use ntp_engine::conf::{AccessRule, AccessTarget, Verdict};
use ntp_engine::report::SourceReport;

use super::{Commands, reports};
use crate::event_loop::DaemonDriver;
use crate::tasks::Tasks;

/// Carries out a command that who gives it may give.
pub(super) fn carry_out(
    request: &Request,
    commands: &mut Commands,
    driver: &mut DaemonDriver,
    tasks: &mut Tasks,
) -> Reply {
    match *request {
        Request::SourceCount => {
            let count = driver.engine().sources(driver.now()).len();
            Reply::SourceCount(u32::try_from(count).unwrap_or(u32::MAX))
        }
        Request::SourceData(index) => of_source(driver, index, |source, place| {
            Reply::SourceData(reports::source_data(source, place))
        }),
        Request::SourceStats(index) => of_source(driver, index, |source, place| {
            Reply::SourceStats(reports::source_stats(source, place))
        }),
        Request::SourceName(address) => {
            reports::find(&driver.engine().sources(driver.now()), address)
                .map_or(Status::NoSuchSource.into(), |source| {
                    Reply::SourceName(reports::name(source))
                })
        }
        Request::Tracking => {
            Reply::Tracking(reports::tracking(&driver.engine().tracking(driver.now())))
        }
        Request::ServerStats => {
            let (xdp, user) = tasks.counters();
            Reply::ServerStats(reports::server_stats(&xdp, &user, commands.totals))
        }
        Request::Check(table, address) => check(table, address, commands, tasks).into(),
        Request::Rekey => rekey(tasks).into(),
        Request::Access(table, ref rule) => add_rule(table, rule, commands, driver, tasks).into(),
        Request::Shutdown => {
            tracing::info!("Received shutdown command");
            tasks.is_told_to_end = true;
            Reply::DONE
        }
        Request::RtcReport | Request::WriteRtc | Request::TrimRtc => Status::NoRtc.into(),
        Request::ManualList => Reply::ManualList(Vec::new()),
        Request::Smoothing
        | Request::SmoothTime { .. }
        | Request::SetTime(_)
        | Request::ManualDelete(_) => Status::NotEnabled.into(),
        Request::Clients { .. } => Status::Inactive.into(),
        Request::SelectData(_)
        | Request::NtpData(_)
        | Request::AuthData(_)
        | Request::Activity
        | Request::Online(_)
        | Request::Offline(_)
        | Request::OnOffline
        | Request::Burst { .. }
        | Request::Change(..)
        | Request::SelectOptions { .. }
        | Request::Offset { .. }
        | Request::AddSource(_)
        | Request::DeleteSource(_)
        | Request::Refresh
        | Request::ReloadSources
        | Request::ResetSources
        | Request::Reselect
        | Request::ReselectDistance(_)
        | Request::MakeStep
        | Request::ModifyMakeStep(_)
        | Request::MaxUpdateSkew(_)
        | Request::DeltaFrequency(_)
        | Request::DeltaOffset(_)
        | Request::Manual(_)
        | Request::Local(_)
        | Request::Dump
        | Request::CycleLogs => {
            tracing::warn!(?request, "This command is not built in yet");
            Status::Failed.into()
        }
    }
}

/// Reads the key file again.
fn rekey(tasks: &Tasks) -> Status {
    if tasks.key_file.read() { Status::Success } else { Status::Failed }
}

/// What is told about the source with this index.
fn of_source(
    driver: &DaemonDriver,
    index: u32,
    tell: impl FnOnce(&SourceReport, usize) -> Reply,
) -> Reply {
    let sources = driver.engine().sources(driver.now());
    let place = usize::try_from(index).unwrap_or(usize::MAX);
    sources.get(place).map_or(Status::NoSuchSource.into(), |source| tell(source, place))
}

fn check(table: AccessTable, address: Address, commands: &Commands, tasks: &Tasks) -> Status {
    let Address::Ip(address) = address else { return Status::AccessDenied };
    let is_allowed = match table {
        AccessTable::Ntp => tasks.access.shared.current().allows(address),
        AccessTable::Command => commands.access.allows(address),
    };
    if is_allowed { Status::AccessAllowed } else { Status::AccessDenied }
}

/// Adds a rule, which is in force on both paths when this returns.
fn add_rule(
    table: AccessTable,
    rule: &AccessRule,
    commands: &mut Commands,
    driver: &DaemonDriver,
    tasks: &mut Tasks,
) -> Status {
    let added = match table {
        AccessTable::Ntp => tasks.add_access(rule.clone(), driver),
        AccessTable::Command => commands.access.add(rule.clone()),
    };
    if let Err(error) = added {
        tracing::error!(%error, "Access rules stay as they were");
        return Status::Failed;
    }
    let verb = match rule.verdict {
        Verdict::Allow => "Allowed",
        Verdict::Deny => "Denied",
    };
    let all = if rule.all { " all" } else { "" };
    let kind = match table {
        AccessTable::Ntp => "",
        AccessTable::Command => " command",
    };
    let target = match &rule.target {
        AccessTarget::Everyone => "any address".to_owned(),
        AccessTarget::Network(network) => network.to_string(),
        AccessTarget::Name(name) => name.clone(),
    };
    tracing::info!("{verb}{all}{kind} access from {target}");
    Status::Success
}
