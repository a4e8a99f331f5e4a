//! The devices that emulators lack, from a module of ours: `/dev/ptp0`, `/dev/pps0`, and the interfaces `stamp0` and
//! `stamp1`. They keep true time.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::kmod::init_module;
use ntp_vm::devices::MODULE;
use ntp_vm::image::MODULES;

use crate::truth::{RATE_PPM, Truth};

/// The clock, and the pulses.
pub(crate) const CLOCK: &str = "/dev/ptp0";
pub(crate) const PULSES: &str = "/dev/pps0";

/// Makes the devices, which keep `truth`. `settings` are the module's parameters: `name=value`, with blanks between.
pub(crate) fn load(truth: &Truth, settings: &str) -> Result<()> {
    let (raw_ns, truth_ns) = truth.start();
    let own = format!("raw_ns={raw_ns} truth_ns={truth_ns} rate_ppm={RATE_PPM} {settings}");
    let module = fs::read(Path::new(MODULES).join(MODULE))?;
    init_module(&module, &CString::new(own)?).context("cannot load the module of devices")
}

/// Changes a parameter of the module while it is at work.
pub(crate) fn set(name: &str, value: &str) -> Result<()> {
    let at = Path::new("/sys/module").join(MODULE).join("parameters").join(name);
    fs::write(&at, value).with_context(|| format!("cannot write {}", at.display()))
}
