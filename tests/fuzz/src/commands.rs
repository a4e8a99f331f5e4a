//! Packets of chronyc's protocol: to the server, and back to a client.

use ntp_engine::candm::{Question, Received, Reply, Status, receive};

/// The first octet says which side reads the rest.
pub(crate) fn commands(octets: &[u8]) {
    let Some((&side, packet)) = octets.split_first() else { return };
    if side & 1 == 0 { to_server(packet) } else { to_client(packet) }
}

/// No answer is longer than its request, and each repeats its number.
fn to_server(packet: &[u8]) {
    match receive(packet) {
        Received::Ignored(_) => {}
        Received::Refused(_, reply) => check(packet, &reply),
        Received::Asked(asked) => {
            let _ = asked.request();
            for reply in [Reply::from(Status::Failed), Reply::SourceName("x".repeat(300))] {
                if let Some(reply) = asked.answer(&reply) {
                    check(packet, &reply);
                }
            }
        }
    }
}

fn check(packet: &[u8], reply: &[u8]) {
    assert!(reply.len() <= packet.len(), "{} octets for {}", reply.len(), packet.len());
    assert_eq!(reply[16..20], packet[8..12]);
}

fn to_client(packet: &[u8]) {
    let sequence = packet.get(16..20).and_then(|octets| octets.first_chunk());
    let sequence = sequence.map_or(0, |octets| u32::from_be_bytes(*octets));
    for question in [
        Question::Tracking,
        Question::SourceCount,
        Question::SourceData(0),
        Question::Activity,
        Question::ServerStats,
        Question::Clients { first: 0, min_hits: 0 },
        Question::Paths,
        Question::Interface(0),
    ] {
        let _ = question.answer(sequence, packet);
    }
}
