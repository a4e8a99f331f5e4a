//! Times: seconds since 1970 in two halves, and nanoseconds.

use ntp_common::time::NtpTimestamp;

use super::octets::{Reader, Writer};

/// Of the times that a timestamp of NTP may mean, the one is taken that is next to this: 2038.
const PIVOT_S: i64 = 1 << 31;
/// Stands for the upper half in packets of those who only know the lower one.
const NO_UPPER_HALF: u32 = 0x7fff_ffff;

/// A time as packets have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixTime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds beyond these, below a thousand million.
    pub nanos: u32,
}

impl From<NtpTimestamp> for UnixTime {
    /// Of the times that a timestamp may mean, the one from 1970 to 2106; 1970 for "unknown".
    fn from(timestamp: NtpTimestamp) -> Self {
        if timestamp.is_unknown() {
            return Self::default();
        }
        let (seconds, nanos) = timestamp.to_unix(PIVOT_S);
        Self { seconds, nanos }
    }
}

impl From<UnixTime> for NtpTimestamp {
    fn from(time: UnixTime) -> Self {
        Self::from_unix(time.seconds, time.nanos)
    }
}

impl Reader<'_> {
    pub(super) fn time(&mut self) -> UnixTime {
        let (upper, lower, nanos) = (self.u32(), self.u32(), self.u32());
        let upper = if upper == NO_UPPER_HALF { 0 } else { upper };
        let seconds = (u64::from(upper) << 32) | u64::from(lower);
        UnixTime { seconds: seconds.cast_signed(), nanos: nanos.min(999_999_999) }
    }
}

impl Writer {
    pub(super) fn time(&mut self, time: UnixTime) -> &mut Self {
        self.u64(time.seconds.cast_unsigned()).u32(time.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_of_both_eras_mean_times_since_1970() {
        for (seconds, nanos) in
            [(0, 2), (1_795_000_000, 999_999_999), (2_085_978_496, 5), (4_000_000_000, 0)]
        {
            let time = UnixTime { seconds, nanos };
            let read = UnixTime::from(NtpTimestamp::from(time));
            assert_eq!((read.seconds, time.nanos - read.nanos <= 1), (seconds, true), "{time:?}");
        }
        assert_eq!(UnixTime::from(NtpTimestamp::from_bits(0)), UnixTime::default());
    }

    #[test]
    fn times_survive_the_round_trip() {
        for time in [UnixTime { seconds: -5, nanos: 7 }, UnixTime { seconds: 1 << 40, nanos: 0 }] {
            let mut writer = Writer::new(12);
            writer.time(time);
            assert_eq!(Reader::new(&writer.finish()).time(), time);
        }
        let short = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 5, 0, 0, 0, 6];
        assert_eq!(Reader::new(&short).time(), UnixTime { seconds: 5, nanos: 6 });
    }
}
