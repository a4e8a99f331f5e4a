//! A host of the laboratory: a network namespace and a BPF file system of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};

use crate::held::{Held, Resource};
use crate::leftovers::NAMESPACES;
use crate::run;

/// How long a program may take that has nothing to wait for.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(10);

/// The right to set the clock, as `setpriv` names it.
const CLOCK: &str = "sys_time";

/// Where programs expect the BPF file system.
const BPFFS: &str = "/sys/fs/bpf";

/// A network namespace with a name.
#[derive(Debug)]
pub struct Host {
    name: String,
    namespace: String,
    bpffs: PathBuf,
    folder: PathBuf,
    // Dropped in this order: the mount before the namespace, and before the folder that it is in.
    _mount: Held,
    _namespace: Held,
    _folder: Arc<Held>,
}

impl Host {
    pub(crate) fn new(
        name: &str,
        namespace: &str,
        folder: &Path,
        held_folder: Arc<Held>,
    ) -> Result<Self> {
        let held_namespace = Held::new(Resource::Namespace(namespace.to_owned()));
        ip(&[&["netns", "add", namespace]])?;
        ip(&[&["-n", namespace, "link", "set", "lo", "up"]])?;

        let bpffs = folder.join(format!("bpf-{name}"));
        fs::create_dir(&bpffs)?;
        let held_mount = Held::new(Resource::Mount(bpffs.clone()));
        mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("cannot mount a BPF file system")?;
        Ok(Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            bpffs,
            folder: folder.to_owned(),
            _mount: held_mount,
            _namespace: held_namespace,
            _folder: held_folder,
        })
    }

    /// The name that it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the network namespace, as `ip netns` knows it.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The folder that programs of this host see as `/sys/fs/bpf`: pins outlive the programs.
    #[must_use]
    pub fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// A command in this host's network, with all rights of this process and the machine's own files.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file().display())).arg("--").arg(program);
        command.current_dir(&self.folder);
        command
    }

    /// A command for a daemon: in this host's network, with this host's BPF file system, and without the right
    /// to set the clock. Its process number is the started child's: every program before it gives way to it.
    pub fn daemon(&self, program: impl AsRef<OsStr>) -> Command {
        self.daemon_without(&[], program)
    }

    /// As [`Host::daemon`], and without `capabilities`, which are named as `setpriv` does.
    pub fn daemon_without(&self, capabilities: &[&str], program: impl AsRef<OsStr>) -> Command {
        self.confined(capabilities, &[], program.as_ref())
    }

    /// As [`Host::daemon`], and with these files or folders in the places of the machine's own: first what is to be
    /// seen, then where.
    pub fn daemon_seeing(&self, files: &[(&Path, &str)], program: impl AsRef<OsStr>) -> Command {
        self.confined(&[], files, program.as_ref())
    }

    fn confined(&self, capabilities: &[&str], files: &[(&Path, &str)], program: &OsStr) -> Command {
        let dropped = [&[CLOCK], capabilities].concat().join(",-");
        let mut command = self.command("unshare");
        command.args(["--mount", "--", "sh", "-c"]);
        let mounts = files.iter().map(|(file, place)| (*file, *place));
        let mounts = mounts.chain([(self.bpffs.as_path(), BPFFS)]);
        let mounts = mounts.map(|(file, place)| format!("mount --bind {} {place}", file.display()));
        let mounts: Vec<String> = mounts.collect();
        command.arg(format!("{} && exec \"$@\"", mounts.join(" && "))).arg("sh");
        command.arg("setpriv").arg(format!("--bounding-set=-{dropped}"));
        command.arg(format!("--inh-caps=-{dropped}")).arg("--").arg(program);
        command
    }

    /// Does `work` on a thread of its own whose network is this host's: sockets made there stay there.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` fails or panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = File::open(self.file())
            .with_context(|| format!("no network namespace {}", self.namespace))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(file, CloneFlags::CLONE_NEWNET)?;
                work()
            });
            thread.join().map_err(|_| anyhow!("panicked in {}", self.namespace))?
        })
    }

    fn file(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.namespace)
    }
}

/// Runs `ip` with the words of all `parts`.
pub(crate) fn ip(parts: &[&[&str]]) -> Result<()> {
    run(Command::new("ip").args(parts.concat()), AT_ONCE)?.success()?;
    Ok(())
}
