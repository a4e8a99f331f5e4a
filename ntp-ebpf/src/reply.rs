//! Answers a frame in place: addresses and ports change sides, the reply takes the request's place, the
//! checksum is made anew. All checks come before the first write but whether the client asks too often: its request is dropped then,
//! whatever has been made of it.

use aya_ebpf::programs::XdpContext;
use ntp_common::checksum::{self, Sum};
use ntp_common::counters::{Family, Reason, answered_index};
use ntp_common::maps::ServingPage;
use ntp_common::respond::respond;
use ntp_common::time::MonoNs;
use ntp_common::wire::version_of;

use crate::arrival::Receiver;
use crate::clients::Client;
use crate::headers::{
    Ipv6Header, PLAIN_UDP_LEN, PROTOCOL_UDP, PlainDatagram, PlainIpv4, swap_stations,
};
use crate::maps::SERVING;
use crate::outcome::{Answered, charge};
use crate::request::{Stop, check_checksum, check_destination, check_plain, common_sum, local};
use crate::snapshot::Served;
use crate::walk::{self, Bounds, Network};
use crate::{access, clients, clock, snapshot};

/// Time to live of replies: that of a request says how far it came, not how far the reply must go.
const REPLY_TTL: u8 = 64;

/// Answers the frame.
///
/// # Errors
/// [`Stop`]; the frame is unchanged then, unless it is to be dropped.
#[inline(always)]
pub(crate) fn answer(context: &XdpContext, receiver: impl Receiver) -> Result<Answered, Stop> {
    let frame = Bounds::of(context);
    match walk::network(frame).map_err(|_| Stop::NotPlain)? {
        Network::V4(at) => answer_v4(frame, at, receiver),
        Network::V6(at) => answer_v6(frame, at, receiver),
    }
}

#[inline(always)]
fn answer_v4(frame: Bounds, at: usize, receiver: impl Receiver) -> Result<Answered, Stop> {
    let packet: *mut PlainIpv4 = frame.at(at).map_err(|_| Stop::NotPlain)?;
    // SAFETY: `Bounds::at` gave the pointer, the type has no alignment, and nobody else writes the frame.
    let PlainIpv4 { ip, datagram } = unsafe { &mut *packet };
    if !ip.is_plain() || frame.end - at != size_of::<PlainIpv4>() {
        return Err(Stop::NotPlain);
    }
    let page = SERVING.get();
    check_plain(datagram)?;
    check_destination(frame, local(page).has_v4(ip.destination))?;
    let addresses = Sum::ZERO.add_u32(ip.source).add_u32(ip.destination);
    let common = common_sum(datagram, addresses);
    check_checksum(datagram, addresses, common, Family::V4)?;
    let client = Client::V4(ip.source);
    let now = clock::now();
    let account = clients::account(page, client);
    access::check_v4(page, ip.source)?;
    let counter = reply(page, datagram, common, client.family(), now, receiver)?;

    (ip.source, ip.destination) = (ip.destination, ip.source);
    if ip.ttl != REPLY_TTL {
        let old = u16::from_ne_bytes([ip.ttl, PROTOCOL_UDP]);
        let new = u16::from_ne_bytes([REPLY_TTL, PROTOCOL_UDP]);
        ip.checksum = checksum::updated(ip.checksum, old, new);
        ip.ttl = REPLY_TTL;
    }
    swap_stations(frame)?;
    let addresses = || Sum::ZERO.add_u32(ip.source).add_u32(ip.destination);
    charge(account, now, datagram, addresses, counter)
}

#[inline(always)]
fn answer_v6(frame: Bounds, at: usize, receiver: impl Receiver) -> Result<Answered, Stop> {
    let header: *mut Ipv6Header = frame.at(at).map_err(|_| Stop::NotPlain)?;
    let (next, len) = walk::behind_ipv6(frame, header).map_err(|_| Stop::NotPlain)?;
    let datagram: *mut PlainDatagram = frame.at(next).map_err(|_| Stop::NotPlain)?;
    if len != PLAIN_UDP_LEN || frame.end - next != PLAIN_UDP_LEN {
        return Err(Stop::NotPlain);
    }
    // SAFETY: `Bounds::at` gave the pointer, the type has no alignment, and nobody else writes the frame.
    let ip = unsafe { &mut *header };
    // SAFETY: as above, and the datagram lies behind the header.
    let datagram = unsafe { &mut *datagram };
    let page = SERVING.get();
    check_plain(datagram)?;
    let (source, destination) = (ip.source, ip.destination);
    check_destination(frame, local(page).has_v6(destination))?;
    let addresses = sum_of(source).plus(sum_of(destination));
    let common = common_sum(datagram, addresses);
    check_checksum(datagram, addresses, common, Family::V6)?;
    let client = Client::V6(source[0]);
    let now = clock::now();
    let account = clients::account(page, client);
    access::check_v6(page, source)?;
    let counter = reply(page, datagram, common, client.family(), now, receiver)?;

    ip.source = destination;
    ip.destination = source;
    ip.set_hop_limit(REPLY_TTL);
    swap_stations(frame)?;
    let addresses = || {
        let (source, destination) = (ip.source, ip.destination);
        sum_of(source).plus(sum_of(destination))
    };
    charge(account, now, datagram, addresses, counter)
}

/// The sum of an IPv6 address.
#[inline(always)]
fn sum_of(address: [u64; 2]) -> Sum {
    Sum::ZERO.add_u64(address[0]).add_u64(address[1])
}

/// Puts the reply and its checksum in the place of the request; gives the index of its counter. `common` is what
/// [`common_sum`] gives.
#[inline(always)]
fn reply(
    page: *const ServingPage,
    datagram: &mut PlainDatagram,
    common: Sum,
    family: Family,
    now: MonoNs,
    receiver: impl Receiver,
) -> Result<usize, Reason> {
    let newest = snapshot::newest(page);
    let served = newest.served_at(now).ok_or(Reason::NoSnapshot)?;
    let Served { time, multiplier, template } = served;
    let receive = receiver.received(time, multiplier, now);
    let answer = respond(&datagram.payload, &template, receive, time + clock::TURNAROUND, 0);
    let counter = answered_index(family, version_of(datagram.payload[0]));
    let PlainDatagram { udp, payload } = datagram;
    let checksum = common.plus(answer.sum).udp_checksum();
    newest.check_whole()?;
    *payload = answer.octets;
    udp.swap_ports();
    udp.checksum = checksum;
    Ok(counter)
}
