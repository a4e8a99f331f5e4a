//! A test with what it needs of the machine: without that it is ignored, and says why.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use libtest_mimic::{Completion, Failed, Trial};
use ntp_lab::lintian::lintian;
use ntp_lab::prometheus::prometheus;
use ntp_lab::{NtpXdpd, Profile, peers, rights, workspace};

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The right to make network namespaces, and the programs that fill them.
    Namespaces,
    /// The right to load eBPF programs, and programs to load.
    Xdp,
    /// chrony's daemon.
    Chronyd,
    /// chrony's client.
    Chronyc,
    /// ntpsec's query program.
    Ntpdig,
    /// Prometheus and its tool.
    Prometheus,
    /// Debian's judge of packages.
    Lintian,
    /// Debian's package manager.
    Debian,
    /// systemd's judge of units.
    SystemdAnalyze,
}

impl Needs {
    fn met(self) -> Result<(), String> {
        let is_there = |is_there: bool, what: &str, task: &str| {
            is_there
                .then_some(())
                .ok_or_else(|| format!("there is no {what} (`cargo xtask {task}`)"))
        };
        match self {
            Self::Namespaces => rights::make_namespaces(),
            Self::Xdp => {
                rights::load_bpf()?;
                let object = workspace().join("target/bpf/ntp-xdp.o");
                is_there(object.exists(), "eBPF object", "build-ebpf")
            }
            Self::Chronyd => is_there(peers::chronyd().is_some(), "chronyd", "setup"),
            Self::Prometheus => is_there(prometheus().is_some(), "prometheus", "setup"),
            Self::Lintian => is_there(lintian().is_some(), "lintian", "setup"),
            Self::Debian => {
                let is_debian = std::path::Path::new("/usr/bin/dpkg-deb").exists();
                is_debian.then_some(()).ok_or_else(|| "this is not Debian".to_owned())
            }
            Self::SystemdAnalyze => {
                let is_there = std::path::Path::new("/usr/bin/systemd-analyze").exists();
                is_there.then_some(()).ok_or_else(|| "there is no systemd-analyze".to_owned())
            }
            Self::Chronyc => is_there(peers::chronyc().is_some(), "chronyc", "setup"),
            Self::Ntpdig => is_there(peers::ntpdig().is_some(), "ntpdig", "setup"),
        }
    }
}

/// A test named by the sentence that it checks.
pub(crate) fn trial(
    sentence: &str,
    needs: &'static [Needs],
    check: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(sentence.replace(' ', "_"), move || {
        for need in needs {
            if let Err(reason) = need.met() {
                return Ok(Completion::ignored_with(reason));
            }
        }
        check().map_err(|error| Failed::from(format!("{error:#}")))?;
        Ok(Completion::Completed)
    })
}

/// The project's daemon, built once for all tests.
///
/// # Errors
/// It does not compile.
pub(crate) fn daemon() -> Result<&'static NtpXdpd> {
    static BUILT: OnceLock<Result<NtpXdpd, String>> = OnceLock::new();
    let built =
        BUILT.get_or_init(|| NtpXdpd::build(Profile::Dev).map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| anyhow!("{error}"))
}
