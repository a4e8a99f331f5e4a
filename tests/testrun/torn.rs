//! Snapshots that are replaced at full speed while answers are made of them.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use ntp_common::counters::Reason;
use ntp_common::snapshot::{RefSnapshot, head};
use ntp_common::time::NtpShort;
use ntp_common::wire::LeapIndicator;

use crate::frame::Frame;
use crate::identity::action;
use crate::world::{Server, frozen};
use ntp_user::bpf::serving_map::MappedPage;
use ntp_user::serving::ring::SnapshotWriter;

const ANSWERS: u64 = 10_000_000;

/// A snapshot that tells its number in every field of a reply.
fn numbered(number: u32) -> RefSnapshot {
    let wide = u64::from(number);
    RefSnapshot {
        base_ntp: wide << 32 | wide,
        head: head(LeapIndicator::Normal, 1, -25, NtpShort::from_bits(number)),
        root_dispersion: number,
        dispersion_rate: 0,
        reference_id: number,
        reference_timestamp: wide << 32 | wide,
        fuzz_mask: 0,
        ..frozen()
    }
}

/// Whether all fields of a reply tell one number.
fn is_whole(reply: &[u8]) -> bool {
    let word =
        |at: usize| u32::from_be_bytes([reply[at], reply[at + 1], reply[at + 2], reply[at + 3]]);
    let number = word(4);
    // Root delay, root dispersion, reference ID, reference timestamp; the seconds of both timestamps.
    let plain = [8, 12, 16, 20, 32, 40].into_iter().all(|at| word(at) == number);
    plain && word(36) == number | 1 && word(44) == number.wrapping_add(256) & !1
}

pub(crate) fn answers() -> Result<()> {
    let mut server = Server::load()?;
    let mut writer: SnapshotWriter<MappedPage> = server.second_writer()?;
    writer.publish(&numbered(1));
    let stop = AtomicBool::new(false);
    let (outcome, published) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut number = 1;
            while !stop.load(Ordering::Relaxed) {
                // The seconds stay below 2^31, so that adding the turnaround never carries into them.
                number = number % 0x7fff_fe00 + 1;
                writer.publish(&numbered(number));
            }
            number
        });
        let outcome = read(&mut server);
        stop.store(true, Ordering::Relaxed);
        (outcome, publisher.join())
    });
    let (answers, busy) = outcome?;
    let published = published.expect("the publisher does not panic");
    println!("{answers} answers, {busy} passed up as busy, {published} snapshots published");
    ensure!(u64::from(published) > 100_000, "only {published} snapshots were published");
    Ok(())
}

/// Asks until enough answers have come, and checks each.
fn read(server: &mut Server) -> Result<(u64, u64)> {
    let request = Frame::v4().octets();
    let (mut answers, mut busy) = (0, 0);
    while answers < ANSWERS {
        let outcome = server.run(&request)?;
        if outcome.action == action(None) {
            let reply = &outcome.frame[outcome.frame.len() - 48..];
            ensure!(is_whole(reply), "torn after {answers} answers: {reply:02x?}");
            answers += 1;
        } else {
            ensure!(outcome.action == action(Some(Reason::SnapshotBusy)), "not answered");
            busy += 1;
            ensure!(busy < ANSWERS, "hardly any answer");
        }
    }
    Ok((answers, busy))
}
