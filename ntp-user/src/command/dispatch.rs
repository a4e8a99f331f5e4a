//! Carries out commands. What can't be done is answered with the status that says so, never with success.

use ntp_engine::candm::{AccessTable, Address, Reply, Request, Status};
use ntp_engine::conf::{AccessRule, AccessTarget, Verdict};
use ntp_engine::report::SourceReport;

use super::clients::{self, Wanted};
use super::{Commands, by_hand, operate, paths, reports};
use crate::event_loop::DaemonDriver;
use crate::tasks::{AccessError, Tasks};

/// Carries out a command that who gives it may give.
pub(super) fn carry_out(
    request: &Request,
    commands: &mut Commands,
    driver: &mut DaemonDriver,
    tasks: &mut Tasks,
) -> Reply {
    match operate::operation(request) {
        Ok(Some(operation)) => return operate::status(driver.operate(&operation)).into(),
        Err(status) => return status.into(),
        Ok(None) => {}
    }
    if let Some(operation) = operate::clock_operation(request) {
        driver.operate_clock(operation);
        return Reply::DONE;
    }
    if let Some(reply) = by_hand::carry_out(request, driver) {
        return reply;
    }
    report(request, commands, driver, tasks)
        .unwrap_or_else(|| change(request, commands, driver, tasks).into())
}

/// The report that is asked for, if one is.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is no report is for others")]
fn report(
    request: &Request,
    commands: &Commands,
    driver: &DaemonDriver,
    tasks: &Tasks,
) -> Option<Reply> {
    let engine = driver.engine();
    Some(match *request {
        Request::SourceCount => {
            let count = engine.sources(driver.now()).len();
            Reply::SourceCount(u32::try_from(count).unwrap_or(u32::MAX))
        }
        Request::SourceData(index) => of_source(driver, index, |source, place| {
            Reply::SourceData(reports::source_data(source, place))
        }),
        Request::SourceStats(index) => of_source(driver, index, |source, place| {
            Reply::SourceStats(reports::source_stats(source, place))
        }),
        Request::SourceName(address) => {
            at_address(driver, address, |source| Reply::SourceName(reports::name(source)))
        }
        Request::NtpData(Address::Ip(address)) => {
            engine.packet_report(address).map_or(Status::NoSuchSource.into(), |report| {
                Reply::NtpData(reports::ntp_data(&report))
            })
        }
        Request::NtpData(Address::Id(_) | Address::Unspecified) => Status::NoSuchSource.into(),
        Request::SelectData(index) => {
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            engine.selection().get(place).map_or(Status::NoSuchSource.into(), |source| {
                Reply::SelectData(reports::select_data(source, place))
            })
        }
        Request::AuthData(address) => at_address(driver, address, |source| {
            let options = source.address.and_then(|address| engine.source_options(address));
            Reply::AuthData(reports::auth_data(options, engine.keys()))
        }),
        Request::Tracking => Reply::Tracking(reports::tracking(&engine.tracking(driver.now()))),
        Request::Activity => Reply::Activity(engine.activity()),
        Request::ServerStats => {
            let (xdp, user) = tasks.counters();
            let (service, kept) = (tasks.user_path.service(), tasks.shared.exchanges.kept());
            let counters = (&xdp, &user);
            Reply::ServerStats(reports::server_stats(counters, &service, kept, commands.totals))
        }
        Request::Paths => Reply::Paths(paths::paths(driver, tasks)),
        Request::Interface(index) => paths::interface(tasks, index),
        Request::Smoothing => {
            engine.smoothing(driver.now()).map_or(Status::NotEnabled.into(), |report| {
                Reply::Smoothing(reports::smoothing(&report))
            })
        }
        Request::RtcReport => Status::NoRtc.into(),
        Request::Clients { .. } if tasks.clients.capacity() == 0 => Status::Inactive.into(),
        Request::Clients { first, count, min_hits, reset } => {
            let wanted = Wanted { first, count, min_hits, reset };
            Reply::Clients(clients::list(&tasks.clients, &wanted, driver.now().mono))
        }
        Request::Check(table, address) => check(table, address, commands, tasks).into(),
        _ => return None,
    })
}

/// Does what is not about sources.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not built in fails, whatever it is")]
fn change(
    request: &Request,
    commands: &mut Commands,
    driver: &mut DaemonDriver,
    tasks: &mut Tasks,
) -> Status {
    match *request {
        Request::Access(table, ref rule) => add_rule(table, rule, commands, driver, tasks),
        Request::Local(local) => {
            driver.set_local(local);
            Status::Success
        }
        Request::Shutdown => {
            tracing::info!("Received shutdown command");
            tasks.is_told_to_end = true;
            Status::Success
        }
        Request::WriteRtc | Request::TrimRtc => Status::NoRtc,
        Request::SmoothTime { activate } => {
            if driver.smooth(activate) {
                Status::Success
            } else {
                Status::NotEnabled
            }
        }
        Request::CycleLogs => {
            tasks.logs.cycle();
            Status::Success
        }
        Request::Dump => dump(driver, tasks),
        Request::Rekey => rekey(driver, tasks),
        Request::ReloadSources => reload_sources(driver, tasks),
        _ => {
            tracing::warn!(?request, "This command is not built in yet");
            Status::Failed
        }
    }
}

/// Writes what was measured of the sources, where there is a folder for it.
fn dump(driver: &DaemonDriver, tasks: &Tasks) -> Status {
    if tasks.histories.save(&driver.histories()) { Status::Success } else { Status::Failed }
}

/// Reads the key file again.
fn rekey(driver: &mut DaemonDriver, tasks: &Tasks) -> Status {
    if tasks.read_keys(driver) { Status::Success } else { Status::Failed }
}

/// Reads source files again.
fn reload_sources(driver: &mut DaemonDriver, tasks: &mut Tasks) -> Status {
    if tasks.source_folders.reload(driver) { Status::Success } else { Status::Failed }
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

/// What is told about the source at an address.
fn at_address(
    driver: &DaemonDriver,
    address: Address,
    tell: impl FnOnce(&SourceReport) -> Reply,
) -> Reply {
    let sources = driver.engine().sources(driver.now());
    reports::find(&sources, address).map_or(Status::NoSuchSource.into(), tell)
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
        AccessTable::Command => commands.access.add(rule.clone()).map_err(AccessError::from),
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
