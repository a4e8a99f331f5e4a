//! The guest with a whole system, in which the project's package is installed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use ntp_lab::{Profile, build};
use ntp_vm::emulator::Emulator;
use ntp_vm::kernel::{Kernel, folder};
use ntp_vm::service::{SERIES, SERVICE};
use ntp_vm::verdict::Verdict;
use ntp_vm::{guest, system};

use super::{Guest, VmArguments, is_chosen};
use crate::package;

/// What the guest is started with.
struct Ready {
    emulator: Emulator,
    kernel: Kernel,
    initrd: PathBuf,
}

/// The guest, if it is chosen. `no_xdp` says why there is no XDP program, if there is none.
///
/// # Errors
/// Something could not be built.
pub(super) fn guest(
    arguments: &VmArguments,
    no_xdp: Option<&str>,
) -> Result<Option<Guest<'static>>> {
    let is_wanted = is_chosen(arguments.scenario.as_ref(), SERVICE.name)
        && is_chosen(arguments.kernel.as_ref(), SERIES);
    if !is_wanted {
        return Ok(None);
    }
    let ready = match no_xdp {
        Some(why) => Err(why.to_owned()),
        None => prepare()?,
    };
    let play = move || match &ready {
        Ok(ready) => ready.play(),
        Err(why) => Verdict::skipped(why.clone()),
    };
    Ok(Some(Guest { scenario: &SERVICE, series: SERIES, play: Box::new(play) }))
}

/// Makes the packages and the guest's root file system, or says what is missing.
fn prepare() -> Result<Result<Ready, String>> {
    let emulator = match guest::emulator() {
        Ok(emulator) => emulator,
        Err(why) => return Ok(Err(why)),
    };
    let kernel = match Kernel::find(SERIES) {
        Ok(kernel) => kernel,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let Ok(mut archive) = fs::read(system::base()) else {
        return Ok(Err("there is no system for guests (`cargo xtask setup`)".to_owned()));
    };
    let [probe] = build(Profile::Dev, ["guest-probe"])?;
    let [first, _] = package::build("1.0~first", true)?;
    let [second, _] = package::build("1.0~second", true)?;
    let folder = folder();
    archive.extend(system::make_addition(&kernel, &probe, [&first, &second], &folder)?);
    let initrd = folder.join("initrd-service");
    fs::write(&initrd, archive).with_context(|| format!("cannot write {}", initrd.display()))?;
    Ok(Ok(Ready { emulator, kernel, initrd }))
}

impl Ready {
    fn play(&self) -> Verdict {
        let console = folder().join(format!("console-{SERIES}-{}", SERVICE.name));
        let told = guest::play(&self.emulator, &self.kernel, &self.initrd, &SERVICE, &console);
        told.map_or_else(
            |error| Verdict::failed(format!("{error:#}")),
            |lines| Verdict::new(&SERVICE, lines),
        )
    }
}
