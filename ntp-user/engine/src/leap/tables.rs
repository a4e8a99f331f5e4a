//! Tables of leap seconds: `leap-seconds.list` as IERS and NIST publish it, and the records in a time zone file
//! of the `right` kind. They are parsed here and read elsewhere.

use ntp_common::time::UNIX_EPOCH_IN_NTP_SECONDS;

use super::{Day, Leap};

/// Most leap seconds in a table: there have been 27 in 50 years.
const MOST_ENTRIES: usize = 1_000;
/// TAI - UTC when POSIX time in `right` time zones begins, seconds: the offset before the first leap second.
const FIRST_TAI_OFFSET: i32 = 10;

/// A table of leap seconds, past and to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeapTable {
    /// In order of time, at least two.
    entries: Vec<Entry>,
    expires: Option<i64>,
}

/// From when on UTC is how far behind TAI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// POSIX time, seconds.
    from: i64,
    /// TAI - UTC, seconds.
    tai_offset: i32,
}

/// What a table says of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    /// The leap second at the end of the day.
    pub(crate) leap: Option<Leap>,
    /// TAI - UTC before it, seconds.
    pub(crate) tai_offset: i32,
}

/// Why a file is no table of leap seconds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeapTableError {
    /// A line can't be read.
    #[error("line {0}: neither a comment nor `NTP-SECONDS TAI-OFFSET`")]
    Line(usize),
    /// The list says not when it was made, or not when it expires.
    #[error("no line `#{0} NTP-SECONDS`")]
    NoDate(char),
    /// No time zone file of version 2 or later.
    #[error("no time zone file of version 2 or later")]
    NoTimeZone,
    /// The file ends before its contents do.
    #[error("cut short")]
    CutShort,
    /// The offsets do not change by one second, at ends of days, in order.
    #[error("leap seconds out of order")]
    OutOfOrder,
    /// The leap second of 2012 is missing or is not where it was.
    #[error("the leap second of June 30, 2012 is not in it")]
    Implausible,
}

impl LeapTable {
    /// Reads a `leap-seconds.list`.
    ///
    /// # Errors
    /// [`LeapTableError`].
    pub fn from_list(text: &str) -> Result<Self, LeapTableError> {
        let mut entries = Vec::new();
        let (mut updated, mut expires) = (None, None);
        for (index, line) in text.lines().enumerate() {
            let bad = || LeapTableError::Line(index + 1);
            if let Some(date) = line.strip_prefix("#$") {
                updated = Some(ntp_seconds(date.trim()).ok_or_else(bad)?);
            } else if let Some(date) = line.strip_prefix("#@") {
                expires = Some(ntp_seconds(date.trim()).ok_or_else(bad)?);
            } else if !line.trim().is_empty() && !line.starts_with('#') {
                entries.push(list_entry(line).ok_or_else(bad)?);
            }
        }
        updated.ok_or(LeapTableError::NoDate('$'))?;
        Self::checked(entries, Some(expires.ok_or(LeapTableError::NoDate('@'))?))
    }

    /// Reads the leap seconds of a time zone file, RFC 9636 section 3.
    ///
    /// # Errors
    /// [`LeapTableError`].
    pub fn from_time_zone(octets: &[u8]) -> Result<Self, LeapTableError> {
        let first = Counts::read(octets)?;
        let second =
            octets.get(HEADER_LEN + first.data_len(4)..).ok_or(LeapTableError::CutShort)?;
        let counts = Counts::read(second)?;
        let at = HEADER_LEN + counts.before_leaps(8);
        let len = counts.leaps.saturating_mul(LEAP_RECORD_LEN);
        let records = second.get(at..at.saturating_add(len)).ok_or(LeapTableError::CutShort)?;
        let mut entries = vec![Entry { from: i64::MIN, tai_offset: FIRST_TAI_OFFSET }];
        let (mut correction, mut expires) = (0, None);
        for record in records.chunks_exact(LEAP_RECORD_LEN) {
            let (occurs, total) = record.split_at(8);
            // Occurrences count the leap seconds before them.
            let from = be_i64(occurs).wrapping_sub(i64::from(correction));
            let total = be_i32(total);
            if total == correction {
                expires = Some(from);
            } else {
                entries.push(Entry { from, tai_offset: FIRST_TAI_OFFSET.wrapping_add(total) });
            }
            correction = total;
        }
        Self::checked(entries, expires)
    }

    fn checked(entries: Vec<Entry>, expires: Option<i64>) -> Result<Self, LeapTableError> {
        let follows = |pair: &[Entry]| {
            pair[0].from < pair[1].from
                && pair[0].tai_offset.abs_diff(pair[1].tai_offset) == 1
                && Day::of(pair[1].from - 1).end() == pair[1].from
        };
        if entries.len() > MOST_ENTRIES || !entries.windows(2).all(follows) {
            return Err(LeapTableError::OutOfOrder);
        }
        let table = Self { entries, expires };
        let plausible = Entered { leap: Some(Leap::Insert), tai_offset: 34 };
        if table.on(Day::of(JUNE_30_2012)) != Some(plausible) {
            return Err(LeapTableError::Implausible);
        }
        Ok(table)
    }

    /// What the table says of a day; nothing of days before it begins.
    pub(crate) fn on(&self, day: Day) -> Option<Entered> {
        let later = self.entries.partition_point(|entry| entry.from < day.end());
        let before = self.entries.get(later.checked_sub(1)?)?;
        let after = self.entries.get(later).filter(|entry| entry.from == day.end());
        let leap = after.map(|after| {
            if after.tai_offset > before.tai_offset { Leap::Insert } else { Leap::Delete }
        });
        Some(Entered { leap, tai_offset: before.tai_offset })
    }

    /// POSIX time, seconds, from which on leap seconds may be missing; `None` when the table does not say.
    #[must_use]
    pub fn expires(&self) -> Option<i64> {
        self.expires
    }
}

/// Noon of the day whose leap second every table must have.
const JUNE_30_2012: i64 = 1_341_057_600;

/// Seconds since 1900, not of an era, as POSIX time.
fn ntp_seconds(word: &str) -> Option<i64> {
    let seconds: u64 = word.parse().ok()?;
    i64::try_from(seconds).ok()?.checked_sub(UNIX_EPOCH_IN_NTP_SECONDS)
}

fn list_entry(line: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace();
    let from = ntp_seconds(words.next()?)?;
    let tai_offset = words.next()?.parse().ok()?;
    words.next().is_none_or(|word| word.starts_with('#')).then_some(Entry { from, tai_offset })
}

/// Length of the header of a time zone file's block.
const HEADER_LEN: usize = 44;
/// Length of a leap second in the second block.
const LEAP_RECORD_LEN: usize = 12;
/// Where the six counts begin in a header.
const COUNTS_AT: usize = 20;

/// How much there is of what in a block of a time zone file.
struct Counts {
    universal: usize,
    standard: usize,
    leaps: usize,
    transitions: usize,
    types: usize,
    characters: usize,
}

impl Counts {
    fn read(block: &[u8]) -> Result<Self, LeapTableError> {
        let header = block.get(..HEADER_LEN).ok_or(LeapTableError::CutShort)?;
        if !header.starts_with(b"TZif") || header[4] < b'2' {
            return Err(LeapTableError::NoTimeZone);
        }
        let count = |index: usize| {
            let at = COUNTS_AT + 4 * index;
            usize::try_from(be_i32(&header[at..at + 4])).map_err(|_| LeapTableError::CutShort)
        };
        Ok(Self {
            universal: count(0)?,
            standard: count(1)?,
            leaps: count(2)?,
            transitions: count(3)?,
            types: count(4)?,
            characters: count(5)?,
        })
    }

    /// Length of what comes before the leap seconds; a time takes `time_len` octets.
    fn before_leaps(&self, time_len: usize) -> usize {
        let transitions = self.transitions.saturating_mul(time_len + 1);
        transitions.saturating_add(self.types.saturating_mul(6)).saturating_add(self.characters)
    }

    /// Length of the block without its header.
    fn data_len(&self, time_len: usize) -> usize {
        self.before_leaps(time_len)
            .saturating_add(self.leaps.saturating_mul(time_len + 4))
            .saturating_add(self.standard)
            .saturating_add(self.universal)
    }
}

fn be_i32(octets: &[u8]) -> i32 {
    octets.first_chunk().map_or(0, |octets| i32::from_be_bytes(*octets))
}

fn be_i64(octets: &[u8]) -> i64 {
    octets.first_chunk().map_or(0, |octets| i64::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &str = "\
#\tcomment
#$\t3676924800
#@\t3991593600

3534710400\t34\t# 1 Jan 2012 has no leap second; the list of this test begins here
3550089600      35      # 1 Jul 2012
3644697600 36
3692217600      37      # 1 Jan 2017
#h 49db2447 571e5e1b 2f002a53 9c8da8e4 39b8e49e
";

    /// The end of the day before `date`, days since the Unix epoch.
    fn eve(date: i64) -> Day {
        Day(date - 1)
    }

    /// 2012-07-01, 2015-07-01, 2017-01-01.
    const LEAPS: [(i64, i32); 3] = [(15_522, 35), (16_617, 36), (17_167, 37)];

    /// A file as `zic -b slim -L` makes it.
    fn time_zone(leaps: &[(i64, i32)]) -> Vec<u8> {
        let mut octets = Vec::new();
        for (time_len, counts) in [(4, [0; 6]), (8, [0, 0, leaps.len(), 1, 1, 4])] {
            octets.extend(b"TZif2");
            octets.resize(octets.len() + 15, 0);
            let counts = counts.map(|count| u32::try_from(count).unwrap().to_be_bytes());
            octets.extend(counts.concat());
            if time_len == 8 {
                octets.extend([0; 8 + 1 + 6]);
                octets.extend(b"UTC\0");
            }
        }
        let mut before = 0;
        for &(from, total) in leaps {
            octets.extend((from + i64::from(before)).to_be_bytes());
            octets.extend(total.to_be_bytes());
            before = total;
        }
        octets.extend(b"\nUTC0\n");
        octets
    }

    fn tables() -> [LeapTable; 2] {
        // 24 earlier leap seconds on days that don't matter.
        let earlier = (1..=24).map(|total| (i64::from(total) * DAY, total));
        let later = LEAPS.map(|(day, tai_offset)| (day * DAY, tai_offset - 10));
        let zone = time_zone(&earlier.chain(later).collect::<Vec<_>>());
        [LeapTable::from_list(LIST).unwrap(), LeapTable::from_time_zone(&zone).unwrap()]
    }

    const DAY: i64 = super::super::DAY_S;

    #[test]
    fn both_kinds_of_table_have_the_same_leap_seconds() {
        for table in tables() {
            for (day, tai_offset) in LEAPS {
                let (before, after) = (table.on(eve(day)).unwrap(), table.on(Day(day)).unwrap());
                assert_eq!(
                    before,
                    Entered { leap: Some(Leap::Insert), tai_offset: tai_offset - 1 }
                );
                assert_eq!(after, Entered { leap: None, tai_offset });
            }
            assert_eq!(table.on(Day(20_000)), Some(Entered { leap: None, tai_offset: 37 }));
        }
    }

    #[test]
    fn deleted_second_is_read() {
        let list = LIST.replace("#h", "4102444800 36\n#h");
        let table = LeapTable::from_list(&list).unwrap();
        let (from, entered) = (4_102_444_800 - UNIX_EPOCH_IN_NTP_SECONDS, Some(Leap::Delete));
        assert_eq!(table.on(Day::of(from - 1)).unwrap().leap, entered);
    }

    #[test]
    fn expiry_is_read() {
        assert_eq!(tables()[0].expires(), Some(3_991_593_600 - UNIX_EPOCH_IN_NTP_SECONDS));
        assert_eq!(tables()[1].expires(), None);
        // A last record that changes nothing says until when the file is good.
        let leaps: Vec<(i64, i32)> =
            (1..=24).map(|total| (i64::from(total) * DAY, total)).collect();
        let zone = [&leaps[..], &[(15_522 * DAY, 25), (16_000 * DAY, 25)]].concat();
        let table = LeapTable::from_time_zone(&time_zone(&zone)).unwrap();
        assert_eq!(table.expires(), Some(16_000 * DAY));
    }

    #[test]
    fn files_of_the_system_are_read_when_there_are_any() {
        let list = std::fs::read_to_string("/usr/share/zoneinfo/leap-seconds.list");
        let zone = std::fs::read("/usr/share/zoneinfo/right/UTC");
        let tables = [
            list.ok().map(|text| LeapTable::from_list(&text).unwrap()),
            zone.ok().map(|octets| LeapTable::from_time_zone(&octets).unwrap()),
        ];
        for table in tables.iter().flatten() {
            assert_eq!(table.on(Day(17_167)), Some(Entered { leap: None, tai_offset: 37 }));
        }
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_reason() {
        let cases = [
            ("", LeapTableError::NoDate('$')),
            ("#$ 3676924800\n", LeapTableError::NoDate('@')),
            ("#$ soon\n", LeapTableError::Line(1)),
            ("#\n1000 x\n", LeapTableError::Line(2)),
            ("#\n\n1000 10 11\n", LeapTableError::Line(3)),
            (&LIST.replace("35 ", "37 "), LeapTableError::OutOfOrder),
            (&LIST.replace("3550089600", "3550089601"), LeapTableError::OutOfOrder),
            (&LIST.replace("3550089600", "3550003200"), LeapTableError::Implausible),
            ("#$ 3676924800\n#@ 3991593600\n", LeapTableError::Implausible),
        ];
        for (text, error) in cases {
            assert_eq!(LeapTable::from_list(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_zone_is_refused_with_the_reason() {
        let whole = time_zone(&[(15_522 * DAY, 1)]);
        let mut first_version = whole.clone();
        first_version[4] = 0;
        let cases = [
            (&b"#$ 3676924800"[..], LeapTableError::CutShort),
            (&[b'x'; 100], LeapTableError::NoTimeZone),
            (&first_version, LeapTableError::NoTimeZone),
            (&whole[..whole.len() - 8], LeapTableError::CutShort),
            (&whole, LeapTableError::Implausible),
        ];
        for (octets, error) in cases {
            assert_eq!(LeapTable::from_time_zone(octets), Err(error));
        }
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange_to_be_refused(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0usize..300,
        ) {
            let _ = LeapTable::from_list(&String::from_utf8_lossy(&noise));
            let mut octets = time_zone(&[(15_522 * DAY, 1)]);
            let at = at.min(octets.len());
            octets.splice(at..at, noise);
            let _ = LeapTable::from_time_zone(&octets);
        }
    }
}
