//! A guest with a whole system: Debian's systemd, dpkg and what they need, unpacked from Debian's packages into an
//! archive once (`cargo xtask setup`), and what a run adds behind it: the probe as a service, the project's packages.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image::{self, Archive};
use crate::kernel::{Kernel, folder};

/// The packages that everything else follows from.
pub const PACKAGES: [&str; 16] = [
    "base-files",
    "base-passwd",
    "coreutils",
    "dash",
    "diffutils",
    "dpkg",
    "findutils",
    "grep",
    "init-system-helpers",
    "iproute2",
    "libc-bin",
    "perl-base",
    "sed",
    "systemd",
    "systemd-sysv",
    "util-linux",
];

/// Where the probe finds the project's packages: of a version, and of one after it.
pub const FIRST: &str = "/packages/first.deb";
/// See [`FIRST`].
pub const SECOND: &str = "/packages/second.deb";

/// What the guest has no use for, or what would only take time: of the tree, and of systemd's units.
const UNWANTED: [&str; 12] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/zoneinfo",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl5",
    "boot",
];
const MASKED: [&str; 20] = [
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-initctl.socket",
    "systemd-journal-flush.service",
    "systemd-modules-load.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
    "systemd-update-utmp.service",
];

/// The target that the system comes up to, and the probe's unit: whatever becomes of the probe, the guest ends.
const TARGET: &str = "\
[Unit]
Requires=basic.target
After=basic.target
Wants=probe.service
";
const PROBE: &str = "\
[Unit]
DefaultDependencies=no
After=basic.target
FailureAction=poweroff-force
SuccessAction=poweroff-force
[Service]
ExecStart=/probe
";

/// What stands in for a time daemon that is there already.
const OTHER_DAEMON: &str = "\
[Service]
Type=exec
ExecStart=/bin/sleep infinity
";

/// Links of an archive.
const LINK: u32 = 0o120_777;

/// The archive that set-up makes.
#[must_use]
pub fn base() -> PathBuf {
    folder().join("system.cpio")
}

/// Makes the archive of a folder that the packages were unpacked into; `status` is dpkg's account of them.
///
/// # Errors
/// The folder can't be read or written.
pub fn make_base(root: &Path, status: &str, packages: &[String]) -> Result<Vec<u8>> {
    for unwanted in UNWANTED {
        let _ = fs::remove_dir_all(root.join(unwanted));
    }
    let dpkg = root.join("var/lib/dpkg");
    for folder in ["info", "updates", "triggers", "parts"] {
        fs::create_dir_all(dpkg.join(folder))?;
    }
    fs::write(dpkg.join("status"), status)?;
    fs::write(dpkg.join("available"), "")?;
    for package in packages {
        fs::write(dpkg.join(format!("info/{package}.list")), "/.\n")?;
    }
    // What the packages' scripts would do, as far as it is needed.
    for name in ["passwd", "group"] {
        let master = root.join(format!("usr/share/base-passwd/{name}.master"));
        fs::copy(&master, root.join("etc").join(name))
            .with_context(|| master.display().to_string())?;
    }
    fs::write(root.join("etc/machine-id"), "6e74702d7864702d67756573742d3031\n")?;
    let mut archive = Archive::default();
    add_tree(&mut archive, root, root)?;
    archive.console();
    archive.link("/init", "/lib/systemd/systemd");
    let units = Path::new("/etc/systemd/system");
    for unit in MASKED {
        archive.link(units.join(unit), "/dev/null");
    }
    Ok(archive.finish())
}

/// What is added to the base: the kernel reads one archive behind the other.
///
/// # Errors
/// A file can't be read, or a module is missing.
pub fn make_addition(
    kernel: &Kernel,
    probe: &Path,
    packages: [&Path; 2],
    scratch: &Path,
) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file(Path::new("/probe"), &image::stripped(probe, scratch)?);
    for (place, package) in [FIRST, SECOND].into_iter().zip(packages) {
        archive.file(Path::new(place), &image::read(package)?);
    }
    image::add_modules(&mut archive, kernel)?;
    let units = Path::new("/etc/systemd/system");
    archive.file(&units.join("default.target"), TARGET.as_bytes());
    archive.file(&units.join("probe.service"), PROBE.as_bytes());
    archive.file(&units.join("chrony.service"), OTHER_DAEMON.as_bytes());
    Ok(archive.finish())
}

fn add_tree(archive: &mut Archive, root: &Path, folder: &Path) -> Result<()> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    for path in paths {
        let name = Path::new("/").join(path.strip_prefix(root)?);
        let kind = path.symlink_metadata()?;
        if kind.is_symlink() {
            archive.link(name, &fs::read_link(&path)?.to_string_lossy());
        } else if kind.is_dir() {
            archive.folder(&name);
            add_tree(archive, root, &path)?;
        } else if kind.is_file() {
            let mode = kind.mode() & 0o170_000 | kind.permissions().mode() & 0o777;
            archive.entry(&name, mode, (0, 0), &image::read(&path)?);
        }
    }
    Ok(())
}

impl Archive {
    /// Adds a link, and the folders that it is in.
    fn link(&mut self, path: impl AsRef<Path>, target: &str) {
        let path = path.as_ref();
        path.parent().into_iter().for_each(|parent| self.folder(parent));
        self.entry(path, LINK, (0, 0), target.as_bytes());
    }
}
