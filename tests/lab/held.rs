//! What must not outlive this process, in one list, so that a signal's thread can undo all of it.
//!
//! Invariant: an entry is in the list from before it is made until after it is undone.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Something to undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A child process that nobody has waited for yet, so that its number is still its own.
    Process(i32),
    /// A named network namespace.
    Namespace(String),
    /// A mounted file system.
    Mount(PathBuf),
    /// A folder with all that is in it.
    Folder(PathBuf),
}

/// A resource in the list: undone when this is dropped.
#[derive(Debug)]
pub(crate) struct Held(Resource);

static LIST: Mutex<Vec<Resource>> = Mutex::new(Vec::new());
static WATCH: Once = Once::new();

impl Held {
    /// Puts `resource` on the list.
    pub(crate) fn new(resource: Resource) -> Self {
        WATCH.call_once(watch_signals);
        list().push(resource.clone());
        Self(resource)
    }

    /// Takes the resource off the list without undoing it: it is no more.
    pub(crate) fn release(self) {
        list().retain(|resource| *resource != self.0);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut list = list();
        if let Some(index) = list.iter().position(|resource| *resource == self.0) {
            undo(&self.0);
            list.remove(index);
        }
    }
}

impl Resource {
    /// The order of undoing: processes first, as they keep mounts and namespaces busy.
    fn rank(&self) -> u8 {
        match self {
            Self::Process(_) => 0,
            Self::Mount(_) => 1,
            Self::Namespace(_) => 2,
            Self::Folder(_) => 3,
        }
    }
}

/// Undoes one resource as well as it can be: there is nobody to report a failure to.
pub(crate) fn undo(resource: &Resource) {
    match resource {
        Resource::Process(pid) => {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        Resource::Namespace(name) => {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
        Resource::Mount(path) => {
            let _ = umount2(path, MntFlags::MNT_DETACH);
        }
        Resource::Folder(path) => {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn list() -> MutexGuard<'static, Vec<Resource>> {
    // The list is right whatever a panicking holder did: it is changed by single calls.
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that undoes everything and ends this process when a signal asks for its end.
fn watch_signals() {
    let Ok(mut signals) = Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let mut list = list();
            list.sort_by_key(Resource::rank);
            list.iter().for_each(undo);
            std::process::exit(128 + signal);
        }
    });
}
