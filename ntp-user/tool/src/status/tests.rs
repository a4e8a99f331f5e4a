//! What is seen of given states.

use std::time::{Duration, Instant};

use ntp_engine::candm::{
    Address, Client, Interface, PacketTotals, PathCounts, Paths, SourceData, SourceMode,
    SourceStatus, Tracking, UnixTime,
};

use super::gather::{Reading, Source, State};
use super::health::{Health, Level};
use super::look::Look;
use super::screen::Screen;
use super::{Seen, json};

/// A client that has sent so many requests.
pub(super) fn client(host: u8, requests: u64) -> Client {
    let none = PacketTotals::default();
    Client {
        address: Address::Ip([192, 0, 2, host].into()),
        ntp: PacketTotals { received: requests, dropped: 1 },
        nts_ke: none,
        commands: none,
        ntp_interval_log2: 6,
        nts_ke_interval_log2: 127,
        command_interval_log2: 127,
        limited_interval_log2: 127,
        last_ntp_s: Some(3),
        last_nts_ke_s: None,
        last_command_s: None,
    }
}

fn source(name: &str, status: SourceStatus, reach: u8) -> Source {
    let data = SourceData {
        address: Address::Ip([192, 0, 2, 1].into()),
        poll_log2: 6,
        stratum: 2,
        status,
        mode: SourceMode::Client,
        reach,
        last_sample_s: Some(12),
        measured_s: 1e-5,
        adjusted_s: 2e-5,
        error_s: 3e-3,
    };
    Source { name: name.to_owned(), data }
}

/// A server that is all right.
fn state() -> State {
    let tracking = Tracking {
        reference_id: 0xc000_0201,
        address: Address::Ip([192, 0, 2, 1].into()),
        stratum: 3,
        leap: 0,
        reference_time: UnixTime { seconds: 1_795_000_000, nanos: 0 },
        correction_s: -1e-6,
        last_offset_s: 12e-6,
        rms_offset_s: 20e-6,
        frequency_ppm: -12.345,
        residual_frequency_ppm: 0.0,
        skew_ppm: 0.012,
        root_delay_s: 2e-3,
        root_dispersion_s: 1e-4,
        update_interval_s: 64.0,
    };
    let user = PathCounts { answered_v4: 100, dropped: 3, ..PathCounts::default() };
    let xdp = PathCounts { answered_v4: 900, answered_v6: 100, denied: 7, ..user };
    let paths = Paths {
        is_synchronised: true,
        has_xdp: true,
        snapshot_age_ms: Some(250),
        interfaces: 1,
        client_slots: 16_384,
        clients: Some(8_192),
        uptime_s: 90_000,
        user,
        xdp,
        ..Paths::default()
    };
    State {
        server: "/run/chrony/chronyd.sock".to_owned(),
        limited_by: None,
        tracking,
        sources: vec![
            source("ntp1.example.net", SourceStatus::Selected, 0o377),
            source("192.0.2.2", SourceStatus::NotCombined, 0o17),
        ],
        stats: None,
        paths: Some(paths),
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            mode: "native".to_owned(),
            note: String::new(),
        }],
        clients: vec![client(7, 12_345)],
    }
}

fn seen(state: State, before: Option<State>) -> Seen {
    let now = Instant::now();
    let before = before.map(|state| Reading { at: now, state });
    let after = Reading { at: now + Duration::from_secs(2), state };
    Seen::new(after, before.as_ref())
}

/// A server of which something is otherwise.
fn other(change: impl FnOnce(&mut State)) -> State {
    let mut state = state();
    change(&mut state);
    state
}

#[test]
fn one_screen_tells_time_sources_requests_and_clients() {
    let later = other(|state| {
        let paths = state.paths.as_mut().unwrap();
        paths.xdp.answered_v4 += 3_000_000;
        paths.user.answered_v4 += 1_000_000;
    });
    let seen = seen(later, Some(state()));
    let look = Look { width: 80, has_colour: false };
    let text = Screen::new(&seen, look).lines(None).join("\n");
    let expected = "\
GOOD  within 1.10 ms of true time           /run/chrony/chronyd.sock, up 1 d 1 h

Time      stratum 3, from ntp1.example.net
  offset      12.0 us    clock     12.345 ppm slow    root delay        2.00 ms
  usually     20.0 us    known to  0.012 ppm          root dispersion  100.0 us
  to correct  -1.0 us    updated   every 64 s         distance          1.10 ms

Sources             stratum  every  answers    age   offset    error
* ntp1.example.net        2   64 s  ████████  12 s  20.0 us  3.00 ms
- 192.0.2.2               2   64 s  ····████  12 s  20.0 us  3.00 ms

Requests                     share  answered/s  limited  denied  dropped
  XDP     ████████████░░░░  75.0 %        1.5M        -       0        0
  daemon  ████░░░░░░░░░░░░  25.0 %        500k        -       -        0
  2M/s answered, 4 001 100 in 1 d 1 h
  on eth0 native

Clients   ████████████░░░░░░░░░░░░ 8 192 of 16 384 places taken, no limit
  who asks most  requests  refused  every  last
  192.0.2.7        12 345        1   64 s   3 s";
    assert_eq!(text, expected);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_colours_end() {
    let seen = seen(state(), None);
    for width in [20, 60, 200] {
        for line in Screen::new(&seen, Look { width, has_colour: true }).lines(Some(9)) {
            assert!(super::table::shown_width(&line) <= width, "{line}");
            assert_eq!(line.matches("\x1b[0m").count() * 2, line.matches('\x1b').count(), "{line}");
        }
    }
}

#[test]
fn short_screen_has_something_of_every_section() {
    let many = other(|state| {
        state.sources = (0..40)
            .map(|number| source(&format!("{number}.example.net"), SourceStatus::Combined, 0o377))
            .collect();
        state.clients = (0..20).map(|host| client(host, 1_000)).collect();
    });
    let seen = seen(many, None);
    let look = Look { width: 80, has_colour: false };
    for rows in [23, 17] {
        let lines = Screen::new(&seen, look).lines(Some(rows));
        assert_eq!(lines.len(), rows, "{lines:#?}");
        for part in ["GOOD", "Time", "Sources", "0.example.net", "sources more", "  XDP", "Clients"]
        {
            assert!(lines.iter().any(|line| line.contains(part)), "no {part} in\n{lines:#?}");
        }
    }
    let lines = Screen::new(&seen, look).lines(Some(3));
    assert!(lines.len() == 3 && lines[0].starts_with("GOOD"), "{lines:#?}");
}

#[test]
fn names_and_addresses_of_any_length_fit_eighty_columns() {
    let long = other(|state| {
        let name = "a-rather-long-name-of-a-time-server.in-some-zone.example.net";
        state.sources = vec![source(name, SourceStatus::Selected, 0o377)];
        state.sources[0].data.last_sample_s = Some(1_000_000);
        state.sources[0].data.adjusted_s = -1234.5678;
        state.sources[0].data.poll_log2 = 17;
    });
    let seen = seen(long, None);
    let look = Look { width: 80, has_colour: false };
    let lines = Screen::new(&seen, look).lines(None);
    let row = lines.iter().find(|line| line.starts_with("* ")).unwrap();
    assert!(row.contains('…') && row.ends_with("3.00 ms"), "{row}");
}

#[test]
fn what_is_not_good_is_said_with_its_reason() {
    let check = |state: State, level: Level, reason: &str| {
        let health = Health::of(&state);
        assert_eq!(health.level, level, "{reason}: {health:?}");
        assert!(health.reasons.iter().any(|it| it.contains(reason)), "{reason}: {health:?}");
    };
    assert_eq!(Health::of(&state()), Health { level: Level::Good, reasons: vec![] });
    let unsynchronised = other(|state| state.tracking.stratum = 0);
    check(unsynchronised, Level::Bad, "not synchronised");
    let local = other(|state| state.tracking.reference_id = 0x7f7f_0101);
    check(local, Level::Doubtful, "follows nobody");
    let far = other(|state| state.paths.as_mut().unwrap().is_too_far_off = true);
    check(far, Level::Bad, "chronyc makestep");
    check(other(|state| state.tracking.root_delay_s = 0.4), Level::Doubtful, "200.10 ms off");
    check(other(|state| state.tracking.root_dispersion_s = 2.0), Level::Bad, "2.00 s off");
    let silent = other(|state| state.sources[0].data.reach = 0);
    check(silent, Level::Doubtful, "ntp1.example.net, which the clock follows, does not answer");
    let wrong = other(|state| state.sources[1].data.status = SourceStatus::Falseticker);
    check(wrong, Level::Doubtful, "wrong: 192.0.2.2");
    let nowhere = other(|state| state.paths.as_mut().unwrap().interfaces = 0);
    check(nowhere, Level::Doubtful, "on no interface");
    let old = other(|state| state.paths.as_mut().unwrap().snapshot_age_ms = Some(61_000));
    check(old, Level::Bad, "61.00 s old");
}

#[test]
fn what_is_not_told_is_said_to_be_missing() {
    let seen = seen(other(|state| state.paths = None), None);
    let lines = Screen::new(&seen, Look { width: 100, has_colour: false }).lines(None);
    assert!(lines.iter().any(|line| line.contains("not told")), "{lines:?}");
    assert!(json::value(&seen)["serving"].is_null());
}

#[test]
fn json_has_the_same_numbers() {
    let later = other(|state| state.paths.as_mut().unwrap().xdp.answered_v6 += 10);
    let value = json::value(&seen(later, Some(state())));
    assert_eq!(value["health"], "good");
    assert_eq!(value["clock"]["stratum"], 3);
    assert_eq!(value["sources"][0]["state"], "selected");
    assert_eq!(value["serving"]["xdp"]["rates"]["answered"], 5.0);
    assert_eq!(value["serving"]["xdp"]["denied"], 7);
    assert_eq!(value["clients"][0]["requests"], 12_345);
}

#[test]
fn rates_of_another_run_are_not_told() {
    let restarted = other(|state| state.paths.as_mut().unwrap().uptime_s = 3);
    assert_eq!(seen(restarted, Some(state())).rates, None);
}
