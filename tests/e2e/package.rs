//! The Debian package: installed, used, upgraded and removed in a root that is thrown away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::lintian::lintian;
use ntp_lab::scene::Scene;
use ntp_lab::{run, workspace};

use crate::trial::Needs::{Debian, Lintian, Namespaces, SystemdAnalyze};
use crate::trial::{daemon, trial};

/// How long packages may take to be built of what tests have compiled.
const BUILD: Duration = Duration::from_secs(300);

/// How long installing and removing may take.
const INSTALL: Duration = Duration::from_secs(120);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "package is installed, serves, is upgraded and leaves nothing behind",
            &[Namespaces, Debian],
            whole_life,
        ),
        trial("lintian finds no error and nothing to warn of", &[Debian, Lintian], judged),
        trial("systemd finds nothing wrong with the unit", &[SystemdAnalyze], unit),
    ]
}

/// The unit as it is installed, but with the daemon where it was built.
fn unit() -> Result<()> {
    let name = "ntp-xdpd.service";
    let text = std::fs::read_to_string(workspace().join("ntp-user/dist").join(name))?;
    let program = daemon()?.program().display().to_string();
    let text = text.replace("/usr/sbin/ntp-xdpd", &program);
    ensure!(text.contains(&program), "the unit does not start the daemon");
    // Under it `holdover` can't pin its links, and the daemon does not start.
    let is_closed = text.lines().any(|line| line == "ProtectKernelTunables=yes");
    ensure!(!is_closed, "the unit makes /sys/fs/bpf read-only");
    let folder = std::env::temp_dir().join(format!("ntp-xdp-unit-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join(name), text)?;
    // The manual pages that it names are not installed here.
    let mut verify = Command::new("systemd-analyze");
    let verified = run(verify.args(["--man=no", "verify"]).arg(folder.join(name)), BUILD);
    std::fs::remove_dir_all(&folder)?;
    let said = verified?.success()?.output;
    // It also reads other units of this machine, which are not ours to mend.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("ntp-xdpd")).collect();
    ensure!(ours.is_empty(), "{ours:?}");
    Ok(())
}

/// Both packages, as Debian's own are judged.
fn judged() -> Result<()> {
    let package = package("1.0~judged")?;
    let folder = package.parent().context("a package without a folder")?;
    let mut command = lintian().context("lintian is gone")?;
    command.args(["--fail-on", "error,warning", "--tag-display-limit", "0", "--allow-root"]);
    command.arg(&package).arg(folder.join("ntp-xdp-time-daemon_1.0~judged_all.deb"));
    run(&mut command, INSTALL)?.success()?;
    Ok(())
}

fn whole_life() -> Result<()> {
    let scene = Scene::open()?;
    let folder = scene.lab.folder().join("package");
    std::fs::create_dir(&folder)?;
    let (first, second) = (package("1.0~first")?, package("1.0~second")?);
    let script = workspace().join("tests/e2e/package.sh");
    let mut command = scene.server.command("unshare");
    command.args(["--mount", "--", "sh"]).arg(script).args([&folder, &first, &second]);
    let finished = run(&mut command, INSTALL)?;
    let said = finished.success()?.output;
    let found: BTreeMap<&str, &str> =
        said.lines().filter_map(|line| line.split_once(": ")).collect();
    for (name, expected) in [
        ("version", "1.0~first"),
        ("differences", "[]"),
        ("served", "1"),
        ("upgraded", "1.0~second"),
        ("configuration", "local stratum 7"),
        ("drift", "12.5 0.1"),
        ("purged", "gone"),
    ] {
        let value = found.get(name).with_context(|| format!("no {name} in\n{said}"))?;
        ensure!(*value == expected, "{name} is {value}, not {expected}:\n{said}");
    }
    ensure!(found["enabled"].contains("ntp-xdpd.service"), "not enabled:\n{said}");
    ensure!(found["removed"].starts_with("gone, /"), "removal took the wrong things:\n{said}");
    for file in [
        "/usr/sbin/ntp-xdpd",
        "/usr/bin/ntp-xdp",
        "/usr/lib/systemd/system/ntp-xdpd.service",
        "/etc/ntp-xdp/ntp-xdp.conf",
        "/etc/default/ntp-xdpd",
        "/usr/share/man/man8/ntp-xdpd.8.gz",
    ] {
        ensure!(found["files"].split(' ').any(|it| it == file), "{file} is not packed:\n{said}");
    }
    Ok(())
}

/// Builds the package of a version, of programs compiled as tests are.
fn package(version: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", "xtask", "--", "package", "--dev"]);
    command.args(["--version", version]).current_dir(workspace());
    run(&mut command, BUILD)?.success()?;
    let folder = workspace().join("target/package");
    let name = format!("ntp-xdp_{version}_");
    let mut files = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_it = |path: &PathBuf| file_name(path).is_some_and(|it| it.starts_with(&name));
    files.find(is_it).with_context(|| format!("no {name}*.deb in {}", folder.display()))
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
