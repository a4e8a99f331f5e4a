//! The daemon and Debian's chronyc, unmodified: every report is taken and says what is so, every command is
//! answered, and the network may ask for what is open and nothing else.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::scene::{CLIENT, SERVER, UPSTREAM};
use ntp_lab::{Chronyc, Told, Way, command_socket, peers};

use crate::played::{LOCAL, PATIENCE, Played, answer, counted};
use crate::trial::Needs::{Chronyc as ChronycNeeded, Chronyd, Namespaces};
use crate::trial::trial;

/// A port for commands that takes no privileges.
const PORT: u16 = 1323;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "chronyc is told what NTP clients are told",
            &[Namespaces, Chronyd, ChronycNeeded],
            tracking,
        ),
        trial("chronyc counts the requests that were sent", &[Namespaces, ChronycNeeded], counts),
        trial(
            "network may ask for what is open and change nothing",
            &[Namespaces, ChronycNeeded],
            rights,
        ),
        trial(
            "access rules from chronyc are in force at once",
            &[Namespaces, ChronycNeeded],
            access,
        ),
        trial("daemon ends when chronyc says so", &[Namespaces, ChronycNeeded], shutdown),
    ]
}

/// The daemon and the client that asks it.
struct Asked {
    played: Played,
    chronyc: Chronyc,
    way: Way,
}

impl Asked {
    fn new(played: Played) -> Result<Self> {
        let way = command_socket(&played.scene.lab, &played.scene.server).into();
        Ok(Self { played, chronyc: peers::chronyc().context("chronyc is gone")?, way })
    }

    fn open(directives: &str) -> Result<Self> {
        Self::new(Played::open(directives)?)
    }

    /// The answer to a command that is to succeed.
    fn give(&self, command: &str) -> Result<Told> {
        self.told(command)?.success().with_context(|| command.to_owned())
    }

    /// The answer to a command, whatever it is.
    fn told(&self, command: &str) -> Result<Told> {
        self.chronyc.give(&self.played.scene.server, &self.way, command)
    }

    /// What chronyc says to a command given over the network, from the server's own host.
    fn over_network(&self, address: IpAddr, command: &str) -> Result<Told> {
        self.chronyc.give(&self.played.scene.server, &Way::Network(address, PORT), command)
    }
}

fn close(name: &str, told: f64, expected: f64, tolerance: f64) -> Result<()> {
    ensure!((told - expected).abs() <= tolerance, "{name}: {told}, and not {expected}");
    Ok(())
}

fn tracking() -> Result<()> {
    let directives = format!("server {} iburst minpoll -2 maxpoll 0\nallow\n", UPSTREAM.v4);
    let (played, _) = Played::following(3, &directives)?;
    let asked = Asked::new(played)?;
    let header = answer(&asked.played.client(SERVER.v4)?)?.header;
    let tracking = asked.give("tracking")?;
    let rows = tracking.rows();
    let row = rows.first().context("no tracking")?;
    let upstream = UPSTREAM.v4.to_bits();
    ensure!(row[0] == format!("{upstream:08X}") && row[1] == UPSTREAM.v4.to_string(), "{row:?}");
    ensure!(header.reference_id.0 == upstream, "{header:?}");
    close("stratum", tracking.number(2)?, header.stratum.into(), 0.0)?;
    let (seconds, nanos) = header.reference_timestamp.to_unix(1 << 31);
    #[expect(clippy::cast_precision_loss, reason = "compared to a few seconds")]
    let reference_s = seconds as f64 + f64::from(nanos) * 1e-9;
    // Updates come every second or faster.
    close("reference time", tracking.number(3)?, reference_s, 5.0)?;
    let root_delay_s = f64::from(header.root_delay.to_bits()) / 65_536.0;
    close("root delay", tracking.number(10)?, root_delay_s, 1e-3)?;
    let root_dispersion_s = f64::from(header.root_dispersion.to_bits()) / 65_536.0;
    close("root dispersion", tracking.number(11)?, root_dispersion_s, 1e-3)?;
    ensure!(row[13] == "Normal", "{row:?}");

    let sources = asked.give("sources")?.rows();
    let [source] = sources.as_slice() else { anyhow::bail!("{sources:?}") };
    ensure!(source[..4] == ["^", "*", &UPSTREAM.v4.to_string(), "3"], "{source:?}");
    ensure!(u8::from_str_radix(&source[5], 8)? & 1 == 1, "unreachable: {source:?}");
    // The same clock is behind both.
    ensure!(source[7].parse::<f64>()?.abs() < 1e-3, "{source:?}");
    let statistics = asked.give("sourcestats")?;
    ensure!(statistics.number(1)? >= 1.0 && statistics.number(6)?.abs() < 1e-3, "{statistics:?}");
    let name = asked.give(&format!("sourcename {}", UPSTREAM.v4))?.output;
    ensure!(name.trim() == UPSTREAM.v4.to_string(), "{name}");
    let unknown = asked.told("sourcename 192.0.2.99")?.output;
    ensure!(unknown.contains("503 No such source"), "{unknown}");
    ensure!(asked.give("waitsync 1 0.1")?.output.contains(&format!("{upstream:08X}")));
    Ok(())
}

fn counts() -> Result<()> {
    let mut asked = Asked::open(&format!("{LOCAL}allow\n"))?;
    let before = asked.give("serverstats")?;
    close("requests before", before.number(0)?, 0.0, 0.0)?;
    for server in SERVER.both() {
        let client = asked.played.client(server)?;
        for _ in 0..50 {
            answer(&client)?;
        }
    }
    counted(&mut asked.played.daemon, 100)?;
    let after = asked.give("serverstats")?;
    close("requests after", after.number(0)?, 100.0, 0.0)?;
    close("commands", after.number(2)?, before.number(2)? + 1.0, 0.0)?;
    Ok(())
}

fn rights() -> Result<()> {
    let directives = format!("{LOCAL}allow\ncmdport {PORT}\nbindcmdaddress 0.0.0.0\n");
    let asked = Asked::open(&directives)?;
    for loopback in [IpAddr::from([127, 0, 0, 1]), "::1".parse()?] {
        for open in ["tracking", "sources", "sourcestats", "manual list"] {
            asked.over_network(loopback, open)?.success().context(open)?;
        }
        for closed in ["serverstats", "clients", "allow", "shutdown", "accheck 192.0.2.1"] {
            let told = asked.over_network(loopback, closed)?.output;
            ensure!(told.contains("501 Not authorised"), "{closed}: {told}");
        }
    }
    // From another host nothing is answered without `cmdallow`, and with it what is open.
    let way = Way::Network(SERVER.v4.into(), PORT);
    let from_afar = |command: &str| asked.chronyc.give(&asked.played.scene.client, &way, command);
    ensure!(from_afar("tracking")?.output.contains("506 Cannot talk to daemon"));
    asked.give(&format!("cmdallow {}", CLIENT.v4))?;
    from_afar("tracking")?.success()?;
    ensure!(from_afar("shutdown")?.output.contains("501 Not authorised"));
    asked.give("cmddeny all")?;
    ensure!(from_afar("tracking")?.output.contains("506 Cannot talk to daemon"));
    asked.over_network(IpAddr::from([127, 0, 0, 1]), "tracking")?.success()?;
    Ok(())
}

fn access() -> Result<()> {
    let asked = Asked::open(&format!("{LOCAL}allow\n"))?;
    let client = asked.played.client(SERVER.v4)?;
    let check = format!("accheck {}", CLIENT.v4);
    for (command, is_allowed) in [
        (String::new(), true),
        (format!("deny {}", CLIENT.v4), false),
        (format!("allow {}/16", CLIENT.v4), false),
        (format!("allow all {}/16", CLIENT.v4), true),
        ("deny all".to_owned(), false),
        ("allow".to_owned(), true),
    ] {
        if !command.is_empty() {
            asked.give(&command)?;
        }
        let expected = if is_allowed { "208 Access allowed" } else { "209 Access denied" };
        let told = asked.told(&check)?.output;
        ensure!(told.contains(expected), "after `{command}`: {told}");
        let is_answered = client.query(PATIENCE)?.answered().is_ok();
        ensure!(is_answered == is_allowed, "after `{command}`: answered {is_answered}");
    }
    for wrong in ["allow 192.0.2.0/33", "deny 2001:db8::/129"] {
        let told = asked.told(wrong)?.output;
        ensure!(told.contains("507 Bad subnet") || told.contains("Could not read"), "{told}");
    }
    Ok(())
}

fn shutdown() -> Result<()> {
    let asked = Asked::open(&format!("{LOCAL}allow\n"))?;
    let socket = command_socket(&asked.played.scene.lab, &asked.played.scene.server);
    ensure!(socket.exists(), "no socket");
    asked.give("shutdown")?;
    let Asked { played, .. } = asked;
    let Played { mut daemon, scene, .. } = played;
    daemon.wait_for_line("exiting", PATIENCE * 10)?;
    drop(daemon);
    ensure!(!socket.exists(), "the socket is left behind");
    Played::has_ended(&scene)
}
