//! The kernels that guests run: Debian's for clouds, unpacked below `target/guests` by `cargo xtask setup`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ntp_lab::workspace;

/// The series that the daemon is tried on, oldest first: Debian 12's own, and the long-term one after it.
pub const SERIES: [&str; 2] = ["6.1", "6.12"];

/// A kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its series, one of [`SERIES`].
    pub series: &'static str,
    /// Its release, as `uname -r` has it.
    pub release: String,
    /// What QEMU boots.
    pub image: PathBuf,
    /// The folder with its modules.
    pub modules: PathBuf,
}

/// The folder for all that guests need and leave: kernels, archives, consoles.
#[must_use]
pub fn folder() -> PathBuf {
    workspace().join("target/guests")
}

/// The folder that the package of a kernel of `series` is unpacked into.
#[must_use]
pub fn unpacked(series: &str) -> PathBuf {
    folder().join("kernels").join(series)
}

impl Kernel {
    /// The unpacked kernel of `series`.
    ///
    /// # Errors
    /// There is none.
    pub fn find(series: &'static str) -> Result<Self> {
        let root = unpacked(series);
        let missing = || format!("there is no kernel {series} (`cargo xtask setup`)");
        let image = images(&root.join("boot")).into_iter().next().with_context(missing)?;
        let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let release = name.trim_start_matches(IMAGE).to_owned();
        let folders = ["lib/modules", "usr/lib/modules"].map(|at| root.join(at).join(&release));
        let modules = folders.into_iter().find(|folder| folder.exists()).with_context(missing)?;
        Ok(Self { series, release, image, modules })
    }
}

/// What the names of kernels open with.
const IMAGE: &str = "vmlinuz-";

fn images(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_image = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(IMAGE))
    };
    entries.map(|entry| entry.path()).filter(is_image).collect()
}
