//! A laboratory: a folder for files, hosts, and the links between them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Once};

use anyhow::{Context, Result};

use crate::held::{Held, Resource};
use crate::leftovers::{self, PREFIX};
use crate::{Host, host, rights};

/// A set of hosts with names of its own, and a folder for what their programs read and write.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    folder: PathBuf,
    held: Arc<Held>,
}

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The host that it is in.
    pub host: &'a Host,
    /// The interface's name there, at most 15 octets.
    pub interface: &'a str,
    /// Its addresses with their prefix lengths, of either family. Programs that do not choose use
    /// the first of a family.
    pub addresses: &'a [&'a str],
}

static SWEEP: Once = Once::new();
static SERIAL: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// Opens a laboratory.
    ///
    /// # Errors
    /// This process may not make namespaces, or the folder cannot be made.
    pub fn open() -> Result<Self> {
        rights::make_namespaces().map_err(anyhow::Error::msg)?;
        SWEEP.call_once(leftovers::sweep);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{PREFIX}{}-{serial}-", std::process::id());
        let folder = std::env::temp_dir().join(format!("{prefix}files"));
        let held = Arc::new(Held::new(Resource::Folder(folder.clone())));
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { prefix, folder, held })
    }

    /// The folder for files; removed with the laboratory and the last of its hosts.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file into the folder and returns its path.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Makes a host: a network namespace with loopback up, and a BPF file system of its own.
    ///
    /// # Errors
    /// The kernel or a program refuses.
    pub fn host(&self, name: &str) -> Result<Host> {
        Host::new(name, &format!("{}{name}", self.prefix), &self.folder, Arc::clone(&self.held))
    }

    /// Joins two hosts by a veth pair with both ends up. What an XDP program sends back at one end arrives at the
    /// other only while that is [`crate::Passing`].
    ///
    /// # Errors
    /// The kernel or a program refuses.
    pub fn link(&self, one: End<'_>, other: End<'_>) -> Result<()> {
        self.link_with_queues(one, other, 1)
    }

    /// As [`Lab::link`], with so many queues at both ends: what one CPU sends arrives in a queue of its own.
    ///
    /// # Errors
    /// The kernel or a program refuses.
    pub fn link_with_queues(&self, one: End<'_>, other: End<'_>, queues: usize) -> Result<()> {
        let (left, right) = (one.host.namespace(), other.host.namespace());
        let queues = queues.to_string();
        let queues = ["numrxqueues", &queues, "numtxqueues", &queues];
        host::ip(&[
            &["link", "add", one.interface, "netns", left],
            &queues,
            &["type", "veth", "peer", "name", other.interface, "netns", right],
            &queues,
        ])?;
        for End { host, interface, addresses } in [one, other] {
            let namespace = host.namespace();
            for (index, address) in addresses.iter().enumerate() {
                let add = ["-n", namespace, "addr", "add", address, "dev", interface];
                let is_first = !addresses[..index].iter().any(|other| other.contains(':'));
                host::ip(&[&add, options(address, is_first)])?;
            }
            host::ip(&[&["-n", namespace, "link", "set", interface, "up"]])?;
        }
        Ok(())
    }

    /// A command of this machine itself, in the laboratory's folder.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        command
    }
}

/// How an address is added: usable at once; an IPv6 address that is not the first of its interface only for
/// those who ask for it, as is the way of IPv4.
fn options(address: &str, is_first_of_v6: bool) -> &'static [&'static str] {
    match (address.contains(':'), is_first_of_v6) {
        (false, _) => &[],
        (true, true) => &["nodad"],
        (true, false) => &["nodad", "preferred_lft", "0"],
    }
}
