//! `cargo xtask package`: Debian packages of the daemon, its tool, unit and manual pages, built with dpkg-deb.
//!
//! Invariant: what is packed is listed in one table here; the packages depend on the sources alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process::{capture, cargo, probe, show};
use crate::report::{present, say};
use crate::{build_ebpf, paths};

/// How the packages are made.
#[derive(Debug, Args)]
pub(crate) struct PackageArguments {
    /// Version of the packages [default: the workspace's]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Pack programs as tests compile them, which is quicker
    #[arg(long, hide = true)]
    dev: bool,

    /// Check the packages with lintian, which must be installed
    #[arg(long)]
    lint: bool,
}

/// A file of a package: where it comes from, where it goes, and its mode.
type Packed = (&'static str, &'static str, u32);

const PROGRAM: u32 = 0o755;
const FILE: u32 = 0o644;

/// What is packed as it is, from the workspace's root.
const FILES: &[Packed] = &[
    ("ntp-user/dist/ntp-xdpd.service", "usr/lib/systemd/system/ntp-xdpd.service", FILE),
    ("ntp-user/dist/ntp-xdp.conf", "etc/ntp-xdp/ntp-xdp.conf", FILE),
    ("ntp-user/dist/grafana-dashboard.json", "usr/share/ntp-xdp/grafana-dashboard.json", FILE),
    ("ntp-user/dist/prometheus-alerts.yml", "usr/share/ntp-xdp/prometheus-alerts.yml", FILE),
    ("README.md", "usr/share/doc/ntp-xdp/README.md", FILE),
    ("ntp-user/dist/debian/copyright", "usr/share/doc/ntp-xdp/copyright", FILE),
    ("ntp-user/dist/debian/postinst", "DEBIAN/postinst", PROGRAM),
    ("ntp-user/dist/debian/prerm", "DEBIAN/prerm", PROGRAM),
    ("ntp-user/dist/debian/postrm", "DEBIAN/postrm", PROGRAM),
];

/// Programs, as cargo names them, and where they go.
const PROGRAMS: &[(&str, &str)] = &[("ntp-xdpd", "usr/sbin"), ("ntp-xdp", "usr/bin")];

/// Manual pages, which are packed compressed.
const MANUALS: &[(&str, &str)] = &[
    ("ntp-user/dist/man/ntp-xdpd.8", "usr/share/man/man8"),
    ("ntp-user/dist/man/ntp-xdp.1", "usr/share/man/man1"),
    ("ntp-user/dist/man/ntp-xdp.conf.5", "usr/share/man/man5"),
];

/// Files that an upgrade leaves as their owner has changed them.
const CONFIGURATION: &str = "/etc/ntp-xdp/ntp-xdp.conf\n";

/// The task.
///
/// # Errors
/// Something does not build, or a tool of Debian's is missing.
pub(crate) fn run(arguments: &PackageArguments) -> Result<()> {
    let architecture = probe(Command::new("dpkg").arg("--print-architecture"));
    let architecture = architecture.context("packages are built on Debian: there is no dpkg")?;
    let version = arguments.version.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
    let profile = if arguments.dev { "dev" } else { "release" };
    if !arguments.dev {
        build_ebpf::run()?;
    }
    let mut compile = cargo();
    compile.args(["build", "--quiet", "--profile", profile]);
    show(compile.args(["--package", "ntp-user", "--package", "ntp-xdp"]))?;
    let packages = paths::workspace().join("target/package");
    fs::create_dir_all(&packages)?;
    let built = [
        main_package(&packages, version, architecture.trim(), profile)?,
        time_daemon_package(&packages, version)?,
    ];
    if arguments.lint {
        let mut lintian = Command::new("lintian");
        lintian.args(["--fail-on", "error", "--tag-display-limit", "0"]).args(&built);
        show(&mut lintian).context("lintian")?;
    }
    Ok(())
}

/// The daemon's package.
fn main_package(
    packages: &Path,
    version: &str,
    architecture: &str,
    profile: &str,
) -> Result<PathBuf> {
    let tree = Tree::new(packages, "ntp-xdp")?;
    for &(from, to, mode) in FILES {
        tree.copy(&paths::workspace().join(from), to, mode)?;
    }
    let mut newest_libc = (2, 0);
    for &(program, folder) in PROGRAMS {
        let path = compiled(program, profile)?;
        newest_libc = newest_libc.max(libc_version(&fs::read(&path)?));
        let to = format!("{folder}/{program}");
        tree.copy(&path, &to, PROGRAM)?;
        capture(Command::new("strip").arg("--strip-unneeded").arg(tree.root.join(to)))?;
    }
    for &(from, folder) in MANUALS {
        let from = paths::workspace().join(from);
        let name = from.file_name().context("a manual page without a name")?.to_string_lossy();
        tree.compress(&from, &format!("{folder}/{name}"))?;
    }
    tree.changelog("ntp-xdp", version)?;
    tree.write("DEBIAN/conffiles", CONFIGURATION)?;
    let control = template("control")?
        .replace("@ARCHITECTURE@", architecture)
        .replace("@GLIBC@", &format!("{}.{}", newest_libc.0, newest_libc.1));
    tree.build(packages, &control, version, architecture)
}

/// The package that makes it the machine's time daemon.
fn time_daemon_package(packages: &Path, version: &str) -> Result<PathBuf> {
    let tree = Tree::new(packages, "ntp-xdp-time-daemon")?;
    let copyright = paths::workspace().join("ntp-user/dist/debian/copyright");
    tree.copy(&copyright, "usr/share/doc/ntp-xdp-time-daemon/copyright", FILE)?;
    tree.changelog("ntp-xdp-time-daemon", version)?;
    tree.build(packages, &template("control.time-daemon")?, version, "all")
}

fn template(name: &str) -> Result<String> {
    let path = paths::workspace().join("ntp-user/dist/debian").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn compiled(program: &str, profile: &str) -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| paths::workspace().join("target"));
    let path = folder.join(if profile == "dev" { "debug" } else { profile }).join(program);
    if !path.exists() {
        bail!("cargo left no {}", path.display());
    }
    Ok(path)
}

/// The newest version of the C library whose symbols a program asks for.
fn libc_version(program: &[u8]) -> (u32, u32) {
    const MARK: &[u8] = b"GLIBC_2.";
    let minors = program.windows(MARK.len()).enumerate().filter(|(_, it)| *it == MARK);
    let digits = minors.map(|(at, _)| {
        let rest = &program[at + MARK.len()..];
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit());
        digits.fold(0, |number: u32, digit| {
            number.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
        })
    });
    (2, digits.max().unwrap_or(0))
}

/// The files of a package before they are packed.
struct Tree {
    root: PathBuf,
    name: &'static str,
}

impl Tree {
    fn new(packages: &Path, name: &'static str) -> Result<Self> {
        let root = packages.join(name);
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let tree = Self { root, name };
        tree.folder("DEBIAN/control")?;
        Ok(tree)
    }

    /// Makes the folders that the file `to` is in.
    fn folder(&self, to: &str) -> Result<PathBuf> {
        let path = self.root.join(to);
        let folder = path.parent().context("a file without a folder")?;
        fs::create_dir_all(folder)?;
        Ok(path)
    }

    fn copy(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let path = self.folder(to)?;
        fs::copy(from, &path).with_context(|| format!("cannot pack {}", from.display()))?;
        Ok(fs::set_permissions(&path, PermissionsExt::from_mode(mode))?)
    }

    fn write(&self, to: &str, text: &str) -> Result<()> {
        let path = self.folder(to)?;
        fs::write(&path, text)?;
        Ok(fs::set_permissions(&path, PermissionsExt::from_mode(FILE))?)
    }

    /// Packs a file compressed, without its name and time, so that the same sources give the same package.
    fn compress(&self, from: &Path, to: &str) -> Result<()> {
        self.copy(from, to, FILE)?;
        capture(Command::new("gzip").args(["-9n"]).arg(self.root.join(to)))?;
        Ok(())
    }

    fn changelog(&self, package: &str, version: &str) -> Result<()> {
        let date = probe(Command::new("git").args(["log", "-1", "--format=%aD"]));
        let date = date.unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned());
        let text = format!(
            "{package} ({version}) unstable; urgency=medium\n\n  * Version {version}.\n\n \
             -- The ntp-xdp maintainers <maintainers@ntp-xdp.invalid>  {}\n",
            date.trim()
        );
        let to = format!("usr/share/doc/{package}/changelog");
        self.write(&to, &text)?;
        capture(Command::new("gzip").args(["-9n"]).arg(self.root.join(to)))?;
        Ok(())
    }

    fn build(
        &self,
        packages: &Path,
        control: &str,
        version: &str,
        architecture: &str,
    ) -> Result<PathBuf> {
        let size = capture(Command::new("du").args(["-sk", "--exclude=DEBIAN"]).arg(&self.root))?;
        let size = size.split_whitespace().next().context("du says nothing")?.to_owned();
        let control = control.replace("@VERSION@", version).replace("@SIZE@", &size);
        self.write("DEBIAN/control", &control)?;
        self.checksums()?;
        let package = packages.join(format!("{}_{version}_{architecture}.deb", self.name));
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "--build"]).arg(&self.root).arg(&package);
        capture(&mut build)?;
        let size_kb = fs::metadata(&package)?.len() / 1000;
        say("");
        present(self.name, &format!("{} ({size_kb} kB)", package.display()));
        Ok(package)
    }

    /// Writes what `dpkg --verify` goes by.
    fn checksums(&self) -> Result<()> {
        let mut find = Command::new("sh");
        find.current_dir(&self.root);
        find.args([
            "-c",
            "find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | sort -z | xargs -0 md5sum",
        ]);
        self.write("DEBIAN/md5sums", &capture(&mut find)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_c_library_is_the_highest_number_not_the_last_text() {
        let program = b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.4\0GLIBC_PRIVATE\0GLIBC_2.";
        assert_eq!(libc_version(program), (2, 34));
        assert_eq!(libc_version(b"static"), (2, 0));
    }

    #[test]
    fn every_packed_file_is_there() {
        let sources =
            FILES.iter().map(|(from, ..)| *from).chain(MANUALS.iter().map(|(from, _)| *from));
        for from in sources {
            assert!(paths::workspace().join(from).is_file(), "{from}");
        }
    }
}
