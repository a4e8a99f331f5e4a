//! The compiler and linker of the eBPF program: Debian's packages, or elsewhere a nightly that builds `core`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{capture, cargo, probe};
use crate::versions::{BPF_LINKER, LLVM_MAJOR, LLVM_PREFIX};
use crate::{paths, process};

/// Debian's compiler, which the package `rustc-web` brings.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Debian's clippy of the same version, which the package `rust-web-clippy` brings.
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";
/// Debian's prebuilt `core` for BPF, which the package `libstd-rust-web-dev-bpf` brings.
const DEBIAN_BPF_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none/lib";

/// Target of every eBPF object: little-endian BPF.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// What compiles and links eBPF objects.
#[derive(Clone, Debug)]
pub(crate) enum Toolchain {
    /// Debian's compiler with its prebuilt `core`, and the linker that the set-up builds.
    Debian,
    /// A nightly that builds `core` of its sources, and any bpf-linker.
    Nightly {
        /// The linker, from the set-up's folder or the search path.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The toolchain that this machine has, if it has one.
    pub(crate) fn find() -> Option<Self> {
        if debian_compiler().is_ok() && bpf_linker_version(&paths::bpf_linker()).is_some() {
            return Some(Self::Debian);
        }
        nightly_linker().map(|linker| Self::Nightly { linker })
    }

    /// `cargo SUBCOMMAND` for BPF, with everything that the target needs; arguments may follow.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = match (self, subcommand) {
            (Self::Debian, "clippy") => debian_clippy(),
            (Self::Debian, _) => cargo(),
            (Self::Nightly { .. }, _) => nightly(),
        };
        command.arg(subcommand);
        command.args(["--release", "--target", TARGET, "--target-dir"]).arg(paths::ebpf_target());
        let linker = match self {
            Self::Debian => {
                command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                paths::bpf_linker()
            }
            Self::Nightly { linker } => {
                command.args(["-Z", "build-std=core"]);
                linker.clone()
            }
        };
        command.env("CARGO_ENCODED_RUSTFLAGS", rustflags(&linker)).env_remove("RUSTFLAGS");
        for (setting, value) in
            [("LTO", "fat"), ("CODEGEN_UNITS", "1"), ("DEBUG", "2"), ("PANIC", "abort")]
        {
            command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
        }
        command
    }

    /// Whether `cargo clippy` can be run for BPF.
    pub(crate) fn has_clippy(&self) -> bool {
        match self {
            Self::Debian => Path::new(DEBIAN_CLIPPY).exists(),
            Self::Nightly { .. } => probe(nightly().args(["clippy", "--version"])).is_some(),
        }
    }
}

/// Debian's compiler for BPF as a line to show.
///
/// # Errors
/// What is missing, as a line to show.
pub(crate) fn debian_compiler() -> Result<String, String> {
    let text = capture(Command::new(DEBIAN_RUSTC).arg("-vV"))
        .map_err(|_| format!("no {DEBIAN_RUSTC} (package rustc-web)"))?;
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).map_or("?", str::trim);
    let (release, llvm) = (field("release:"), field("LLVM version:"));
    if llvm.split('.').next() != Some(LLVM_MAJOR) {
        return Err(format!(
            "{DEBIAN_RUSTC} is {release} with LLVM {llvm}; LLVM {LLVM_MAJOR} is needed (package rustc-web)"
        ));
    }
    if !has_library(Path::new(DEBIAN_BPF_CORE), "libcore-") {
        return Err(format!("no libcore in {DEBIAN_BPF_CORE} (package libstd-rust-web-dev-bpf)"));
    }
    Ok(format!("rustc {release}, LLVM {llvm}"))
}

/// The version of the `bpf-linker` at `path`, if it is there and runs (it needs LLVM's library).
pub(crate) fn bpf_linker_version(path: &Path) -> Option<String> {
    let text = probe(Command::new(path).arg("--version"))?;
    let version = text.trim().strip_prefix("bpf-linker ")?;
    Some(version.to_owned())
}

/// Whether the set-up's linker is there in the pinned version.
pub(crate) fn has_pinned_linker() -> bool {
    bpf_linker_version(&paths::bpf_linker()).as_deref() == Some(BPF_LINKER)
}

/// The search path with the pinned LLVM's programs first.
pub(crate) fn path_with_llvm() -> OsString {
    let mut path = OsString::from(format!("{LLVM_PREFIX}/bin:"));
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// Separated as cargo wants them, so that a folder's name may hold blanks. They replace the workspace's flags,
/// which are for the daemon.
fn rustflags(linker: &Path) -> OsString {
    let mut flags = OsString::from("-Clinker=");
    flags.push(linker);
    // Misaligned access lets safe slices become plain loads; BTF is for line numbers in the verifier's log.
    for flag in [
        "-Ctarget-cpu=v3",
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
        "-Clink-arg=--btf",
    ] {
        flags.push("\x1f");
        flags.push(flag);
    }
    flags
}

/// Debian's `cargo-clippy` run by hand: the stable cargo would look for its own.
fn debian_clippy() -> Command {
    let mut command = Command::new(DEBIAN_CLIPPY);
    let stable = process::cargo();
    command.current_dir(paths::workspace()).env("CARGO", stable.get_program());
    for (name, value) in stable.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Cargo of rustup's nightly: through rustup, as this task's own `CARGO` is the stable one.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).current_dir(paths::workspace());
    command.env_remove("LD_LIBRARY_PATH").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

/// A linker for the nightly, when there is a nightly with the sources of `core`.
fn nightly_linker() -> Option<PathBuf> {
    let sysroot =
        probe(Command::new("rustup").args("run nightly rustc --print sysroot".split(' ')))?;
    if !Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").exists() {
        return None;
    }
    [paths::bpf_linker(), PathBuf::from("bpf-linker")]
        .into_iter()
        .find(|linker| bpf_linker_version(linker).is_some())
}

fn has_library(folder: &Path, prefix: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}
