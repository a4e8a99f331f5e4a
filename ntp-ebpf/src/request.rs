//! What must hold of a frame before it is answered, and where the answer comes from.

use core::ops::Range;

use ntp_common::checksum::{self, Sum};
use ntp_common::classify::{Class, classify};
use ntp_common::counters::{Family, Reason};
use ntp_common::local::LocalAddresses;
use ntp_common::maps::ServingPage;
use ntp_common::respond::Reply;

use crate::headers::{PLAIN_UDP_LEN, PROTOCOL_UDP, PlainDatagram};
use crate::maps::PORT_AND_LEN;
use crate::udp::UdpHeader;
use crate::walk::Bounds;

/// The length field of a plain datagram.
const UDP_LEN: u16 = (PLAIN_UDP_LEN as u16).to_be();

/// Why the fast way ends.
pub(crate) enum Stop {
    /// The request was understood and this is the reason.
    Because(Reason),
    /// The frame is none of those that are answered: [`crate::explain`] knows why.
    NotPlain,
}

impl From<Reason> for Stop {
    #[inline(always)]
    fn from(reason: Reason) -> Self {
        Self::Because(reason)
    }
}

/// Lets datagrams through that hold a plain request to the served port.
#[inline(always)]
pub(crate) fn check_plain(datagram: &PlainDatagram) -> Result<(), Stop> {
    let udp = &datagram.udp;
    let fits = udp.port_and_len() == PORT_AND_LEN.load();
    match classify(&datagram.payload, datagram.payload.len(), udp.source_port()) {
        Class::Plain if fits => Ok(()),
        Class::Plain | Class::Involved(_) | Class::NotRequest(_) | Class::Hostile(_) => {
            Err(Stop::NotPlain)
        }
    }
}

/// The served addresses. The daemon may be replacing them: any mixture of old and new is one that its
/// lookup is right for.
#[inline(always)]
pub(crate) fn local<'a>(page: *const ServingPage) -> &'a LocalAddresses {
    // SAFETY: the page is a live map entry.
    unsafe { &(*page).local }
}

/// A request to a group of stations, or to an address that is not served, is none of ours.
#[inline(always)]
pub(crate) fn check_destination(frame: Bounds, is_local: bool) -> Result<(), Reason> {
    let station: *mut u8 = frame.at(frame.start)?;
    // SAFETY: `Bounds::at` gave the pointer.
    let is_group = unsafe { *station } & 1 != 0;
    if is_group || !is_local { Err(Reason::NotLocal) } else { Ok(()) }
}

/// What clients that tell nothing of themselves leave zero: root dispersion to receive timestamp. chrony, systemd-timesyncd and
/// whoever follows draft-ietf-ntp-data-minimization.
const BLANK: Range<usize> = 8..TRANSMIT.start;
/// Where the transmit timestamp of a packet is, which the answer gives back as its origin timestamp.
const TRANSMIT: Range<usize> = 40..48;

/// The sum of what a datagram and its answer have in common, in whatever order: pseudo-header, ports, length, and the client's
/// transmit timestamp. `addresses` is the sum of the addresses of the IP header. It is made before the clock is read.
#[inline(always)]
pub(crate) fn common_sum(datagram: &PlainDatagram, addresses: Sum) -> Sum {
    let PlainDatagram { udp, payload } = datagram;
    pseudo_sum(addresses).add_u32(udp.ports).add_u16(UDP_LEN).add_unread(&payload[TRANSMIT])
}

/// The sum of a datagram with a reply. `addresses` is that of the addresses of the IP header.
#[inline(always)]
pub(crate) fn whole_sum(udp: &UdpHeader, reply: &Reply, addresses: Sum) -> Sum {
    let header = pseudo_sum(addresses).add_u32(udp.ports).add_u16(UDP_LEN);
    header.plus(reply.sum).add_unread(reply.origin())
}

/// The sum of the pseudo-header.
#[inline(always)]
fn pseudo_sum(addresses: Sum) -> Sum {
    addresses.add_u16(u16::from(PROTOCOL_UDP).to_be()).add_u16(UDP_LEN)
}

#[inline(always)]
pub(crate) fn check_checksum(
    datagram: &PlainDatagram,
    addresses: Sum,
    common: Sum,
    family: Family,
) -> Result<(), Reason> {
    let PlainDatagram { udp, payload } = datagram;
    let sum = common.add_unread(&payload[..BLANK.start]).add_mostly_zero(&payload[BLANK]);
    let lacks_checksum = matches!(family, Family::V4) && udp.checksum == 0;
    let pseudo = pseudo_sum(addresses);
    if lacks_checksum || checksum::is_acceptable(udp.checksum, sum, pseudo) {
        Ok(())
    } else {
        Err(Reason::Checksum)
    }
}
