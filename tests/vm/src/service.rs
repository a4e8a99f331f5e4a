//! The scenario of the project's package under systemd, and its bounds: played in a guest with a whole system.

use crate::scenario::{Bound, Scenario, exactly};

/// The series of the kernel that it is played on.
pub const SERIES: &str = "6.12";

/// The scenario.
pub const SERVICE: Scenario = Scenario {
    name: "service",
    sentence: "package lives under systemd, from its installation to its purge, and answers meanwhile",
    starts: "2026-06-01T12:00:00",
    uses_xdp: true,
    uses_devices: false,
    is_patient: true,
    bounds: &[
        exactly("started_beside_another", 0.0, "who keeps the clock is not driven out unasked"),
        exactly("others_left", 0.0, "one daemon at a time steers a clock"),
        exactly("capabilities_beyond", 0.0, "the unit names what may ever be needed"),
        exactly("effective_beyond", 0.0, "and the process has no more"),
        exactly("may_set_clock", 1.0, "or all is for nothing"),
        exactly("seccomp_mode", 2.0, "system calls are filtered"),
        exactly("no_new_privileges", 1.0, "a program that it ran would have no more rights"),
        exactly(
            "unanswered_at_reloads",
            0.0,
            "five reloads, asked in the kernel and in the daemon",
        ),
        Bound {
            figure: "asked_at_reloads",
            least: 20.0,
            most: f64::INFINITY,
            why: "each reload takes longer than some requests",
        },
        exactly("unanswered_at_kill", 0.0, "the kernel goes on answering until the next run"),
        exactly("restarts_by_watchdog", 1.0, "a process that does nothing is replaced"),
        exactly("unanswered_at_upgrade", 0.0, "what is held is taken over by the new version"),
        exactly("configuration_kept", 1.0, "it is its owner's"),
        exactly("drift_kept", 1.0, "where chrony kept it, in a folder of chrony's user"),
        exactly("programs_left", 0.0, "who was removed answers no more"),
        exactly("configuration_left", 1.0, "until the purge"),
        exactly("left_by_purge", 0.0, "nothing"),
    ],
};
