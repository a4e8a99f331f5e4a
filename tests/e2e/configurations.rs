//! Configurations as they are in use, unchanged and in the usual place, with the daemon under chrony's name: the
//! names and addresses in them lead to a server of the test, and the files are the test's own.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::query::{Client, Reply};
use ntp_lab::scene::{LAN, SERVER, Scene, UPSTREAM, WAN};
use ntp_lab::{Process, Told, Way, peers, run};

use crate::played::{LONG, PATIENCE, until};
use crate::trial::Needs::{Chronyc, Chronyd, Namespaces};
use crate::trial::{daemon, trial};

const PRODUCTION: &str = include_str!("configurations/production.conf");
const LAN_SERVER: &str = include_str!("configurations/lan-server.conf");
const DISTRIBUTION: &str = include_str!("configurations/distribution.conf");
const MISSPELT: &str = include_str!("configurations/lan-client-misspelt.conf");

/// The stratum of the test's server, whose address is all of these.
const STRATUM: u8 = 3;

/// Addresses that the configurations name.
const NAMED: [Ipv4Addr; 5] = [
    Ipv4Addr::new(203, 107, 6, 88),
    Ipv4Addr::new(52, 231, 114, 183),
    Ipv4Addr::new(17, 253, 116, 125),
    Ipv4Addr::new(106, 75, 185, 63),
    Ipv4Addr::new(192, 0, 2, 10),
];

/// Names in the configurations, and how many addresses each has..
const NAMES: [(&str, u8); 8] = [
    ("ntp.aliyun.com", 1),
    ("time.windows.com", 1),
    ("time.apple.com", 1),
    ("cn.ntp.org.cn", 1),
    ("ntp.ubuntu.com", 5),
    ("0.ubuntu.pool.ntp.org", 4),
    ("1.ubuntu.pool.ntp.org", 4),
    ("2.ubuntu.pool.ntp.org", 4),
];

/// Addresses in the network of `lan-server.conf`.
const LAN_SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const LAN_CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// The machine's files that programs look into to find users and libraries.
const MACHINES_FILES: [&str; 3] = ["passwd", "group", "ld.so.cache"];

pub(crate) fn trials() -> Vec<Trial> {
    let all = &[Namespaces, Chronyd, Chronyc];
    vec![
        trial("production's configuration synchronises and serves everybody", all, production),
        trial("configuration of a server of a LAN serves that LAN", all, lan_server),
        trial("configuration of a distribution takes its pools", all, distribution),
        trial("misspelt configuration helps to mend it", &[Namespaces], misspelt),
    ]
}

fn production() -> Result<()> {
    let site = Site::open(PRODUCTION)?;
    let mut daemon = site.start()?;
    daemon.wait_for_line("Selected source", LONG)?;
    site.follows(9)?;
    let drift = site.files.join("lib/chrony/drift");
    daemon.stop()?.success()?;
    let text = fs::read_to_string(&drift).context("no drift file")?;
    ensure!(text.split_whitespace().count() == 2, "{text}");
    Ok(())
}

fn lan_server() -> Result<()> {
    let site = Site::open(LAN_SERVER)?;
    fs::write(
        site.files.join("etc/chrony/chrony.keys"),
        "1 SHA1 HEX:1dc764e0791b11fa67efc7ecbc4b0d73\n",
    )?;
    let mut daemon = site.start()?;
    daemon.wait_for_line("Selected source", LONG)?;
    site.follows(1)?;
    let elsewhere = Client::open(&site.scene.client, SERVER.v4)?;
    let reply = elsewhere.query(PATIENCE)?;
    ensure!(matches!(reply, Reply::Silence), "{reply:?} outside of the LAN");
    Ok(())
}

fn distribution() -> Result<()> {
    let site = Site::open(DISTRIBUTION)?;
    let mut daemon = site.start()?;
    daemon.wait_for_line("Selected source", LONG)?;
    // 4 + 1 + 1 + 2 sources; nobody is served.
    site.has_selected(8)?;
    let reply = site.client()?.query(PATIENCE)?;
    ensure!(matches!(reply, Reply::Refused), "{reply:?}, though nobody is allowed");
    ensure!(
        daemon.log().contains("chrony.keys"),
        "the missing key file is not named\n{}",
        daemon.log()
    );
    Ok(())
}

fn misspelt() -> Result<()> {
    let site = Site::open(MISSPELT)?;
    for arguments in [&["-n", "-x"][..], &["--check"], &["-x"]] {
        let finished = run(site.command()?.args(arguments), LONG)?;
        let output = finished.output;
        ensure!(finished.status.code() == Some(1), "{arguments:?}: {}\n{output}", finished.status);
        for words in ["/etc/chrony/chrony.conf:1:18: ", "`ibrust`", "did you mean `iburst`?"] {
            ensure!(output.contains(words), "not said: {words}\n{output}");
        }
    }
    ensure!(!site.files.join("run/chrony/chronyd.pid").exists(), "something was started");
    Ok(())
}

/// A server with the configuration in the usual place, the server that it follows, and a client.
struct Site {
    _upstream: Option<Process>,
    files: PathBuf,
    scene: Scene,
}

impl Site {
    fn open(configuration: &str) -> Result<Self> {
        let scene = Scene::open()?;
        let files = scene.lab.folder().join("machine");
        for folder in ["etc/chrony", "run", "lib/chrony", "log/chrony"] {
            fs::create_dir_all(files.join(folder))?;
        }
        for file in MACHINES_FILES {
            // A machine may lack some.
            let _ = fs::copy(PathBuf::from("/etc").join(file), files.join("etc").join(file));
        }
        fs::write(files.join("etc/chrony/chrony.conf"), configuration)?;
        fs::write(files.join("etc/host.conf"), "multi on\n")?;
        fs::write(files.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
        let addresses =
            NAMES.iter().flat_map(|&(name, count)| (1..=count).map(move |at| (name, at)));
        let named: Vec<_> = (1..)
            .zip(addresses)
            .map(|(last, (name, _))| (Ipv4Addr::new(198, 51, 100, last), name))
            .collect();
        let hosts = named.iter().map(|(address, name)| format!("{address} {name}\n"));
        fs::write(files.join("etc/hosts"), hosts.collect::<String>())?;

        let upstream = scene.upstream.namespace();
        for address in named.iter().map(|(address, _)| address).chain(&NAMED) {
            ip(&["-n", upstream, "addr", "add", &format!("{address}/32"), "dev", "lo"])?;
        }
        let server = scene.server.namespace();
        ip(&[
            "-n",
            server,
            "route",
            "add",
            "default",
            "via",
            &UPSTREAM.v4.to_string(),
            "dev",
            WAN,
        ])?;
        for (host, address) in
            [(server, LAN_SERVER_ADDRESS), (scene.client.namespace(), LAN_CLIENT_ADDRESS)]
        {
            ip(&["-n", host, "addr", "add", &format!("{address}/24"), "dev", LAN])?;
        }
        let chronyd = peers::chronyd();
        let directives = format!("local stratum {STRATUM}\nallow\n");
        let upstream =
            chronyd.map(|chronyd| chronyd.serve(&scene.lab, &scene.upstream, &directives));
        Ok(Self { _upstream: upstream.transpose()?, files, scene })
    }

    /// A command that runs the daemon under chrony's name; arguments may follow.
    fn command(&self) -> Result<Command> {
        let link = self.files.join("chronyd");
        if !link.exists() {
            symlink(daemon()?.program(), &link)?;
        }
        let folder = |name: &str| self.files.join(name);
        let folders = [
            (folder("etc"), "/etc"),
            (folder("run"), "/run"),
            (folder("lib"), "/var/lib"),
            (folder("log"), "/var/log"),
        ];
        let folders = folders.each_ref().map(|(files, place)| (files.as_path(), *place));
        Ok(self.scene.server.daemon_seeing(&folders, link))
    }

    fn start(&self) -> Result<Process> {
        Process::start("chronyd", self.command()?.args(["-n", "-x"]))
    }

    fn client(&self) -> Result<Client> {
        let to = (LAN_SERVER_ADDRESS, ntp_common::wire::NTP_PORT);
        Client::between(&self.scene.client, LAN_CLIENT_ADDRESS.into(), to.into())
    }

    /// Waits until all sources are selected and the time is served with the right stratum.
    fn follows(&self, sources: usize) -> Result<()> {
        self.has_selected(sources)?;
        let client = self.client()?;
        until("the time that is served is the sources'", || {
            Ok(client.query(PATIENCE)?.answered()?.header.stratum == STRATUM + 1)
        })
    }

    /// Waits until one of so many sources is selected and the others are right, as chronyc sees them.
    fn has_selected(&self, sources: usize) -> Result<()> {
        let mut told = String::new();
        until("all sources are right", || {
            let Told { output, .. } = self.chronyc("sources")?;
            told = output;
            let states: Vec<_> = told.lines().filter_map(|line| line.split(',').nth(1)).collect();
            let right = states.iter().filter(|state| ["*", "+", "-"].contains(*state)).count();
            Ok(states.len() == sources && right == sources && states.contains(&"*"))
        })
        .with_context(|| format!("{sources} sources, and not\n{told}"))
    }

    fn chronyc(&self, command: &str) -> Result<Told> {
        let way = Way::Socket(self.files.join("run/chrony/chronyd.sock"));
        peers::chronyc().context("chronyc is gone")?.give(&self.scene.server, &way, command)
    }
}

fn ip(words: &[&str]) -> Result<()> {
    run(Command::new("ip").args(words), Duration::from_secs(10))?.success()?;
    Ok(())
}
