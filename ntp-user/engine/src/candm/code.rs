//! The commands by their numbers, and how long their packets are.

use std::collections::BTreeSet;

use super::address::ADDRESS_LEN;
use super::{NAME_LEN, own, reply};
use crate::conf::OpenCommand;

/// Octets of a request before its body.
pub(super) const REQUEST_HEADER_LEN: usize = 20;
/// Octets of a reply before its body.
pub(super) const REPLY_HEADER_LEN: usize = 28;

/// A command. Numbers that are missing are of commands that chrony once had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named after the command")]
#[repr(u16)]
pub enum Code {
    Online = 1,
    Offline = 2,
    Burst = 3,
    MinPoll = 4,
    MaxPoll = 5,
    Dump = 6,
    MaxDelay = 7,
    MaxDelayRatio = 8,
    MaxUpdateSkew = 9,
    SetTime = 11,
    Manual = 13,
    SourceCount = 14,
    SourceData = 15,
    Rekey = 16,
    Allow = 17,
    AllowAll = 18,
    Deny = 19,
    DenyAll = 20,
    CmdAllow = 21,
    CmdAllowAll = 22,
    CmdDeny = 23,
    CmdDenyAll = 24,
    Accheck = 25,
    CmdAccheck = 26,
    DeleteSource = 29,
    WriteRtc = 30,
    DeltaFrequency = 31,
    Tracking = 33,
    SourceStats = 34,
    RtcReport = 35,
    TrimRtc = 36,
    CycleLogs = 37,
    ManualList = 41,
    ManualDelete = 42,
    MakeStep = 43,
    Activity = 44,
    MinStratum = 45,
    PollTarget = 46,
    MaxDelayDevRatio = 47,
    Reselect = 48,
    ReselectDistance = 49,
    ModifyMakeStep = 50,
    Smoothing = 51,
    SmoothTime = 52,
    Refresh = 53,
    ServerStats = 54,
    /// Of chronyc before 4.4: without conditions of activation.
    LocalBefore44 = 56,
    NtpData = 57,
    Shutdown = 62,
    OnOffline = 63,
    AddSource = 64,
    SourceName = 65,
    ResetSources = 66,
    AuthData = 67,
    Clients = 68,
    SelectData = 69,
    ReloadSources = 70,
    DeltaOffset = 71,
    SelectOptions = 72,
    Offset = 73,
    Local = 74,
    /// Ours: [`super::Paths`].
    Paths = 31_001,
    /// Ours: [`super::Interface`].
    Interface = 31_002,
}

/// Every command, with the octets of its request's body and of its reply's: of the shorter one where chrony has
/// had two.
const COMMANDS: [(Code, usize, usize); 63] = [
    (Code::Online, 2 * ADDRESS_LEN, 0),
    (Code::Offline, 2 * ADDRESS_LEN, 0),
    (Code::Burst, 2 * ADDRESS_LEN + 8, 0),
    (Code::MinPoll, ADDRESS_LEN + 4, 0),
    (Code::MaxPoll, ADDRESS_LEN + 4, 0),
    (Code::Dump, 4, 0),
    (Code::MaxDelay, ADDRESS_LEN + 4, 0),
    (Code::MaxDelayRatio, ADDRESS_LEN + 4, 0),
    (Code::MaxUpdateSkew, 4, 0),
    (Code::SetTime, 12, reply::CORRECTION_LEN),
    (Code::Manual, 4, 0),
    (Code::SourceCount, 0, reply::SOURCE_COUNT_LEN),
    (Code::SourceData, 4, reply::SOURCE_DATA_LEN),
    (Code::Rekey, 0, 0),
    (Code::Allow, ADDRESS_LEN + 4, 0),
    (Code::AllowAll, ADDRESS_LEN + 4, 0),
    (Code::Deny, ADDRESS_LEN + 4, 0),
    (Code::DenyAll, ADDRESS_LEN + 4, 0),
    (Code::CmdAllow, ADDRESS_LEN + 4, 0),
    (Code::CmdAllowAll, ADDRESS_LEN + 4, 0),
    (Code::CmdDeny, ADDRESS_LEN + 4, 0),
    (Code::CmdDenyAll, ADDRESS_LEN + 4, 0),
    (Code::Accheck, ADDRESS_LEN, 0),
    (Code::CmdAccheck, ADDRESS_LEN, 0),
    (Code::DeleteSource, ADDRESS_LEN, 0),
    (Code::WriteRtc, 0, 0),
    (Code::DeltaFrequency, 4, 0),
    (Code::Tracking, 0, reply::TRACKING_LEN),
    (Code::SourceStats, 4, reply::SOURCE_STATS_LEN),
    (Code::RtcReport, 0, reply::RTC_LEN),
    (Code::TrimRtc, 0, 0),
    (Code::CycleLogs, 0, 0),
    (Code::ManualList, 0, reply::MANUAL_LIST_LEN),
    (Code::ManualDelete, 4, 0),
    (Code::MakeStep, 0, 0),
    (Code::Activity, 0, reply::ACTIVITY_LEN),
    (Code::MinStratum, ADDRESS_LEN + 4, 0),
    (Code::PollTarget, ADDRESS_LEN + 4, 0),
    (Code::MaxDelayDevRatio, ADDRESS_LEN + 4, 0),
    (Code::Reselect, 0, 0),
    (Code::ReselectDistance, 4, 0),
    (Code::ModifyMakeStep, 8, 0),
    (Code::Smoothing, 0, reply::SMOOTHING_LEN),
    (Code::SmoothTime, 4, 0),
    (Code::Refresh, 0, 0),
    (Code::ServerStats, 0, reply::SERVER_STATS_BEFORE_44_LEN),
    (Code::LocalBefore44, 16, 0),
    (Code::NtpData, ADDRESS_LEN, reply::NTP_DATA_BEFORE_44_LEN),
    (Code::Shutdown, 0, 0),
    (Code::OnOffline, 0, 0),
    (Code::AddSource, 352, 0),
    (Code::SourceName, ADDRESS_LEN, NAME_LEN),
    (Code::ResetSources, 0, 0),
    (Code::AuthData, ADDRESS_LEN, reply::AUTH_DATA_LEN),
    (Code::Clients, 16, reply::CLIENTS_LEN),
    (Code::SelectData, 4, reply::SELECT_DATA_LEN),
    (Code::ReloadSources, 0, 0),
    (Code::DeltaOffset, 4, 0),
    (Code::SelectOptions, ADDRESS_LEN + 12, 0),
    (Code::Offset, ADDRESS_LEN + 8, 0),
    (Code::Local, 28, 0),
    (Code::Paths, 0, own::PATHS_LEN),
    (Code::Interface, 4, own::INTERFACE_LEN),
];

impl Code {
    /// Every command.
    pub fn all() -> impl Iterator<Item = Self> {
        COMMANDS.iter().map(|&(code, ..)| code)
    }

    /// The command with this number, and the octets of its shortest request: padding makes it as long as the
    /// reply.
    pub(super) fn read(number: u16) -> Option<(Self, usize)> {
        let &(code, request, reply) = COMMANDS.iter().find(|(code, ..)| *code as u16 == number)?;
        Some((code, (REQUEST_HEADER_LEN + request).max(REPLY_HEADER_LEN + reply)))
    }

    /// Whether the command only asks, so that `opencommands` may open it to the network.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "a new command is closed until it is named")]
    pub fn is_open(self, open: &BTreeSet<OpenCommand>) -> bool {
        let of_all_sources = [
            OpenCommand::Authdata,
            OpenCommand::Ntpdata,
            OpenCommand::Selectdata,
            OpenCommand::Sources,
            OpenCommand::Sourcestats,
        ];
        let opened_by: &[OpenCommand] = match self {
            Self::SourceCount => &of_all_sources,
            Self::SourceData => &[OpenCommand::Sources],
            Self::SourceStats => &[OpenCommand::Sourcestats],
            Self::SourceName => &[OpenCommand::Sourcename],
            Self::Tracking => &[OpenCommand::Tracking],
            Self::Activity => &[OpenCommand::Activity],
            Self::AuthData => &[OpenCommand::Authdata],
            Self::Clients => &[OpenCommand::Clients],
            Self::ManualList => &[OpenCommand::Manual],
            Self::NtpData => &[OpenCommand::Ntpdata],
            Self::RtcReport => &[OpenCommand::Rtcdata],
            Self::SelectData => &[OpenCommand::Selectdata],
            Self::ServerStats => &[OpenCommand::Serverstats],
            Self::Smoothing => &[OpenCommand::Smoothing],
            _ => &[],
        };
        opened_by.iter().any(|command| open.contains(command))
    }
}
