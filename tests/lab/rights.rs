//! What this process may do, asked before it is tried: a test that cannot run is skipped with the reason.

use std::path::Path;
use std::process::{Command, Stdio};

/// Bits of the capabilities in `/proc/self/status`. See capabilities(7).
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;
const BPF: u32 = 39;

/// Whether network namespaces can be made and filled.
///
/// # Errors
/// They cannot, and why.
pub fn make_namespaces() -> Result<(), String> {
    if !(has(NET_ADMIN) && has(SYS_ADMIN)) {
        return Err("making network namespaces needs root".to_owned());
    }
    for (program, package) in
        [("ip", "iproute2"), ("nsenter", "util-linux"), ("setpriv", "util-linux")]
    {
        if !runs(program) {
            return Err(format!("there is no `{program}` (package {package})"));
        }
    }
    Ok(())
}

/// Whether eBPF programs can be loaded.
///
/// # Errors
/// They cannot, and why.
pub fn load_bpf() -> Result<(), String> {
    if !Path::new("/sys/fs/bpf").exists() {
        return Err("this kernel has no eBPF".to_owned());
    }
    if has(SYS_ADMIN) || (has(BPF) && has(NET_ADMIN)) {
        return Ok(());
    }
    Err("loading eBPF programs needs CAP_BPF and CAP_NET_ADMIN".to_owned())
}

fn has(capability: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> capability & 1 == 1)
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}
