//! Metrics of the clock.

use std::fmt;

use ntp_common::wire::LeapIndicator;
use ntp_engine::report::Tracking;

use super::page::{Page, SECONDS};

/// The number that a leap indicator is on the wire. RFC 5905 section 7.3.
fn leap_number(leap: LeapIndicator) -> f64 {
    match leap {
        LeapIndicator::Normal => 0.0,
        LeapIndicator::Insert => 1.0,
        LeapIndicator::Delete => 2.0,
        LeapIndicator::Unsynchronised => 3.0,
    }
}

/// Writes the state of the clock and what is served.
pub(super) fn write(page: &mut Page<'_>, tracking: &Tracking, is_live: bool) -> fmt::Result {
    let is_live = if is_live { 1.0 } else { 0.0 };
    page.gauge(("synchronised", "Whether synchronised time is served", None), is_live)?;
    let too_far_off = if tracking.too_far_off { 1.0 } else { 0.0 };
    let help = "Whether the clock is too far off to be slewed and may not be stepped: run chronyc makestep";
    page.gauge(("clock_too_far_off", help, None), too_far_off)?;
    page.gauge(("stratum", "Stratum served, 0 without time", None), tracking.stratum.into())?;
    page.gauge(
        ("leap_indicator", "Leap served: 0 none, 1 insert, 2 delete, 3 not synchronised", None),
        leap_number(tracking.leap),
    )?;
    for (name, help, value) in [
        ("root_delay", "Round-trip delay to the reference clock", tracking.root_delay_s),
        ("root_dispersion", "Dispersion to the reference clock", tracking.root_dispersion_s),
        ("clock_last_offset", "Offset at the last update of the clock", tracking.last_offset_s),
        ("clock_rms_offset", "Long-term root mean square offset", tracking.rms_offset_s),
        ("clock_correction", "Correction still to be slewed", tracking.remaining_correction_s),
        ("clock_update_interval", "Time between the last updates", tracking.update_interval_s),
    ] {
        page.gauge((name, help, SECONDS), value)?;
    }
    for (name, help, value) in [
        ("clock_frequency_ppm", "How much the clock gains by itself", tracking.frequency_ppm),
        (
            "clock_residual_frequency_ppm",
            "Frequency left over at the last update",
            tracking.residual_frequency_ppm,
        ),
        ("clock_skew_ppm", "Estimated error of the frequency", tracking.skew_ppm),
    ] {
        page.gauge((name, help, None), value)?;
    }
    page.counter(("clock_updates", "Updates of the clock", None), tracking.updates)
}
