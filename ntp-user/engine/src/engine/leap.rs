//! What the engine does at a leap second. docs/ARCHITECTURE.md tells how it is served.

use ntp_common::snapshot::{MAX_AGE_NS, MULTIPLIER_BITS, RefSnapshot, scale};
use ntp_common::time::{MonoNs, NtpDuration, NtpTimestamp};
use rand::Rng;

use super::Engine;
use crate::conf::LeapSecMode;
use crate::leap::Leap;
use crate::leap::tables::LeapTable;
use crate::seams::{Action, Now};

impl<R: Rng> Engine<R> {
    /// Puts a table of leap seconds into force, in place of the one before.
    pub fn set_leap_table(&mut self, table: LeapTable) {
        self.leap.set_table(table);
    }

    /// Decides whether the day ends with a leap second, and tells the kernel if that is news.
    pub(super) fn review_leap(&mut self, now: &Now, actions: &mut Vec<Action>) {
        let synchronised = self.reference.upstream().is_some();
        if self.leap.review(self.true_time(now), synchronised) {
            self.set_status(now, actions);
        }
    }

    /// The leap second is over, or should be: what is left to the daemon is done now. Served time has leapt in
    /// the snapshots already.
    pub(super) fn on_leap(&mut self, now: &Now, actions: &mut Vec<Action>) {
        let Some(due) = self.leap.due() else { return };
        let mode = self.leap.mode();
        match mode {
            LeapSecMode::Ignore => {
                tracing::warn!("Ignoring leap second");
                self.leap.take(now.mono, 0, true);
                return self.publish(now, actions);
            }
            LeapSecMode::System => {
                tracing::warn!(
                    "Kernel has not taken the leap second; adjusting system clock for it"
                );
            }
            LeapSecMode::Slew => tracing::warn!("Adjusting system clock for leap second"),
            LeapSecMode::Step => tracing::warn!("Stepping system clock for leap second"),
        }
        self.leap_on(due.leap, now);
        if mode == LeapSecMode::Step {
            let by_s = f64::from(due.leap.step());
            actions.push(Action::Step(self.discipline.step_for_leap(by_s)));
        } else {
            actions.push(Action::SetFrequency(self.discipline.slew_for_leap(now)));
        }
        self.set_status(now, actions);
    }

    /// Whether the clock's step is the kernel's leap, which is then taken: the exact step.
    pub(super) fn kernels_leap(&mut self, step: NtpDuration, now: &Now) -> Option<NtpDuration> {
        let due = self.leap.due().filter(|_| self.leap.is_kernels(step, now.time))?;
        tracing::info!("System clock has taken the leap second");
        self.leap_on(due.leap, now);
        Some(self.discipline.step_for_leap(due.leap.step().into()))
    }

    /// True time leaps; the clock has not, or its step is yet to be told of.
    fn leap_on(&mut self, leap: Leap, now: &Now) {
        let by_s = f64::from(leap.step());
        let step = self.served_leap(leap);
        if let Some(smoother) = &mut self.smoother {
            match self.leap.due().filter(|_| step == 0) {
                Some(due) => smoother.smear(due.instant(), by_s),
                None => smoother.leap_by(by_s),
            }
        }
        self.leap.take(now.mono, step, step != 0);
        self.monotone.leap(step);
        self.discipline.leap_by(by_s);
        self.bank.leap_by(by_s);
        self.manual.leap_by(by_s);
        self.reference.leap_by(by_s);
        for source in self.sources.values_mut() {
            source.leap_by(by_s);
        }
    }

    /// What a leap second changes served time by, seconds.
    fn served_leap(&self, leap: Leap) -> i8 {
        match self.leap.mode() {
            LeapSecMode::Ignore => 0,
            LeapSecMode::Step | LeapSecMode::Slew if self.smears() => 0,
            LeapSecMode::System | LeapSecMode::Step | LeapSecMode::Slew => leap.step(),
        }
    }

    /// Writes the leap second of which a snapshot has yet to tell, or still has to, into it.
    pub(super) fn schedule_leap(&mut self, snapshot: RefSnapshot) -> RefSnapshot {
        if let Some(due) = self.leap.due() {
            let at = first_at(&snapshot, due.instant());
            self.leap.foresee(at);
            let step = self.served_leap(due.leap);
            return match at.filter(|_| !self.smears()) {
                Some(at) => RefSnapshot { leap_at_ns: at.0, leap_step: step, ..snapshot },
                None => snapshot,
            };
        }
        match self.leap.taken().filter(|taken| taken.announced && taken.at.0 > snapshot.base_ns) {
            Some(taken) => before_leap(snapshot, taken.due.leap, taken.at, taken.step),
            None => snapshot,
        }
    }
}

/// A snapshot of the time after a leap second, told from before it on: requests that came before it may yet
/// be answered.
fn before_leap(snapshot: RefSnapshot, leap: Leap, at: MonoNs, step: i8) -> RefSnapshot {
    let undo = |bits: u64| bits.wrapping_sub((i64::from(step) << 32).cast_unsigned());
    RefSnapshot {
        base_ntp: undo(snapshot.base_ntp),
        reference_timestamp: match snapshot.reference_timestamp {
            0 => 0,
            known => undo(known),
        },
        head: snapshot.head | (leap.indicator() as u64) << 62,
        leap_at_ns: at.0,
        leap_step: step,
        ..snapshot
    }
}

/// The first nanosecond at which a snapshot says `time` or later; its base when it always does, and `None`
/// when that is further off than it is exact for.
fn first_at(snapshot: &RefSnapshot, time: NtpTimestamp) -> Option<MonoNs> {
    let ahead = time.to_bits().wrapping_sub(snapshot.base_ntp).cast_signed();
    let ahead = u64::try_from(ahead).unwrap_or(0);
    let nanos = (u128::from(ahead) << MULTIPLIER_BITS) / u128::from(snapshot.multiplier);
    let nanos = u64::try_from(nanos).ok().filter(|&nanos| nanos < MAX_AGE_NS)?;
    // The quotient is exact, and `scale` falls short by a little: at most the next nanosecond reaches it.
    let first = (nanos..=nanos + 2).find(|&nanos| scale(nanos, snapshot.multiplier) >= ahead)?;
    Some(MonoNs(snapshot.base_ns + first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::snapshot::{NO_LEAP, NOMINAL_MULTIPLIER};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn leap_second_comes_at_the_first_nanosecond_that_shows_its_time(
            base_ns in 0u64..1 << 60,
            base_ntp: u64,
            ahead in 1u64..100 << 32,
            deviation in -900_000_000_000_000_000i64..900_000_000_000_000_000,
        ) {
            let multiplier = NOMINAL_MULTIPLIER.wrapping_add_signed(deviation);
            let snapshot = RefSnapshot { base_ns, base_ntp, multiplier, ..RefSnapshot::INVALID };
            let time = NtpTimestamp::from_bits(base_ntp.wrapping_add(ahead));
            let at = first_at(&snapshot, time).unwrap();
            prop_assert!(snapshot.time_at(at).since(time) >= NtpDuration::ZERO);
            let before = snapshot.time_at(MonoNs(at.0 - 1));
            prop_assert!(before.since(time) < NtpDuration::ZERO);
        }

        #[test]
        fn snapshot_told_from_before_the_leap_second_is_the_same_after_it(
            base_ntp: u64, updated: u64, insert: bool,
        ) {
            let leap = if insert { Leap::Insert } else { Leap::Delete };
            let after = RefSnapshot {
                base_ns: 5, base_ntp, reference_timestamp: updated, ..RefSnapshot::INVALID
            };
            let whole = before_leap(after, leap, MonoNs(100), leap.step());
            prop_assert_eq!(RefSnapshot { leap_step: 0, ..whole.as_of(MonoNs(100)) }, after);
            prop_assert_eq!(whole.leap(), leap.indicator());
        }
    }

    #[test]
    fn leap_second_that_is_far_off_is_not_scheduled_and_one_that_is_past_is_at_once() {
        let snapshot = RefSnapshot { base_ns: 7, base_ntp: 1 << 40, ..RefSnapshot::INVALID };
        let at = |bits| first_at(&snapshot, NtpTimestamp::from_bits(bits));
        assert_eq!(at((1 << 40) + (138 << 32)), None);
        assert_eq!(at((1 << 40) - 1), Some(MonoNs(7)));
        assert_eq!(snapshot.leap_at_ns, NO_LEAP);
    }
}
