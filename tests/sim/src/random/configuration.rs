//! Configurations that are drawn: all that may be said of servers and of how the clock is kept.

use std::fmt::Write as _;

use super::{between, pick};
use crate::chance::Chance;
use crate::server::Server;

/// What was drawn.
pub(super) struct Written {
    pub(super) text: String,
    /// Another one for the same servers.
    pub(super) changed: String,
    pub(super) minpoll_log2: i8,
}

/// Writes a configuration for servers, of which some may be `lying`: then nothing is drawn that could leave the
/// others without their majority.
pub(super) fn write(servers: &[Server], lying: bool, chance: &mut Chance) -> Written {
    let minpoll_log2 = *pick(&[6, 6, 6, 4, 2, 0, -1, -3, -6], chance);
    let mut draw = || {
        let lines: Vec<String> = servers
            .iter()
            .map(|server| {
                let options = options(minpoll_log2, lying, chance);
                format!("server {}{options}\n", server.address.ip())
            })
            .collect();
        lines.concat() + &directives(lying, chance)
    };
    let (text, changed) = (draw(), draw());
    Written { text, changed, minpoll_log2 }
}

fn options(minpoll_log2: i8, lying: bool, chance: &mut Chance) -> String {
    let mut options = String::new();
    if minpoll_log2 != 6 {
        let _ = write!(options, " minpoll {minpoll_log2}");
    }
    if minpoll_log2 < 6 && chance.happens(0.5) {
        let _ = write!(options, " maxpoll {}", minpoll_log2 + *pick(&[0, 1, 3], chance));
    } else if chance.happens(0.2) {
        let _ = write!(options, " maxpoll {}", pick(&[6, 8, 14], chance));
    }
    for (option, probability) in
        [(" iburst", 0.5), (" prefer", 0.1), (" polltarget 20", 0.1), (" xleave", 0.2)]
    {
        if chance.happens(probability) {
            options += option;
        }
    }
    if !lying {
        for option in rejecting(chance) {
            if chance.happens(0.08) {
                options += &option;
            }
        }
    }
    options
}

/// Options by which samples, or sources, count less, or later.
fn rejecting(chance: &mut Chance) -> [String; 13] {
    [
        format!(" filter {}", pick(&[2, 3, 8], chance)),
        format!(" presend {}", pick(&[0, 6, 9], chance)),
        format!(" maxdelay {}", between(1e-4, 1.0, chance)),
        format!(" maxdelayratio {}", between(1.0, 10.0, chance)),
        format!(" maxdelaydevratio {}", between(0.5, 20.0, chance)),
        format!(" maxdelayquant {}", chance.uniform()),
        format!(" maxsamples {}", pick(&[1, 2, 3, 4, 8], chance)),
        format!(" minsamples {}", pick(&[2, 10, 64], chance)),
        format!(" polltarget {}", pick(&[1, 4, 60], chance)),
        format!(" maxunreach {}", pick(&[0, 1, 10], chance)),
        " burst".to_owned(),
        " require".to_owned(),
        " trust".to_owned(),
    ]
}

fn directives(lying: bool, chance: &mut Chance) -> String {
    let lists: [&[&str]; 14] = [
        &["makestep 1 3", "makestep 1 3", "makestep 0.1 -1", "makestep 0.01 1", ""],
        &["", "", "maxslewrate 500", "maxslewrate 1000", "maxslewrate 100000"],
        &["", "", "maxupdateskew 5", "maxupdateskew 100"],
        &["", "", "", "maxchange 1 1 0", "maxchange 0.1 3 -1", "maxchange 1000 1 2"],
        &["", "", "", "corrtimeratio 1", "corrtimeratio 30"],
        &["", "", "", "maxdrift 50", "maxdrift 500"],
        &["", "", "", "fallbackdrift 8 10"],
        &[
            "",
            "",
            "",
            "smoothtime 400 0.01",
            "smoothtime 50000 0.1",
            "smoothtime 400 0.001 leaponly",
        ],
        &["", "", "", "combinelimit 0", "combinelimit 100"],
        &["", "", "", "reselectdist 0", "reselectdist 0.01", "stratumweight 0"],
        &["", "", "driftfile /drift interval 100"],
        &["", "", "allow"],
        &[
            "",
            "",
            "",
            "local stratum 10",
            "local stratum 10 orphan",
            "local distance 0.01 activate 0.1",
        ],
        &["", "", "leapsecmode slew"],
    ];
    // What could leave the majority to those that lie.
    let doubtful: [&[&str]; 4] = [
        &["", "", "", "minsources 2"],
        &["", "", "", "maxdistance 0.01", "maxdistance 0.5", "maxdistance 10"],
        &["", "", "", "maxjitter 0.001"],
        &[
            "",
            "",
            "",
            "",
            "initstepslew 10",
            "initstepslew 1 192.0.2.1",
            "initstepslew 1 192.0.2.99",
        ],
    ];
    let mut lines: Vec<&str> = lists.map(|list| *pick(list, chance)).to_vec();
    if !lying {
        lines.extend(doubtful.map(|list| *pick(list, chance)));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}
