//! The daemon without XDP: it serves everything alone, and in one thread if it is told to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_lab::query::EXTENSION_FIELD;
use ntp_lab::scene::{SERVER, UPSTREAM};

use crate::played::{LOCAL, PATIENCE, Played, answer, counted};
use crate::trial::Needs::{Chronyd, Namespaces};
use crate::trial::trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("daemon answers everything without XDP", &[Namespaces], everything),
        trial(
            "daemon without threads and XDP is one thread and has neither eBPF nor netlink",
            &[Namespaces, Chronyd],
            one_thread,
        ),
    ]
}

fn everything() -> Result<()> {
    for threads in [0, 2] {
        let mut played = Played::open(&format!("{LOCAL}allow\nserverthreads {threads}\n"))?;
        for server in SERVER.both() {
            // Each client has a port of its own, by which the kernel chooses the thread.
            for _ in 0..20 {
                let client = played.client(server)?;
                for _ in 0..10 {
                    ensure!(answer(&client)?.header.stratum == 5, "{threads} threads");
                }
                client.query_with(&EXTENSION_FIELD, PATIENCE)?.answered()?;
            }
        }
        counted(&mut played.daemon, 2 * 20 * 11).with_context(|| format!("{threads} threads"))?;
    }
    Ok(())
}

fn one_thread() -> Result<()> {
    let directives = format!(
        "server {} iburst minpoll -2 maxpoll 0\nallow\nserverthreads 0\ndriftfile drift\n",
        UPSTREAM.v4
    );
    let (played, _) = Played::following(3, &directives)?;
    answer(&played.client(SERVER.v6)?)?;
    let process = Path::new("/proc").join(played.daemon.id().to_string());
    let threads = fs::read_dir(process.join("task"))?.count();
    ensure!(threads == 1, "{threads} threads");

    let netlink = netlink_sockets(&process)?;
    for entry in fs::read_dir(process.join("fd"))? {
        let target = fs::read_link(entry?.path())?;
        let target = target.to_string_lossy();
        ensure!(!target.contains("bpf"), "a descriptor of {target}");
        ensure!(!netlink.contains(target.as_ref()), "a descriptor of netlink");
    }
    Ok(())
}

/// Netlink sockets of the process's network, as its descriptors name them.
fn netlink_sockets(process: &Path) -> Result<BTreeSet<String>> {
    let table = fs::read_to_string(process.join("net/netlink"))?;
    let mut lines = table.lines();
    let titles = lines.next().context("no titles")?;
    let column = titles.split_whitespace().position(|title| title == "Inode");
    let column = column.context("no column of inodes")?;
    let inodes = lines.filter_map(|line| line.split_whitespace().nth(column));
    Ok(inodes.map(|inode| format!("socket:[{inode}]")).collect())
}
