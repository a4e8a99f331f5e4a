//! Records as the rows of chrony's log files: its columns, widths, units and signs.

use std::fmt::Display;

use ntp_common::time::NtpTimestamp;
use ntp_common::wire::{LeapIndicator, ReferenceId};
use ntp_engine::conf::LogFile;
use ntp_engine::record::{
    ClockReading, ClockSample, Measurement, Record, Selected, Statistics, Temperature, Update,
};
use ntp_engine::report::clock_name;
use ntp_engine::seams::StampedBy;
use ntp_engine::tempcomp::Compensation;

/// The middle of the years that times are taken to be in: 2038.
const PIVOT_S: i64 = 1 << 31;

/// The file that a record belongs to.
pub(super) const fn file(record: &Record) -> LogFile {
    match record {
        Record::Measurement(_) => LogFile::Measurements,
        Record::Statistics(_) => LogFile::Statistics,
        Record::Tracking(_) => LogFile::Tracking,
        Record::Selection(_) => LogFile::Selection,
        Record::ClockReading(_) | Record::ClockSample(_) => LogFile::Refclocks,
        Record::Temperature(_) => LogFile::Tempcomp,
    }
}

/// The row, without its end.
pub(super) fn row(record: &Record) -> String {
    match record {
        Record::Measurement(it) => measurement(it),
        Record::Statistics(it) => statistics(it),
        Record::Tracking(it) => tracking(it),
        Record::Selection(it) => selection(it),
        Record::ClockReading(it) => clock_reading(it),
        Record::ClockSample(it) => clock_sample(it),
        Record::Temperature(it) => temperature(it),
    }
}

fn measurement(it: &Measurement) -> String {
    let tests: String = (0..10).rev().map(|bit| digit(it.tests >> bit & 1)).collect();
    let (mode, kind) = (it.mode, if it.interleaved { 'I' } else { 'B' });
    let (left, arrived) = it.stamped_by.unwrap_or((StampedBy::Daemon, StampedBy::Daemon));
    format!(
        "{} {} {:2} {} {} {}  {:2} {:2} {:4.2} {} {} {} {} {} {:08X} {mode}{kind} {} {}",
        head(it.at, it.source),
        leap(it.leap),
        it.stratum,
        &tests[..3],
        &tests[3..6],
        &tests[6..],
        it.local_poll_log2,
        it.remote_poll_log2,
        // There is no score: how often a source is asked is calculated otherwise.
        0.0,
        scientific(it.offset_s),
        scientific(it.delay_s),
        scientific(it.dispersion_s),
        scientific(it.root_delay_s),
        scientific(it.root_dispersion_s),
        it.reference_id.0,
        stamp(left),
        stamp(arrived),
    )
}

/// Offset and frequency are those of our clock here: positive when it is ahead, and gains.
fn statistics(it: &Statistics) -> String {
    format!(
        "{} {} {} {} {} {} {} {:3} {:3} {:3} {:5.2}",
        head(it.at, it.source),
        scientific(it.deviation_s),
        scientific(0.0 - it.offset_s),
        scientific(it.offset_deviation_s),
        scientific(0.0 - it.frequency),
        scientific(it.skew),
        exponential(it.stress, 1, 7),
        it.samples,
        // Samples that were found not to lie on the line are not kept.
        0,
        it.runs,
        it.asymmetry,
    )
}

/// The offset is that of our clock here, positive when it is ahead; what remains is the correction.
fn tracking(it: &Update) -> String {
    let source = it.source.map_or("0.0.0.0".to_owned(), |source| source.to_string());
    format!(
        "{} {:2} {:10.3} {:10.3} {} {} {:2} {} {} {} {} {}",
        head(it.at, source),
        it.stratum,
        it.frequency_ppm,
        it.skew_ppm,
        scientific(0.0 - it.offset_s),
        leap(it.leap),
        it.combined,
        scientific(it.offset_deviation_s),
        scientific(it.remaining_s),
        scientific(it.root_delay_s),
        scientific(it.root_dispersion_s),
        scientific(it.maximum_error_s),
    )
}

/// The interval is that of our clock's offset here, positive when it is ahead.
fn selection(it: &Selected) -> String {
    let options = [
        (it.options.noselect, 'N'),
        (it.options.prefer, 'P'),
        (it.options.trust, 'T'),
        (it.options.require, 'R'),
    ];
    let options: String =
        options.iter().map(|&(is_set, letter)| if is_set { letter } else { '-' }).collect();
    format!(
        "{} {} -{options} {:4o} {:5.2} {} {} {}",
        head(it.at, it.source),
        it.verdict.code(),
        it.reach,
        it.score,
        scientific(it.last_sample_s),
        scientific(0.0 - it.high_s),
        scientific(0.0 - it.low_s),
    )
}

fn clock_reading(it: &ClockReading) -> String {
    format!(
        "{} {:3} {} {} {} {} {}",
        clock_head(it.at, it.clock),
        it.number,
        leap(it.leap),
        u8::from(it.is_pulse),
        exponential(it.raw_s, 6, 13),
        exponential(it.cooked_s, 6, 13),
        scientific(it.dispersion_s),
    )
}

fn clock_sample(it: &ClockSample) -> String {
    format!(
        "{}   - {} -       -       {} {}",
        clock_head(it.at, it.clock),
        leap(it.leap),
        exponential(it.cooked_s, 6, 13),
        scientific(it.dispersion_s),
    )
}

fn temperature(it: &Temperature) -> String {
    let Compensation { temperature, ppm } = it.compensation;
    format!(
        "{} {} {}",
        date_and_time(it.at),
        exponential(temperature, 4, 11),
        exponential(ppm, 4, 11)
    )
}

/// Date, time with microseconds, and reference ID.
fn clock_head(at: NtpTimestamp, clock: ReferenceId) -> String {
    let (_, nanos) = at.to_unix(PIVOT_S);
    format!("{}.{:06} {:<5}", date_and_time(at), nanos / 1000, clock_name(clock))
}

/// Date, time, and what the source is called.
fn head(at: NtpTimestamp, source: impl Display) -> String {
    // A width has no effect on how an address is shown.
    format!("{} {:<15}", date_and_time(at), source.to_string())
}

/// `2026-11-22 08:02:55`, UTC.
fn date_and_time(at: NtpTimestamp) -> String {
    const DAY_S: i64 = 86_400;
    let (seconds, _) = at.to_unix(PIVOT_S);
    let (days, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day so many days after 1970-01-01, in the Gregorian calendar: counted from a 1st of March, leap days
/// come last in years and in centuries, and months have 153 days in fives.
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day) = (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

const fn leap(leap: LeapIndicator) -> char {
    match leap {
        LeapIndicator::Normal => 'N',
        LeapIndicator::Insert => '+',
        LeapIndicator::Delete => '-',
        LeapIndicator::Unsynchronised => '?',
    }
}

const fn stamp(by: StampedBy) -> char {
    match by {
        StampedBy::Daemon => 'D',
        StampedBy::Kernel => 'K',
        StampedBy::Hardware => 'H',
    }
}

const fn digit(bit: u16) -> char {
    if bit == 0 { '0' } else { '1' }
}

/// Three digits behind the point, as most columns have them.
fn scientific(value: f64) -> String {
    exponential(value, 3, 10)
}

/// A number as C writes it in scientific notation: two digits of exponent at least, with a sign.
fn exponential(value: f64, digits: usize, width: usize) -> String {
    let text = format!("{value:.digits$e}");
    let text = match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{exponent:0>2}")
        }
        None => text,
    };
    format!("{text:>width$}")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use ntp_engine::report::{Named, SelectOptions, Verdict};

    /// 2026-11-22 13:38:23 UTC.
    const AT: NtpTimestamp = NtpTimestamp::from_unix(1_795_354_703, 600_000_000);

    fn source() -> IpAddr {
        "10.9.9.1".parse().unwrap()
    }

    #[test]
    fn packet_is_a_row_of_measurements() {
        let mut it = Measurement {
            at: AT,
            source: source(),
            leap: LeapIndicator::Normal,
            stratum: 3,
            tests: 0b11_1111_1111,
            local_poll_log2: -1,
            remote_poll_log2: 0,
            offset_s: -2.014e-6,
            delay_s: 7.821e-6,
            dispersion_s: 1.906e-7,
            root_delay_s: 0.0,
            root_dispersion_s: 1.5,
            reference_id: ReferenceId::LOCAL,
            mode: 4,
            interleaved: false,
            stamped_by: Some((StampedBy::Kernel, StampedBy::Hardware)),
        };
        assert_eq!(
            row(&Record::Measurement(it.clone())),
            "2026-11-22 13:38:23 10.9.9.1        N  3 111 111 1111  -1  0 0.00 -2.014e-06  7.821e-06  \
             1.906e-07  0.000e+00  1.500e+00 7F7F0101 4B K H"
        );
        (it.tests, it.interleaved, it.stamped_by) = (0b11_0111_1010, true, None);
        let row = row(&Record::Measurement(it));
        assert!(row.contains(" 110 111 1010 ") && row.ends_with(" 4I D D"), "{row}");
    }

    #[test]
    fn line_of_a_source_is_a_row_of_statistics() {
        let it = Statistics {
            at: AT,
            source: Named::Address("2001:db8::1234:5678".parse().unwrap()),
            deviation_s: 4.148e-7,
            offset_s: 1.061e-6,
            offset_deviation_s: 2.748e-7,
            frequency: 7.659e-7,
            skew: 2.191e-6,
            stress: 0.11,
            samples: 6,
            runs: 5,
            asymmetry: -0.25,
        };
        assert_eq!(
            row(&Record::Statistics(it)),
            "2026-11-22 13:38:23 2001:db8::1234:5678  4.148e-07 -1.061e-06  2.748e-07 -7.659e-07  \
             2.191e-06 1.1e-01   6   0   5 -0.25"
        );
    }

    #[test]
    fn clock_is_a_row_of_tracking() {
        let it = Update {
            at: AT,
            source: Some(Named::Address(source())),
            stratum: 4,
            frequency_ppm: -0.02,
            skew_ppm: 2.462,
            offset_s: 1.464e-6,
            leap: LeapIndicator::Insert,
            combined: 2,
            offset_deviation_s: 1.906e-6,
            remaining_s: -3.266e-6,
            root_delay_s: 7.88e-6,
            root_dispersion_s: 1.287e-6,
            maximum_error_s: 1.347e-5,
        };
        assert_eq!(
            row(&Record::Tracking(it)),
            "2026-11-22 13:38:23 10.9.9.1         4     -0.020      2.462 -1.464e-06 +  2  1.906e-06 \
             -3.266e-06  7.880e-06  1.287e-06  1.347e-05"
        );
    }

    #[test]
    fn source_in_a_selection_is_a_row_of_selection() {
        let it = Selected {
            at: AT,
            source: Named::Address(source()),
            verdict: Verdict::Selected,
            options: SelectOptions { noselect: false, prefer: true, trust: false, require: true },
            reach: 0o377,
            score: 1.0,
            last_sample_s: 49.23,
            low_s: -6.3e-6,
            high_s: 2.4e-6,
        };
        assert_eq!(
            row(&Record::Selection(it)),
            "2026-11-22 13:38:23 10.9.9.1        * --P-R  377  1.00  4.923e+01 -2.400e-06  6.300e-06"
        );
    }

    #[test]
    fn reference_clock_has_its_id_in_the_place_of_an_address() {
        let gps = ReferenceId::from_octets(*b"GPS\0");
        assert_eq!(head(AT, Named::Clock(gps)), "2026-11-22 13:38:23 GPS            ");
    }

    #[test]
    fn readings_and_what_they_come_to_are_rows_of_refclocks() {
        let clock = ReferenceId::from_octets(*b"PPS2");
        let at = NtpTimestamp::from_unix(1_795_354_703, 250_000_000);
        let it = ClockReading {
            at,
            clock,
            number: 7,
            leap: LeapIndicator::Insert,
            is_pulse: true,
            raw_s: 4.9e-7,
            cooked_s: -6.741_777e-7,
            dispersion_s: 1e-6,
        };
        assert_eq!(
            row(&Record::ClockReading(it)),
            "2026-11-22 13:38:23.250000 PPS2    7 + 1  4.900000e-07 -6.741777e-07  1.000e-06"
        );
        let leap = LeapIndicator::Normal;
        let it = ClockSample { at, clock, leap, cooked_s: -4.332_88e-7, dispersion_s: 1.1e-6 };
        assert_eq!(
            row(&Record::ClockSample(it)),
            "2026-11-22 13:38:23.250000 PPS2    - N -       -       -4.332880e-07  1.100e-06"
        );
    }

    #[test]
    fn temperature_is_a_row_of_tempcomp() {
        let compensation = Compensation { temperature: 29_000.0, ppm: -0.361 };
        assert_eq!(
            row(&Record::Temperature(Temperature { at: AT, compensation })),
            "2026-11-22 13:38:23  2.9000e+04 -3.6100e-01"
        );
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, expected) in [
            (-25_509, (1900, 2, 28)),
            (-25_508, (1900, 3, 1)),
            (0, (1970, 1, 1)),
            (10_956, (1999, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_779, (2026, 11, 22)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }

    #[test]
    fn numbers_look_as_c_writes_them() {
        for (value, expected) in [
            (0.0, " 0.000e+00"),
            (-1.0, "-1.000e+00"),
            (9.9996e-5, " 1.000e-04"),
            (1.0e-120, "1.000e-120"),
            (1e6, " 1.000e+06"),
            (f64::INFINITY, "       inf"),
        ] {
            assert_eq!(scientific(value), expected);
        }
    }
}
