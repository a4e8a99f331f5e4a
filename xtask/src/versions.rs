//! Every version that the set-up pins, and the packages that it asks Debian for.

/// The linker of the eBPF object, built by `cargo install`.
pub(crate) const BPF_LINKER: &str = "0.13.0";

/// The major version of LLVM that the compiler, the linker and its packages must share: bitcode of a newer
/// LLVM cannot be read by an older one.
pub(crate) const LLVM_MAJOR: &str = "22";

/// Where Debian's packages of that LLVM put their programs and libraries.
pub(crate) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// Debian packages that the eBPF build needs: a compiler with a `core` for BPF, and the linker's LLVM.
pub(crate) const BUILD_PACKAGES: &[&str] =
    &["gcc", "libc6-dev", "rustc-web", "libstd-rust-web-dev-bpf", "llvm-22-dev"];

/// Debian packages that the tests and the demonstration need: clippy for the BPF compiler, network
/// namespaces, and running without the right to set the clock.
pub(crate) const TEST_PACKAGES: &[&str] = &["rust-web-clippy", "iproute2", "util-linux"];

/// Debian packages that guests need beside their emulator, which is unpacked: what unpacks their modules, and what
/// builds one.
pub(crate) const GUEST_PACKAGES: &[&str] = &["xz-utils", "gcc", "make"];

/// Debian packages of other NTP programs to test against. They are unpacked, never installed: an installed
/// chronyd would start and take the machine's clock.
pub(crate) const PEER_PACKAGES: &[&str] = &["chrony", "ntpsec-ntpdig", "python3-ntp"];

/// The Debian package of Prometheus, which reads the metrics in tests. What it depends on is its web pages' scripts.
pub(crate) const PROMETHEUS_PACKAGE: &str = "prometheus";

/// The Debian package of ntpsec's daemon, for the benchmark alone.
pub(crate) const NTPSEC_PACKAGE: &str = "ntpsec";

/// ntpd-rs, built by `cargo install ntpd` for the benchmark alone.
pub(crate) const NTPD_RS: &str = "1.9.0";

/// Libraries that those programs load, and the packages that they are in.
pub(crate) const PEER_LIBRARIES: &[(&str, &str)] = &[
    ("libcap.so.2", "libcap2"),
    ("libedit.so.2", "libedit2"),
    ("libgnutls.so.30", "libgnutls30"),
    ("libnettle.so.8", "libnettle8"),
    ("libseccomp.so.2", "libseccomp2"),
];
