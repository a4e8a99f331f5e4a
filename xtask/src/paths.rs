//! Where things are. The project's own artefacts live under `target/` of the workspace, whatever
//! `CARGO_TARGET_DIR` says: the daemon's build script looks for the eBPF object there.

use std::path::PathBuf;

pub(crate) use ntp_lab::workspace;

/// Programs that the set-up builds.
pub(crate) fn tools() -> PathBuf {
    workspace().join("target/tools")
}

/// The linker of eBPF objects, as the set-up builds it.
pub(crate) fn bpf_linker() -> PathBuf {
    tools().join("bin/bpf-linker")
}

/// The finished eBPF objects.
pub(crate) fn objects() -> PathBuf {
    workspace().join("target/bpf")
}

/// Cargo's folder for eBPF builds: apart from the others, so that neither waits for the other's lock.
pub(crate) fn ebpf_target() -> PathBuf {
    workspace().join("target/ebpf")
}
