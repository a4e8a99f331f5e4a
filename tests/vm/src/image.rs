//! The guest's root file system: an archive that the kernel unpacks into memory (cpio, format "newc"; the
//! kernel's Documentation/driver-api/early-userspace/buffer-format.rst), with programs and what they load.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ntp_lab::run;

use crate::devices::MODULE;
use crate::kernel::Kernel;
use crate::modules;

/// Where the probe finds the modules, each in a file of that name.
pub const MODULES: &str = "/modules";

/// The order in which they are to be loaded. That of devices is not among them: it is loaded when it is needed.
pub const MODULE_ORDER: &str = "/modules/order";

/// Modules of the kernel that the scenarios need where they are not built in: the interfaces, and VLANs on them,
/// and pairs that are virtual altogether.
const WANTED: &[&str] = &["virtio_pci", "virtio_net", "8021q", "veth"];

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Device number of the console, which the kernel gives to the first process.
const CONSOLE: (u32, u32) = (5, 1);

/// How long `ldd` or `strip` may take.
const SHORT: Duration = Duration::from_secs(60);

/// An archive that grows.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    octets: Vec<u8>,
    folders: BTreeSet<PathBuf>,
    entries: u32,
}

/// What is put into an archive.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The first process.
    pub probe: &'a Path,
    /// The daemon.
    pub daemon: &'a Path,
    /// The module of devices, if there is one.
    pub devices: Option<&'a Path>,
}

/// Makes the archive for guests of `kernel`: the contents, and iproute2. `folder` is for what is made on the way.
///
/// # Errors
/// A program or library can't be read, or a module is missing.
pub fn make(kernel: &Kernel, contents: Contents<'_>, folder: &Path) -> Result<Vec<u8>> {
    let Contents { probe, daemon, devices } = contents;
    let mut archive = Archive::default();
    for folder in ["/proc", "/sys", "/tmp", "/run", "/etc"] {
        archive.folder(Path::new(folder));
    }
    archive.console();
    // The daemon becomes the user that its configuration names.
    archive.file(Path::new("/etc/passwd"), b"root:x:0:0:root:/:/bin/false\n");

    let ip = installed("ip").context("there is no `ip` (package iproute2)")?;
    let mut libraries = BTreeSet::new();
    for (name, program) in [("/init", probe), ("/bin/ntp-xdpd", daemon), ("/bin/ip", &*ip)] {
        archive.file(Path::new(name), &stripped(program, folder)?);
        libraries.extend(libraries_of(program)?);
    }
    for library in libraries {
        archive.file(&library, &read(&library)?);
    }
    add_modules(&mut archive, kernel)?;
    if let Some(devices) = devices {
        archive.file(&Path::new(MODULES).join(MODULE), &stripped(devices, folder)?);
    }
    Ok(archive.finish())
}

/// Adds the modules that the scenarios need.
pub(crate) fn add_modules(archive: &mut Archive, kernel: &Kernel) -> Result<()> {
    let mut order = Vec::new();
    for module in modules::load(&kernel.modules, WANTED)? {
        archive.file(&Path::new(MODULES).join(&module.name), &module.octets);
        order.push(module.name);
    }
    archive.file(Path::new(MODULE_ORDER), order.join("\n").as_bytes());
    Ok(())
}

impl Archive {
    /// Adds the device that the first process says what it has to say on.
    pub(crate) fn console(&mut self) {
        self.folder(Path::new("/dev"));
        self.entry(Path::new("/dev/console"), CHARACTER_DEVICE, CONSOLE, &[]);
    }

    /// Adds a folder and those that it is in.
    pub(crate) fn folder(&mut self, path: &Path) {
        if path.parent().is_none() || !self.folders.insert(path.to_owned()) {
            return;
        }
        path.parent().into_iter().for_each(|parent| self.folder(parent));
        self.entry(path, FOLDER, (0, 0), &[]);
    }

    /// Adds a file that may be run, and the folders that it is in.
    pub(crate) fn file(&mut self, path: &Path, content: &[u8]) {
        path.parent().into_iter().for_each(|parent| self.folder(parent));
        self.entry(path, PROGRAM, (0, 0), content);
    }

    /// Adds what has this mode, whose upper bits say what it is.
    pub(crate) fn entry(&mut self, path: &Path, mode: u32, device: (u32, u32), content: &[u8]) {
        let name = path.to_string_lossy();
        let name = name.trim_start_matches('/');
        self.entries += 1;
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let (major, minor) = device;
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            length(content.len()),
            0,
            0,
            major,
            minor,
            length(name.len() + 1),
            0,
        ];
        self.octets.extend_from_slice(b"070701");
        for field in fields {
            self.octets.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.octets.extend_from_slice(name.as_bytes());
        self.octets.push(0);
        self.pad();
        self.octets.extend_from_slice(content);
        self.pad();
    }

    /// The archive, whole.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry(Path::new("TRAILER!!!"), 0, (0, 0), &[]);
        self.octets
    }

    /// Names and contents end at multiples of four octets.
    fn pad(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }
}

/// A program without what only a debugger reads: the guest has it all in memory.
pub(crate) fn stripped(program: &Path, folder: &Path) -> Result<Vec<u8>> {
    let copy = folder.join("stripped");
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&copy).arg(program);
    // Without binutils it is merely larger.
    let is_stripped = run(&mut strip, SHORT).is_ok_and(|strip| strip.status.success());
    read(if is_stripped { &copy } else { program })
}

/// The files that the loader maps for `program`, itself among them, by the names that it knows them by.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = run(Command::new("ldd").arg(program), SHORT)?.success()?.output;
    let libraries: Vec<PathBuf> = listed.lines().filter_map(library).collect();
    ensure!(!listed.contains("not found"), "{} lacks a library\n{listed}", program.display());
    Ok(libraries)
}

/// The path in a line of `ldd`: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0000000000)`, or the
/// loader's, which has no arrow. The kernel's own page of code has no path.
fn library(line: &str) -> Option<PathBuf> {
    let path = line.split_once("=>").map_or(line, |(_, path)| path);
    let path = path.split_whitespace().next()?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

fn installed(program: &str) -> Option<PathBuf> {
    let folders = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"];
    folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_has_folders_before_files_and_ends_at_its_trailer() {
        let mut archive = Archive::default();
        archive.file(Path::new("/a/b/c"), b"12345");
        archive.file(Path::new("/a/d"), b"");
        let octets = archive.finish();
        assert_eq!(octets.len() % 4, 0);
        let mut names = Vec::new();
        let mut rest = octets.as_slice();
        while let Some(entry) = rest.strip_prefix(b"070701") {
            let field = |index: usize| {
                let digits = std::str::from_utf8(&entry[index * 8..][..8]).unwrap();
                usize::from_str_radix(digits, 16).unwrap()
            };
            let (size, name_size) = (field(6), field(11));
            let name = std::str::from_utf8(&entry[104..][..name_size - 1]).unwrap();
            names.push((name, field(1), size));
            rest = &rest[(110 + name_size).next_multiple_of(4) + size.next_multiple_of(4)..];
        }
        assert!(rest.is_empty());
        let expected = [
            ("a", 0o040_755, 0),
            ("a/b", 0o040_755, 0),
            ("a/b/c", 0o100_755, 5),
            ("a/d", 0o100_755, 0),
            ("TRAILER!!!", 0, 0),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn libraries_are_read_off_what_ldd_prints() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(library(line), expected.map(PathBuf::from), "{line}");
        };
        check("\tlinux-vdso.so.1 (0x00007ffd5f9f0000)", None);
        check(
            "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0a)",
            Some("/lib/x86_64-linux-gnu/libc.so.6"),
        );
        check("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)", Some("/lib64/ld-linux-x86-64.so.2"));
        check("\tstatically linked", None);
    }
}
