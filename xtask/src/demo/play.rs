//! The hosts of the demonstration and the daemons that run in them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ntp_common::counters::Counters;
use ntp_common::wire::{Header, ReferenceId};
use ntp_lab::counters::Told;
use ntp_lab::kernel::{self, XdpMode};
use ntp_lab::query::Client;
use ntp_lab::scene::{CLIENT, DENIED, LAN, SERVER, Scene, UPSTREAM};
use ntp_lab::{Daemon, Host, NtpXdpd, Process, peers};

use crate::report::{present, say, step};

/// The upstream's stratum.
const UPSTREAM_STRATUM: u8 = 1;

/// How long the daemon may take to follow its upstream.
const SYNCHRONISES: Duration = Duration::from_secs(20);

/// How long it is left alone then: its first measurement is that of a cold path.
const SETTLES: Duration = Duration::from_secs(2);

/// Everything that runs.
pub(crate) struct Play {
    // The processes first: they are dropped, which ends them, before their hosts.
    daemon: Daemon,
    upstream: Upstream,
    /// The hosts.
    pub(crate) scene: Scene,
}

/// Where the time comes from.
enum Upstream {
    /// Debian's chronyd.
    Chronyd { version: String, _process: Process },
    /// The project's daemon, where there is no chronyd.
    Own { _daemon: Daemon },
}

impl Upstream {
    fn start(scene: &Scene, program: &NtpXdpd) -> Result<Self> {
        let directives = format!("local stratum {UPSTREAM_STRATUM}\nallow\n");
        let (lab, host) = (&scene.lab, &scene.upstream);
        let Some(chronyd) = peers::chronyd() else {
            return Ok(Self::Own { _daemon: program.start(lab, host, &directives)? });
        };
        let process = chronyd.serve(lab, host, &directives)?;
        Ok(Self::Chronyd { version: chronyd.version().to_owned(), _process: process })
    }

    fn name(&self) -> &str {
        match self {
            Self::Chronyd { version, .. } => version,
            Self::Own { .. } => "ntp-xdpd (there is no chronyd)",
        }
    }
}

impl Play {
    /// Starts everything and waits until the daemon follows its upstream.
    ///
    /// # Errors
    /// Something does not start, or the daemon does not follow.
    pub(crate) fn open(program: &NtpXdpd) -> Result<Self> {
        let scene = Scene::open()?;
        let upstream = Upstream::start(&scene, program)?;
        present("upstream", &format!("{}, local stratum {UPSTREAM_STRATUM}", upstream.name()));

        let directives = directives(&scene);
        say("  ntp-xdpd         with this configuration:");
        for line in directives.lines() {
            say(&format!("                     {line}"));
        }
        let daemon = program.start(&scene.lab, &scene.server, &directives)?;
        let attached = kernel::attached_xdp(&scene.server, LAN)?;
        let mode = attached.context("the daemon serves without XDP")?.mode;
        ensure!(mode == XdpMode::Native, "XDP is attached in {mode:?} mode");
        step("synchronising", "waiting for the daemon to follow its upstream", || {
            let header = synchronised(&scene)
                .with_context(|| format!("the daemon's log:\n{}\nthe client", daemon.log()))?;
            std::thread::sleep(SETTLES);
            Ok(format!("stratum {}", header.stratum))
        })?;
        Ok(Self { daemon, upstream, scene })
    }

    /// What the upstream is.
    pub(crate) fn upstream(&self) -> &str {
        self.upstream.name()
    }

    /// The stratum that the daemon should have.
    pub(crate) fn stratum() -> u8 {
        UPSTREAM_STRATUM + 1
    }

    /// The reference identifier that the daemon should have.
    pub(crate) fn reference_id() -> ReferenceId {
        ReferenceId::from_octets(UPSTREAM.v4.octets())
    }

    /// What XDP has counted so far, as the kernel says.
    ///
    /// # Errors
    /// XDP is not attached any more.
    pub(crate) fn xdp(&self) -> Result<Counters> {
        kernel::xdp_counters(&self.scene.server, LAN)
    }

    /// What the user path has counted so far, as the daemon says.
    ///
    /// # Errors
    /// The daemon does not say.
    pub(crate) fn user(&mut self) -> Result<Told> {
        Ok(self.daemon.served()?.user)
    }

    /// Asks the daemon to end, and checks how it does.
    ///
    /// # Errors
    /// It fails, takes too long, or leaves XDP attached.
    pub(crate) fn stop(self) -> Result<String> {
        let Self { daemon, scene, .. } = self;
        daemon.stop()?.success()?;
        let left = kernel::attached_xdp(&scene.server, LAN)?;
        ensure!(left.is_none(), "XDP is still attached");
        Ok("ended cleanly, XDP is detached".to_owned())
    }

    /// Prints what to try and how to end it, and then the daemon's log as it comes, until a signal ends this
    /// process and with it all that it started.
    pub(crate) fn keep(&self) -> ! {
        let Scene { server, client, .. } = &self.scene;
        let enter = |host: &Host| format!("nsenter --net=/run/netns/{}", host.namespace());
        say("\nEverything is left running. To try:");
        if let Some(chronyd) = peers::chronyd() {
            let query =
                "-Q -u root -t 10 'pidfile /tmp/ntp-xdp-try.pid' 'cmdport 0' 'bindcmdaddress /'";
            let shell = chronyd.shell();
            say(&format!("  {} {shell} {query} 'server {} iburst'", enter(client), SERVER.v4));
        }
        if let Some(ntpdig) = peers::ntpdig() {
            say(&format!("  {} {} {}", enter(client), ntpdig.shell(), SERVER.v6));
        }
        say(&format!("  {} ip -details link show dev {LAN}", enter(server)));
        say(&format!("  kill -USR1 {}    # its counters, in its log below", self.daemon.id()));
        say(&format!(
            "To end everything: Ctrl-C here, or `kill {}`. From now on the log:",
            std::process::id()
        ));
        let mut shown = self.daemon.log().lines().count();
        loop {
            for line in self.daemon.log().lines().skip(shown) {
                say(line);
                shown += 1;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The daemon's configuration.
fn directives(scene: &Scene) -> String {
    let drift = scene.lab.folder().join("drift");
    let networks = CLIENT.networks();
    format!(
        "server {} iburst minpoll -2 maxpoll 0\nxdp {LAN} mode native\nallow {}\nallow {}\ndeny {}\n\
         deny {}\ndriftfile {}\n",
        UPSTREAM.v4,
        networks[0],
        networks[1],
        DENIED.v4,
        DENIED.v6,
        drift.display()
    )
}

/// Asks the daemon until it says that it follows its upstream.
fn synchronised(scene: &Scene) -> Result<Header> {
    let client = Client::open(&scene.client, SERVER.v4)?;
    let deadline = Instant::now() + SYNCHRONISES;
    loop {
        let answer = client.query(Duration::from_millis(500))?.answered()?;
        if answer.header.stratum == Play::stratum() {
            return Ok(answer.header);
        }
        if Instant::now() >= deadline {
            bail!("after {SYNCHRONISES:?} the daemon still says {:?}", answer.header);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
