//! Frames of requests as the kernel's generator wants them: complete but for what differs from client to client.

use std::net::{IpAddr, SocketAddr};

use ntp_common::checksum::Sum;
use ntp_common::load::{
    FRAME_WORDS, TEMPLATE_CLIENTS, TEMPLATE_FRAME, TEMPLATE_IP_CHECKSUM_AT, TEMPLATE_IP_SUM,
    TEMPLATE_KIND, TEMPLATE_LAST, TEMPLATE_LEN, TEMPLATE_SOURCE, TEMPLATE_SOURCE_AT,
    TEMPLATE_STAMP_AT, TEMPLATE_UDP_AT, TEMPLATE_UDP_SUM, Template,
};

use super::mix::Kind;

/// Longest frame.
const MAX_LEN: usize = FRAME_WORDS * 8;
const UDP_LEN: usize = 8;
const PROTOCOL_UDP: u8 = 17;
/// Offset of the transmit timestamp in a request.
const TRANSMIT: usize = 40;

/// How frames get to a server.
#[derive(Clone, Debug)]
pub struct Route {
    /// Ethernet addresses of the next hop and of the interface.
    pub stations: [[u8; 6]; 2],
    /// VLAN tags, the outermost first, at most two.
    pub vlans: Vec<u16>,
    /// The server.
    pub server: SocketAddr,
}

/// Whose requests a template is for.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    /// The first one's address; the others follow.
    pub first: IpAddr,
    /// How many.
    pub count: u64,
}

/// Makes the template of a request, or says why it is none.
///
/// # Errors
/// Clients and server are of different families, or the frame would be too long.
pub fn template(
    route: &Route,
    clients: Clients,
    kind: Kind,
    payload: &[u8],
    is_stamped: bool,
) -> Result<Template, String> {
    let mut frame = route.stations.concat();
    for (index, tag) in route.vlans.iter().enumerate() {
        let is_outer = index + 1 < route.vlans.len();
        frame.extend(if is_outer { [0x88, 0xa8] } else { [0x81, 0x00] });
        frame.extend(tag.to_be_bytes());
    }
    let udp_len = u16::try_from(UDP_LEN + payload.len()).map_err(|_| "payload is too long")?;
    let ip_at = frame.len() + 2;
    let (source_at, source) = ip_header(&mut frame, clients.first, route.server.ip(), udp_len)?;
    let udp_at = frame.len();
    frame.extend([0, 0]);
    frame.extend(route.server.port().to_be_bytes());
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    let stamp_at = if is_stamped { udp_at + UDP_LEN + TRANSMIT } else { 0 };
    if is_stamped {
        frame[stamp_at..stamp_at + 8].fill(0);
    }
    if frame.len() > MAX_LEN {
        return Err(format!("a frame of {} octets is longer than {MAX_LEN}", frame.len()));
    }

    let is_v4 = route.server.is_ipv4();
    let addresses = if is_v4 { ip_at + 12..ip_at + 20 } else { ip_at + 8..ip_at + 40 };
    let pseudo =
        sum(&frame[addresses]).add_u16(u16::from(PROTOCOL_UDP).to_be()).add_u16(udp_len.to_be());
    let mut template: Template = [0; TEMPLATE_FRAME + FRAME_WORDS];
    template[TEMPLATE_LEN] = frame.len() as u64;
    template[TEMPLATE_LAST] = frame.len() as u64 - 8;
    template[TEMPLATE_SOURCE_AT] = source_at as u64;
    template[TEMPLATE_SOURCE] = u64::from(source);
    template[TEMPLATE_CLIENTS] = clients.count.clamp(1, 1 << 32);
    template[TEMPLATE_IP_CHECKSUM_AT] = if is_v4 { ip_at as u64 + 10 } else { 0 };
    template[TEMPLATE_IP_SUM] = u64::from(sum(&frame[ip_at..ip_at + 20]).fold());
    template[TEMPLATE_UDP_AT] = udp_at as u64;
    template[TEMPLATE_UDP_SUM] = u64::from(sum(&frame[udp_at..]).plus(pseudo).fold());
    template[TEMPLATE_STAMP_AT] = stamp_at as u64;
    template[TEMPLATE_KIND] = kind as u64;
    frame.resize(MAX_LEN, 0);
    let (words, _) = frame.as_chunks::<8>();
    for (word, octets) in template[TEMPLATE_FRAME..].iter_mut().zip(words) {
        *word = u64::from_ne_bytes(*octets);
    }
    Ok(template)
}

/// Appends the type and the IP header, with zeros for the last four octets of the source address, and gives where
/// those are and what they are of the first client.
fn ip_header(
    frame: &mut Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    udp_len: u16,
) -> Result<(usize, u32), String> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((20 + udp_len).to_be_bytes());
            // Not to be fragmented, 64 hops, checksum to be made.
            frame.extend([0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0]);
            let source_at = frame.len();
            frame.extend([0; 4]);
            frame.extend(destination.octets());
            Ok((source_at, source.to_bits()))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(udp_len.to_be_bytes());
            frame.extend([PROTOCOL_UDP, 64]);
            frame.extend(&source.octets()[..12]);
            let source_at = frame.len();
            frame.extend([0; 4]);
            frame.extend(destination.octets());
            let [.., a, b, c, d] = source.octets();
            Ok((source_at, u32::from_be_bytes([a, b, c, d])))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            Err(format!("clients from {source} and a server at {destination} are of two families"))
        }
    }
}

/// The sum of octets that begin at an even offset, an odd last one padded with zero.
fn sum(octets: &[u8]) -> Sum {
    octets.chunks(2).fold(Sum::ZERO, |sum, pair| {
        sum.add_u16(u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::load::{client, source_port};

    /// Octets to words, a check against the way that the kernel's program fills a template.
    fn fill(template: &Template, turn: u64, token: u64) -> Vec<u8> {
        let at = |index: usize| usize::try_from(template[index]).unwrap();
        let mut frame: Vec<u8> =
            template[TEMPLATE_FRAME..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        frame.truncate(at(TEMPLATE_LEN));
        let client = client(turn, template[TEMPLATE_CLIENTS]);
        let source = u32::try_from(template[TEMPLATE_SOURCE]).unwrap().wrapping_add(client);
        let mut put = |offset: usize, octets: &[u8]| {
            frame[offset..offset + octets.len()].copy_from_slice(octets);
        };
        put(at(TEMPLATE_SOURCE_AT), &source.to_be_bytes());
        let folded = |index: usize| Sum::ZERO.add_u16(u16::try_from(template[index]).unwrap());
        if at(TEMPLATE_IP_CHECKSUM_AT) != 0 {
            let sum = folded(TEMPLATE_IP_SUM).add_u32(source.to_be()).fold();
            put(at(TEMPLATE_IP_CHECKSUM_AT), &(!sum).to_ne_bytes());
        }
        let port = source_port(at(TEMPLATE_KIND), client).to_be();
        put(at(TEMPLATE_UDP_AT), &port.to_ne_bytes());
        let mut sum = folded(TEMPLATE_UDP_SUM).add_u32(source.to_be()).add_u16(port);
        if at(TEMPLATE_STAMP_AT) != 0 {
            put(at(TEMPLATE_STAMP_AT), &token.to_be_bytes());
            sum = sum.add_u64(token.to_be());
        }
        put(at(TEMPLATE_UDP_AT) + 6, &sum.udp_checksum().to_ne_bytes());
        frame
    }

    fn is_all_ones(sum: Sum) -> bool {
        sum.fold() == 0xffff
    }

    fn check(server: &str, first: &str, vlans: &[u16], payload: &[u8], is_stamped: bool) {
        let route = Route {
            stations: [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]],
            vlans: vlans.to_vec(),
            server: server.parse().unwrap(),
        };
        let clients = Clients { first: first.parse().unwrap(), count: 10_000_000 };
        let made = template(&route, clients, Kind::Plain, payload, is_stamped).unwrap();
        for turn in [0, 1, 2, 77_777, u64::MAX] {
            let frame = fill(&made, turn, 0x0123_4567_89ab_cdef ^ turn);
            let ip_at = 14 + 4 * vlans.len();
            let (addresses, udp_at) = if route.server.is_ipv4() {
                assert!(is_all_ones(sum(&frame[ip_at..ip_at + 20])), "IPv4 header, turn {turn}");
                (ip_at + 12..ip_at + 20, ip_at + 20)
            } else {
                (ip_at + 8..ip_at + 40, ip_at + 40)
            };
            let len = u16::try_from(frame.len() - udp_at).unwrap();
            let pseudo = sum(&frame[addresses]).add_u16(17u16.to_be()).add_u16(len.to_be());
            assert!(is_all_ones(sum(&frame[udp_at..]).plus(pseudo)), "UDP, turn {turn}");
            assert_eq!(frame.len(), udp_at + 8 + payload.len());
        }
    }

    #[test]
    fn checksums_are_right_for_every_client_and_token() {
        let mut payload = [0u8; 48];
        payload[0] = 0x23;
        for (server, first) in
            [("192.0.2.1:123", "10.0.0.0"), ("[2001:db8::1]:123", "2001:db8:1::ffff:0")]
        {
            for vlans in [&[][..], &[5], &[7, 8]] {
                check(server, first, vlans, &payload, true);
                check(server, first, vlans, &payload[..12], false);
                check(server, first, vlans, &[0xff; 72], false);
                check(server, first, vlans, &[0xff; 13], false);
            }
        }
    }

    #[test]
    fn families_are_not_mixed() {
        let route = Route {
            stations: [[0; 6]; 2],
            vlans: Vec::new(),
            server: "192.0.2.1:123".parse().unwrap(),
        };
        let clients = Clients { first: "fd00::1".parse().unwrap(), count: 1 };
        assert!(template(&route, clients, Kind::Plain, &[0; 48], true).is_err());
    }
}
