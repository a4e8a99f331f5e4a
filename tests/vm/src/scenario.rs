//! The scenarios, and the bounds of what is measured in them, each with its reason.
//!
//! True time in a guest is its unsteered counter, run 200 ppm faster, so that there is a frequency to learn. Offsets
//! are read by the processor, not over the network, and are good to a microsecond.

use std::collections::BTreeMap;

/// A scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// As `cargo xtask vm` takes it.
    pub name: &'static str,
    /// What it shows.
    pub sentence: &'static str,
    /// What the guest's real-time clock says when it is switched on, UTC.
    pub starts: &'static str,
    /// Whether the daemon attaches its XDP program in it.
    pub uses_xdp: bool,
    /// Whether it needs the module of devices.
    pub uses_devices: bool,
    /// Whether nothing in it hangs on how soon the guest gets a processor, by far: it may be played beside another.
    pub is_patient: bool,
    /// What must hold.
    pub bounds: &'static [Bound],
}

/// The range that a figure must be in.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The figure; its name ends in its unit.
    pub figure: &'static str,
    /// Least that is right.
    pub least: f64,
    /// Most that is right.
    pub most: f64,
    /// Why.
    pub why: &'static str,
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "xdp",
        sentence: "program is loaded, attached natively to virtio-net, and answers",
        starts: "2026-06-01T12:00:00",
        uses_xdp: true,
        uses_devices: false,
        is_patient: false,
        bounds: &[
            exactly("unanswered_v4", 0.0, "nothing is lost between two interfaces of one guest"),
            exactly("unanswered_v6", 0.0, "nothing is lost between two interfaces of one guest"),
            exactly("unanswered_vlan", 0.0, "the program sees the tag, the driver leaves it there"),
            exactly("answered_by_daemon", 1.0, "the one request with an extension field"),
            exactly("answered_by_xdp", 300.0, "all plain requests: 100 of each of three kinds"),
            exactly(
                "lies",
                0.0,
                "right after the first measurement, by less than it says it may be",
            ),
        ],
    },
    Scenario {
        name: "xdp-hardware-time",
        sentence: "XDP tells when the interface received requests, where the kernel and the driver do",
        starts: "2026-06-01T12:00:00",
        uses_xdp: true,
        uses_devices: true,
        is_patient: false,
        bounds: &[
            exactly("unanswered", 0.0, "nothing is lost between two interfaces of one guest"),
            exactly(
                "wrongly_stamped",
                0.0,
                "200 ms before the interrupt from Linux 6.3 on, then before",
            ),
            exactly("wrongly_believed", 0.0, "timestamps of the future are not used"),
            exactly("says_so", 1.0, "the log tells whether timestamps are read, and why not"),
            exactly("counts_so", 1.0, "those used, of all requests"),
            exactly("veth_not_told_of", 0.0, "virtual interfaces have none, which is told of each"),
            exactly("removed", 5.0, "the kernel survives that they go away under the program"),
        ],
    },
    Scenario {
        name: "days-off",
        sentence: "clock that is 325 days behind is within 1 ms in less than 10 s",
        starts: "2026-01-01T00:00:00",
        uses_xdp: false,
        uses_devices: false,
        is_patient: false,
        bounds: &[
            Bound {
                figure: "offset_at_start_days",
                least: -325.001,
                most: -324.999,
                why: "as it was set, a little after",
            },
            at_most("within_1ms_after_s", 10.0, "from the daemon's start until it stays so"),
            exactly("steps", 1.0, "the first measurements agree: one step does it"),
            exactly("foreign_steps", 0.0, "its own step is not taken for somebody else's"),
        ],
    },
    Scenario {
        name: "slew",
        sentence: "50 ms are slewed away without any backward reading",
        starts: "2026-06-01T12:00:00",
        uses_xdp: false,
        uses_devices: false,
        is_patient: false,
        bounds: &[
            Bound {
                figure: "offset_at_start_ms",
                least: 45.0,
                most: 51.0,
                why: "ahead, so that a step would go backward; 200 ppm go while the guest is set up",
            },
            exactly("backward_readings", 0.0, "the clock never goes backward when it is slewed"),
            Bound {
                figure: "readings",
                least: 1e5,
                most: f64::INFINITY,
                why: "as many in ten seconds: next to none goes unread",
            },
            at_most(
                "stepped_us",
                200.0,
                "distance to the monotonic clock is constant but for steps",
            ),
            at_most("within_1ms_after_s", 15.0, "four quick measurements, and slewing at 8 %"),
        ],
    },
    Scenario {
        name: "leap",
        sentence: "XDP serves right through the kernel's leap second",
        starts: "2026-12-31T23:59:30",
        uses_xdp: true,
        uses_devices: false,
        is_patient: false,
        bounds: &[
            exactly("kernel_armed", 1.0, "STA_INS two seconds before: leapsecmode is system"),
            Bound {
                figure: "asked",
                least: 100.0,
                most: f64::INFINITY,
                why: "every 10 ms for 8 s, less what a busy machine delays",
            },
            exactly("unanswered", 0.0, "there is no gap at the leap"),
            exactly("answered_by_daemon", 0.0, "XDP answers through it"),
            at_most(
                "worst_error_ms",
                1.0,
                "the second is repeated at its very end, not a tick later",
            ),
            exactly("not_announced_before", 0.0, "leap indicator 1 in the last minute of the year"),
            exactly("announced_after", 0.0, "leap indicator 0 in the new year"),
            Bound {
                figure: "kernel_stepped_s",
                least: -1.001,
                most: -0.999,
                why: "the kernel repeats the second, and nobody else does",
            },
            exactly("steps", 0.0, "the daemon has nothing to step"),
            exactly("foreign_steps", 0.0, "the kernel's leap second is not somebody else's step"),
            at_most("offset_after_ms", 50.0, "a second that is slewed away leaves hundreds"),
            exactly("kernel_still_armed", 0.0, "or the next midnight would leap, too"),
        ],
    },
    Scenario {
        name: "rtc",
        sentence: "rtcsync moves /dev/rtc0",
        starts: "2026-06-01T12:00:00",
        uses_xdp: false,
        uses_devices: false,
        is_patient: true,
        bounds: &[
            Bound {
                figure: "rtc_at_start_s",
                least: -3602.0,
                most: -3598.0,
                why: "an hour behind true time, in whole seconds",
            },
            Bound {
                figure: "rtc_at_end_s",
                least: -1.5,
                most: 1.5,
                why: "whole seconds, and the kernel writes it up to half a second early",
            },
            at_most("rtc_moved_after_s", 15.0, "the kernel writes within 2 s of being told"),
        ],
    },
    Scenario {
        name: "first-time",
        sentence: "with -s a lost clock is set from the RTC or the drift file's time",
        starts: "2026-06-01T12:00:00",
        uses_xdp: false,
        uses_devices: false,
        is_patient: true,
        bounds: &[
            Bound {
                figure: "off_the_rtc_s",
                least: -1.5,
                most: 3.5,
                why: "whole seconds, of a clock that reads a second ago at most",
            },
            Bound {
                figure: "after_the_last_run_s",
                least: -1.5,
                most: 60.0,
                why: "the time of the last run, and what has passed since the start",
            },
            Bound {
                figure: "still_ahead_s",
                least: 0.0,
                most: 60.0,
                why: "a clock that is ahead of a broken one is not set back",
            },
        ],
    },
    Scenario {
        name: "foreign-step",
        sentence: "step by somebody else is noticed, told, and undone",
        starts: "2026-06-01T12:00:00",
        uses_xdp: true,
        uses_devices: false,
        is_patient: false,
        bounds: &[
            exactly("foreign_steps", 1.0, "it is told once"),
            exactly("steps", 0.0, "200 ms are less than makestep's second"),
            at_most("within_1ms_after_s", 15.0, "a few measurements, and slewing at 8 %"),
            exactly("unanswered", 0.0, "what is served does not hang on the system clock"),
            exactly("lies", 0.0, "no answer was further off than it said it could be"),
        ],
    },
    Scenario {
        name: "left-over",
        sentence: "frequency, tick and state that somebody left are corrected",
        starts: "2026-06-01T12:00:00",
        uses_xdp: false,
        uses_devices: false,
        is_patient: true,
        bounds: &[
            exactly("tick_at_start_us", 10_050.0, "5,000 ppm fast, as it was left"),
            at_most("within_1ms_after_s", 40.0, "the wrong frequency has to be learnt first"),
            RATE,
            exactly("still_unsynchronised", 0.0, "rtcsync clears STA_UNSYNC"),
        ],
    },
    Scenario {
        name: "killed",
        sentence: "daemon that was killed in the middle of a slew goes on after a restart",
        starts: "2026-06-01T12:00:00",
        uses_xdp: false,
        uses_devices: false,
        is_patient: true,
        bounds: &[
            at_most("drift_error_in_skews", 3.0, "the drift file knows how little it knows"),
            Bound {
                figure: "slewing_when_killed_ppm",
                least: 50_000.0,
                most: 100_100.0,
                why: "it was in the middle of a slew, at chrony's 83,333 ppm or so",
            },
            at_most("within_1ms_after_s", 40.0, "the left-over rate has to be noticed, too"),
            RATE,
        ],
    },
    Scenario {
        name: "clock-device",
        sentence: "a PTP clock is the only source",
        starts: "2026-06-01T12:00:00",
        uses_xdp: false,
        uses_devices: true,
        is_patient: false,
        bounds: &[
            at_most("within_1ms_after_s", 10.0, "the first poll sets it"),
            exactly("steps", 1.0, "three seconds are more than makestep's one"),
            at_most("worst_us", 1.0, "the clock is right, and offsets are read to a microsecond"),
            at_most(
                "worst_without_cross_timestamps_us",
                1.0,
                "of ten readings between two of the system clock the quickest counts",
            ),
        ],
    },
    Scenario {
        name: "pulses",
        sentence: "pulses make a clock right that is 60 ms off, also when some are taken late",
        starts: "2026-06-01T12:00:00",
        uses_xdp: false,
        uses_devices: true,
        is_patient: false,
        bounds: &[
            at_most("within_1ms_after_s", 20.0, "until there are pulses enough for a sample"),
            at_most(
                "worst_us",
                7.0,
                "interrupts are 2 us late on average, which nobody can know; samples of four of \
                 them scatter by 0.8 us, twice as much until the next one, and three times that",
            ),
        ],
    },
    Scenario {
        name: "stamps",
        sentence: "timestamps of the interface count, of what the daemon asks and of what it is asked",
        starts: "2026-06-01T12:00:00",
        uses_xdp: false,
        uses_devices: true,
        is_patient: false,
        bounds: &[
            at_most("within_1ms_after_s", 10.0, "four quick measurements, and a step"),
            at_most(
                "worst_us",
                500.0,
                "half of what its upstream takes to send; by the kernel's timestamps it is 3 ms",
            ),
            at_most(
                "receive_timestamps_late_ms",
                20.0,
                "what sending takes at best; by the kernel's timestamps it is 100 ms",
            ),
            Bound {
                figure: "soonest_reply_part",
                least: 1.0,
                most: f64::INFINITY,
                why: "the daemon was told of no request before 100 ms were over",
            },
        ],
    },
];

impl Scenario {
    /// The scenario of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}

impl Bound {
    /// What is wrong with the figure, if anything is.
    pub(crate) fn fault(&self, figures: &BTreeMap<String, f64>) -> Option<String> {
        let Self { figure, least, most, why } = self;
        let Some(value) = figures.get(*figure) else {
            return Some(format!("{figure} was not measured"));
        };
        let is_right = (*least..=*most).contains(value);
        (!is_right).then(|| format!("{figure} is {value}, not in {least}..{most}: {why}"))
    }
}

/// What is left of a wrong rate: 1 ms, slewed away in two seconds, is as much.
const RATE: Bound = Bound {
    figure: "rate_error_ppm",
    least: -500.0,
    most: 500.0,
    why: "a clock that is settled runs at its own rate, but for what is still slewed",
};

pub(crate) const fn exactly(figure: &'static str, value: f64, why: &'static str) -> Bound {
    Bound { figure, least: value, most: value, why }
}

const fn at_most(figure: &'static str, most: f64, why: &'static str) -> Bound {
    Bound { figure, least: 0.0, most, why }
}
