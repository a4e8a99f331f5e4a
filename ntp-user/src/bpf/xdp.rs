//! XDP as the daemon runs it: one program, its interfaces, and what they are told.

use std::time::Duration;

use ntp_common::acl::AclControl;
use ntp_common::counters::Counters;
use ntp_common::time::{MonoNs, NANOS_PER_SECOND};
use ntp_engine::conf::Xdp as Wanted;

use super::acl_map::AclMap;
use super::arrivals::describe;
use super::attachment::{AttachError, AttachMode, Attachment};
use super::clients_map::MappedClients;
use super::program::{Built, LoadError, Program};
use super::serving_map::MappedPage;
use crate::access::{AccessRules, TooManyRules};
use crate::metrics::Interface;
use crate::net::nic::Nic;

/// XDP is not on.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    /// The program was not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The program is loaded, and on none of the interfaces.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

/// The program at work.
#[derive(Debug)]
pub struct Xdp {
    program: Program,
    acl: AclMap,
    attachments: Vec<Attachment>,
    awaits_take_over: bool,
    /// When the clocks of interfaces were read last, and what had been published last then.
    clocks_read: (MonoNs, Option<MonoNs>),
}

/// The program, loaded and about to be attached.
#[derive(Debug)]
pub struct Loaded {
    program: Program,
    acl: AclMap,
    page: MappedPage,
    clients: Option<MappedClients>,
}

/// The memory that the program shares with those who serve beside it.
#[derive(Debug)]
pub struct SharedMaps {
    /// For who publishes snapshots.
    pub page: MappedPage,
    /// For who charges clients, if that is done.
    pub clients: Option<MappedClients>,
}

impl Loaded {
    /// Loads the program. It answers nobody before rules and a snapshot are in its maps.
    ///
    /// # Errors
    /// [`XdpError::Load`].
    pub fn new(built: Built) -> Result<Self, XdpError> {
        let program = Program::load(built)?;
        let (acl, page, clients) =
            (program.acl_map()?, program.serving_page()?, program.clients_map()?);
        Ok(Self { program, acl, page, clients })
    }

    /// Attaches the program to all interfaces that can take it.
    ///
    /// # Errors
    /// The first interface with a mode of its own, not `auto`, that can't take it.
    pub fn attach(mut self, wanted: &[Wanted]) -> Result<(Xdp, SharedMaps), XdpError> {
        let mut attachments = Vec::new();
        for wanted in wanted {
            match Attachment::new(&mut self.program, wanted) {
                Ok(attachment) => attachments.push(attachment),
                Err(error) if may_go_without(wanted, &error) => {
                    tracing::warn!(interface = wanted.interface, %error, "Serving without XDP");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Self { program, acl, page, clients } = self;
        let clocks_read = (MonoNs(0), None);
        let xdp = Xdp { program, acl, attachments, awaits_take_over: true, clocks_read };
        Ok((xdp, SharedMaps { page, clients }))
    }
}

/// Whether an interface is served without XDP rather than not at all.
fn may_go_without(wanted: &Wanted, error: &AttachError) -> bool {
    match error {
        AttachError::Busy(_) | AttachError::Refused { .. } => {
            wanted.mode == ntp_engine::conf::XdpMode::Auto
        }
        AttachError::NoInterface(_)
        | AttachError::Load(_)
        | AttachError::NoBpfFs(_)
        | AttachError::Unpinned { .. } => false,
    }
}

impl Xdp {
    /// Compiles access rules for the program; the control word puts them into force.
    ///
    /// # Errors
    /// [`TooManyRules`].
    pub fn fill_access(&mut self, rules: &AccessRules) -> Result<AclControl, TooManyRules> {
        self.acl.fill(rules)
    }

    /// Lets the program outlive the daemon where it is to hold over. Until then, whatever fails leaves
    /// nothing behind.
    ///
    /// # Errors
    /// [`AttachError::Unpinned`].
    pub fn pin(&mut self) -> Result<(), AttachError> {
        self.attachments.iter_mut().try_for_each(Attachment::pin)
    }

    /// To be called when the daemon knows the time, or the last snapshot of an earlier run has expired: puts
    /// the program in the place of an earlier run's, which has gone on answering until now.
    pub fn go_live(&mut self) {
        if !std::mem::take(&mut self.awaits_take_over) {
            return;
        }
        self.for_each_attachment(|attachment, program| {
            attachment.take_over(program).map(|()| false)
        });
    }

    /// Attaches the program again to interfaces that have gone and come back.
    pub fn restore(&mut self) {
        self.for_each_attachment(Attachment::restore);
    }

    /// To be called after whatever the daemon did: reads the clocks of interfaces whose receive timestamps are used,
    /// every second and after each publication of a snapshot, before which the system clock may have been steered.
    pub fn follow_clocks(&mut self, publication: Option<MonoNs>, now: MonoNs) {
        let (read, published) = self.clocks_read;
        if now >= read.after(NANOS_PER_SECOND) || publication != published {
            self.clocks_read = (now, publication);
            self.program.refresh_clocks();
        }
    }

    fn for_each_attachment(
        &mut self,
        mut act: impl FnMut(&mut Attachment, &mut Program) -> Result<bool, AttachError>,
    ) {
        for attachment in &mut self.attachments {
            match act(attachment, &mut self.program) {
                Ok(false) => {}
                Ok(true) => log_path(attachment),
                Err(error) => attachment.log_failure(&error),
            }
        }
    }

    /// Answers on the `wanted` interfaces from now on, and on no others.
    ///
    /// # Errors
    /// The first interface that has not been there so far and can't take the program though its mode is not
    /// `auto`: then nothing is changed. That one which is there can't be changed is logged.
    pub fn change_interfaces(&mut self, wanted: &[Wanted]) -> Result<(), XdpError> {
        let known = |attachments: &[Attachment], wanted: &Wanted| {
            attachments.iter().position(|it| it.interface() == wanted.interface)
        };
        let program = &mut self.program;
        let mut added = Vec::new();
        for wanted in wanted.iter().filter(|it| known(&self.attachments, it).is_none()) {
            let attached = Attachment::new(program, wanted).and_then(|mut attachment| {
                attachment.take_over(program)?;
                attachment.pin()?;
                Ok(attachment)
            });
            match attached {
                Ok(attachment) => added.push(attachment),
                Err(error) if may_go_without(wanted, &error) => {
                    tracing::warn!(interface = wanted.interface, %error, "Serving without XDP");
                }
                Err(error) => {
                    for attachment in &mut added {
                        attachment.detach(program);
                    }
                    return Err(error.into());
                }
            }
        }
        self.attachments.retain_mut(|attachment| {
            let stays = wanted.iter().any(|it| it.interface == attachment.interface());
            if !stays {
                attachment.detach(program);
                tracing::info!(interface = attachment.interface(), "XDP is off");
            }
            stays
        });
        for wanted in wanted {
            let Some(index) = known(&self.attachments, wanted) else { continue };
            let attachment = &mut self.attachments[index];
            if !attachment.is_as(wanted) {
                match attachment.change(program, wanted) {
                    Ok(()) => log_path(attachment),
                    Err(error) => attachment.log_failure(&error),
                }
            }
        }
        added.iter().for_each(log_path);
        self.attachments.append(&mut added);
        Ok(())
    }

    /// Says on which interfaces requests are answered in the kernel, and how.
    pub fn log_paths(&self) {
        tracing::info!(octets = self.program.octets(), "Memory of XDP");
        self.attachments.iter().for_each(log_path);
    }

    /// Interfaces that the program is on.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        self.attachments.iter().map(|attachment| attachment.interface().to_owned()).collect()
    }

    /// Interfaces on which the program answers now, and how.
    #[must_use]
    pub fn attached(&self) -> Vec<Interface> {
        let attached = self.attachments.iter().filter(|attachment| attachment.is_attached());
        attached
            .map(|attachment| Interface {
                name: attachment.interface().to_owned(),
                mode: attachment.mode().name(),
                arrivals: attachment.stamping().slot().and_then(|slot| self.program.arrivals(slot)),
            })
            .collect()
    }

    /// Logs what became of receive timestamps of the hardware, where they are wished for.
    pub(crate) fn log_arrivals(&self) {
        for interface in self.attachments.iter().map(Attachment::interface) {
            if let Some(arrivals) = self.describe_arrivals(interface) {
                tracing::info!(interface, "Hardware receive timestamps in XDP: {arrivals}");
            }
        }
    }

    /// What there is to say of an interface's receive timestamps of the hardware; `None`: nobody wishes for them.
    #[must_use]
    pub fn describe_arrivals(&self, interface: &str) -> Option<String> {
        let attachment = self.attachments.iter().find(|it| it.interface() == interface)?;
        let stamping = attachment.stamping();
        describe(stamping, stamping.slot().and_then(|slot| self.program.arrivals(slot)))
    }

    /// How long requests are answered after the daemon has gone; `None`: not at all.
    #[must_use]
    pub fn hold(&self) -> Option<Duration> {
        let longest = self.attachments.iter().map(Attachment::holdover_s).max()?;
        (longest > 0).then(|| Duration::from_secs(longest.into()))
    }

    /// What the program has counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.program.counters()
    }
}

fn log_path(attachment: &Attachment) {
    tracing::info!(
        interface = attachment.interface(),
        mode = attachment.mode().name(),
        holdover_s = attachment.holdover_s(),
        "Answering in XDP"
    );
    Nic::read(attachment.interface()).log(attachment.mode() == AttachMode::Native);
}
