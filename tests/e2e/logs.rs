//! chrony's log files, written by us and by chronyd, and read by one reader.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use ntp_lab::scene::{SERVER, Scene, UPSTREAM};
use ntp_lab::{Process, Way, command_socket, peers};

use crate::played::until;
use crate::refclocks::{self, Shows};
use crate::trial::Needs::{Chronyc, Chronyd, Namespaces};
use crate::trial::{daemon, trial};

/// The files that a client writes, and the kinds of their columns behind date, time and address: a letter or
/// digit each of flags (`f`), a whole number (`i`), an octal or hexadecimal one (`x`), a number (`n`).
const FILES: [(&str, &str); 4] = [
    ("measurements.log", "fifffiinnnnnnxfff"),
    ("statistics.log", "nnnnnniiin"),
    ("tracking.log", "innnfinnnnn"),
    ("selection.log", "ffxnnnn"),
];

/// Rows between two headings.
const BANNER: usize = 4;

const LOG: &str = "log rawmeasurements statistics tracking selection\nlogbanner 4\n";

/// Whom the daemon becomes.
const USER: &str = "nobody";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("our log files are read like chronyd's", &[Namespaces, Chronyd], like_chronyd),
        trial(
            "rows of reference clocks and temperatures are chronyd's",
            &[Namespaces, Chronyd],
            clocks_and_temperatures,
        ),
        trial(
            "log files that were renamed are begun anew when chronyc or a signal says so",
            &[Namespaces, Chronyd, Chronyc],
            rotation,
        ),
    ]
}

fn like_chronyd() -> Result<()> {
    let scene = Scene::open()?;
    let (ours, theirs) = (scene.lab.folder().join("a/ours"), scene.lab.folder().join("theirs"));
    let _upstream = upstream(&scene)?;
    let directives = format!(
        "server {} iburst minpoll 0 maxpoll 0 prefer\nallow\n{LOG}logdir {}\nuser {USER}\n",
        UPSTREAM.v4,
        ours.display()
    );
    let _daemon = daemon()?.start(&scene.lab, &scene.server, &directives)?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let directives = format!(
        "server {} iburst minpoll 0 maxpoll 0\n{LOG}logdir {}\n",
        SERVER.v4,
        theirs.display()
    );
    let _client = chronyd.serve(&scene.lab, &scene.client, &directives)?;
    for folder in [&ours, &theirs] {
        until("there are rows in every file", || {
            Ok(FILES.iter().all(|(name, _)| rows(folder, name) > 2 * BANNER))
        })
        .with_context(|| folder.display().to_string())?;
    }
    for (name, kinds) in FILES {
        let (our, their) = (Read::file(&ours, name, kinds)?, Read::file(&theirs, name, kinds)?);
        ensure!(our.heading == their.heading, "{name}: {}\n{}", our.heading, their.heading);
        // A number that is wider than its column shifts those behind it, in either program's file.
        ensure!(
            our.ends.first() == their.ends.first(),
            "{name}: columns end at {:?} and {:?}",
            our.ends,
            their.ends
        );
    }
    let user = User::from_name(USER)?.context("there is no such user")?;
    let folder = fs::metadata(&ours)?;
    ensure!((folder.uid(), folder.mode() & 0o777) == (user.uid.as_raw(), 0o750), "{folder:?}");
    Ok(())
}

/// Both are sent the same readings of a clock, and read the same temperature.
fn clocks_and_temperatures() -> Result<()> {
    let scene = Scene::open()?;
    let heat = scene.lab.file("heat", "29000\n")?;
    let folders = ["ours", "theirs"].map(|name| scene.lab.folder().join(name));
    let sockets = folders.each_ref().map(|folder| folder.with_extension("sock"));
    let [our_directives, their_directives] = [0, 1].map(|index| {
        format!(
            "refclock SOCK {} refid GPS poll 0 offset 0.25\nlogbanner 4\nlogdir {}\n\
             log refclocks tempcomp statistics tracking selection\n\
             tempcomp {} 1 26000 0.0 0.000183 0.0\nallow\n",
            sockets[index].display(),
            folders[index].display(),
            heat.display()
        )
    });
    let _daemon = daemon()?.start(&scene.lab, &scene.server, &our_directives)?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let _theirs = chronyd.serve(&scene.lab, &scene.client, &their_directives)?;
    let sender = UnixDatagram::unbound()?;
    let _shows = Shows::time(move |now| {
        let message = refclocks::message(now, -0.25);
        sockets.iter().for_each(|socket| drop(sender.send_to(&message, socket)));
    });
    let names = ["refclocks", "tempcomp", "statistics", "tracking", "selection"]
        .map(|kind| format!("{kind}.log"));
    for folder in &folders {
        until("there are rows in every file", || {
            Ok(names.iter().all(|name| rows(folder, name) > 2 * BANNER))
        })
        .with_context(|| folder.display().to_string())?;
    }
    for name in &names {
        let texts = folders.each_ref().map(|folder| fs::read_to_string(folder.join(name)));
        let [ours, theirs] = texts;
        compare_rows(name, &ours?, &theirs?)?;
    }
    Ok(())
}

/// Compares the headings, the places of columns, and what does not depend on whose clock it is.
fn compare_rows(name: &str, ours: &str, theirs: &str) -> Result<()> {
    let heading = |text: &str| text.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    ensure!(heading(ours) == heading(theirs), "{name}: {:?}", heading(ours));
    let row = |text: &str, kind: &dyn Fn(&str) -> bool| {
        let rows = text.lines().filter(|line| line.starts_with("20") && kind(line));
        rows.last().map(str::to_owned)
    };
    let is_sample = |line: &str| line.contains("  - ");
    let is_selected = |line: &str| !line.contains("0.0.0.0");
    let kinds: &[&dyn Fn(&str) -> bool] = match name {
        "refclocks.log" => &[&|line| !is_sample(line), &is_sample],
        _ => &[&is_selected],
    };
    for kind in kinds {
        let (Some(ours), Some(theirs)) = (row(ours, kind), row(theirs, kind)) else {
            bail!("{name}: a kind of rows is missing\n{ours}\n{theirs}");
        };
        let ends = [&ours, &theirs].map(|row| word_ends(row));
        ensure!(ends[0] == ends[1], "{name}:\n{ours}\n{theirs}");
        let words = [&ours, &theirs].map(|row| row.split_whitespace().skip(2).collect::<Vec<_>>());
        let [ours, theirs] = &words;
        // The temperature is not the clock's, and nor is what the clock is called.
        let same = if name == "tempcomp.log" { 2 } else { 1 };
        ensure!(ours[..same] == theirs[..same], "{name}: {words:?}");
        if name == "refclocks.log" {
            ensure!(ours[2] == "N" && theirs[2] == "N", "{words:?}");
            for (column, expected) in [(4, -0.25), (5, 0.0)] {
                let values = [ours[column], theirs[column]].map(str::parse::<f64>);
                let [Ok(ours), Ok(theirs)] = values else { continue };
                let is_near = |value: f64| (value - expected).abs() < 0.01;
                ensure!(is_near(ours) && is_near(theirs), "column {column}: {words:?}");
            }
        }
    }
    Ok(())
}

fn rotation() -> Result<()> {
    let scene = Scene::open()?;
    let logs = scene.lab.folder().join("logs");
    let _upstream = upstream(&scene)?;
    let directives = format!(
        "server {} minpoll -2 maxpoll -2\nlog measurements\nlogdir {}\nallow\n",
        UPSTREAM.v4,
        logs.display()
    );
    let daemon = daemon()?.start(&scene.lab, &scene.server, &directives)?;
    let chronyc = peers::chronyc().context("chronyc is gone")?;
    let way: Way = command_socket(&scene.lab, &scene.server).into();
    let file = logs.join("measurements.log");
    let has_rows = || Ok(rows(&logs, "measurements.log") > 0);
    until("there are rows", has_rows)?;
    for by_signal in [false, true] {
        let old = logs.join(format!("old-{by_signal}"));
        fs::rename(&file, &old)?;
        if by_signal {
            kill(Pid::from_raw(daemon.id().cast_signed()), Signal::SIGUSR1)?;
        } else {
            chronyc.give(&scene.server, &way, "cyclelogs")?.success()?;
        }
        until("there are rows in a new file", has_rows)?;
        let text = fs::read_to_string(&file)?;
        ensure!(text.starts_with("===="), "the new file has no heading\n{text}");
        ensure!(fs::read_to_string(&old)?.ends_with('\n'), "the old file was cut off");
    }
    Ok(())
}

fn upstream(scene: &Scene) -> Result<Process> {
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    chronyd.serve(&scene.lab, &scene.upstream, "local stratum 3\nallow\n")
}

/// Rows of a file that may not be there yet.
fn rows(folder: &Path, name: &str) -> usize {
    let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("20")).count()
}

/// What the reader made of a file.
struct Read {
    heading: String,
    /// Where columns end.
    ends: BTreeSet<Vec<usize>>,
}

impl Read {
    /// Reads a file whose columns are of these kinds.
    fn file(folder: &Path, name: &str, kinds: &str) -> Result<Self> {
        let text = fs::read_to_string(folder.join(name))?;
        let lines: Vec<&str> = text.lines().collect();
        let mut read = Self { heading: lines[1].to_owned(), ends: BTreeSet::new() };
        let rule = "=".repeat(read.heading.len());
        // The last block may still be written.
        for block in lines.chunks_exact(3 + BANNER) {
            let [above, heading, below, rows @ ..] = block else { bail!("{name}: {block:?}") };
            ensure!([*above, *below] == [&rule; 2], "{name}: no heading in {block:?}");
            ensure!(*heading == read.heading, "{name}: {heading}");
            for row in rows {
                read.ends.insert(ends(row, kinds).with_context(|| format!("{name}: {row}"))?);
            }
        }
        Ok(read)
    }
}

/// Where the columns of a row end, if they are of these kinds.
fn ends(row: &str, kinds: &str) -> Result<Vec<usize>> {
    let words: Vec<&str> = row.split_ascii_whitespace().collect();
    let [date, time, address, columns @ ..] = words.as_slice() else { bail!("too short") };
    ensure!(date.split('-').count() == 3 && time.split(':').count() == 3, "no date and time");
    address.parse::<std::net::IpAddr>()?;
    ensure!(columns.len() == kinds.len(), "{} columns", columns.len());
    for (column, kind) in columns.iter().zip(kinds.chars()) {
        match kind {
            'i' => drop(column.parse::<i32>()?),
            'x' => drop(u32::from_str_radix(column, 16)?),
            'n' => drop(column.parse::<f64>()?),
            _ => ensure!(column.len() <= 5, "{column}"),
        }
    }
    Ok(word_ends(row))
}

/// Where words end: a blank or the end follows. The third is an address or a name, padded to its column.
fn word_ends(row: &str) -> Vec<usize> {
    let octets = row.as_bytes();
    let is_end =
        |&at: &usize| octets[at] != b' ' && octets.get(at + 1).is_none_or(|next| *next == b' ');
    let ends = (0..octets.len()).filter(is_end).enumerate().filter(|(word, _)| *word != 2);
    ends.map(|(_, at)| at).collect()
}
