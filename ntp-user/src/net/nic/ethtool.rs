//! Asks a driver about its interface: `SIOCETHTOOL`, netdevice(7), with the structures of linux/ethtool.h as rows of
//! 32-bit words. Nothing is changed, and no privilege is needed, but to have packets stamped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use crate::net::socket::udp;

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GET_TS_INFO: u32 = 0x41;

/// The strings that name features.
const ETH_SS_FEATURES: u32 = 4;
/// Octets and words of a string.
const ETH_GSTRING_LEN: usize = 32;
const GSTRING_WORDS: usize = ETH_GSTRING_LEN / 4;
/// More features than any kernel has.
const MAX_FEATURES: u32 = 512;

/// Stamps of all packets, or of NTP's: bits of `rx_filters`, `linux/net_tstamp.h`.
const HWTSTAMP_FILTER_ALL: u32 = 1 << 1;
const HWTSTAMP_FILTER_NTP_ALL: u32 = 1 << 15;

/// Queues of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Those that receive.
    pub receive: u32,
    /// Those that send.
    pub transmit: u32,
    /// How many could receive.
    pub most: u32,
    /// Whether each does both.
    pub is_combined: bool,
}

/// Offloads that XDP minds, as far as they are switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// VLAN tags are taken out of frames (`rx-vlan-offload`).
    pub takes_vlan_tags: bool,
    /// Packets are merged (`large-receive-offload`).
    pub merges_packets: bool,
    /// Packets are merged so that they can be told apart again (`rx-gro-hw`).
    pub merges_in_hardware: bool,
}

/// Timestamps that the hardware takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timestamps {
    /// `SOF_TIMESTAMPING_*` flags.
    pub(crate) flags: u32,
    /// Bits of `HWTSTAMP_TX_*` modes of packets that leave.
    pub(crate) transmit_types: u32,
    /// Bits of `HWTSTAMP_FILTER_*` filters of packets that come in.
    pub(crate) receive_filters: u32,
    /// The clock that they are of, as in `/dev/ptp0`.
    pub(crate) clock: Option<u32>,
}

impl Timestamps {
    /// Whether packets that come in are stamped, all, or all of NTP's.
    pub(super) fn of_all_packets(&self) -> bool {
        self.receive_filters & (HWTSTAMP_FILTER_ALL | HWTSTAMP_FILTER_NTP_ALL) != 0
    }
}

/// A socket to ask through.
pub(crate) struct Socket {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Socket {
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let mut name = [0; libc::IFNAMSIZ];
        if interface.len() >= name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in name.iter_mut().zip(interface.bytes()) {
            *to = from.cast_signed();
        }
        Ok(Self { socket: udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?, name })
    }

    /// The driver's name.
    pub(super) fn driver(&self) -> io::Result<String> {
        let mut words = [0; 49];
        words[0] = ETHTOOL_GDRVINFO;
        self.ask(&mut words)?;
        Ok(text(&words[1..=GSTRING_WORDS]))
    }

    pub(super) fn queues(&self) -> io::Result<Queues> {
        let mut words = [0; 9];
        words[0] = ETHTOOL_GCHANNELS;
        self.ask(&mut words)?;
        Ok(queues(&words))
    }

    /// What timestamps the interface takes.
    pub(crate) fn timestamps(&self) -> io::Result<Timestamps> {
        let mut words = [0; 11];
        words[0] = ETHTOOL_GET_TS_INFO;
        self.ask(&mut words)?;
        let &[_, flags, clock, transmit_types, .., receive_filters, _, _, _] = &words;
        // -1: there is none.
        let clock = Some(clock).filter(|&it| it != u32::MAX);
        Ok(Timestamps { flags, transmit_types, receive_filters, clock })
    }

    /// Has the interface stamp packets that leave, as `HWTSTAMP_TX_*` says, and that come in, as
    /// `HWTSTAMP_FILTER_*` says. Takes `CAP_NET_ADMIN`.
    pub(crate) fn stamp_packets(&self, transmit: u32, filter: u32) -> io::Result<()> {
        self.call(libc::SIOCSHWTSTAMP, &mut [0, transmit, filter])
    }

    /// Has the interface stamp all packets that come in, or all of NTP's, whichever it can, if it does neither yet.
    pub(crate) fn stamp_received(&self, can: &Timestamps) -> io::Result<()> {
        let mut is = [0; 3];
        // Who does not tell stamps nothing.
        let [_, transmit, filter] = self.call(libc::SIOCGHWTSTAMP, &mut is).map_or([0; 3], |()| is);
        let wanted = [HWTSTAMP_FILTER_ALL, HWTSTAMP_FILTER_NTP_ALL];
        if wanted.contains(&1u32.checked_shl(filter).unwrap_or_default()) {
            return Ok(());
        }
        let filter = wanted.into_iter().find(|&filter| can.receive_filters & filter != 0);
        let filter = filter.ok_or(io::ErrorKind::Unsupported)?;
        self.stamp_packets(transmit, filter.trailing_zeros())
    }

    pub(super) fn features(&self) -> io::Result<Features> {
        // One string set is asked about, by its bit in a mask of 64; its length comes behind.
        let mut set = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0, 0];
        self.ask(&mut set)?;
        let count = set[4].min(MAX_FEATURES);
        let mut names = vec![0; 3 + count as usize * GSTRING_WORDS];
        names[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count]);
        self.ask(&mut names)?;
        let blocks = count.div_ceil(u32::BITS);
        let mut states = vec![0; 2 + blocks as usize * BLOCK_WORDS];
        states[..2].copy_from_slice(&[ETHTOOL_GFEATURES, blocks]);
        self.ask(&mut states)?;
        let (names, _) = names[3..].as_chunks::<GSTRING_WORDS>();
        Ok(features(names, &states[2..]))
    }

    /// Has the kernel answer a question in place.
    fn ask(&self, words: &mut [u32]) -> io::Result<()> {
        self.call(SIOCETHTOOL, words)
    }

    fn call(&self, request: libc::Ioctl, words: &mut [u32]) -> io::Result<()> {
        let kind = request;
        let data = words.as_mut_ptr().cast();
        let mut request = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data },
        };
        // SAFETY: the request names an interface and points at words, as many as the question in the first of them is
        // answered with; both live during the call.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), kind, &raw mut request) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// Words of the state of 32 features: available, requested, active, never changed.
const BLOCK_WORDS: usize = 4;
const ACTIVE: usize = 2;

/// `struct ethtool_channels`: the most of receive, transmit, other and combined ones, then how many there are.
fn queues(words: &[u32; 9]) -> Queues {
    let &[_, most_receive, _, _, most_combined, receive, transmit, _, combined] = words;
    Queues {
        receive: receive.saturating_add(combined),
        transmit: transmit.saturating_add(combined),
        most: most_receive.max(most_combined),
        is_combined: most_combined > 0,
    }
}

fn features(names: &[[u32; GSTRING_WORDS]], states: &[u32]) -> Features {
    let is_on = |wanted: &str| {
        let index = names.iter().position(|name| text(name) == wanted);
        index.is_some_and(|index| {
            let word = states.get(index / 32 * BLOCK_WORDS + ACTIVE).copied().unwrap_or_default();
            word >> (index % 32) & 1 != 0
        })
    };
    Features {
        takes_vlan_tags: is_on("rx-vlan-hw-parse"),
        merges_packets: is_on("rx-lro"),
        merges_in_hardware: is_on("rx-gro-hw"),
    }
}

/// A string that ends with a zero, or with its words.
fn text(words: &[u32]) -> String {
    let octets = words.iter().flat_map(|word| word.to_ne_bytes());
    let octets: Vec<u8> = octets.take_while(|&octet| octet != 0).collect();
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_of_both_kinds_are_counted() {
        let separate = queues(&[0x3c, 4, 4, 0, 0, 2, 1, 0, 0]);
        let expected = Queues { receive: 2, transmit: 1, most: 4, is_combined: false };
        assert_eq!(separate, expected);
        let combined = queues(&[0x3c, 0, 0, 1, 8, 0, 0, 1, 6]);
        let expected = Queues { receive: 6, transmit: 6, most: 8, is_combined: true };
        assert_eq!(combined, expected);
    }

    #[test]
    fn features_are_found_by_name_in_blocks_of_32() {
        let name = |text: &str| {
            let mut words = [0; GSTRING_WORDS];
            for (index, octet) in text.bytes().enumerate() {
                words[index / 4] |= u32::from(octet).to_le() << (8 * (index % 4));
            }
            words
        };
        let mut names = vec![name("other"); 40];
        names[3] = name("rx-vlan-hw-parse");
        names[35] = name("rx-lro");
        let on = |words: [u32; 2]| features(&names, &[0, 0, words[0], 0, 0, 0, words[1], 0]);
        assert_eq!(on([!(1 << 3), !(1 << 3)]), Features::default());
        let expected = Features { takes_vlan_tags: true, ..Features::default() };
        assert_eq!(on([1 << 3, 0]), expected);
        let expected = Features { merges_packets: true, ..Features::default() };
        assert_eq!(on([0, 1 << 3]), expected);
    }

    #[test]
    fn kernel_answers_about_loopback() {
        let socket = Socket::open("lo").unwrap();
        // Loopback tells no driver, but every interface has features.
        assert_eq!(socket.features().unwrap(), Features::default());
        assert!(Socket::open("nowhere0").unwrap().features().is_err());
        assert!(Socket::open("a-name-that-is-too-long").is_err());
    }
}
