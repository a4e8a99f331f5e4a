//! Attaches the program to an interface, or takes over the link that an earlier run of the daemon left
//! pinned: the program is replaced between two packets.

use std::io;
use std::path::PathBuf;

use aya::programs::links::{FdLink, LinkError, PinnedLink};
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
}

/// What keeps the program attached.
#[derive(Debug)]
enum Hold {
    /// The link of this process: detached when it is dropped.
    Link { _link: XdpLink },
    /// A pinned link: stays when this process ends.
    Pinned { _link: PinnedLink },
    /// The pinned link of an earlier run, whose program still answers.
    Earlier { pin: PathBuf },
}

impl Attachment {
    /// Attaches `program` as `wanted`. Where the link of an earlier run is pinned, that run's program goes
    /// on answering from its last snapshot until [`Attachment::take_over`] is called.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn new(program: &mut Xdp, wanted: &Wanted) -> Result<Self, AttachError> {
        let index = index_of(&wanted.interface)?;
        if wanted.holdover_s > 0 {
            pins::check_bpffs()?;
        }
        if let Some(pin) = earlier(wanted) {
            let hold = Hold::Earlier { pin: pin.path };
            return Ok(Self { wanted: wanted.clone(), index, mode: pin.mode, hold });
        }
        let (mode, hold) = attach(program, wanted, index)?;
        Ok(Self { wanted: wanted.clone(), index, mode, hold })
    }

    /// Puts `program` in the place of an earlier run's, if that is still there. To be called when there is a
    /// snapshot to answer from.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn take_over(&mut self, program: &mut Xdp) -> Result<(), AttachError> {
        let Hold::Earlier { pin } = &self.hold else { return Ok(()) };
        match replace(program, pin) {
            Ok(link) => {
                self.hold = keep(link, &self.wanted, self.mode)?;
                tracing::info!(interface = self.interface(), "Took over from the previous run");
            }
            Err(error) => {
                // The interface has gone since, perhaps to come back under the same name.
                tracing::debug!(interface = self.interface(), error, "The pinned link is stale");
                unpin(pin);
                (self.mode, self.hold) = attach(program, &self.wanted, self.index)?;
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
        if let Ok(pin) = pins::path_for(self.interface(), self.mode) {
            unpin(&pin);
        }
        (self.mode, self.hold) = attach(program, &self.wanted, index)?;
        self.index = index;
        Ok(true)
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.wanted.interface
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

impl Drop for Attachment {
    /// An earlier run's program that was never replaced is detached, unless it is to hold over.
    fn drop(&mut self) {
        if let Hold::Earlier { pin } = &self.hold
            && self.wanted.holdover_s == 0
        {
            unpin(pin);
        }
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

fn earlier(wanted: &Wanted) -> Option<Pin> {
    pins::list()
        .into_iter()
        .find(|pin| pin.interface == wanted.interface && is_wanted_as(wanted, pin))
}

fn unpin(pin: &std::path::Path) {
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
            Ok(link) => return Ok((mode, keep(link, wanted, mode)?)),
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

/// Replaces the program of a pinned link.
fn replace(program: &mut Xdp, pin: &std::path::Path) -> Result<XdpLink, String> {
    let link = |error: LinkError| with_causes(&error);
    let pinned = PinnedLink::from_pin(pin).map_err(link)?;
    let earlier = XdpLink::try_from(FdLink::from(pinned)).map_err(link)?;
    let replaced = program.attach_to_link(earlier).and_then(|id| program.take_link(id));
    replaced.map_err(|error| with_causes(&error))
}

/// Pins a link if the program is to outlive the daemon, else makes sure that it is not pinned.
fn keep(link: XdpLink, wanted: &Wanted, mode: AttachMode) -> Result<Hold, AttachError> {
    let unpinned =
        |error: String| AttachError::Unpinned { interface: wanted.interface.clone(), error };
    if wanted.holdover_s == 0 {
        pins::list()
            .into_iter()
            .filter(|pin| pin.interface == wanted.interface)
            .for_each(|pin| unpin(&pin.path));
        return Ok(Hold::Link { _link: link });
    }
    let path =
        pins::path_for(&wanted.interface, mode).map_err(|error| unpinned(error.to_string()))?;
    let link = FdLink::try_from(link).map_err(|error| unpinned(with_causes(&error)))?;
    if path.exists() {
        // The link that was taken over: it is pinned as it is.
        let pinned = PinnedLink::from_pin(&path).map_err(|error| unpinned(with_causes(&error)))?;
        return Ok(Hold::Pinned { _link: pinned });
    }
    let pinned = link.pin(&path).map_err(|error| unpinned(with_causes(&error)))?;
    Ok(Hold::Pinned { _link: pinned })
}
