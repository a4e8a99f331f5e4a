//! What chronyc 4.3 and 4.8 really send for each of their commands, octet by octet, and the form, status and length
//! of the answers. `requests.txt` has a line for each, captured on the Unix socket with attempt and sequence number
//! set to zero: version, command, octets in all, the octets before the zeros at the end, and the answer.

use std::collections::BTreeSet;

use ntp_engine::candm::Code;

use super::desk::Desk;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    version: &'static str,
    pub(super) command: &'static str,
    pub(super) octets: Vec<u8>,
    /// Number of the reply's form, status, octets.
    answer: (u16, u16, usize),
}

impl Captured {
    fn number(&self) -> u16 {
        u16::from_be_bytes([self.octets[4], self.octets[5]])
    }
}

/// All of them, in the order in which they were sent.
pub(super) fn requests() -> Vec<Captured> {
    include_str!("requests.txt").lines().map(read).collect()
}

fn read(line: &'static str) -> Captured {
    let fields: Vec<&str> = line.split("; ").collect();
    let [version, command, len, hex, form, status, reply_len] = fields[..] else {
        panic!("{line}")
    };
    let octet = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let mut octets: Vec<u8> = (0..hex.len()).step_by(2).map(octet).collect();
    octets.resize(len.parse().unwrap(), 0);
    let answer = (form.parse().unwrap(), status.parse().unwrap(), reply_len.parse().unwrap());
    Captured { version, command, octets, answer }
}

/// What the requests are about.
const DIRECTIVES: &str = "server 192.0.2.1 offline\nserver 2001:db8::1 offline key 7\n\
    server 192.0.2.3 offline\nallow 192.0.2.0/24\nlocal stratum 9\n\
    smoothtime 400 0.01 leaponly\n";

#[test]
fn both_chronyc_are_answered_in_the_form_that_they_know() {
    for version in ["4.3", "4.8"] {
        let mut desk = Desk::new(DIRECTIVES);
        let sent = requests().into_iter().filter(|request| request.version == version);
        for request in sent {
            let command = format!("{version}: {}, number {}", request.command, request.number());
            let reply = desk.answer(&request.octets).unwrap_or_else(|| panic!("{command}"));
            let word = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
            assert_eq!((word(6), word(8), reply.len()), request.answer, "{command}");
            assert_eq!(word(4), request.number(), "{command}");
        }
    }
}

#[test]
fn every_command_of_chronyc_was_captured() {
    let captured = |version| -> BTreeSet<u16> {
        let sent = requests().into_iter().filter(|request| request.version == version);
        sent.map(|request| request.number()).collect()
    };
    let is_chronys = |number: &u16| *number < Code::Paths as u16;
    let known: BTreeSet<u16> = Code::all().map(|code| code as u16).filter(is_chronys).collect();
    let missing = |version| known.difference(&captured(version)).copied().collect::<Vec<_>>();
    let later = [Code::SelectOptions, Code::Offset, Code::Local];
    assert_eq!(missing("4.3"), later.map(|code| code as u16));
    assert_eq!(missing("4.8"), [Code::LocalBefore44 as u16]);
}

#[test]
fn options_of_selection_are_changed_by_the_command_that_chronyc_sends() {
    let mut desk = Desk::new("server 192.0.2.1 offline noselect trust\n");
    let sent = |command: &str| {
        let of_48 = |request: &Captured| request.version == "4.8" && request.command == command;
        requests().into_iter().find(of_48).unwrap().octets
    };
    let mut options = || {
        let reply = desk.answer(&sent("selectdata")).unwrap();
        let configured = u16::from_be_bytes([reply[56], reply[57]]);
        desk.answer(&sent("selectopts 192.0.2.1 +prefer -noselect")).unwrap();
        configured
    };
    // noselect, prefer, trust, require, from the lowest bit on.
    assert_eq!([options(), options()], [0b0101, 0b0110]);
}
