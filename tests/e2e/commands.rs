//! The daemon and Debian's chronyc, unmodified: every report is taken and says what is so, every command is
//! answered, and the network may ask for what is open and nothing else.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_common::time::NtpShort;
use ntp_lab::query::Reply;
use ntp_lab::scene::{CLIENT, SERVER, SERVER_UPWARDS, UPSTREAM};
use ntp_lab::{Chronyc, Told, Way, command_socket, peers};

use crate::played::{LOCAL, PATIENCE, Played, QUIET, answer, counted, until};
use crate::trial::Needs::{Chronyc as ChronycNeeded, Chronyd, Namespaces, Xdp};
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
            "over the network chronyc may ask for what is open and change nothing",
            &[Namespaces, ChronycNeeded],
            rights,
        ),
        trial(
            "access rules from chronyc are in force at once",
            &[Namespaces, ChronycNeeded],
            access,
        ),
        trial(
            "who is allowed in a family that nobody was is answered at once",
            &[Namespaces, Xdp, ChronycNeeded],
            new_family,
        ),
        trial(
            "chronyc is answered whatever it says",
            &[Namespaces, Chronyd, ChronycNeeded],
            every_command,
        ),
        trial(
            "sources come and go and change as chronyc says",
            &[Namespaces, Chronyd, ChronycNeeded],
            sources,
        ),
        trial("chronyc gives the time by hand", &[Namespaces, ChronycNeeded], by_hand),
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
    // These shrink fast after the start.
    until("both tell the same root delay and dispersion", || {
        let header = answer(&asked.played.client(SERVER.v4)?)?.header;
        let tracking = asked.give("tracking")?;
        let is_close = |told: f64, served: NtpShort| {
            (told - f64::from(served.to_bits()) / 65_536.0).abs() < 1e-4
        };
        Ok(is_close(tracking.number(10)?, header.root_delay)
            && is_close(tracking.number(11)?, header.root_dispersion))
    })?;
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
    let rows = asked.give("clients")?.rows();
    // Of IPv6, a network is a client.
    for client in [CLIENT.v4.to_string(), CLIENT.networks()[1].replace("/64", "")] {
        let is_listed = |row: &Vec<String>| row[0] == client && row[1] == "50";
        ensure!(rows.iter().any(is_listed), "{client} is missing in {rows:?}");
    }
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

fn new_family() -> Result<()> {
    for xdp in ["", "xdp lan mode native\n"] {
        for threads in [0, 2] {
            let directives = format!("{LOCAL}{xdp}serverthreads {threads}\nallow {}\n", CLIENT.v4);
            let asked = Asked::open(&directives)?;
            answer(&asked.played.client(SERVER.v4)?)?;
            let client = asked.played.client(SERVER.v6)?;
            let refused = client.query(PATIENCE)?;
            ensure!(matches!(refused, Reply::Refused), "{refused:?} where nobody is allowed");
            asked.give(&format!("allow {}", CLIENT.v6))?;
            // The port was refused to this client's socket.
            let client = asked.played.client(SERVER.v6)?;
            answer(&client).with_context(|| directives.clone())?;
            asked.give("deny all")?;
            ensure!(matches!(client.query(QUIET)?, Reply::Silence), "answered though denied");
        }
    }
    Ok(())
}

/// Every command of Debian 12's chronyc, which has no `selectopts` yet, with a part of what it is answered.
const COMMANDS: &[(&str, &str)] = &[
    ("tracking", "Normal"),
    ("sources -a", "^,"),
    ("sourcestats -a", "10.123.1.1,"),
    ("sourcename 10.123.1.1", "10.123.1.1"),
    ("ntpdata 10.123.1.1", "10.123.1.1,"),
    ("authdata", "10.123.1.1,-,0,0,0,4294967295,0,0,0,0"),
    ("activity", "1,0,0,0,0"),
    ("selectdata", "*,10.123.1.1,N,"),
    ("makestep", "200 OK"),
    ("makestep 0.1 3", "200 OK"),
    ("maxupdateskew 100", "200 OK"),
    ("reselect", "200 OK"),
    ("reselectdist 0.001", "200 OK"),
    ("serverstats", ",0,"),
    ("clients", "10.123.0.2,"),
    ("rtcdata", "513 RTC driver not running"),
    ("writertc", "513 RTC driver not running"),
    ("trimrtc", "513 RTC driver not running"),
    ("smoothing", "505 Facility not enabled in daemon"),
    ("smoothtime reset", "505 Facility not enabled in daemon"),
    ("manual list", ""),
    ("manual off", "200 OK"),
    ("manual reset", "200 OK"),
    ("manual delete 3", "516 Sample index out of range"),
    ("settime 12:00", "505 Facility not enabled in daemon"),
    ("offline 10.123.1.1", "200 OK"),
    ("online 10.123.0.0/255.255.0.0", "200 OK"),
    ("online 192.0.2.1", "503 No such source"),
    ("onoffline", "200 OK"),
    ("burst 1/2 10.123.1.1", "200 OK"),
    ("minpoll 10.123.1.1 -1", "200 OK"),
    ("maxpoll 10.123.1.1 1", "200 OK"),
    ("maxdelay 10.123.1.1 0.5", "200 OK"),
    ("maxdelayratio 10.123.1.1 9", "200 OK"),
    ("maxdelaydevratio 10.123.1.1 9", "200 OK"),
    ("minstratum 10.123.1.1 5", "200 OK"),
    ("minstratum 192.0.2.1 5", "503 No such source"),
    ("polltarget 10.123.1.1 9", "200 OK"),
    ("refresh", "200 OK"),
    ("reset sources", "200 OK"),
    ("reload sources", "200 OK"),
    ("rekey", "200 OK"),
    ("dump", "200 OK"),
    ("cyclelogs", "200 OK"),
    ("local stratum 7", "200 OK"),
    ("local off", "200 OK"),
    ("allow 192.0.2.0/24", "200 OK"),
    ("deny 192.0.2.0/25", "200 OK"),
    ("accheck 192.0.2.1", "209 Access denied"),
    ("accheck 192.0.2.129", "208 Access allowed"),
    ("cmdallow 192.0.2.0/24", "200 OK"),
    ("cmddeny all", "200 OK"),
    ("cmdaccheck 192.0.2.1", "209 Access denied"),
    ("add server 10.123.1.1", "511 Source already present"),
    ("delete 192.0.2.1", "503 No such source"),
    ("waitsync 1", "1,"),
];

fn every_command() -> Result<()> {
    let directives = format!("server {} minpoll -2 maxpoll 0\nallow\n", UPSTREAM.v4);
    let (played, _) = Played::following(3, &directives)?;
    let asked = Asked::new(played)?;
    for (command, expected) in COMMANDS {
        let told = asked.told(command)?.output;
        ensure!(told.contains(expected), "{command}: {told}");
        // Nothing that is printed may be taken for what it is not.
        ensure!(!told.contains("506 Cannot talk"), "{command}: {told}");
        ensure!(!told.contains("Bad"), "{command}: {told}");
        let printed = asked.chronyc.print(&asked.played.scene.server, &asked.way, command)?.output;
        ensure!(!printed.contains("506 Cannot talk"), "{command}: {printed}");
    }
    Ok(())
}

fn by_hand() -> Result<()> {
    let asked = Asked::open(&format!("{LOCAL}allow\n"))?;
    let refused = asked.told("settime 12:00")?.output;
    ensure!(refused.contains("505 Facility not enabled"), "{refused}");
    asked.give("manual on")?;
    // Within twelve hours of now, whatever the time is.
    let told = asked.give("settime 12:00:00")?.output;
    ensure!(told.contains("Clock was") && told.contains("Frequency change = 0.00ppm"), "{told}");
    let rows = asked.give("manual list")?.rows();
    let [row] = rows.as_slice() else { anyhow::bail!("{rows:?}") };
    // What is left of it, what it was, and what the line through all leaves of it.
    let [left, said, residual]: [f64; 3] = [row[2].parse()?, row[3].parse()?, row[4].parse()?];
    ensure!(left.abs() < 1e-3 && residual.abs() < 1e-9, "{row:?}");
    ensure!((1e-3..43_200.5).contains(&said.abs()), "{row:?}");
    asked.give("manual delete 0")?;
    ensure!(asked.give("manual list")?.rows().is_empty(), "it was deleted");
    let header = answer(&asked.played.client(SERVER.v4)?)?.header;
    ensure!(header.stratum == 5, "a time by hand synchronises nobody: {header:?}");
    Ok(())
}

fn sources() -> Result<()> {
    let directives = format!("server {} minpoll -2 maxpoll 0\nallow\n", UPSTREAM.v4);
    let (played, _) = Played::following(3, &directives)?;
    let asked = Asked::new(played)?;
    let data = asked.give(&format!("ntpdata {}", UPSTREAM.v4))?;
    let rows = data.rows();
    let row = rows.first().context("no data")?;
    let remote = u32::from_be_bytes(UPSTREAM.v4.octets());
    ensure!(row[0] == UPSTREAM.v4.to_string() && row[1] == format!("{remote:08X}"), "{row:?}");
    let local = u32::from_be_bytes(SERVER_UPWARDS.v4.octets());
    ensure!(data.output.contains(&format!("{local:08X}")), "no local address: {row:?}");
    // Port, leap, version, mode, stratum.
    ensure!(row[2] == "123", "{row:?}");
    ensure!(data.output.contains(",Normal,4,Server,3,"), "{row:?}");

    asked.give(&format!("offline {}", UPSTREAM.v4))?;
    ensure!(asked.give("activity")?.output.trim() == "0,1,0,0,0");
    asked.give("online")?;
    ensure!(asked.give("activity")?.output.trim() == "1,0,0,0,0");

    asked.give(&format!("delete {}", UPSTREAM.v4))?;
    ensure!(asked.give("sources")?.output.trim().is_empty(), "a source is left");
    let served = answer(&asked.played.client(SERVER.v4)?)?.header;
    ensure!(served.stratum == 0, "served without a source: {served:?}");
    asked.give("local stratum 9")?;
    ensure!(answer(&asked.played.client(SERVER.v4)?)?.header.stratum == 9, "not local");
    asked.give("local off")?;

    asked.give(&format!("add server {} iburst minpoll -2 maxpoll 0", UPSTREAM.v6))?;
    until("the added source is followed", || {
        Ok(answer(&asked.played.client(SERVER.v4)?)?.header.stratum == 4)
    })?;
    let rows = asked.give("sources")?.rows();
    ensure!(rows.len() == 1 && rows[0][2] == UPSTREAM.v6.to_string(), "{rows:?}");
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
