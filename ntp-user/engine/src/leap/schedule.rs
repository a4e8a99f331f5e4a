//! The leap second at the end of the day: whether there is one, and whether it has been.
//!
//! Invariant: what was decided is not changed within seconds of the end of the day, so that a leap second is
//! taken once, whatever sources say while they take it themselves.

use ntp_common::time::{MonoNs, NANOS_PER_SECOND, NtpDuration, NtpTimestamp};
use ntp_common::wire::LeapIndicator;

use super::tables::LeapTable;
use super::{Day, Leap};
use crate::conf::LeapSecMode;

/// Nothing is decided or measured this near to a leap second, nanoseconds: not everybody takes it at once.
const CLOSE_NS: i64 = 5_000_000_000;
/// How long the kernel is waited for to leap, nanoseconds.
const PATIENCE_NS: u64 = 2 * NANOS_PER_SECOND;
/// How much a step of the clock may differ from a second to be the kernel's leap, nanoseconds.
const KERNEL_TOLERANCE_NS: i64 = 1_000_000;
/// The middle of the 136 years that timestamps are taken to lie in, POSIX seconds: the year 2060.
const PIVOT_S: i64 = 90 * 365 * 86_400;

/// A leap second at the end of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) leap: Leap,
    day: Day,
}

impl Due {
    /// The end of the day, on clocks that have not leapt.
    fn end(self) -> NtpTimestamp {
        NtpTimestamp::from_unix(self.day.end(), 0)
    }

    /// When clocks leap, on their time before: the end of the day when it shows the last second again, a
    /// second earlier when the last one is left out.
    pub(crate) fn instant(self) -> NtpTimestamp {
        match self.leap {
            Leap::Insert => self.end(),
            Leap::Delete => self.end() - SECOND,
        }
    }

    fn is_close(self, time: NtpTimestamp) -> bool {
        time.since(self.end()).abs() < NtpDuration::from_nanos(CLOSE_NS)
    }
}

const SECOND: NtpDuration = NtpDuration::from_bits(1 << 32);

/// A leap second that has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) due: Due,
    /// When it was.
    pub(crate) at: MonoNs,
    /// What it has changed served time by, seconds.
    pub(crate) step: i8,
    /// Whether it was announced to clients.
    pub(crate) announced: bool,
}

/// What is known of the leap second at the end of the day, and of the last one.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    mode: LeapSecMode,
    table: Option<LeapTable>,
    /// What the majority of sources announces.
    announced: LeapIndicator,
    due: Option<Due>,
    /// When the one that is due comes, as far as that can be foreseen.
    due_at: Option<MonoNs>,
    taken: Option<Taken>,
    tai_offset: Option<i32>,
}

impl Schedule {
    /// A schedule without leap seconds.
    pub(crate) fn new(mode: LeapSecMode) -> Self {
        Self {
            mode,
            table: None,
            announced: LeapIndicator::Normal,
            due: None,
            due_at: None,
            taken: None,
            tai_offset: None,
        }
    }

    /// What is done at a leap second.
    pub(crate) fn mode(&self) -> LeapSecMode {
        self.mode
    }

    /// Goes by another mode: from the next leap second on, when one is about to be or has just been.
    pub(crate) fn set_mode(&mut self, mode: LeapSecMode) {
        self.mode = mode;
    }

    /// Puts a table into force.
    pub(crate) fn set_table(&mut self, table: LeapTable) {
        self.table = Some(table);
    }

    /// Takes note of what the majority of sources announces.
    pub(crate) fn announce(&mut self, leap: LeapIndicator) {
        self.announced = leap;
    }

    /// Looks again whether the day ends with a leap second, when it is estimated to be `time`; a clock that
    /// follows nothing has none. Gives whether something has changed.
    pub(crate) fn review(&mut self, time: NtpTimestamp, synchronised: bool) -> bool {
        if self.is_close(time) {
            return false;
        }
        let day = Day::of(time.to_unix(PIVOT_S).0);
        let entered = self.table.as_ref().and_then(|table| table.on(day));
        let leap = Leap::announced(self.announced).or(entered.and_then(|entered| entered.leap));
        let due = leap.filter(|_| synchronised && day.may_leap()).map(|leap| Due { leap, day });
        let tai_offset = entered.filter(|_| synchronised).map(|entered| entered.tai_offset);
        let changed = due != self.due || tai_offset != self.tai_offset;
        if due != self.due {
            tell(due);
        }
        (self.due, self.tai_offset) = (due, tai_offset);
        self.due_at = self.due_at.filter(|_| due.is_some());
        changed
    }

    /// Whether a leap second is so near that measurements and announcements can't be relied on.
    pub(crate) fn is_close(&self, time: NtpTimestamp) -> bool {
        let taken = self.taken.map(|taken| taken.due);
        [self.due, taken].into_iter().flatten().any(|due| due.is_close(time))
    }

    /// The leap second at the end of the day.
    pub(crate) fn due(&self) -> Option<Due> {
        self.due
    }

    /// The last leap second.
    pub(crate) fn taken(&self) -> Option<Taken> {
        self.taken
    }

    /// What the kernel is to announce and to do.
    pub(crate) fn for_kernel(&self) -> LeapIndicator {
        let due = self.due.filter(|_| self.mode == LeapSecMode::System);
        due.map_or(LeapIndicator::Normal, |due| due.leap.indicator())
    }

    /// TAI - UTC now, if a table says and the system's clock is kept after it.
    pub(crate) fn tai_offset(&self) -> Option<i32> {
        let keeps = matches!(self.mode, LeapSecMode::System | LeapSecMode::Step);
        self.tai_offset.filter(|_| keeps)
    }

    /// TAI - UTC when a clock that keeps TAI reads `time`, if a table says: whether we are synchronised or not.
    pub(crate) fn tai_offset_at(&self, time: NtpTimestamp) -> Option<i32> {
        let table = self.table.as_ref()?;
        let at = |time: NtpTimestamp| table.on(Day::of(time.to_unix(PIVOT_S).0));
        let about = at(time)?.tai_offset;
        // In the first half minute of a TAI day it is the day before in UTC.
        let ahead = NtpDuration::from_bits(i64::from(about) << 32);
        Some(at(time - ahead)?.tai_offset)
    }

    /// Takes note of when the leap second that is due comes.
    pub(crate) fn foresee(&mut self, at: Option<MonoNs>) {
        self.due_at = at;
    }

    /// When [`Schedule::is_over`] is to be asked.
    pub(crate) fn deadline(&self) -> Option<MonoNs> {
        let wait_ns = if self.mode == LeapSecMode::System { PATIENCE_NS } else { 0 };
        self.due_at.map(|at| at.after(wait_ns))
    }

    /// Whether it is time for the leap second: for the daemon's part in it, or because the kernel has not
    /// done its own.
    pub(crate) fn is_over(&self, now: MonoNs) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Whether a step of the clock, which shows `time` since, is the kernel's leap.
    pub(crate) fn is_kernels(&self, step: NtpDuration, time: NtpTimestamp) -> bool {
        self.due.filter(|_| self.mode == LeapSecMode::System).is_some_and(|due| {
            let leap = NtpDuration::from_nanos(i64::from(due.leap.step()) * SECOND.to_nanos());
            (step - leap).abs() < NtpDuration::from_nanos(KERNEL_TOLERANCE_NS) && due.is_close(time)
        })
    }

    /// The leap second takes place: served time has changed by `step` seconds.
    pub(crate) fn take(&mut self, now: MonoNs, step: i8, announced: bool) {
        if let Some(due) = self.due.take() {
            let at = self.due_at.take().unwrap_or(now);
            self.taken = Some(Taken { due, at, step, announced });
            let change = i32::from(due.leap.step());
            self.tai_offset = self.tai_offset.map(|offset| offset - change);
        }
    }
}

fn tell(due: Option<Due>) {
    let what = match due.map(|due| due.leap) {
        Some(Leap::Insert) => "a leap second: 23:59:60 is inserted",
        Some(Leap::Delete) => "a leap second: 23:59:59 is left out",
        None => "no leap second",
    };
    tracing::info!("The day ends with {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-06-30 12:00 and the end of that day.
    const NOON: i64 = 1_782_820_800;
    const END: i64 = NOON + 43_200;

    fn at(unix_seconds: i64) -> NtpTimestamp {
        NtpTimestamp::from_unix(unix_seconds, 0)
    }

    fn announced(mode: LeapSecMode, leap: LeapIndicator) -> Schedule {
        let mut schedule = Schedule::new(mode);
        schedule.announce(leap);
        schedule
    }

    #[test]
    fn leap_second_is_believed_on_the_last_day_of_june_and_december_alone() {
        let day = 86_400;
        for (time, due) in [
            (NOON, true),
            (END - 86_400, true),
            (END - 86_401, false),
            (END + 1, false),
            (NOON - 30 * day, false),
            (NOON + 31 * day, false),
            (NOON + 184 * day, true),
        ] {
            let mut schedule = announced(LeapSecMode::System, LeapIndicator::Insert);
            assert_eq!((schedule.review(at(time), true), schedule.due().is_some()), (due, due));
            assert!(!schedule.review(at(time), true), "no news");
        }
    }

    #[test]
    fn leap_second_is_cancelled_when_nobody_announces_it_any_more_or_nothing_is_followed() {
        let mut schedule = announced(LeapSecMode::System, LeapIndicator::Delete);
        assert!(schedule.review(at(NOON), true) && schedule.for_kernel() == LeapIndicator::Delete);
        schedule.announce(LeapIndicator::Normal);
        assert!(schedule.review(at(NOON + 1), true) && schedule.due().is_none());
        schedule.announce(LeapIndicator::Delete);
        assert!(schedule.review(at(NOON + 2), true) && schedule.due().is_some());
        assert!(schedule.review(at(NOON + 3), false) && schedule.due().is_none());
    }

    #[test]
    fn nothing_is_decided_near_the_leap_second_and_it_is_taken_once() {
        let mut schedule = announced(LeapSecMode::Step, LeapIndicator::Insert);
        schedule.review(at(NOON), true);
        schedule.announce(LeapIndicator::Normal);
        assert!(!schedule.review(at(END - 4), true) && schedule.due().is_some());
        schedule.foresee(Some(MonoNs(100)));
        assert!(!schedule.is_over(MonoNs(99)) && schedule.is_over(MonoNs(100)));
        schedule.take(MonoNs(150), -1, true);
        assert_eq!(schedule.taken().map(|taken| taken.at), Some(MonoNs(100)));
        schedule.announce(LeapIndicator::Insert);
        assert!(!schedule.review(at(END - 1), true) && schedule.due().is_none());
        assert!(!schedule.is_over(MonoNs(1 << 40)));
    }

    #[test]
    fn kernel_is_told_and_waited_for_only_in_mode_system() {
        for mode in [LeapSecMode::System, LeapSecMode::Step, LeapSecMode::Slew, LeapSecMode::Ignore]
        {
            let mut schedule = announced(mode, LeapIndicator::Insert);
            schedule.review(at(NOON), true);
            schedule.foresee(Some(MonoNs(100)));
            let told = schedule.for_kernel() == LeapIndicator::Insert;
            let waits = schedule.deadline() != Some(MonoNs(100));
            let step = NtpDuration::from_nanos(-1_000_000_050);
            let knows = schedule.is_kernels(step, at(END - 1));
            let is_system = mode == LeapSecMode::System;
            assert_eq!((told, waits, knows), (is_system, is_system, is_system), "{mode:?}");
        }
    }

    #[test]
    fn only_a_step_of_a_second_at_the_end_of_the_day_is_the_kernels() {
        let mut schedule = announced(LeapSecMode::System, LeapIndicator::Insert);
        schedule.review(at(NOON), true);
        for (nanos, time, expected) in [
            (-1_000_000_000, END - 1, true),
            (-1_002_000_000, END - 1, false),
            (1_000_000_000, END - 1, false),
            (-1_000_000_000, END - 10, false),
        ] {
            let step = NtpDuration::from_nanos(nanos);
            assert_eq!(schedule.is_kernels(step, at(time)), expected, "{nanos} {time}");
        }
    }

    #[test]
    fn table_counts_where_sources_say_nothing_and_gives_the_offset_of_tai() {
        let list = "#$ 1\n#@ 2\n3534710400 34\n3550089600 35\n3991852800 36\n";
        let mut schedule = Schedule::new(LeapSecMode::System);
        schedule.set_table(LeapTable::from_list(list).unwrap());
        assert!(schedule.review(at(NOON), true));
        assert_eq!(
            (schedule.for_kernel(), schedule.tai_offset()),
            (LeapIndicator::Insert, Some(35))
        );
        schedule.announce(LeapIndicator::Delete);
        schedule.review(at(NOON), true);
        assert_eq!(schedule.for_kernel(), LeapIndicator::Delete);
        schedule.announce(LeapIndicator::Normal);
        schedule.review(at(NOON), true);
        schedule.take(MonoNs(1), -1, true);
        assert_eq!(schedule.tai_offset(), Some(36));
        assert!(!schedule.review(at(END), true), "too near");
        assert!(!schedule.review(at(END + 6), true));
        assert_eq!(
            (schedule.for_kernel(), schedule.tai_offset()),
            (LeapIndicator::Normal, Some(36))
        );
    }
}
