//! Whole packets: every one is answered by the rules, or not at all.
#![expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use proptest::prelude::*;

use super::*;
use crate::conf::{AccessTarget, OpenCommand, SourceKind, Verdict};
use crate::operation::{Activity, SelectOptions};

/// A request of `len` octets with `body` behind its header.
fn request(number: u16, body: &[u8], len: usize) -> Vec<u8> {
    let mut packet = vec![VERSION, 1, 0, 0];
    packet.extend(number.to_be_bytes());
    packet.extend([0, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 0, 0, 0, 0]);
    packet.extend(body);
    packet.resize(len, 0);
    packet
}

fn ask(packet: &[u8]) -> Asked<'_> {
    match receive(packet) {
        Received::Asked(asked) => asked,
        other => panic!("{other:?}"),
    }
}

fn status_of(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[8], packet[9]])
}

/// Lengths of chrony's table for each command: request and reply.
const LENGTHS: &[(Code, usize, usize)] = &[
    (Code::Tracking, 104, 104),
    (Code::SourceCount, 32, 32),
    (Code::SourceData, 76, 76),
    (Code::SourceName, 284, 284),
    (Code::SourceStats, 84, 84),
    (Code::ServerStats, 72, 72),
    (Code::NtpData, 152, 152),
    (Code::Activity, 48, 48),
    (Code::Clients, 520, 520),
    (Code::AuthData, 52, 52),
    (Code::SelectData, 76, 76),
    (Code::Smoothing, 52, 52),
    (Code::Online, 60, 28),
    (Code::OnOffline, 28, 28),
    (Code::AddSource, 372, 28),
    (Code::DeleteSource, 40, 28),
    (Code::Accheck, 40, 28),
    (Code::Allow, 44, 28),
    (Code::MakeStep, 28, 28),
    (Code::ModifyMakeStep, 28, 28),
    (Code::SetTime, 40, 40),
    (Code::ManualList, 416, 416),
    (Code::RtcReport, 56, 56),
    (Code::LocalBefore44, 36, 28),
    (Code::Local, 48, 28),
];

#[test]
fn requests_are_taken_from_their_full_length_on() {
    for &(code, len, _) in LENGTHS {
        let packet = request(code as u16, &[], len);
        assert_eq!(ask(&packet).code(), code);
        match receive(&packet[..len - 1]) {
            Received::Refused(Status::BadLength, reply) => {
                assert_eq!((reply.len(), status_of(&reply)), (28, 19));
            }
            Received::Ignored(Ignored::Length) if len == 28 => {}
            other => panic!("{code:?}: {other:?}"),
        }
    }
}

#[test]
fn each_command_has_a_row_of_its_own() {
    let numbers: std::collections::BTreeSet<u16> = Code::all().map(|code| code as u16).collect();
    assert_eq!(numbers.len(), Code::all().count());
    for number in 0..=u16::MAX {
        let packet = request(number, &[], MAX_REQUEST_LEN);
        let is_known = matches!(receive(&packet), Received::Asked(_));
        assert_eq!(is_known, numbers.contains(&number), "{number}");
    }
}

#[test]
fn replies_repeat_what_chronyc_knows_its_request_by() {
    let packet = request(14, &[], 32);
    let reply = ask(&packet).answer(&Reply::SourceCount(7)).unwrap();
    let mut expected = vec![6, 2, 0, 0, 0, 14, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    expected.extend([0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(reply, expected);
}

#[test]
fn packets_that_are_no_requests_are_ignored() {
    let good = request(33, &[], 104);
    let cases: [(&str, Vec<u8>, Ignored); 6] = [
        ("empty", vec![], Ignored::Length),
        ("shorter than a reply", good[..27].to_vec(), Ignored::Length),
        ("longer than any", request(33, &[], MAX_REQUEST_LEN + 1), Ignored::Length),
        ("a reply", [&[6, 2], &good[2..]].concat(), Ignored::NotRequest),
        ("reserved octets", [&[6, 1, 0, 1], &good[4..]].concat(), Ignored::NotRequest),
        ("of version 4", [&[4], &good[1..]].concat(), Ignored::Version),
    ];
    for (name, packet, expected) in cases {
        match receive(&packet) {
            Received::Ignored(ignored) => assert_eq!(ignored, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn wrong_versions_and_commands_are_told_so() {
    for (version, number, expected) in [
        (5, 33, Status::BadVersion),
        (7, 33, Status::BadVersion),
        (6, 0, Status::Invalid),
        (6, 10, Status::Invalid),
        (6, 75, Status::Invalid),
        (6, 0xffff, Status::Invalid),
    ] {
        let mut packet = request(number, &[], 200);
        packet[0] = version;
        match receive(&packet) {
            Received::Refused(status, reply) => {
                assert_eq!(status, expected);
                assert_eq!((reply.len(), status_of(&reply)), (28, expected as u16));
                assert_eq!(reply[0], VERSION);
            }
            other => panic!("{version} {number}: {other:?}"),
        }
    }
}

#[test]
fn old_and_new_chronyc_get_the_reply_that_they_know() {
    let stats = Reply::ServerStats(ServerStats::default());
    for (len, number, reply_len) in [(72, 24, 72), (195, 24, 72), (196, 25, 196), (520, 25, 196)] {
        let packet = request(Code::ServerStats as u16, &[], len);
        let reply = ask(&packet).answer(&stats).unwrap();
        assert_eq!((reply.len(), reply[7]), (reply_len, number), "{len}");
    }
}

#[test]
fn names_that_are_too_long_are_cut_and_end_with_a_zero() {
    let packet = request(Code::SourceName as u16, &[], 284);
    let reply = ask(&packet).answer(&Reply::SourceName("x".repeat(300))).unwrap();
    assert_eq!(reply.len(), 284);
    assert_eq!((reply[282], reply[283]), (b'x', 0));
}

#[test]
fn access_rules_are_read_with_their_networks() {
    let rule = |octets: [u8; 4], family: u8, bits: u32| {
        let mut body = octets.to_vec();
        body.extend([0; 12]);
        body.extend([0, family, 0, 0]);
        body.extend(bits.to_be_bytes());
        let packet = request(Code::DenyAll as u16, &body, 44);
        ask(&packet).request()
    };
    match rule([192, 0, 2, 77], 1, 24) {
        Ok(Request::Access(AccessTable::Ntp, rule)) => {
            assert_eq!((rule.verdict, rule.all), (Verdict::Deny, true));
            assert_eq!(rule.target, AccessTarget::Network("192.0.2.0/24".parse().unwrap()));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        rule([0; 4], 0, 0),
        Ok(Request::Access(_, rule)) if rule.target == AccessTarget::Everyone
    ));
    for (family, bits) in [(1, 33), (1, 256), (2, 129), (0, 1), (3, 0)] {
        assert_eq!(rule([192, 0, 2, 77], family, bits), Err(Status::BadSubnet));
    }
}

#[test]
fn added_source_has_the_options_that_chronyc_gave() {
    let mut body = 1u32.to_be_bytes().to_vec();
    let mut name = b"192.0.2.7".to_vec();
    name.resize(NAME_LEN, 0);
    body.extend(&name);
    for value in [1123, -6, 4, 100, 0, 8, 3, 4, -1, -1, 17, 4460i32] {
        body.extend(value.to_be_bytes());
    }
    // maxdelay 1, mindelay 0, asymmetry 1: unset, offset 0.
    for float in [0x0480_0000u32, 0, 0x0480_0000, 0, 0x0480_0000, 0] {
        body.extend(float.to_be_bytes());
    }
    for value in [0x1u32 | 0x4 | 0x20, 0, 0, 0, 0] {
        body.extend(value.to_be_bytes());
    }
    let packet = request(Code::AddSource as u16, &body, 372);
    let Ok(Request::AddSource(source)) = ask(&packet).request() else { panic!("not read") };
    assert_eq!((source.kind, source.host.to_string()), (SourceKind::Server, "192.0.2.7".into()));
    let options = source.options;
    assert_eq!((options.port, options.minpoll_log2, options.maxpoll_log2), (1123, -6, 4));
    assert_eq!((options.presend_log2, options.version, options.key), (None, Some(3), Some(17)));
    assert_eq!((options.minsamples, options.asymmetry, options.maxunreach), (None, None, 100_000));
    assert!(options.iburst && options.trust && !options.offline && !options.prefer);
    // Without a zero at its end, the name is none.
    let unended = [&body[..4], &[b'x'; NAME_LEN], &body[4 + NAME_LEN..]].concat();
    let packet = request(Code::AddSource as u16, &unended, 372);
    assert_eq!(ask(&packet).request(), Err(Status::InvalidName));
}

#[test]
fn network_may_ask_for_what_is_open_and_for_nothing_that_changes_anything() {
    let default = OpenCommand::DEFAULT.into();
    let open: Vec<Code> = Code::all().filter(|code| code.is_open(&default)).collect();
    let expected = [
        Code::SourceCount,
        Code::SourceData,
        Code::Tracking,
        Code::SourceStats,
        Code::RtcReport,
        Code::ManualList,
        Code::Activity,
        Code::Smoothing,
        Code::SourceName,
    ];
    assert_eq!(open, expected);
    let every = OpenCommand::NAMES.iter().map(|&(_, command)| command).collect();
    assert_eq!(Code::all().filter(|code| code.is_open(&every)).count(), 14);
    assert!(!Code::all().any(|code| code.is_open(&[].into())));
}

/// Replies of every form.
fn replies() -> Vec<Reply> {
    let address = Address::Id(7);
    let clients = Clients { indices: 9, next: 9, clients: vec![CLIENT; 9] };
    vec![
        Status::Failed.into(),
        Reply::SourceCount(u32::MAX),
        Reply::ServerStats(ServerStats { log_drops: u64::MAX, ..ServerStats::default() }),
        Reply::SourceName("ntp.example.net".into()),
        Reply::AuthData(AuthData::default()),
        Reply::Activity(Activity::default()),
        Reply::Clients(clients),
        Reply::ManualList(vec![
            ManualSample {
                when: UnixTime::default(),
                slewed_offset_s: f64::NAN,
                offset_s: f64::INFINITY,
                residual_s: 0.0
            };
            17
        ]),
        Reply::SelectData(SelectData {
            reference_id: 1,
            address,
            state: b'*',
            is_authenticated: true,
            leap: 3,
            configured: SelectOptions::default(),
            effective: SelectOptions { require: true, ..SelectOptions::default() },
            last_sample_s: None,
            score: 1.0,
            low_s: -1.0,
            high_s: 1.0,
        }),
    ]
}

const CLIENT: Client = Client {
    address: Address::Unspecified,
    ntp: PacketTotals { received: u64::MAX, dropped: 0 },
    nts_ke: PacketTotals { received: 0, dropped: 0 },
    commands: PacketTotals { received: 0, dropped: 0 },
    ntp_interval_log2: 127,
    nts_ke_interval_log2: 127,
    command_interval_log2: 127,
    limited_interval_log2: 127,
    last_ntp_s: None,
    last_nts_ke_s: None,
    last_command_s: None,
};

/// What must hold of any packet, whatever its octets: the entry point of fuzzing, too.
fn check_any_packet(packet: &[u8]) {
    match receive(packet) {
        Received::Ignored(_) => {}
        Received::Refused(status, reply) => {
            assert_eq!(reply.len(), 28);
            assert!(reply.len() <= packet.len() && status_of(&reply) == status as u16);
        }
        Received::Asked(asked) => {
            let _ = asked.request();
            for reply in replies() {
                let Some(octets) = asked.answer(&reply) else { continue };
                assert!(octets.len() <= packet.len(), "{reply:?}");
                assert!(octets.len() <= MAX_REPLY_LEN);
                assert_eq!(octets[16..20], packet[8..12]);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_packet_panics_or_is_answered_with_more_octets_than_it_has(
        octets in prop::collection::vec(any::<u8>(), 0..MAX_REQUEST_LEN + 20),
    ) {
        check_any_packet(&octets);
    }

    #[test]
    fn no_request_with_a_right_header_does_either(
        number in 0u16..80,
        body in prop::collection::vec(any::<u8>(), 0..500),
        padding in 0usize..500,
    ) {
        check_any_packet(&request(number, &body, 20 + body.len() + padding));
    }
}
