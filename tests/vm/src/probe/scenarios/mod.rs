//! The scenarios, as they are played in the guest; their bounds are in the library's table.

mod clock_device;
mod days_off;
mod first_time;
mod foreign_step;
mod killed;
mod leap;
mod left_over;
mod pulses;
mod rtc;
mod service;
mod slew;
mod stamps;
mod xdp;
mod xdp_hardware_time;

use anyhow::{Result, bail};

use crate::guest::Guest;

/// Plays the scenario of that name.
///
/// # Errors
/// It can't be played to its end.
pub(crate) fn play(name: &str, guest: &mut Guest) -> Result<()> {
    match name {
        "xdp" => xdp::play(guest),
        "xdp-hardware-time" => xdp_hardware_time::play(guest),
        "days-off" => days_off::play(guest),
        "slew" => slew::play(guest),
        "leap" => leap::play(guest),
        "rtc" => rtc::play(guest),
        "first-time" => first_time::play(guest),
        "foreign-step" => foreign_step::play(guest),
        "left-over" => left_over::play(guest),
        "killed" => killed::play(guest),
        "clock-device" => clock_device::play(guest),
        "pulses" => pulses::play(guest),
        "service" => service::play(guest),
        "stamps" => stamps::play(guest),
        unknown => bail!("the probe has no scenario {unknown}"),
    }
}
