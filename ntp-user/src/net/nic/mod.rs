//! What a network interface offers to XDP, and what its operator had better change. It is only read: whether a change is
//! worth its interruption is for the operator to say.

mod advice;
pub(crate) mod ethtool;
mod netdev;

use std::fmt;
use std::thread::available_parallelism;

pub use advice::Advice;
pub use ethtool::{Features, Queues};

use ethtool::Socket;

/// Drivers that can send replies back from XDP (`XDP_TX`) on kernels that do not tell: Linux before 6.3.
const KNOWN_TO_TRANSMIT: &[&str] = &[
    "bnxt_en",
    "ena",
    "i40e",
    "ice",
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "mlx4_en",
    "mlx5_core",
    "mvneta",
    "nfp",
    "qede",
    "sfc",
    "stmmac",
    "tun",
    "veth",
    "virtio_net",
];

/// Whether an interface can do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ability {
    /// It can.
    Yes,
    /// It can't.
    No,
    /// Nobody says.
    #[default]
    Unknown,
}

impl Ability {
    /// As logs and reports name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl From<bool> for Ability {
    fn from(can: bool) -> Self {
        if can { Self::Yes } else { Self::No }
    }
}

/// A network interface as its driver describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// The interface's name.
    pub interface: String,
    /// The driver's name; `None`: it does not tell.
    pub driver: Option<String>,
    /// Its queues; `None`: it does not tell.
    pub queues: Option<Queues>,
    /// CPUs that this process may run on.
    pub cpus: u32,
    /// Whether XDP can send replies back in the driver.
    pub transmit: Ability,
    /// Whether XDP can read when the hardware received a packet (Linux 6.3).
    pub metadata_timestamps: Ability,
    /// Whether sockets can be told when the hardware received any UDP packet.
    pub hardware_timestamps: Ability,
    /// The number of the hardware's clock, as in `/dev/ptp0`; `None`: it has none.
    pub clock: Option<u32>,
    /// Offloads that XDP minds.
    pub features: Features,
}

impl Nic {
    /// Asks the kernel about an interface. What it does not tell stays unknown.
    #[must_use]
    pub fn read(interface: &str) -> Self {
        let mut nic = Self { interface: interface.to_owned(), ..Self::default() };
        nic.cpus =
            available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
        match Socket::open(interface) {
            Ok(socket) => nic.ask_driver(&socket),
            Err(error) => tracing::debug!(interface, %error, "The driver can't be asked"),
        }
        nic.transmit = nic.driver.as_deref().map_or(Ability::Unknown, known_to_transmit);
        match netdev::features(interface) {
            Ok(features) => {
                nic.transmit = features.can_transmit.into();
                nic.metadata_timestamps =
                    features.has_timestamps.map_or(Ability::Unknown, Ability::from);
            }
            Err(error) => tracing::debug!(interface, %error, "The kernel does not tell of XDP"),
        }
        nic
    }

    fn ask_driver(&mut self, socket: &Socket) {
        self.driver = socket.driver().ok();
        self.queues = socket.queues().ok();
        self.features = socket.features().unwrap_or_default();
        if let Ok(stamps) = socket.timestamps() {
            self.hardware_timestamps = stamps.of_all_packets().into();
            self.clock = stamps.clock;
        }
    }

    /// What had better be changed where the program is attached in `mode`.
    #[must_use]
    pub fn advice(&self, is_native: bool) -> Vec<Advice> {
        advice::advise(self, is_native)
    }

    /// Logs what was found where the program is attached, and what had better be changed.
    pub fn log(&self, is_native: bool) {
        let queues = self.queues.unwrap_or_default();
        tracing::info!(
            interface = self.interface,
            mode = if is_native { "native" } else { "generic" },
            driver = self.driver.as_deref().unwrap_or("unknown"),
            receive_queues = queues.receive,
            transmit_queues = queues.transmit,
            cpus = self.cpus,
            xdp_tx = self.transmit.name(),
            xdp_receive_timestamps = self.metadata_timestamps.name(),
            hardware_timestamps = self.hardware_timestamps.name(),
            "Interface of XDP"
        );
        for advice in self.advice(is_native) {
            tracing::warn!(
                interface = self.interface,
                command = advice.command,
                "{}",
                advice.reason
            );
        }
    }
}

/// What it offers, in a line: driver, queues, and what its driver can do for XDP.
impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "driver {}", self.driver.as_deref().unwrap_or("unknown"))?;
        if let Some(queues) = self.queues {
            let plural = if queues.receive == 1 { "" } else { "s" };
            write!(f, ", {} receive queue{plural} for {} CPUs", queues.receive, self.cpus)?;
        }
        let (transmit, stamps) = (self.transmit.name(), self.metadata_timestamps.name());
        write!(f, ", XDP_TX {transmit}, receive timestamps in XDP {stamps}")
    }
}

/// What is known of a driver when the kernel does not tell.
fn known_to_transmit(driver: &str) -> Ability {
    if KNOWN_TO_TRANSMIT.contains(&driver) { Ability::Yes } else { Ability::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_described_without_guessing() {
        let nic = Nic::read("lo");
        // Its driver tells nothing, and cannot send from XDP; kernels before 6.3 do not say so.
        assert!(matches!(nic.transmit, Ability::No | Ability::Unknown), "{nic:?}");
        assert_ne!(nic.metadata_timestamps, Ability::Yes);
        assert_ne!(nic.hardware_timestamps, Ability::Yes);
        assert_eq!(nic.clock, None);
        assert!(nic.cpus > 0);
    }

    #[test]
    fn interface_that_is_not_there_is_unknown() {
        let nic = Nic::read("nowhere0");
        let expected = Nic { interface: "nowhere0".to_owned(), cpus: nic.cpus, ..Nic::default() };
        assert_eq!(nic, expected);
    }

    #[test]
    fn interface_is_told_of_in_a_line() {
        let queues = Queues { receive: 4, transmit: 4, most: 8, is_combined: true };
        let nic = Nic {
            driver: Some("ice".to_owned()),
            queues: Some(queues),
            cpus: 8,
            transmit: Ability::Yes,
            metadata_timestamps: Ability::Yes,
            ..Nic::default()
        };
        let text =
            "driver ice, 4 receive queues for 8 CPUs, XDP_TX yes, receive timestamps in XDP yes";
        assert_eq!(nic.to_string(), text);
        let unknown = "driver unknown, XDP_TX unknown, receive timestamps in XDP unknown";
        assert_eq!(Nic::default().to_string(), unknown);
    }

    #[test]
    fn unknown_drivers_are_not_taken_for_unable() {
        assert_eq!(known_to_transmit("virtio_net"), Ability::Yes);
        assert_eq!(known_to_transmit("newnic"), Ability::Unknown);
    }
}
