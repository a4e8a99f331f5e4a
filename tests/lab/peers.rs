//! Other NTP programs to test against: installed ones, or those that `cargo xtask setup` unpacked.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ntp_common::wire::ReferenceId;
use serde_json::Value;

use crate::{Chronyc, Host, Lab, Process, run, workspace};

/// What a client saw of a server, in one measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The server's clock less the client's, seconds: positive when the client's clock is behind.
    pub offset_s: f64,
    /// How long the packets were under way, there and back, seconds; if the client says so.
    pub delay_s: Option<f64>,
    /// The server's stratum.
    pub stratum: u8,
    /// What the server says it is synchronised to, if the client says so.
    pub reference_id: Option<ReferenceId>,
}

/// How long a daemon may take to start.
const START: Duration = Duration::from_secs(5);

/// Another NTP program, with what its environment must be to run.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    // Without the list of features that may follow it.
    version: String,
}

/// Where Debian's packages of other NTP programs are unpacked to.
#[must_use]
pub fn unpacked() -> PathBuf {
    workspace().join("target/peers")
}

/// chrony's daemon, if it is there and runs.
#[must_use]
pub fn chronyd() -> Option<Chronyd> {
    let programs = [PathBuf::from("/usr/sbin/chronyd"), unpacked().join("usr/sbin/chronyd")];
    programs.into_iter().find_map(|program| Peer::find(program, Vec::new())).map(Chronyd)
}

/// chrony's client, if it is there and runs.
#[must_use]
pub fn chronyc() -> Option<Chronyc> {
    let programs = [PathBuf::from("/usr/bin/chronyc"), unpacked().join("usr/bin/chronyc")];
    programs.into_iter().find_map(|program| Peer::find(program, Vec::new())).map(Chronyc::new)
}

/// ntpsec's query program, if it is there and there is a Python to run it.
#[must_use]
pub fn ntpdig() -> Option<Ntpdig> {
    let script = unpacked().join("usr/bin/ntpdig");
    Peer::find(PathBuf::from("/usr/bin/ntpdig"), Vec::new())
        .or_else(|| Peer::find(PathBuf::from("python3"), vec![script.into()]))
        .map(Ntpdig)
}

/// ntpsec's daemon, if it is there and runs.
#[must_use]
pub fn ntpd() -> Option<Ntpd> {
    let programs = [PathBuf::from("/usr/sbin/ntpd"), unpacked().join("usr/sbin/ntpd")];
    programs.into_iter().find_map(|program| Peer::find(program, Vec::new())).map(Ntpd)
}

/// ntpd-rs's daemon, if it is there and runs.
#[must_use]
pub fn ntpd_rs() -> Option<NtpdRs> {
    let programs = [PathBuf::from("/usr/bin/ntp-daemon"), ntpd_rs_root().join("bin/ntp-daemon")];
    programs.into_iter().find_map(|program| Peer::find(program, Vec::new())).map(NtpdRs)
}

/// Where ntpd-rs is built to.
#[must_use]
pub fn ntpd_rs_root() -> PathBuf {
    unpacked().join("ntpd-rs")
}

impl Peer {
    /// The program, if it is there and runs.
    pub(crate) fn find(program: PathBuf, arguments: Vec<OsString>) -> Option<Self> {
        let environment = vec![
            ("LD_LIBRARY_PATH", std::env::join_paths(library_folders(&unpacked())).ok()?),
            ("PYTHONPATH", unpacked().join("usr/lib/python3/dist-packages").into()),
            // Python leaves compiled files beside the scripts otherwise.
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ];
        let mut peer = Self { program, arguments, environment, version: String::new() };
        let mut command = peer.complete(Command::new(&peer.program));
        let output = command.arg("--version").stdin(Stdio::null()).output().ok()?;
        let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
        let said = String::from_utf8_lossy(said);
        said.lines().next()?.split(" (+").next()?.clone_into(&mut peer.version);
        output.status.success().then_some(peer)
    }

    /// The file that it is in.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// What it says its version is.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// A command that runs it in `host`'s network, without the right to set the clock; arguments may follow.
    pub(crate) fn command(&self, host: &Host) -> Command {
        self.complete(host.daemon(&self.program))
    }

    /// The program as a shell takes it; arguments may follow.
    fn shell(&self) -> String {
        let variables =
            self.environment.iter().map(|(name, value)| format!("{name}={}", value.display()));
        let program = [self.program.display().to_string()];
        let arguments = self.arguments.iter().map(|argument| argument.display().to_string());
        let words: Vec<String> = ["env".to_owned()]
            .into_iter()
            .chain(variables)
            .chain(program)
            .chain(arguments)
            .collect();
        words.join(" ")
    }

    fn complete(&self, mut command: Command) -> Command {
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command
    }
}

/// chrony's daemon. It runs as root and with files of its own: as root it removes the file that `pidfile` names,
/// whatever that is.
#[derive(Clone, Debug)]
pub struct Chronyd(Peer);

impl Chronyd {
    /// The program as a shell takes it; arguments may follow.
    #[must_use]
    pub fn shell(&self) -> String {
        self.0.shell()
    }

    /// A command that runs it in `host`, without the right to set the clock; arguments may follow.
    #[must_use]
    pub fn command(&self, host: &Host) -> Command {
        self.0.command(host)
    }

    /// What it says its version is.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Starts it as a server in `host`, with `directives` for its configuration, and waits until it serves.
    ///
    /// # Errors
    /// It does not start; the error has what it said.
    pub fn serve(&self, lab: &Lab, host: &Host, directives: &str) -> Result<Process> {
        let name = format!("chronyd-{}", host.name());
        let pidfile = lab.folder().join(format!("{name}.pid"));
        let own = format!("pidfile {}\ncmdport 0\nbindcmdaddress /\n", pidfile.display());
        let configuration = lab.file(&format!("{name}.conf"), &(own + directives))?;
        let mut command = self.0.command(host);
        command.args(["-x", "-d", "-u", "root", "-f"]).arg(configuration);
        let mut process = Process::start(&name, &mut command)?;
        // The last thing that it says before it serves: its sockets are open by then.
        process.wait_for_line("Running with root privileges", START)?;
        Ok(process)
    }

    /// Starts it as a client in `host` that follows `servers` and leaves the clock alone; with `options` for
    /// each of its `server` lines. It logs what it selects.
    ///
    /// # Errors
    /// It does not start; the error has what it said.
    pub fn follow(
        &self,
        lab: &Lab,
        host: &Host,
        servers: &[IpAddr],
        options: &str,
    ) -> Result<Process> {
        let lines = servers.iter().map(|server| format!("server {server} {options}\n"));
        self.serve(lab, host, &(lines.collect::<String>() + "port 0\n"))
    }

    /// Runs it as a client in `host` that measures `server` a few times within a second, says what it found, and
    /// leaves the clock alone (`-Q`).
    ///
    /// # Errors
    /// It cannot be run, or comes to no conclusion in ten seconds.
    pub fn measure(&self, lab: &Lab, host: &Host, server: IpAddr) -> Result<Vec<Seen>> {
        let name = format!("measures-{server}").replace(':', "_");
        let logs = lab.folder().join(&name);
        let pidfile = lab.folder().join(format!("{name}.pid"));
        let mut command = self.0.command(host);
        command.args(["-Q", "-u", "root", "-t", "10"]);
        command.args(["cmdport 0", "bindcmdaddress /", "log rawmeasurements"]);
        command.arg(format!("pidfile {}", pidfile.display()));
        command.arg(format!("logdir {}", logs.display()));
        command.arg(format!("server {server} iburst minpoll -4 maxpoll -4"));
        let finished = run(&mut command, Duration::from_secs(15))?;
        if !finished.output.contains("System clock wrong by") {
            bail!("chronyd measured nothing\n{}", finished.output);
        }
        let text = std::fs::read_to_string(logs.join("measurements.log"))?;
        text.lines().filter(|line| line.starts_with("20")).map(measurement).collect()
    }
}

/// Reads a line of chrony's `measurements.log`.
fn measurement(line: &str) -> Result<Seen> {
    let column = |index: usize| {
        let word = line.split_whitespace().nth(index);
        word.with_context(|| format!("column {index} is missing in: {line}"))
    };
    Ok(Seen {
        offset_s: column(11)?.parse()?,
        delay_s: Some(column(12)?.parse()?),
        stratum: column(4)?.parse()?,
        reference_id: Some(ReferenceId(u32::from_str_radix(column(16)?, 16)?)),
    })
}

/// ntpsec's daemon.
#[derive(Clone, Debug)]
pub struct Ntpd(Peer);

/// How long it takes until a server without a source gives its own time.
const ORPHAN: Duration = Duration::from_secs(3);

impl Ntpd {
    /// Starts it as a server in `host`. It leaves the clock alone, and serves it as an orphan of stratum 5 does.
    ///
    /// # Errors
    /// It does not start; the error has what it said.
    pub fn serve(&self, lab: &Lab, host: &Host) -> Result<Process> {
        let name = format!("ntpd-{}", host.name());
        let text = "disable ntp\ntos orphan 5 orphanwait 1\nrestrict default\n";
        let configuration = lab.file(&format!("{name}.conf"), text)?;
        let mut command = self.0.command(host);
        let mut process = Process::start(&name, command.args(["-n", "-c"]).arg(configuration))?;
        process.wait_for_line("Listening on routing socket", START)?;
        std::thread::sleep(ORPHAN);
        Ok(process)
    }
}

/// ntpd-rs's daemon.
#[derive(Clone, Debug)]
pub struct NtpdRs(Peer);

impl NtpdRs {
    /// Starts it as a server in `host`. It knows no source.
    ///
    /// # Errors
    /// It does not start; the error has what it said.
    pub fn serve(&self, lab: &Lab, host: &Host) -> Result<Process> {
        let name = format!("ntpd-rs-{}", host.name());
        let observer = lab.folder().join("observe");
        let text = format!(
            "[observability]\nobservation-path = \"{}\"\n[synchronization]\nlocal-stratum = 5\n\
             [[server]]\nlisten = \"0.0.0.0:123\"\n",
            observer.display()
        );
        let configuration = lab.file(&format!("{name}.toml"), &text)?;
        let mut command = self.0.command(host);
        let mut process = Process::start(&name, command.arg("-c").arg(configuration))?;
        // It says nothing when its sockets are open.
        std::thread::sleep(Duration::from_secs(1));
        if !process.is_running() {
            bail!("{name} ended\n{}", process.log());
        }
        Ok(process)
    }
}

/// ntpsec's query program.
#[derive(Clone, Debug)]
pub struct Ntpdig(Peer);

impl Ntpdig {
    /// The program as a shell takes it; arguments may follow.
    #[must_use]
    pub fn shell(&self) -> String {
        self.0.shell()
    }

    /// What it says its version is.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Asks `server` once, in `host`.
    ///
    /// # Errors
    /// It cannot be run, or had no answer.
    pub fn measure(&self, host: &Host, server: IpAddr) -> Result<Seen> {
        let mut command = self.0.command(host);
        let said = run(command.arg("--json").arg(server.to_string()), START)?.success()?.output;
        dug(&said).with_context(|| format!("ntpdig said\n{said}"))
    }
}

/// Reads what ntpdig says in JSON.
fn dug(said: &str) -> Result<Seen> {
    let said: Value = serde_json::from_str(said)?;
    Ok(Seen {
        offset_s: said.get("offset").and_then(Value::as_f64).context("no offset")?,
        delay_s: None,
        stratum: said.get("stratum").and_then(Value::as_u64).context("no stratum")?.try_into()?,
        reference_id: None,
    })
}

/// The folders below `root` where Debian's packages put libraries.
#[must_use]
pub fn library_folders(root: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for parent in ["usr/lib", "lib"] {
        let entries = std::fs::read_dir(root.join(parent)).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-linux-gnu"))
        }));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_measurements_is_read_by_its_columns() {
        let line = "2026-11-22 08:02:55 ::1             N  1 111 111 1111   6  6 0.00 -2.791e-06  \
                    1.020e-05  2.955e-07  0.000e+00  0.000e+00 7F7F0101 4B K K";
        let expected = Seen {
            offset_s: -2.791e-6,
            delay_s: Some(1.02e-5),
            stratum: 1,
            reference_id: Some(ReferenceId::LOCAL),
        };
        assert_eq!(measurement(line).unwrap(), expected);
        assert!(measurement("2026-11-22 08:02:55 ::1").is_err());
    }

    #[test]
    fn answer_of_ntpdig_is_read() {
        let said = r#"{"time":"2026-11-22T08:03:00.405601+0000","offset":0.000093,"precision":0.000196,
            "host":"127.0.0.1","ip":"127.0.0.1","stratum":1,"leap":"no-leap","adjusted":false}"#;
        let expected = Seen { offset_s: 9.3e-5, delay_s: None, stratum: 1, reference_id: None };
        assert_eq!(dug(said).unwrap(), expected);
        assert!(dug("{}").is_err());
    }
}
