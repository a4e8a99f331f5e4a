//! Source files come and go while the daemon runs: `sourcedir`, and chronyc's `reload sources`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::scene::{Scene, UPSTREAM};
use ntp_lab::{Chronyc, Way, command_socket, peers};

use crate::played::{LOCAL, Played};
use crate::trial::Needs::{Chronyc as ChronycNeeded, Namespaces};
use crate::trial::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "source files are followed when chronyc says so and nothing else is touched",
        &[Namespaces, ChronycNeeded],
        follow,
    )]
}

/// A daemon whose configuration has a folder of source files.
struct Folder {
    path: PathBuf,
    played: Played,
    chronyc: Chronyc,
    way: Way,
}

impl Folder {
    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.path.join(name), text).with_context(|| name.to_owned())
    }

    /// Has the files read, and gives the addresses of all sources and what the daemon logged.
    fn reload(&self) -> Result<(Vec<String>, String)> {
        let before = self.played.daemon.log().len();
        let host = &self.played.scene.server;
        self.chronyc.give(host, &self.way, "reload sources")?.success()?;
        let rows = self.chronyc.give(host, &self.way, "sources")?.success()?.rows();
        let sources = rows.into_iter().filter_map(|row| row.get(2).cloned()).collect();
        let log = self.played.daemon.log();
        Ok((sources, log.get(before..).unwrap_or_default().to_owned()))
    }
}

fn follow() -> Result<()> {
    let scene = Scene::open()?;
    let path = scene.lab.folder().join("sources");
    fs::create_dir(&path)?;
    fs::write(path.join("first.sources"), "server 192.0.2.1\n")?;
    let directives = format!("{LOCAL}allow\nsourcedir {}\nserver 192.0.2.9\n", path.display());
    let played = Played::open_in(scene, &directives)?;
    let way = command_socket(&played.scene.lab, &played.scene.server).into();
    let chronyc = peers::chronyc().context("chronyc is gone")?;
    let folder = Folder { path, played, chronyc, way };

    let (sources, log) = folder.reload()?;
    ensure!(sources == ["192.0.2.1", "192.0.2.9"] && !log.contains("Added"), "{sources:?}\n{log}");

    folder.write("second.sources", &format!("server {} minpoll 4\n", UPSTREAM.v4))?;
    let (sources, log) = folder.reload()?;
    let upstream = UPSTREAM.v4.to_string();
    ensure!(sources == ["192.0.2.1", "192.0.2.9", upstream.as_str()], "{sources:?}");
    ensure!(log.contains(&format!("Added source {upstream}")), "{log}");

    // A source of the configuration proper in a file, another one misspelt: the others are followed.
    folder.write("first.sources", "server 192.0.2.9\nserver 192.0.2.3 ibrust\n")?;
    folder.write("second.sources", &format!("server {upstream} minpoll 5\n"))?;
    let (sources, log) = folder.reload()?;
    ensure!(sources == ["192.0.2.9", upstream.as_str()], "{sources:?}");
    for said in [
        "Removed source 192.0.2.1",
        "Could not add source 192.0.2.9",
        "did you mean `iburst`?",
        &format!("Source {upstream} has other options"),
    ] {
        ensure!(log.contains(said), "not `{said}`:\n{log}");
    }

    fs::remove_file(folder.path.join("first.sources"))?;
    fs::remove_file(folder.path.join("second.sources"))?;
    let (sources, log) = folder.reload()?;
    ensure!(sources == ["192.0.2.9"], "{sources:?}\n{log}");
    Ok(())
}
