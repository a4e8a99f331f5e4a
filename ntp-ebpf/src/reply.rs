//! Answers a frame in place: addresses and ports change sides, the reply takes the request's place, the
//! checksum is made anew. All checks come before the first write.

use aya_ebpf::programs::XdpContext;
use ntp_common::checksum::{self, Sum};
use ntp_common::counters::{Family, KISSES, LEAKED, Reason, answered_index};
use ntp_common::maps::ServingPage;
use ntp_common::ratelimit::Verdict;
use ntp_common::respond::respond;
use ntp_common::time::MonoNs;
use ntp_common::wire::version_of;

use crate::arrival::Receiver;
use crate::clients::{Account, Client};
use crate::headers::{
    Ipv6Header, PLAIN_UDP_LEN, PROTOCOL_UDP, PlainDatagram, PlainIpv4, swap_stations,
};
use crate::request::{
    Stop, check_checksum, check_destination, check_plain, common_sum, local, serving_page,
};
use crate::snapshot::Served;
use crate::walk::{self, Bounds, Network};
use crate::{access, clients, clock, count, snapshot};

/// Time to live of replies: that of a request says how far it came, not how far the reply must go.
const REPLY_TTL: u8 = 64;

/// What is left to do once a frame is answered.
pub(crate) struct Answered {
    /// The index of the counter of the answer.
    pub(crate) counter: usize,
    /// For [`clients::settle`].
    pub(crate) waiting: u64,
}

/// Answers the frame.
///
/// # Errors
/// [`Stop`]; the frame is unchanged then.
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
    let page = serving_page()?;
    check_plain(datagram)?;
    check_destination(frame, local(page).has_v4(ip.destination))?;
    let addresses = Sum::ZERO.add_u32(ip.source).add_u32(ip.destination);
    let common = common_sum(datagram, addresses);
    check_checksum(datagram, addresses, common, Family::V4)?;
    let client = Client::V4(ip.source);
    let account = clients::account(page, client);
    let now = clock::now();
    access::check_v4(page, ip.source)?;
    let answered = reply(page, datagram, common, client.family(), account, now, receiver)?;

    (ip.source, ip.destination) = (ip.destination, ip.source);
    if ip.ttl != REPLY_TTL {
        let old = u16::from_ne_bytes([ip.ttl, PROTOCOL_UDP]);
        let new = u16::from_ne_bytes([REPLY_TTL, PROTOCOL_UDP]);
        ip.checksum = checksum::updated(ip.checksum, old, new);
        ip.ttl = REPLY_TTL;
    }
    swap_stations(frame)?;
    Ok(answered)
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
    let page = serving_page()?;
    check_plain(datagram)?;
    let (source, destination) = (ip.source, ip.destination);
    check_destination(frame, local(page).has_v6(destination))?;
    let addresses = Sum::ZERO
        .add_u64(source[0])
        .add_u64(source[1])
        .add_u64(destination[0])
        .add_u64(destination[1]);
    let common = common_sum(datagram, addresses);
    check_checksum(datagram, addresses, common, Family::V6)?;
    let client = Client::V6(source[0]);
    let account = clients::account(page, client);
    let now = clock::now();
    access::check_v6(page, source)?;
    let answered = reply(page, datagram, common, client.family(), account, now, receiver)?;

    ip.source = destination;
    ip.destination = source;
    ip.set_hop_limit(REPLY_TTL);
    swap_stations(frame)?;
    Ok(answered)
}

/// Puts the reply and its checksum in the place of the request. `common` is what
/// [`common_sum`] gives.
#[inline(always)]
fn reply(
    page: *const ServingPage,
    datagram: &mut PlainDatagram,
    common: Sum,
    family: Family,
    account: Option<Account>,
    now: MonoNs,
    receiver: impl Receiver,
) -> Result<Answered, Reason> {
    // Who is not answered here is charged by the daemon.
    let newest = snapshot::newest(page);
    if !newest.is_valid_at(now) {
        return Err(Reason::NoSnapshot);
    }
    let (verdict, waiting) = account.map_or((Verdict::Answer, 0), |account| account.request(now));
    let is_told = match verdict {
        Verdict::Drop => return Err(Reason::RateLimited),
        Verdict::Kiss => true,
        Verdict::Leak => {
            count(LEAKED);
            false
        }
        Verdict::Answer => false,
    };
    let Served { time, multiplier, template } = newest.served_at(now);
    let receive = receiver.received(time, multiplier, now);
    let mut answer = respond(&datagram.payload, &template, receive, time + clock::TURNAROUND, 0);
    let mut counter = answered_index(family, version_of(datagram.payload[0]));
    if is_told {
        answer = answer.kiss_rate();
        counter = KISSES;
    }
    let PlainDatagram { udp, payload } = datagram;
    let checksum = common.plus(answer.sum).udp_checksum();
    newest.check_whole()?;
    *payload = answer.octets;
    udp.ports = udp.ports.rotate_left(16);
    udp.checksum = checksum;
    Ok(Answered { counter, waiting })
}
