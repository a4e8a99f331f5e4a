//! Embeds the load generator's eBPF object when it has been built: `cargo xtask build-ebpf` puts it into the target
//! folder.
//!
//! `NTP_XDP_LOAD_OBJECT` names another file. Without either, the tool sends by sockets alone and says so.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(ntp_xdp_load_object)");
    println!("cargo::rerun-if-env-changed=NTP_XDP_LOAD_OBJECT");
    let named = env::var_os("NTP_XDP_LOAD_OBJECT").map(PathBuf::from);
    let object = named.clone().unwrap_or_else(built_object);
    println!("cargo::rerun-if-changed={}", object.display());
    if !object.exists() {
        assert!(named.is_none(), "NTP_XDP_LOAD_OBJECT: {} does not exist", object.display());
        println!("cargo::warning=no kernel frames: `cargo xtask build-ebpf` makes the object");
        return;
    }
    let out_dir = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    if let Err(error) = fs::copy(&object, out_dir.join("load.o")) {
        panic!("cannot copy {}: {error}", object.display());
    }
    println!("cargo::rustc-cfg=ntp_xdp_load_object");
}

/// Where `cargo xtask build-ebpf` puts the object.
fn built_object() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    package.join("../../target/bpf/load.o")
}
