//! chronyc and every command that changes nothing for good, given to our daemon and to chronyd in the same place: what is
//! printed has the same words, columns and status, for people and for programs. Numbers are each daemon's own.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::query::Client;
use ntp_lab::scene::{SERVER, Scene, UPSTREAM};
use ntp_lab::{Way, command_socket, peers};

use crate::played::{answer, until};
use crate::trial::Needs::{Chronyc as ChronycNeeded, Chronyd, Namespaces};
use crate::trial::{daemon, trial};

/// All but steps and times by hand, which chronyd does not carry out as long as it leaves the clock alone; 192.0.2.0/24 is
/// nobody's.
const COMMANDS: &str = "\
tracking|sources|sources -a|sources -v|sourcestats|sourcestats -a|sourcestats -v|sourcename 10.123.1.1
sourcename 192.0.2.9|ntpdata|ntpdata 10.123.1.1|ntpdata 192.0.2.9|authdata|authdata -a|activity|selectdata
selectdata -a|selectdata -v|serverstats|clients|clients -k|clients -p 1|rtcdata|writertc|trimrtc|smoothing
smoothtime reset|smoothtime activate|manual list|manual off|manual delete 3|manual reset|manual foo
settime 12:00|settime nonsense|makestep 0.1 3|makestep 0.1 -1|maxupdateskew 100|reselect|reselectdist 0.001
minpoll 10.123.1.1 -1|maxpoll 10.123.1.1 1|minpoll 192.0.2.9 3|maxdelay 10.123.1.1 0.5|maxdelayratio 10.123.1.1 9
maxdelaydevratio 10.123.1.1 9|minstratum 10.123.1.1 5|minstratum 192.0.2.9 5|polltarget 10.123.1.1 9
polltarget 10.123.1.1|burst 1/2 192.0.2.9|offline 192.0.2.9|offline 10.123.1.0/255.255.255.0|activity|online
activity|burst 1/2 10.123.1.1|onoffline|refresh|reload sources|rekey|dump|cyclelogs|local stratum 7
local stratum 7 orphan|local stratum 99|local off|allow 192.0.2.0/24|allow all 192.0.2.0/24|deny 192.0.2.0/25
allow 192.0.2.0/33|accheck 192.0.2.1|accheck 192.0.2.129|deny all|accheck 192.0.2.129|allow all|allow
cmdallow 192.0.2.0/24|cmdaccheck 192.0.2.1|cmddeny 192.0.2.0/25|cmdaccheck 192.0.2.1|cmddeny all|cmdallow all
add server 10.123.1.1|add server 192.0.2.10 iburst minpoll 0 maxpoll 1|add peer 192.0.2.11 minpoll 4|activity
authdata -a|delete 192.0.2.10|delete 192.0.2.9|dfreq 0.1|doffset 0.0001|waitsync 1 0.5|waitsync 1 0.0000000001 0 0
reset sources|selectopts 10.123.1.1 +prefer|offset 10.123.1.1 0.1|nosuchcommand|tracking foo|keygen foo
timeout 500|retries 1|dns -46|help|shutdown";

/// How commands begin that print columns.
const REPORTS: [&str; 11] = [
    "tracking",
    "source",
    "ntpdata",
    "authdata",
    "activity",
    "selectdata",
    "serverstats",
    "clients",
    "smoothing",
    "manual list",
    "waitsync",
];

/// What both daemons are told, beside where their files are.
const DIRECTIVES: &str = "server 10.123.1.1 iburst minpoll -2 maxpoll 0\nallow\n";

pub(crate) fn trials() -> Vec<Trial> {
    let needs = &[Namespaces, Chronyd, ChronycNeeded];
    vec![
        trial("chronyc prints of us what it prints of chronyd", needs, compared),
        trial("keys and their part in selection are told as by chronyd", needs, keys),
    ]
}

/// What chronyc said, and whether it was content.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    is_success: bool,
    /// The words, with a mark in the place of each that has a digit.
    shape: String,
}

fn compared() -> Result<()> {
    ensure!(UPSTREAM.v4.to_string() == "10.123.1.1", "the commands are about another address");
    let scene = Scene::open()?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let _upstream = chronyd.serve(&scene.lab, &scene.upstream, "local stratum 3\nallow\n")?;
    let ours = {
        let _daemon = daemon()?.start(&scene.lab, &scene.server, DIRECTIVES)?;
        all_said(&scene, command_socket(&scene.lab, &scene.server))?
    };
    let theirs = {
        let socket = scene.lab.folder().join("theirs/chronyd.sock");
        let directives = format!("bindcmdaddress {}\n{DIRECTIVES}", socket.display());
        let _daemon = chronyd.serve(&scene.lab, &scene.server, &directives)?;
        all_said(&scene, socket)?
    };
    let commands: Vec<&str> = commands().collect();
    for ((command, ours), theirs) in commands.iter().zip(&ours).zip(&theirs) {
        ensure!(ours == theirs, "`{command}`:\nours:   {ours:?}\ntheirs: {theirs:?}");
    }
    Ok(())
}

fn commands() -> impl Iterator<Item = &'static str> {
    COMMANDS.split(['|', '\n'])
}

/// What is said to each command, for people and for programs, once the daemon of the server's host follows its upstream
/// and has a client.
fn all_said(scene: &Scene, socket: PathBuf) -> Result<Vec<[Said; 2]>> {
    let chronyc = peers::chronyc().context("chronyc is gone")?;
    let way: Way = socket.into();
    let give = |command: &str| chronyc.give(&scene.server, &way, command);
    until("the daemon follows its upstream", || {
        let sources = give("sources")?.rows();
        // As many samples as make a line.
        let reach = sources.first().filter(|row| row.len() > 5 && row[1] == "*").map(|row| &row[5]);
        Ok(reach.is_some_and(|reach| u32::from_str_radix(reach, 8).is_ok_and(|it| it > 0o17)))
    })?;
    answer(&Client::open(&scene.client, SERVER.v4)?)?;
    let mut said = Vec::new();
    for command in commands() {
        let printed = chronyc.print(&scene.server, &way, command)?;
        // Others print no columns, and one that ends the daemon can be given once.
        let is_report = REPORTS.iter().any(|report| command.starts_with(report));
        let listed = if is_report { give(command)? } else { printed.clone() };
        said.push(
            [printed, listed]
                .map(|told| Said { is_success: told.is_success, shape: shape(&told.output) }),
        );
    }
    Ok(said)
}

/// Sources with a key of each type, with a key that is missing, and with none, in each mode of selection.
fn keys() -> Result<()> {
    let scene = Scene::open()?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let keys = scene.lab.file("ntp.keys", KEYS)?;
    let sources: String = (1..=9)
        .map(|key| format!("server 192.0.2.{key} key {key} offline\n"))
        .chain(["server 192.0.2.10 offline\nserver 192.0.2.11 noselect offline\n".to_owned()])
        .collect();
    for mode in ["require", "prefer", "mix", "ignore"] {
        let directives =
            format!("{sources}allow\nkeyfile {}\nauthselectmode {mode}\n", keys.display());
        let ours = {
            let _daemon = daemon()?.start(&scene.lab, &scene.server, &directives)?;
            told_of_keys(&scene, command_socket(&scene.lab, &scene.server))?
        };
        let theirs = {
            let socket = scene.lab.folder().join("theirs/chronyd.sock");
            let directives = format!("bindcmdaddress {}\n{directives}", socket.display());
            let _daemon = chronyd.serve(&scene.lab, &scene.server, &directives)?;
            told_of_keys(&scene, socket)?
        };
        ensure!(ours == theirs, "{mode}:\nours:   {ours:#?}\ntheirs: {theirs:#?}");
    }
    Ok(())
}

/// Keys of all types.
const KEYS: &str = "\
1 MD5 ASCII:a-secret-for-md5
2 SHA1 HEX:000102030405060708090a0b0c0d0e0f10111213
3 SHA256 ASCII:a-secret-for-sha256
4 SHA384 ASCII:a-secret-for-sha384
5 SHA512 ASCII:a-secret-for-sha512
6 AES128 HEX:00112233445566778899aabbccddeeff
7 AES256 HEX:00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100
8 HEX:0011223344556677
";

/// What is said of authentication, and in selection of the options that are configured and in effect.
fn told_of_keys(scene: &Scene, socket: PathBuf) -> Result<Vec<Vec<String>>> {
    let chronyc = peers::chronyc().context("chronyc is gone")?;
    let way: Way = socket.into();
    let rows = |command: &str| Ok(chronyc.give(&scene.server, &way, command)?.success()?.rows());
    let selected: Vec<Vec<String>> = rows("selectdata")?;
    let options = selected.into_iter().map(|row| row.into_iter().skip(1).take(12).collect());
    let told: Result<Vec<Vec<String>>> = rows("authdata");
    Ok(told?.into_iter().chain(options).collect())
}

/// The words of each line, with `#` in the place of each that has a digit. Which unit a number has depends on its size,
/// and whether a clock is slow or fast is nobody's merit.
fn shape(text: &str) -> String {
    let words = |line: &str| {
        line.split([' ', '[', ']', '(', ')', ':', ',', '/'])
            .filter(|word| !word.is_empty())
            .map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word })
            .map(|word| if word == "slow" { "fast" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(|line| words(line) + "\n").collect()
}
