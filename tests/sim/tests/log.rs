//! The lines of the log that other tools look for.

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use ntp_sim::clock::{KernelClock, Oscillator, Steering};
use ntp_sim::refclock::RefClock;
use ntp_sim::server::Server;
use ntp_sim::setup::{config, lines, servers};
use ntp_sim::world::World;

/// Collects messages above debug, and the sources that they are about.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<String>>>);

/// The message, and the source that it is about.
#[derive(Default)]
struct Message(String, String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.0 = format!("{value:?}"),
            "source" => self.1 = format!("{value:?}"),
            _ => {}
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = format!("{} ", event.metadata().level());
        let mut message = Message::default();
        event.record(&mut message);
        line.push_str(&message.0);
        self.1.lock().expect("nobody panicked").push(message.1);
        self.0.lock().expect("nobody panicked").push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A clock that is `ahead_s` ahead and runs as it should.
fn clock(ahead_s: f64) -> KernelClock {
    let oscillator = Oscillator { frequency: 0.0, wander: 1e-9, ahead_s, ..Oscillator::default() };
    KernelClock::new(oscillator, 7)
}

/// What is logged while a world runs.
fn logged(text: &str, clock: KernelClock, servers: Vec<Server>, length_s: f64) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        World::with_clock(config(text), None, clock, servers, 7).run(length_s);
    });
    let lines = lines.0.lock().expect("nobody panicked");
    lines.clone()
}

#[test]
fn selection_and_step_are_logged() {
    let lines = logged(&(lines(1, "iburst") + "makestep 1 3"), clock(-5.0), servers(1), 100.0);
    assert_eq!(lines[0], "INFO Selected source 192.0.2.1");
    for (line, start) in [
        (&lines[1], "WARN System clock wrong by "),
        (&lines[2], "WARN System clock was stepped by "),
    ] {
        let number = line.strip_prefix(start).and_then(|rest| rest.strip_suffix(" seconds"));
        let offset_s: f64 = number.and_then(|number| number.parse().ok()).expect("a number");
        assert!((offset_s - 5.0).abs() < 1e-2, "{line}");
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn small_offsets_are_not_worth_a_line() {
    let lines = logged(&lines(1, "iburst"), clock(0.5), servers(1), 10_000.0);
    assert_eq!(lines, ["INFO Selected source 192.0.2.1"]);
}

#[test]
fn disagreement_is_logged_once() {
    let mut servers = servers(2);
    servers[1].ahead_s = 0.5;
    let lines = logged(&lines(2, "iburst"), clock(0.0), servers, 2000.0);
    assert_eq!(lines, ["WARN Can't synchronise: no majority"]);
}

#[test]
fn majority_of_five_that_is_lost_is_logged_once() {
    for wrong in [3, 4] {
        let mut servers = servers(5);
        for (server, ahead_s) in servers.iter_mut().take(wrong).zip([0.3, 0.6, 0.9, 1.2]) {
            server.ahead_s = ahead_s;
        }
        let lines = logged(&lines(5, "iburst"), clock(0.0), servers, 4000.0);
        assert_eq!(lines, ["WARN Can't synchronise: no majority"], "{wrong}");
    }
}

#[test]
fn falseticker_is_named_once_until_it_is_right_again() {
    let mut servers = servers(3);
    servers[1].ahead_s = 0.5;
    let lines = logged(&lines(3, "iburst"), clock(0.0), servers, 2000.0);
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("falseticker")).collect();
    assert_eq!(told, ["WARN Detected falseticker 192.0.2.2"], "{lines:?}");
}

#[test]
fn silence_is_logged_once() {
    let lines = logged(&lines(1, "iburst"), clock(0.0), Vec::new(), 2000.0);
    assert_eq!(lines, ["WARN Can't synchronise: no selectable sources"]);
}

#[test]
fn kiss_codes_are_logged() {
    for code in ["RATE", "DENY", "RSTR"] {
        let mut servers = servers(1);
        servers[0].kiss = code.as_bytes().try_into().ok();
        let lines = logged(&lines(1, ""), clock(0.0), servers, 2.0);
        assert_eq!(lines[0], format!("WARN Received KoD {code} from 192.0.2.1"));
    }
}

#[test]
fn clock_too_far_off_to_be_slewed_is_told_of_once_with_the_command_that_helps() {
    for (makestep, reason) in [("", "no makestep directive"), ("makestep 1 0", "used up")] {
        let text = lines(1, "iburst") + makestep;
        let lines = logged(&text, clock(-4000.0), servers(1), 1000.0);
        let told: Vec<&String> =
            lines.iter().filter(|line| line.contains("chronyc makestep")).collect();
        assert_eq!(told.len(), 1, "{lines:?}");
        assert!(told[0].contains(reason) && told[0].contains("13.3 hours"), "{}", told[0]);
    }
}

#[test]
fn clock_that_cannot_be_steered_is_told_of_once() {
    let forbidden = clock(2.0).with_steering(Steering::Forbidden);
    let lines = logged(&lines(1, "iburst"), forbidden, servers(1), 300.0);
    let told = lines.iter().filter(|line| line.contains("can't be steered")).count();
    assert_eq!(told, 1, "{lines:?}");
}

#[test]
fn reference_clock_is_named_by_its_id() {
    let log = Lines::default();
    tracing::subscriber::with_default(log.clone(), || {
        let text = "refclock SHM 0 refid GPS trust\n".to_owned() + &lines(3, "iburst");
        let servers = servers(3).into_iter().map(|it| Server { ahead_s: 0.5, ..it }).collect();
        let mut world = World::with_clock(config(&text), None, clock(0.0), servers, 7);
        ntp_sim::refclock::run(&mut world, &mut [RefClock::new(*b"GPS\0", 7)], 300);
    });
    let (said, about) = (log.0.lock().unwrap(), log.1.lock().unwrap());
    let selected = said.iter().position(|line| line == "INFO Selected source GPS");
    assert_eq!(selected.map(|index| about[index].as_str()), Some("GPS"), "{said:?} {about:?}");
}
