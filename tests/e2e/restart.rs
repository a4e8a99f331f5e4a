//! What the daemon has measured outlives it, with -r and without privileges.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::scene::{Scene, UPSTREAM};

use crate::played::{LONG, Played};
use crate::trial::Needs::{Chronyd, Namespaces};
use crate::trial::trial;

/// Lines of a file before its samples.
const HEAD: usize = 4;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "daemon that is restarted takes up what it has measured",
            &[Namespaces, Chronyd],
            || restart(""),
        ),
        trial(
            "histories are kept by a daemon that has dropped its privileges",
            &[Namespaces, Chronyd],
            || restart("user nobody\n"),
        ),
    ]
}

fn restart(more: &str) -> Result<()> {
    let scene = Scene::open()?;
    let folder = scene.lab.folder().join("kept/dump");
    let file = folder.join(format!("{}.dat", UPSTREAM.v4));
    let server = format!("server {} iburst minpoll -3 maxpoll -3\n", UPSTREAM.v4);
    let directives = format!("{server}dumpdir {}\nallow\n{more}", folder.display());
    let (played, _) = Played::following_in(scene, 3, &directives)?;

    let mut kept = 0;
    let mut played = played.restart(&["-r"], &directives, || {
        kept = std::fs::read_to_string(&file)?.lines().count();
        ensure!(kept > HEAD, "nothing was kept");
        Ok(())
    })?;
    let expected = format!("Loaded {} samples of {}", kept - HEAD, UPSTREAM.v4);
    played.daemon.wait_for_line(&expected, LONG)?;
    ensure!(files(&folder)?.is_empty(), "what was taken up is still there");
    played.synchronised()?;

    // Without -r it is of no use any more.
    let played = played.restart(&[], &directives, || {
        ensure!(files(&folder)? == [file.clone()], "nothing was kept");
        Ok(())
    })?;
    ensure!(files(&folder)?.is_empty(), "what is of no use is still there");
    played.synchronised()?;
    let log = played.daemon.log();
    ensure!(!log.contains("Loaded"), "{log}");
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
}
