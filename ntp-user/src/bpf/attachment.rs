//! Attaches the program to an interface, or takes over the link that an earlier run of the daemon left
//! pinned: the program is replaced between two packets.

use std::io;
use std::path::Path;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode as AyaMode};
use aya::programs::{ProgramError, Xdp};
use nix::net::if_::if_nametoindex;
use ntp_engine::conf::{Xdp as Wanted, XdpMode};

use super::pins::{self, NoBpfFs, Pin};
use super::program::with_causes;

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver.
    Native,
    /// In the generic hook, behind the driver.
    Generic,
}

impl AttachMode {
    /// As the configuration and logs name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    const fn for_aya(self) -> AyaMode {
        match self {
            Self::Native => AyaMode::Driver,
            Self::Generic => AyaMode::Skb,
        }
    }
}

/// Why the program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no such interface.
    #[error("interface `{0}` does not exist")]
    NoInterface(String),
    /// Somebody else's program is there.
    #[error("interface `{0}` already has an XDP program: detach it with `ip link set {0} xdp off`")]
    Busy(String),
    /// The driver or the kernel can't.
    #[error("cannot attach to `{interface}` in {mode} mode: {error}", mode = .mode.name())]
    Refused {
        /// The interface.
        interface: String,
        /// The mode that was tried.
        mode: AttachMode,
        /// What the kernel said.
        error: String,
    },
    /// Links can't be pinned.
    #[error(transparent)]
    NoBpfFs(#[from] NoBpfFs),
    /// The link was not pinned.
    #[error("cannot pin the link of `{interface}` for `holdover`: {error}")]
    Unpinned {
        /// The interface.
        interface: String,
        /// The reason.
        error: String,
    },
}

/// The program on one interface.
#[derive(Debug)]
pub struct Attachment {
    wanted: Wanted,
    index: u32,
    mode: AttachMode,
    hold: Hold,
    failure_logged: bool,
}

/// What keeps the program attached.
#[derive(Debug)]
enum Hold {
    /// A link: detached when it is dropped, unless it is pinned.
    Link(XdpLink),
    /// A link that was pinned here: stays when this process ends.
    Pinned { _link: PinnedLink },
    /// The link of an earlier run, whose program still answers.
    Earlier(PinnedLink),
    /// Nothing: it is not attached.
    Nothing,
}

impl Attachment {
    /// Attaches `program` as `wanted`. Where the link of an earlier run is pinned, that run's program goes
    /// on answering from its last snapshot until [`Attachment::take_over`] is called. What is attached here
    /// goes with this value until [`Attachment::pin`] is called.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn new(program: &mut Xdp, wanted: &Wanted) -> Result<Self, AttachError> {
        let index = index_of(&wanted.interface)?;
        if wanted.holdover_s > 0 {
            pins::check_bpffs()?;
        }
        let (mode, hold) = match earlier(wanted) {
            Some((mode, link)) => (mode, Hold::Earlier(link)),
            None => attach(program, wanted, index)?,
        };
        Ok(Self { wanted: wanted.clone(), index, mode, hold, failure_logged: false })
    }

    /// Pins the link, if the program is to outlive the daemon.
    ///
    /// # Errors
    /// [`AttachError::Unpinned`]; it is detached then.
    pub fn pin(&mut self) -> Result<(), AttachError> {
        if self.wanted.holdover_s == 0 {
            return Ok(());
        }
        self.hold = match std::mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Link(link) => Hold::Pinned { _link: pin(link, &self.wanted, self.mode)? },
            other @ (Hold::Pinned { .. } | Hold::Earlier(_) | Hold::Nothing) => other,
        };
        Ok(())
    }

    /// Whether it is as `wanted`.
    #[must_use]
    pub fn is_as(&self, wanted: &Wanted) -> bool {
        self.wanted == *wanted
    }

    /// Attaches as `wanted`, which is about the same interface; where the mode stays the program does, too.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn change(&mut self, program: &mut Xdp, wanted: &Wanted) -> Result<(), AttachError> {
        if wanted.holdover_s > 0 {
            pins::check_bpffs()?;
        }
        self.wanted = wanted.clone();
        if !modes(wanted.mode).contains(&self.mode) {
            self.detach();
            (self.mode, self.hold) = attach(program, wanted, self.index)?;
        } else if wanted.holdover_s == 0 {
            // Without its pin the link lasts as long as it is held here.
            remove_pins(self.interface());
        }
        self.pin()
    }

    /// Takes the program off the interface, for good.
    pub fn detach(&mut self) {
        self.hold = Hold::Nothing;
        remove_pins(self.interface());
    }

    /// Puts `program` in the place of an earlier run's, if that is still there.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn take_over(&mut self, program: &mut Xdp) -> Result<(), AttachError> {
        let earlier = match std::mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Earlier(earlier) => earlier,
            other @ (Hold::Link(_) | Hold::Pinned { .. } | Hold::Nothing) => {
                self.hold = other;
                return Ok(());
            }
        };
        match replace(program, earlier) {
            Ok(link) => {
                // If it was pinned it still is.
                self.hold = Hold::Link(link);
                tracing::info!(interface = self.interface(), "Took over from the previous run");
            }
            Err(error) => {
                // The interface has gone since, perhaps to come back under the same name.
                tracing::debug!(interface = self.interface(), error, "The pinned link is stale");
                remove_pins(self.interface());
                (self.mode, self.hold) = attach(program, &self.wanted, self.index)?;
                self.pin()?;
            }
        }
        Ok(())
    }

    /// Attaches again when the interface has gone and come back. Whether it had.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn restore(&mut self, program: &mut Xdp) -> Result<bool, AttachError> {
        let Ok(index) = index_of(self.interface()) else { return Ok(false) };
        if index == self.index {
            return Ok(false);
        }
        self.hold = Hold::Nothing;
        remove_pins(self.interface());
        (self.mode, self.hold) = attach(program, &self.wanted, index)?;
        self.pin()?;
        self.index = index;
        self.failure_logged = false;
        Ok(true)
    }

    /// Logs that the program is not attached, once for each time that it could have been.
    pub fn log_failure(&mut self, error: &AttachError) {
        if !std::mem::replace(&mut self.failure_logged, true) {
            tracing::error!(interface = self.interface(), %error, "XDP is off");
        }
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.wanted.interface
    }

    /// Whether a program answers on the interface: this one or an earlier run's.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        match self.hold {
            Hold::Link(_) | Hold::Pinned { .. } | Hold::Earlier(_) => true,
            Hold::Nothing => false,
        }
    }

    /// How the program is attached.
    #[must_use]
    pub const fn mode(&self) -> AttachMode {
        self.mode
    }

    /// How long the program answers after the daemon has gone, seconds; 0: it is detached.
    #[must_use]
    pub fn holdover_s(&self) -> u8 {
        self.wanted.holdover_s
    }
}

/// Removes pins that nobody wants any more: of interfaces that are no longer configured, of modes that are
/// no longer wanted, and of other builds. That detaches their programs.
pub fn remove_stale_pins(wanted: &[Wanted]) {
    for pin in pins::list() {
        let is_wanted =
            wanted.iter().any(|xdp| xdp.interface == pin.interface && is_wanted_as(xdp, &pin));
        if !is_wanted {
            tracing::info!(interface = pin.interface, "Detached the program of a previous run");
            unpin(&pin.path);
        }
    }
}

fn is_wanted_as(wanted: &Wanted, pin: &Pin) -> bool {
    pin.is_ours && modes(wanted.mode).contains(&pin.mode)
}

/// The link that an earlier run has left pinned, and its mode. Unless the program is to hold over this run,
/// too, the link is unpinned: then it lasts as long as it is held here.
fn earlier(wanted: &Wanted) -> Option<(AttachMode, PinnedLink)> {
    let is_ours = |pin: &Pin| pin.interface == wanted.interface && is_wanted_as(wanted, pin);
    let pin = pins::list().into_iter().find(is_ours)?;
    let link = PinnedLink::from_pin(&pin.path);
    if link.is_err() || wanted.holdover_s == 0 {
        unpin(&pin.path);
    }
    link.ok().map(|link| (pin.mode, link))
}

fn remove_pins(interface: &str) {
    let pins = pins::list().into_iter().filter(|pin| pin.interface == interface);
    pins.for_each(|pin| unpin(&pin.path));
}

fn unpin(pin: &Path) {
    if let Err(error) = std::fs::remove_file(pin)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(pin = %pin.display(), %error, "A pinned link can't be removed");
    }
}

/// Modes to try, in their order.
const fn modes(mode: XdpMode) -> &'static [AttachMode] {
    match mode {
        XdpMode::Auto => &[AttachMode::Native, AttachMode::Generic],
        XdpMode::Native => &[AttachMode::Native],
        XdpMode::Generic => &[AttachMode::Generic],
    }
}

/// Index of an interface.
///
/// # Errors
/// [`AttachError::NoInterface`].
pub fn index_of(interface: &str) -> Result<u32, AttachError> {
    if_nametoindex(interface).map_err(|_| AttachError::NoInterface(interface.to_owned()))
}

fn attach(
    program: &mut Xdp,
    wanted: &Wanted,
    index: u32,
) -> Result<(AttachMode, Hold), AttachError> {
    let mut refusal = AttachError::NoInterface(wanted.interface.clone());
    for &mode in modes(wanted.mode) {
        let attached = program
            .attach_to_if_index(index, mode.for_aya())
            .and_then(|link| program.take_link(link));
        match attached {
            Ok(link) => return Ok((mode, Hold::Link(link))),
            Err(error) => {
                refusal = refused(wanted, mode, &error);
                tracing::debug!(error = %refusal, "Not attached");
            }
        }
        if matches!(refusal, AttachError::Busy(_)) {
            break;
        }
    }
    Err(refusal)
}

fn refused(wanted: &Wanted, mode: AttachMode, error: &ProgramError) -> AttachError {
    let interface = wanted.interface.clone();
    let errno = if let ProgramError::SyscallError(error) = error {
        error.io_error.raw_os_error()
    } else {
        None
    };
    match errno {
        Some(libc::EBUSY | libc::EEXIST) => AttachError::Busy(interface),
        _ => AttachError::Refused { interface, mode, error: with_causes(error) },
    }
}

/// Replaces the program of an earlier run's link.
fn replace(program: &mut Xdp, earlier: PinnedLink) -> Result<XdpLink, String> {
    let link = XdpLink::try_from(FdLink::from(earlier)).map_err(|error| with_causes(&error))?;
    let replaced = program.attach_to_link(link).and_then(|id| program.take_link(id));
    replaced.map_err(|error| with_causes(&error))
}

fn pin(link: XdpLink, wanted: &Wanted, mode: AttachMode) -> Result<PinnedLink, AttachError> {
    let interface = &wanted.interface;
    let unpinned = |error: String| AttachError::Unpinned { interface: interface.clone(), error };
    let path = pins::path_for(interface, mode).map_err(|error| unpinned(error.to_string()))?;
    let link = FdLink::try_from(link).map_err(|error| unpinned(with_causes(&error)))?;
    link.pin(&path).map_err(|error| unpinned(with_causes(&error)))
}
