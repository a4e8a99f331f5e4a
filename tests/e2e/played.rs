//! A scene with the daemon in it, and what most tests ask of it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use ntp_common::counters::{Counters, Family};
use ntp_common::wire::{Header, NTP_PORT};
use ntp_lab::kernel;
use ntp_lab::query::{Answer, Client, Reply};
use ntp_lab::scene::{LAN, SERVER, Scene};
use ntp_lab::{Daemon, Process, peers};

use crate::trial::daemon;

/// How long a reply is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// How long silence is listened to.
pub(crate) const QUIET: Duration = Duration::from_millis(20);

/// How long something is waited for that comes by itself.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A clock that is served whatever happens.
pub(crate) const LOCAL: &str = "local stratum 5\n";

/// Both families.
pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The daemon at work. The order of the fields is that of their end.
pub(crate) struct Played {
    pub(crate) daemon: Daemon,
    upstream: Option<Process>,
    pub(crate) scene: Scene,
}

impl Played {
    /// Starts the daemon with `directives`.
    pub(crate) fn open(directives: &str) -> Result<Self> {
        Self::open_in(Scene::open()?, directives)
    }

    /// Starts the daemon with `directives` in a scene that has files for it.
    pub(crate) fn open_in(scene: Scene, directives: &str) -> Result<Self> {
        let daemon = daemon()?.start(&scene.lab, &scene.server, directives)?;
        Ok(Self { daemon, upstream: None, scene })
    }

    /// Starts chronyd as an upstream with `local stratum` of that number, and the daemon with `directives`, which
    /// make it a source; waits until the daemon follows.
    pub(crate) fn following(stratum: u8, directives: &str) -> Result<(Self, Header)> {
        Self::following_in(Scene::open()?, stratum, directives)
    }

    /// As [`Played::following`], in a scene that has files for the daemon.
    pub(crate) fn following_in(
        scene: Scene,
        stratum: u8,
        directives: &str,
    ) -> Result<(Self, Header)> {
        let chronyd = peers::chronyd().context("chronyd is gone")?;
        let upstream = format!("local stratum {stratum}\nallow\n");
        let upstream = Some(chronyd.serve(&scene.lab, &scene.upstream, &upstream)?);
        let daemon = daemon()?.start(&scene.lab, &scene.server, directives)?;
        let played = Self { daemon, upstream, scene };
        let header = played.synchronised()?;
        Ok((played, header))
    }

    /// Ends the daemon, and starts it with more `arguments` once it was looked at what it has left.
    pub(crate) fn restart(
        self,
        arguments: &[&str],
        directives: &str,
        look: impl FnOnce() -> Result<()>,
    ) -> Result<Self> {
        let Self { daemon: first, upstream, scene } = self;
        let ended = first.stop()?.success()?;
        look().with_context(|| ended.output)?;
        let mut command = daemon()?.command(&scene.server);
        command.args(arguments);
        let daemon = Daemon::start(&scene.lab, &scene.server, command, directives)?;
        Ok(Self { daemon, upstream, scene })
    }

    /// Sends a signal to the upstream, if it was started.
    pub(crate) fn signal_upstream(&self, signal: Signal) -> Result<()> {
        self.upstream.as_ref().context("there is no upstream")?.signal(signal)
    }

    /// Waits until the daemon says that it is synchronised.
    pub(crate) fn synchronised(&self) -> Result<Header> {
        let client = self.client(SERVER.v4)?;
        let mut last = None;
        until("the daemon is synchronised", || {
            last = Some(client.query(PATIENCE)?.answered()?.header);
            Ok(last.is_some_and(|header| header.stratum != 0))
        })
        .with_context(|| format!("{last:?}\n{}", self.daemon.log()))?;
        last.context("nothing was asked")
    }

    /// A client of the server's address `server`.
    pub(crate) fn client(&self, server: impl Into<IpAddr>) -> Result<Client> {
        Client::open(&self.scene.client, server)
    }

    /// A client with the source address `source`.
    pub(crate) fn client_from(&self, source: IpAddr, server: IpAddr) -> Result<Client> {
        Client::between(&self.scene.client, source, SocketAddr::new(server, NTP_PORT))
    }

    /// What XDP has counted, by the kernel's account.
    pub(crate) fn xdp(&self) -> Result<Counters> {
        kernel::xdp_counters(&self.scene.server, LAN)
    }

    /// Fails unless no XDP program is attached and nobody serves.
    pub(crate) fn has_ended(scene: &Scene) -> Result<()> {
        let xdp = kernel::attached_xdp(&scene.server, LAN)?;
        ensure!(xdp.is_none(), "XDP is attached: {xdp:?}");
        let reply = Client::open(&scene.client, SERVER.v4)?.query(PATIENCE)?;
        ensure!(matches!(reply, Reply::Refused), "{reply:?} from a daemon that does not run");
        Ok(())
    }
}

/// Asks once and returns the answer.
pub(crate) fn answer(client: &Client) -> Result<Answer> {
    client.query(PATIENCE)?.answered()
}

/// Waits until the daemon has counted as many answers of its own, which it does after it has sent them; XDP must
/// have answered none.
pub(crate) fn counted(daemon: &mut Daemon, expected: u64) -> Result<()> {
    let mut served = daemon.served()?;
    until("all answers are counted", || {
        served = daemon.served()?;
        Ok(served.user.answered >= expected)
    })
    .with_context(|| format!("{served:?}"))?;
    ensure!(served.user.answered == expected && served.xdp.answered == 0, "{served:?}");
    Ok(())
}

/// Waits until `is_so`.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + LONG;
    while !is_so()? {
        if Instant::now() >= deadline {
            bail!("not in {LONG:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
