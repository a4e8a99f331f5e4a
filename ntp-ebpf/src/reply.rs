//! Answers a frame in place: addresses and ports change sides, the reply takes the request's place, the
//! checksum is made anew. All checks come before the first write.

use aya_ebpf::programs::XdpContext;
use ntp_common::checksum::{self, Sum};
use ntp_common::counters::{Family, KISSES, LEAKED, Reason, answered_index};
use ntp_common::maps::ServingPage;
use ntp_common::ratelimit::Verdict;
use ntp_common::respond::{make_kiss_rate, respond};
use ntp_common::time::MonoNs;
use ntp_common::wire::version_of;

use crate::arrival::Receiver;
use crate::clients::Client;
use crate::headers::{
    Ipv6Header, PLAIN_UDP_LEN, PROTOCOL_UDP, PlainDatagram, PlainIpv4, swap_stations,
};
use crate::request::{Stop, check_destination, check_plain, local, serving_page};
use crate::walk::{self, Bounds, Network};
use crate::{access, clients, clock, count, snapshot};

/// Time to live of replies: that of a request says how far it came, not how far the reply must go.
const REPLY_TTL: u8 = 64;

/// Answers the frame. Gives the index of the counter of the answer.
///
/// # Errors
/// [`Stop`]; the frame is unchanged then.
#[inline(always)]
pub(crate) fn answer(context: &XdpContext, receiver: impl Receiver) -> Result<usize, Stop> {
    let frame = Bounds::of(context);
    match walk::network(frame).map_err(|_| Stop::NotPlain)? {
        Network::V4(at) => answer_v4(frame, at, receiver),
        Network::V6(at) => answer_v6(frame, at, receiver),
    }
}

#[inline(always)]
fn answer_v4(frame: Bounds, at: usize, receiver: impl Receiver) -> Result<usize, Stop> {
    let packet: *mut PlainIpv4 = frame.at(at).map_err(|_| Stop::NotPlain)?;
    // SAFETY: `Bounds::at` gave the pointer, the type has no alignment, and nobody else writes the frame.
    let PlainIpv4 { ip, datagram } = unsafe { &mut *packet };
    if !ip.is_plain() || frame.end - at != size_of::<PlainIpv4>() {
        return Err(Stop::NotPlain);
    }
    let page = serving_page()?;
    check_plain(datagram)?;
    let now = clock::now();
    check_destination(frame, local(page).has_v4(ip.destination))?;
    access::check_v4(page, ip.source)?;
    let addresses = Sum::ZERO.add_u32(ip.source).add_u32(ip.destination);
    let counter = reply(page, datagram, addresses, Client::V4(ip.source), now, receiver)?;

    (ip.source, ip.destination) = (ip.destination, ip.source);
    if ip.ttl != REPLY_TTL {
        let old = u16::from_ne_bytes([ip.ttl, PROTOCOL_UDP]);
        let new = u16::from_ne_bytes([REPLY_TTL, PROTOCOL_UDP]);
        ip.checksum = checksum::updated(ip.checksum, old, new);
        ip.ttl = REPLY_TTL;
    }
    swap_stations(frame)?;
    Ok(counter)
}

#[inline(always)]
fn answer_v6(frame: Bounds, at: usize, receiver: impl Receiver) -> Result<usize, Stop> {
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
    let page = serving_page()?;
    check_plain(datagram)?;
    let now = clock::now();
    let (source, destination) = (ip.source, ip.destination);
    check_destination(frame, local(page).has_v6(destination))?;
    access::check_v6(page, source)?;
    let addresses = Sum::ZERO
        .add_u64(source[0])
        .add_u64(source[1])
        .add_u64(destination[0])
        .add_u64(destination[1]);
    let counter = reply(page, datagram, addresses, Client::V6(source[0]), now, receiver)?;

    ip.source = destination;
    ip.destination = source;
    ip.set_hop_limit(REPLY_TTL);
    swap_stations(frame)?;
    Ok(counter)
}

/// Puts the reply and its checksum in the place of the request; gives the index of its counter. `addresses` is the
/// sum of the addresses of the IP header, which is the same for both directions.
#[inline(always)]
fn reply(
    page: *const ServingPage,
    datagram: &mut PlainDatagram,
    addresses: Sum,
    client: Client,
    now: MonoNs,
    receiver: impl Receiver,
) -> Result<usize, Reason> {
    let PlainDatagram { udp, payload } = datagram;
    let len = (PLAIN_UDP_LEN as u16).to_be();
    let pseudo = addresses.add_u16(u16::from(PROTOCOL_UDP).to_be()).add_u16(len);
    let header = Sum::ZERO.add_u32(udp.ports).add_u16(len);
    let family = client.family();
    let lacks_checksum = matches!(family, Family::V4) && udp.checksum == 0;
    if !lacks_checksum && !checksum::is_acceptable(udp.checksum, pseudo, header.add_octets(payload))
    {
        return Err(Reason::Checksum);
    }

    // Who is not answered here is charged by the daemon.
    if !snapshot::may_be_valid(page, now) {
        return Err(Reason::NoSnapshot);
    }
    let verdict = clients::request(page, client, now);
    if matches!(verdict, Verdict::Drop) {
        return Err(Reason::RateLimited);
    }
    let snapshot = snapshot::newest(page)?;
    if !snapshot.is_valid_at(now) {
        return Err(Reason::NoSnapshot);
    }
    let snapshot = snapshot.as_of(now);
    let time = snapshot.time_at(now);
    let receive = receiver.received(time, snapshot.multiplier, now);
    let mut answer = respond(payload, &snapshot, receive, time + clock::TURNAROUND, 0);
    let mut counter = answered_index(family, version_of(payload[0]));
    match verdict {
        Verdict::Answer | Verdict::Drop => {}
        Verdict::Leak => count(LEAKED),
        Verdict::Kiss => {
            make_kiss_rate(&mut answer);
            counter = KISSES;
        }
    }
    *payload = answer;
    udp.ports = udp.ports.rotate_left(16);
    udp.checksum = pseudo.plus(header.add_octets(&answer)).udp_checksum();
    Ok(counter)
}
