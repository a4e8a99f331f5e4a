//! `cargo xtask package`: Debian packages of the daemon, its tool, unit and manual pages, built with dpkg-deb.
//!
//! Invariant: what is packed is listed in one table here; the packages depend on the sources alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use ntp_lab::Profile;
use ntp_lab::lintian::lintian;

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

    /// Check the packages with lintian
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
    ("ntp-user/dist/debian/default", "etc/default/ntp-xdpd", FILE),
    ("ntp-user/dist/grafana-dashboard.json", "usr/share/ntp-xdp/grafana-dashboard.json", FILE),
    ("ntp-user/dist/prometheus-alerts.yml", "usr/share/ntp-xdp/prometheus-alerts.yml", FILE),
    ("README.md", "usr/share/doc/ntp-xdp/README.md", FILE),
    ("ntp-user/dist/debian/copyright", "usr/share/doc/ntp-xdp/copyright", FILE),
    ("ntp-user/dist/debian/postinst", "DEBIAN/postinst", PROGRAM),
    ("ntp-user/dist/debian/prerm", "DEBIAN/prerm", PROGRAM),
    ("ntp-user/dist/debian/postrm", "DEBIAN/postrm", PROGRAM),
];

/// Programs, as cargo names them, and where they go.
const PROGRAMS: [(&str, &str); 2] = [("ntp-xdpd", "usr/sbin"), ("ntp-xdp", "usr/bin")];

/// Manual pages, which are packed compressed.
const MANUALS: &[(&str, &str)] = &[
    ("ntp-user/dist/man/ntp-xdpd.8", "usr/share/man/man8"),
    ("ntp-user/dist/man/ntp-xdp.1", "usr/share/man/man1"),
    ("ntp-user/dist/man/ntp-xdp.conf.5", "usr/share/man/man5"),
];

/// Files that an upgrade leaves as their owner has changed them.
const CONFIGURATION: &str = "/etc/default/ntp-xdpd\n/etc/ntp-xdp/ntp-xdp.conf\n";

/// The task.
///
/// # Errors
/// Something does not build, or a tool of Debian's is missing.
pub(crate) fn run(arguments: &PackageArguments) -> Result<()> {
    let version = arguments.version.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
    let built = build(version, arguments.dev)?;
    if arguments.lint {
        let mut lintian = lintian().context("there is no lintian (`cargo xtask setup`)")?;
        lintian.args(["--fail-on", "error", "--tag-display-limit", "0"]).args(&built);
        show(&mut lintian).context("lintian")?;
    }
    Ok(())
}

/// Makes the packages: of programs as users run them, or with `dev` as tests compile them, and packed quickly.
///
/// # Errors
/// Something does not build, or a tool of Debian's is missing.
pub(crate) fn build(version: &str, dev: bool) -> Result<[PathBuf; 2]> {
    let architecture = probe(Command::new("dpkg").arg("--print-architecture"));
    let architecture = architecture.context("packages are built on Debian: there is no dpkg")?;
    let programs = if dev {
        ntp_lab::build(Profile::Dev, PROGRAMS.map(|(program, _)| program))?
    } else {
        released()?
    };
    let packages = paths::workspace().join("target/package");
    fs::create_dir_all(&packages)?;
    let packing = Packing { packages: &packages, version, quick: dev };
    Ok([main_package(packing, architecture.trim(), &programs)?, time_daemon_package(packing)?])
}

/// How packages are packed, and where to.
#[derive(Clone, Copy)]
struct Packing<'a> {
    packages: &'a Path,
    version: &'a str,
    quick: bool,
}

/// The programs as users run them.
fn released() -> Result<[PathBuf; 2]> {
    build_ebpf::run()?;
    let mut compile = cargo();
    compile.args(["build", "--quiet", "--release"]);
    show(compile.args(["--package", "ntp-user", "--package", "ntp-xdp"]))?;
    let folder = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| paths::workspace().join("target")).join("release");
    let programs = PROGRAMS.map(|(program, _)| folder.join(program));
    for program in &programs {
        ensure!(program.exists(), "cargo left no {}", program.display());
    }
    Ok(programs)
}

/// The daemon's package.
fn main_package(
    packing: Packing<'_>,
    architecture: &str,
    programs: &[PathBuf; 2],
) -> Result<PathBuf> {
    let version = packing.version;
    let tree = Tree::new(packing, "ntp-xdp")?;
    for &(from, to, mode) in FILES {
        tree.copy(&paths::workspace().join(from), to, mode)?;
    }
    let mut newest_libc = (2, 0);
    for ((program, folder), path) in PROGRAMS.into_iter().zip(programs) {
        newest_libc = newest_libc.max(libc_version(&fs::read(path)?));
        let to = format!("{folder}/{program}");
        tree.copy(path, &to, PROGRAM)?;
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
    tree.build(packing, &control, architecture)
}

/// The package that makes it the machine's time daemon.
fn time_daemon_package(packing: Packing<'_>) -> Result<PathBuf> {
    let version = packing.version;
    let tree = Tree::new(packing, "ntp-xdp-time-daemon")?;
    let copyright = paths::workspace().join("ntp-user/dist/debian/copyright");
    tree.copy(&copyright, "usr/share/doc/ntp-xdp-time-daemon/copyright", FILE)?;
    tree.changelog("ntp-xdp-time-daemon", version)?;
    tree.build(packing, &template("control.time-daemon")?, "all")
}

fn template(name: &str) -> Result<String> {
    let path = paths::workspace().join("ntp-user/dist/debian").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
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
    /// An empty one; versions that are packed at the same time are not in each other's way.
    fn new(packing: Packing<'_>, name: &'static str) -> Result<Self> {
        let root = packing.packages.join(format!("{name}-{}", packing.version));
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

    fn build(&self, packing: Packing<'_>, control: &str, architecture: &str) -> Result<PathBuf> {
        let Packing { packages, version, quick } = packing;
        let size = capture(Command::new("du").args(["-sk", "--exclude=DEBIAN"]).arg(&self.root))?;
        let size = size.split_whitespace().next().context("du says nothing")?.to_owned();
        let control = control.replace("@VERSION@", version).replace("@SIZE@", &size);
        self.write("DEBIAN/control", &control)?;
        self.checksums()?;
        let package = packages.join(format!("{}_{version}_{architecture}.deb", self.name));
        let mut build = Command::new("dpkg-deb");
        let how: &[&str] = if quick { &["-Zgzip", "-z1"] } else { &[] };
        build.args(how).args(["--root-owner-group", "--build"]).arg(&self.root).arg(&package);
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
