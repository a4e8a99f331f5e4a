//! The protocol from the other side: requests as a client sends them, and replies as it reads them, from chronyd 4.4
//! or later and from ours.
//!
//! Invariant: no packet makes this panic, and none is taken for the answer to another question.

use super::address::Address;
use super::code::{Code, REPLY_HEADER_LEN};
use super::octets::{Reader, Writer};
use super::own::{Interface, Paths};
use super::packet::{REPLY, REQUEST};
use super::reply::{self, NEVER, Reply};
use super::reports::{
    Client, Clients, PacketTotals, ServerStats, SourceData, SourceMode, SourceStatus, Tracking,
};
use super::{NAME_LEN, VERSION};
use crate::operation::Activity;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after the command")]
pub enum Question {
    Tracking,
    SourceCount,
    SourceData(u32),
    SourceName(Address),
    Activity,
    ServerStats,
    /// Clients from the slot `first` on with at least so many packets.
    Clients {
        first: u32,
        min_hits: u32,
    },
    Paths,
    Interface(u32),
}

/// Why a packet is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It answers something else, or nothing.
    #[error("a packet that answers another question")]
    NotMine,
    /// It says that the question is not answered; the status as the packet has it.
    #[error("{}", status_text(*.0))]
    Refused(u16),
    /// It is shorter than what it says that it is.
    #[error("an answer that is cut short")]
    Short,
}

fn status_text(status: u16) -> String {
    match status {
        2 => "not authorised: this is told over the Unix socket alone".to_owned(),
        3 => "the server does not know this question".to_owned(),
        status => format!("refused with status {status}"),
    }
}

impl Question {
    const fn code(self) -> Code {
        match self {
            Self::Tracking => Code::Tracking,
            Self::SourceCount => Code::SourceCount,
            Self::SourceData(_) => Code::SourceData,
            Self::SourceName(_) => Code::SourceName,
            Self::Activity => Code::Activity,
            Self::ServerStats => Code::ServerStats,
            Self::Clients { .. } => Code::Clients,
            Self::Paths => Code::Paths,
            Self::Interface(_) => Code::Interface,
        }
    }

    /// The number of the reply's form, and the octets of its body.
    const fn reply(self) -> (u16, usize) {
        match self {
            Self::Tracking => (5, reply::TRACKING_LEN),
            Self::SourceCount => (2, reply::SOURCE_COUNT_LEN),
            Self::SourceData(_) => (3, reply::SOURCE_DATA_LEN),
            Self::SourceName(_) => (19, NAME_LEN),
            Self::Activity => (12, reply::ACTIVITY_LEN),
            Self::ServerStats => (25, reply::SERVER_STATS_LEN),
            Self::Clients { .. } => (21, reply::CLIENTS_LEN),
            Self::Paths => (Code::Paths as u16, super::own::PATHS_LEN),
            Self::Interface(_) => (Code::Interface as u16, super::own::INTERFACE_LEN),
        }
    }

    /// The packet that asks. `sequence` must not be predictable to anybody who may forge answers.
    #[must_use]
    pub fn packet(self, sequence: u32) -> Vec<u8> {
        let reply_len = REPLY_HEADER_LEN + self.reply().1;
        let mut to = Writer::new(reply_len);
        to.u8(VERSION).u8(REQUEST).u16(0).u16(self.code() as u16).u16(0).u32(sequence).u64(0);
        match self {
            Self::SourceData(index) | Self::Interface(index) => drop(to.u32(index)),
            Self::SourceName(address) => drop(to.address(address)),
            Self::Clients { first, min_hits } => {
                to.u32(first).u32(u32::MAX).u32(min_hits).u32(0);
            }
            Self::Tracking
            | Self::SourceCount
            | Self::Activity
            | Self::ServerStats
            | Self::Paths => {}
        }
        let mut packet = to.finish();
        packet.resize(packet.len().max(reply_len), 0);
        packet
    }

    /// The answer that a packet is.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn answer(self, sequence: u32, packet: &[u8]) -> Result<Reply, NoAnswer> {
        let mut from = Reader::new(packet);
        let (version, kind, _) = (from.u8(), from.u8(), from.u16());
        let (number, form, status) = (from.u16(), from.u16(), from.u16());
        let [_, _, _] = [from.u16(), from.u16(), from.u16()];
        let is_mine = (version, kind, number) == (VERSION, REPLY, self.code() as u16)
            && from.u32() == sequence
            && packet.len() >= REPLY_HEADER_LEN;
        let _reserved = from.u64();
        if !is_mine {
            return Err(NoAnswer::NotMine);
        }
        if status != 0 {
            return Err(NoAnswer::Refused(status));
        }
        let (expected, len) = self.reply();
        if form != expected {
            return Err(NoAnswer::NotMine);
        }
        if packet.len() < REPLY_HEADER_LEN + len {
            return Err(NoAnswer::Short);
        }
        Ok(self.read(&mut from))
    }

    fn read(self, from: &mut Reader<'_>) -> Reply {
        match self {
            Self::Tracking => Reply::Tracking(tracking(from)),
            Self::SourceCount => Reply::SourceCount(from.u32()),
            Self::SourceData(_) => Reply::SourceData(source_data(from)),
            Self::SourceName(_) => Reply::SourceName(from.text::<NAME_LEN>()),
            Self::Activity => Reply::Activity(Activity {
                online: from.u32(),
                offline: from.u32(),
                burst_online: from.u32(),
                burst_offline: from.u32(),
                unresolved: from.u32(),
            }),
            Self::ServerStats => Reply::ServerStats(server_stats(from)),
            Self::Clients { .. } => Reply::Clients(clients(from)),
            Self::Paths => Reply::Paths(Paths::read(from)),
            Self::Interface(_) => Reply::Interface(Interface::read(from)),
        }
    }
}

fn tracking(from: &mut Reader<'_>) -> Tracking {
    Tracking {
        reference_id: from.u32(),
        address: from.address(),
        stratum: low_octet(from.u16()),
        leap: low_octet(from.u16()),
        reference_time: from.time(),
        correction_s: from.float(),
        last_offset_s: from.float(),
        rms_offset_s: from.float(),
        frequency_ppm: from.float(),
        residual_frequency_ppm: from.float(),
        skew_ppm: from.float(),
        root_delay_s: from.float(),
        root_dispersion_s: from.float(),
        update_interval_s: from.float(),
    }
}

fn source_data(from: &mut Reader<'_>) -> SourceData {
    let address = from.address();
    let (poll, stratum, status, mode) = (from.u16(), from.u16(), from.u16(), from.u16());
    let (_flags, reach) = (from.u16(), from.u16());
    let status = match status {
        0 => SourceStatus::Selected,
        2 => SourceStatus::Falseticker,
        3 => SourceStatus::Jittery,
        4 => SourceStatus::Combined,
        5 => SourceStatus::NotCombined,
        _ => SourceStatus::Unusable,
    };
    let mode = match mode {
        1 => SourceMode::Peer,
        2 => SourceMode::Reference,
        _ => SourceMode::Client,
    };
    let last_sample_s = Some(from.u32()).filter(|&age_s| age_s != NEVER);
    SourceData {
        address,
        poll_log2: low_octet(poll).cast_signed(),
        stratum: low_octet(stratum),
        status,
        mode,
        reach: low_octet(reach),
        last_sample_s,
        measured_s: from.float(),
        adjusted_s: from.float(),
        error_s: from.float(),
    }
}

fn server_stats(from: &mut Reader<'_>) -> ServerStats {
    let [ntp, nts_ke, command] = std::array::from_fn(|_| from.u64());
    let [ntp_drops, nts_ke_drops, command_drops] = std::array::from_fn(|_| from.u64());
    let totals = |received, dropped| PacketTotals { received, dropped };
    let mut stats = ServerStats {
        ntp: totals(ntp, ntp_drops),
        nts_ke: totals(nts_ke, nts_ke_drops),
        commands: totals(command, command_drops),
        log_drops: from.u64(),
        authenticated: from.u64(),
        interleaved: from.u64(),
        timestamps: from.u64(),
        span_s: from.u64(),
        ..ServerStats::default()
    };
    for by in 0..3 {
        stats.receive_stamps[by] = from.u64();
        stats.transmit_stamps[by] = from.u64();
    }
    stats
}

fn clients(from: &mut Reader<'_>) -> Clients {
    let (indices, next, count) = (from.u32(), from.u32(), from.u32());
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(Clients::MOST);
    Clients { indices, next, clients: (0..count).map(|_| client(from)).collect() }
}

fn client(from: &mut Reader<'_>) -> Client {
    let address = from.address();
    let received: [u64; 3] = std::array::from_fn(|_| from.u32().into());
    let dropped: [u64; 3] = std::array::from_fn(|_| from.u32().into());
    let [ntp, nts_ke, commands] = std::array::from_fn(|kind| PacketTotals {
        received: received[kind],
        dropped: dropped[kind],
    });
    let intervals: [u8; 4] = from.take();
    let [ntp_interval_log2, nts_ke_interval_log2, command_interval_log2, limited_interval_log2] =
        intervals.map(u8::cast_signed);
    let [last_ntp_s, last_nts_ke_s, last_command_s] =
        std::array::from_fn(|_| Some(from.u32()).filter(|&age_s| age_s != NEVER));
    Client {
        address,
        ntp,
        nts_ke,
        commands,
        ntp_interval_log2,
        nts_ke_interval_log2,
        command_interval_log2,
        limited_interval_log2,
        last_ntp_s,
        last_nts_ke_s,
        last_command_s,
    }
}

fn low_octet(word: u16) -> u8 {
    let [_, low] = word.to_be_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candm::packet::{Received, receive};
    use crate::candm::{PathCounts, Status, UnixTime};
    use proptest::prelude::*;

    const SEQUENCE: u32 = 0xdead_beef;

    /// The packet that the daemon answers a question with.
    fn answered(question: Question, reply: &Reply) -> Vec<u8> {
        let packet = question.packet(SEQUENCE);
        let Received::Asked(asked) = receive(&packet) else { panic!("{question:?} is refused") };
        assert!(asked.request().is_ok(), "{question:?}");
        let answer = asked.answer(reply).unwrap();
        assert!(answer.len() <= packet.len());
        answer
    }

    fn questions() -> Vec<(Question, Reply)> {
        let path = |first| PathCounts {
            answered_v4: first,
            answered_v6: first + 1,
            limited: first + 2,
            kisses: first + 3,
            denied: first + 4,
            dropped: first + 5,
            passed: u64::MAX,
        };
        let paths = Paths {
            is_synchronised: true,
            is_too_far_off: false,
            has_xdp: true,
            is_limiting: false,
            snapshot_age_ms: Some(250),
            interfaces: 2,
            client_slots: 16_384,
            clients: None,
            uptime_s: 7,
            user: path(10),
            xdp: path(1 << 40),
        };
        let text = |text: &str| text.to_owned();
        let interface = Interface { name: text("eth0"), mode: text("native"), note: text("fast") };
        let stats = ServerStats {
            ntp: PacketTotals { received: u64::MAX, dropped: 7 },
            interleaved: 3,
            receive_stamps: [1, 2, 3],
            transmit_stamps: [4, 5, 6],
            ..ServerStats::default()
        };
        let activity = Activity { online: 1, offline: 2, unresolved: 3, ..Activity::default() };
        let clients = Clients { indices: 9, next: 4, clients: vec![CLIENT; 3] };
        let name = Question::SourceName(Address::Ip("2001:db8::1".parse().unwrap()));
        vec![
            (Question::Tracking, Reply::Tracking(TRACKING)),
            (Question::SourceCount, Reply::SourceCount(7)),
            (Question::SourceData(3), Reply::SourceData(SOURCE)),
            (name, Reply::SourceName(text("ntp.example.net"))),
            (Question::Activity, Reply::Activity(activity)),
            (Question::ServerStats, Reply::ServerStats(stats)),
            (Question::Clients { first: 3, min_hits: 9 }, Reply::Clients(clients)),
            (Question::Paths, Reply::Paths(paths)),
            (Question::Interface(1), Reply::Interface(interface)),
        ]
    }

    #[test]
    fn questions_are_understood_and_their_answers_read() {
        for (question, reply) in questions() {
            let answer = answered(question, &reply);
            assert_eq!(question.answer(SEQUENCE, &answer).unwrap(), reply, "{question:?}");
        }
    }

    #[test]
    fn what_answers_another_question_is_not_taken() {
        for (question, reply) in questions() {
            let answer = answered(question, &reply);
            assert_eq!(question.answer(1, &answer), Err(NoAnswer::NotMine));
            let short = &answer[..answer.len() - 1];
            assert_eq!(question.answer(SEQUENCE, short), Err(NoAnswer::Short), "{question:?}");
            let other =
                if question == Question::Paths { Question::Tracking } else { Question::Paths };
            assert_eq!(other.answer(SEQUENCE, &answer), Err(NoAnswer::NotMine));
            let refused = answered(question, &Status::NotAuthorised.into());
            assert_eq!(question.answer(SEQUENCE, &refused), Err(NoAnswer::Refused(2)));
        }
    }

    proptest! {
        #[test]
        fn no_packet_panics(
            index in any::<prop::sample::Index>(),
            octets in prop::collection::vec(any::<u8>(), 0..600),
            is_mine in any::<bool>(),
        ) {
            let questions = questions();
            let (question, reply) = &questions[index.index(questions.len())];
            let mut packet = octets;
            if is_mine {
                let header = &answered(*question, reply)[..REPLY_HEADER_LEN];
                packet.splice(..packet.len().min(REPLY_HEADER_LEN), header.iter().copied());
            }
            let _ = question.answer(SEQUENCE, &packet);
        }
    }

    /// A client that never sent a command.
    const CLIENT: Client = Client {
        address: Address::Id(5),
        ntp: PacketTotals { received: 9, dropped: 2 },
        nts_ke: PacketTotals { received: 0, dropped: 0 },
        commands: PacketTotals { received: 0, dropped: 0 },
        ntp_interval_log2: -3,
        nts_ke_interval_log2: 127,
        command_interval_log2: 127,
        limited_interval_log2: 127,
        last_ntp_s: Some(7),
        last_nts_ke_s: None,
        last_command_s: None,
    };

    /// A source; its numbers are such as packets carry without loss.
    const SOURCE: SourceData = SourceData {
        address: Address::Id(7),
        poll_log2: -6,
        stratum: 3,
        status: SourceStatus::NotCombined,
        mode: SourceMode::Peer,
        reach: 0o377,
        last_sample_s: None,
        measured_s: -0.5,
        adjusted_s: 0.25,
        error_s: 0.125,
    };

    /// A clock; its numbers are such as packets carry without loss.
    const TRACKING: Tracking = Tracking {
        reference_id: 0xc000_0201,
        address: Address::Unspecified,
        stratum: 15,
        leap: 3,
        reference_time: UnixTime { seconds: 1_795_000_000, nanos: 5 },
        correction_s: -0.5,
        last_offset_s: 1.0,
        rms_offset_s: 2.0,
        frequency_ppm: -12.5,
        residual_frequency_ppm: 0.0,
        skew_ppm: 0.25,
        root_delay_s: 0.125,
        root_dispersion_s: 64.0,
        update_interval_s: 1024.0,
    };
}
