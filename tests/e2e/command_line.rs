//! The command line under chrony's name, beside chronyd's own: what both print, and how they end.

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::scene::{Scene, UPSTREAM};
use ntp_lab::{Lab, peers};

use crate::trial::Needs::{Chronyd, Namespaces};
use crate::trial::{daemon, trial};

/// Where nobody answers.
const NOBODY: &str = "server 192.0.2.1 iburst";

/// What both are given beside the arguments that are compared: nothing of the machine's own is touched.
const OWN: [&str; 3] = ["port 0", "cmdport 0", "bindcmdaddress /"];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = &[Namespaces, Chronyd];
    vec![
        trial("our command line prints and ends as chronyd's", needs, compared),
        trial("clock is asked for and followed once as by chronyd", needs, once),
        trial("log goes into a file from a level on", &[Namespaces], log_file),
    ]
}

/// Arguments, the exit status, and whether standard output is the same, too.
const CASES: &[(&[&str], i32, bool)] = &[
    (
        &["-p", "server a.example  iburst", "PORT 0", "# nothing", "log tracking\tstatistics"],
        0,
        true,
    ),
    (&["-p", "-f", "FOLDER/whole.conf"], 0, true),
    (&["-p", "-f", "FOLDER/missing.conf"], 1, true),
    (&["-d", "-x", "-f", "FOLDER/missing.conf"], 1, true),
    (&["-p", "-4", "-6", "-n", "-n", "-q", "-Q", "port 0"], 0, true),
    (&["-p", "-fFOLDER/whole.conf", "-t5", "-L-1", "-P", "10", "-m", "-R", "-x", "-U"], 0, true),
    (&["-h"], 0, false),
    (&["--help"], 0, false),
    (&["-v"], 0, false),
    (&["--version"], 0, false),
    (&["-Z"], 1, false),
    (&["-t", "x", "-p", "port 0"], 1, false),
    (&["-d", "-x", "nosuchdirective"], 1, true),
    (&["-d", "-x", "server 192.0.2.1 ibrust"], 1, true),
    (&["-q", "-x", "-t", "1", NOBODY], 1, true),
    (&["-Q", "-t", "1", NOBODY], 1, true),
    (&["-d", "-x", "-t", "1"], 1, true),
    (&["-d", "-x", "-t", "1", "-u", "nosuchuser"], 1, true),
];

/// Both programs, in a host of their own.
struct Both {
    scene: Scene,
}

impl Both {
    fn open() -> Result<Self> {
        let scene = Scene::open()?;
        let folder = scene.lab.folder();
        symlink(daemon()?.program(), folder.join("chronyd"))?;
        let included = scene.lab.file("included.conf", "makestep   1 3\n")?;
        let whole = format!(" RTCSYNC\n! comment\ninclude {}\nport 0\n", included.display());
        scene.lab.file("whole.conf", &whole)?;
        Ok(Self { scene })
    }

    /// Runs ours, then theirs.
    fn run(&self, arguments: &[&str]) -> Result<[Output; 2]> {
        let Scene { lab, server, .. } = &self.scene;
        let ours = server.daemon(lab.folder().join("chronyd"));
        let theirs = peers::chronyd().context("chronyd is gone")?.command(server);
        let outputs = [("ours", ours), ("theirs", theirs)].map(|(name, mut command)| {
            let prints = arguments.contains(&"-p");
            let runs = !prints && ["-d", "-q", "-Q"].iter().any(|mode| arguments.contains(mode));
            let has_file = arguments.contains(&"-f");
            if runs && !arguments.contains(&"-u") {
                // Debian's chronyd becomes a user that the machine may not have.
                command.args(["-u", "root"]);
            }
            command.args(arguments.iter().map(|argument| folder(lab, argument)));
            if runs && !has_file {
                let pidfile = lab.folder().join(format!("{name}.pid"));
                command.args(OWN).arg(format!("pidfile {}", pidfile.display()));
            }
            command.output().context("it can't be run")
        });
        let [ours, theirs] = outputs;
        Ok([ours?, theirs?])
    }
}

fn folder(lab: &Lab, argument: &str) -> String {
    argument.replace("FOLDER", &lab.folder().display().to_string())
}

fn compared() -> Result<()> {
    let both = Both::open()?;
    for (arguments, status, is_same) in CASES {
        let [ours, theirs] = both.run(arguments)?;
        let statuses = [ours.status.code(), theirs.status.code()];
        ensure!(statuses == [Some(*status); 2], "{arguments:?}: {statuses:?}\n{}", said(&ours));
        let same = ours.stdout == theirs.stdout;
        ensure!(same || !is_same, "{arguments:?}:\n{}\n{}", said(&ours), said(&theirs));
    }
    let [ours, _] = both.run(&["-v"])?;
    let line = said(&ours);
    ensure!(line.starts_with("chronyd (ntp-xdp) version "), "{line}");
    ensure!(line.contains(" (+CMDMON ") && line.trim_end().ends_with(')'), "{line}");
    Ok(())
}

fn once() -> Result<()> {
    let both = Both::open()?;
    let chronyd = peers::chronyd().context("chronyd is gone")?;
    let upstream = &both.scene.upstream;
    let _upstream = chronyd.serve(&both.scene.lab, upstream, "local stratum 3\nallow\n")?;
    let server = format!("server {} iburst", UPSTREAM.v4);
    for (arguments, words) in [
        (["-Q", "-t", "20"], "System clock wrong by"),
        (["-d", "-x", "-q"], "System clock wrong by"),
    ] {
        let outputs = both.run(&[&arguments[..], &[&server]].concat())?;
        for output in outputs {
            ensure!(output.status.success(), "{arguments:?}: {}", said(&output));
            for words in [words, "chronyd exiting"] {
                ensure!(said(&output).contains(words), "not said: {words}\n{}", said(&output));
            }
        }
    }
    Ok(())
}

fn log_file() -> Result<()> {
    let both = Both::open()?;
    let Scene { lab, server, .. } = &both.scene;
    let log = lab.folder().join("messages");
    let run = |level: &str| {
        let mut command: Command = server.daemon(lab.folder().join("chronyd"));
        command.args(["-n", "-x", "-t", "1", "-L", level, "-l"]).arg(&log).args(OWN);
        // It warns that the program goes without logs.
        command.args(["pidfile /", "log tracking"]).output().context("it can't be run")
    };
    let output = run("1")?;
    ensure!(output.stderr.is_empty(), "{}", said(&output));
    let text = std::fs::read_to_string(&log)?;
    ensure!(text.contains("`log` has no effect without `logdir`"), "{text}");
    ensure!(!text.contains("starting"), "information below the level\n{text}");
    run("0")?;
    let longer = std::fs::read_to_string(&log)?;
    let added = longer.strip_prefix(&text).context("the file was begun anew")?;
    for words in ["chronyd version", "chronyd exiting"] {
        ensure!(added.contains(words), "not said: {words}\n{added}");
    }
    Ok(())
}

fn said(output: &Output) -> String {
    let Output { stdout, stderr, .. } = output;
    String::from_utf8_lossy(&[stdout.as_slice(), stderr].concat()).into_owned()
}
