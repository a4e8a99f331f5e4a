//! The lines of the log that other tools look for.

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::state::{Oscillator, Server};
use crate::world::World;
use crate::{A, B, C, config, oscillator};

/// Collects messages above debug.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}");
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
        let mut message = String::new();
        event.record(&mut Message(&mut message));
        line.push_str(&message);
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What is logged while a world runs.
fn lines(text: &str, oscillator: Oscillator, servers: Vec<Server>, seconds: f64) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        World::new(7, config(text), None, oscillator, servers).run(seconds);
    });
    let lines = lines.0.lock().unwrap();
    lines.clone()
}

#[test]
fn selection_and_step_are_logged() {
    let text = format!("server {A} iburst\nmakestep 1 3");
    let lines = lines(&text, oscillator(-5.0, 0.0), vec![Server::new(A)], 100.0);
    assert_eq!(lines[0], "INFO Selected source 192.0.2.1");
    for (line, start) in [
        (&lines[1], "WARN System clock wrong by "),
        (&lines[2], "WARN System clock was stepped by "),
    ] {
        let number = line.strip_prefix(start).and_then(|rest| rest.strip_suffix(" seconds"));
        let offset_s: f64 = number.unwrap().parse().unwrap();
        assert!((offset_s - 5.0).abs() < 1e-2, "{line}");
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn small_offsets_are_not_worth_a_line() {
    let text = format!("server {A} iburst");
    let lines = lines(&text, oscillator(0.5, 50.0), vec![Server::new(A)], 10_000.0);
    assert_eq!(lines, ["INFO Selected source 192.0.2.1"]);
}

#[test]
fn disagreement_is_logged_once() {
    let mut wrong = Server::new(B);
    wrong.ahead_s = 0.5;
    let text = format!("server {A} iburst\nserver {B} iburst");
    let lines = lines(&text, oscillator(0.0, 0.0), vec![Server::new(A), wrong], 2000.0);
    assert_eq!(lines, ["WARN Can't synchronise: no majority"]);
}

#[test]
fn falseticker_is_named_once_until_it_is_right_again() {
    let text = format!("server {A} iburst\nserver {B} iburst\nserver {C} iburst");
    let servers = [A, B, C].map(|address| Server {
        ahead_s: if address == B { 0.5 } else { 0.0 },
        ..Server::new(address)
    });
    let lines = lines(&text, oscillator(0.0, 0.0), servers.into(), 2000.0);
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("falseticker")).collect();
    assert_eq!(told, ["WARN Detected falseticker 192.0.2.2"], "{lines:?}");
}

#[test]
fn silence_is_logged_once() {
    let lines = lines(&format!("server {A} iburst"), oscillator(0.0, 0.0), vec![], 2000.0);
    assert_eq!(lines, ["WARN Can't synchronise: no selectable sources"]);
}

#[test]
fn kiss_codes_are_logged() {
    for code in ["RATE", "DENY", "RSTR"] {
        let mut server = Server::new(A);
        server.kiss = Some(code.as_bytes().try_into().unwrap());
        let lines = lines(&format!("server {A}"), oscillator(0.0, 0.0), vec![server], 2.0);
        assert_eq!(lines[0], format!("WARN Received KoD {code} from 192.0.2.1"));
    }
}

#[test]
fn clock_too_far_off_to_be_slewed_is_told_of_once_with_the_command_that_helps() {
    for (makestep, reason) in [("", "no makestep directive"), ("makestep 1 0", "used up")] {
        let text = format!("server {A} iburst\n{makestep}");
        let lines = lines(&text, oscillator(-4000.0, 0.0), vec![Server::new(A)], 1000.0);
        let told: Vec<&String> =
            lines.iter().filter(|line| line.contains("chronyc makestep")).collect();
        assert_eq!(told.len(), 1, "{lines:?}");
        assert!(told[0].contains(reason) && told[0].contains("13.3 hours"), "{}", told[0]);
    }
}

#[test]
fn clock_that_cannot_be_steered_is_told_of_once() {
    let forbidden = Oscillator { permitted: false, ..oscillator(2.0, 10.0) };
    let lines = lines(&format!("server {A} iburst"), forbidden, vec![Server::new(A)], 300.0);
    let told = lines.iter().filter(|line| line.contains("can't be steered")).count();
    assert_eq!(told, 1, "{lines:?}");
}
