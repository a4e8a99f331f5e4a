//! Attaches the program to an interface, or takes over the link that an earlier run of the daemon left
//! pinned: the program is replaced between two packets.

use std::io;

use nix::net::if_::if_nametoindex;
use ntp_engine::conf::{Xdp as Wanted, XdpMode};

use super::arrivals::{Refusal, Stamping};
use super::earlier_runs::{earlier, remove_pins};
use super::link::Link;
use super::pins::{self, NoBpfFs};
use super::program::{LoadError, Program};
use crate::net::nic::{Ability, Nic};

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
    /// There is no program.
    #[error(transparent)]
    Load(#[from] LoadError),
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
    stamping: Stamping,
    failure_logged: bool,
}

/// What keeps the program attached.
#[derive(Debug)]
enum Hold {
    /// A link: detached when it is dropped, unless it is pinned, and whether it is.
    Link(Link, bool),
    /// The link of an earlier run, whose program still answers.
    Earlier(Link),
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
    pub fn new(program: &mut Program, wanted: &Wanted) -> Result<Self, AttachError> {
        let index = index_of(&wanted.interface)?;
        if wanted.holdover_s > 0 {
            pins::check_bpffs()?;
        }
        let (earlier, mode) = earlier(wanted).unzip();
        let mut attachment = Self {
            wanted: wanted.clone(),
            index,
            mode: mode.unwrap_or(AttachMode::Generic),
            hold: earlier.map_or(Hold::Nothing, Hold::Earlier),
            stamping: Stamping::Unwanted,
            failure_logged: false,
        };
        if !attachment.is_attached() {
            attachment.attach(program)?;
        }
        Ok(attachment)
    }

    /// Attaches the program, in the first mode that it can be.
    fn attach(&mut self, program: &mut Program) -> Result<(), AttachError> {
        let (mode, link) = attach(program, &self.wanted, self.index)?;
        (self.mode, self.hold) = (mode, Hold::Link(link, false));
        self.stamp(program);
        Ok(())
    }

    /// Puts the program that reads receive timestamps of the hardware in the place of the ordinary one, if it is wanted
    /// and can be had.
    fn stamp(&mut self, program: &mut Program) {
        self.end_stamping(program);
        if !self.wanted.hwtimestamp {
            return;
        }
        self.stamping = self.try_to_stamp(program).unwrap_or_else(Stamping::Off);
        let (interface, state) = (self.interface(), &self.stamping);
        match state {
            Stamping::Off(refusal) => {
                tracing::warn!(interface, "No hardware receive timestamps in XDP: {refusal}");
            }
            Stamping::On { lacks: Some(lacks), .. } => {
                tracing::warn!(interface, "Hardware receive timestamps in XDP are absent: {lacks}");
            }
            Stamping::On { lacks: None, .. } | Stamping::Unwanted => {
                tracing::info!(interface, "Hardware receive timestamps in XDP are read");
            }
        }
    }

    fn try_to_stamp(&self, program: &mut Program) -> Result<Stamping, Refusal> {
        let Hold::Link(link, _) = &self.hold else { return Ok(Stamping::Unwanted) };
        if self.mode != AttachMode::Native {
            return Err(Refusal::Generic);
        }
        let nic = Nic::read(self.interface());
        if nic.metadata_timestamps == Ability::No {
            return Err(Refusal::NotOffered(nic.driver.unwrap_or_default()));
        }
        let (bound, slot) = program.bind(self.index)?;
        let lacks = program.watch(slot, self.interface());
        if let Err(error) = link.replace(bound) {
            program.forget(slot);
            return Err(Refusal::Attach(error));
        }
        Ok(Stamping::On { slot, lacks })
    }

    fn end_stamping(&mut self, program: &mut Program) {
        if let Stamping::On { slot, .. } = std::mem::take(&mut self.stamping) {
            program.forget(slot);
        }
    }

    /// Pins the link, if the program is to outlive the daemon.
    ///
    /// # Errors
    /// [`AttachError::Unpinned`]; it is detached then.
    pub fn pin(&mut self) -> Result<(), AttachError> {
        let Hold::Link(link, is_pinned @ false) = &mut self.hold else { return Ok(()) };
        if self.wanted.holdover_s == 0 {
            return Ok(());
        }
        match pin(link, &self.wanted, self.mode) {
            Ok(()) => *is_pinned = true,
            Err(error) => {
                self.hold = Hold::Nothing;
                return Err(error);
            }
        }
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
    pub fn change(&mut self, program: &mut Program, wanted: &Wanted) -> Result<(), AttachError> {
        if wanted.holdover_s > 0 {
            pins::check_bpffs()?;
        }
        let stamps_as_before = self.wanted.hwtimestamp == wanted.hwtimestamp;
        self.wanted = wanted.clone();
        if !modes(wanted.mode).contains(&self.mode) {
            self.detach(program);
            self.attach(program)?;
        } else if !stamps_as_before {
            if let Hold::Link(link, _) = &self.hold {
                let replaced = link.replace(program.descriptor());
                replaced.map_err(|error| refused(wanted, self.mode, &error))?;
            }
            self.stamp(program);
        }
        if wanted.holdover_s == 0 {
            // Without its pin the link lasts as long as it is held here.
            remove_pins(self.interface());
            if let Hold::Link(_, is_pinned) = &mut self.hold {
                *is_pinned = false;
            }
        }
        self.pin()
    }

    /// Takes the program off the interface, for good.
    pub fn detach(&mut self, program: &mut Program) {
        self.end_stamping(program);
        self.hold = Hold::Nothing;
        remove_pins(self.interface());
    }

    /// Puts `program` in the place of an earlier run's, if that is still there.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn take_over(&mut self, program: &mut Program) -> Result<(), AttachError> {
        let earlier = match std::mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Earlier(earlier) => earlier,
            other @ (Hold::Link(..) | Hold::Nothing) => {
                self.hold = other;
                return Ok(());
            }
        };
        match earlier.replace(program.descriptor()) {
            Ok(()) => {
                // It was unpinned when it was found, unless it is to stay pinned.
                self.hold = Hold::Link(earlier, self.wanted.holdover_s > 0);
                tracing::info!(interface = self.interface(), "Took over from the previous run");
                self.stamp(program);
            }
            Err(error) => {
                // The interface has gone since, perhaps to come back under the same name.
                tracing::debug!(interface = self.interface(), %error, "The pinned link is stale");
                remove_pins(self.interface());
                self.attach(program)?;
                self.pin()?;
            }
        }
        Ok(())
    }

    /// Attaches again when the interface has gone and come back. Whether it had.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn restore(&mut self, program: &mut Program) -> Result<bool, AttachError> {
        let Ok(index) = index_of(self.interface()) else { return Ok(false) };
        if index == self.index {
            return Ok(false);
        }
        self.detach(program);
        let former = std::mem::replace(&mut self.index, index);
        if let Err(error) = self.attach(program).and_then(|()| self.pin()) {
            self.index = former;
            return Err(error);
        }
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
            Hold::Link(..) | Hold::Earlier(_) => true,
            Hold::Nothing => false,
        }
    }

    /// How the program is attached.
    #[must_use]
    pub const fn mode(&self) -> AttachMode {
        self.mode
    }

    /// Whether receive timestamps of the hardware are read.
    #[must_use]
    pub const fn stamping(&self) -> &Stamping {
        &self.stamping
    }

    /// How long the program answers after the daemon has gone, seconds; 0: it is detached.
    #[must_use]
    pub fn holdover_s(&self) -> u8 {
        self.wanted.holdover_s
    }
}

/// Modes to try, in their order.
pub(super) const fn modes(mode: XdpMode) -> &'static [AttachMode] {
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
    program: &Program,
    wanted: &Wanted,
    index: u32,
) -> Result<(AttachMode, Link), AttachError> {
    let mut refusal = AttachError::NoInterface(wanted.interface.clone());
    for &mode in modes(wanted.mode) {
        match Link::new(program.descriptor(), index, mode) {
            Ok(link) => return Ok((mode, link)),
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

fn refused(wanted: &Wanted, mode: AttachMode, error: &io::Error) -> AttachError {
    let interface = wanted.interface.clone();
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => AttachError::Busy(interface),
        _ => AttachError::Refused { interface, mode, error: error.to_string() },
    }
}

fn pin(link: &Link, wanted: &Wanted, mode: AttachMode) -> Result<(), AttachError> {
    let interface = &wanted.interface;
    let pinned = pins::path_for(interface, mode).and_then(|path| link.pin(&path));
    pinned.map_err(|error| AttachError::Unpinned {
        interface: interface.clone(),
        error: error.to_string(),
    })
}
