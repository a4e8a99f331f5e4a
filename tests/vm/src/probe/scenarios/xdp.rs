//! The program on a native driver: plain requests of both families and through a VLAN.

use anyhow::{Context, Result};
use ntp_lab::query::EXTENSION_FIELD;

use crate::client::ask;
use crate::daemon::Daemon;
use crate::guest::{Guest, World};
use crate::network::INTERFACE;
use crate::truth::Truth;

/// Requests of each kind.
const REQUESTS: usize = 100;

pub(crate) fn play(guest: &mut Guest) -> Result<()> {
    let world = World::open(Truth::ahead_of_system(0))?;
    let daemon = Daemon::start(&format!("xdp {INTERFACE} mode native\n"))?;
    guest.with(daemon, |guest, daemon| {
        world.synchronised()?;
        let before = daemon.served()?;
        let (mut lies, mut worst_s, mut told_in_all) = (0, 0.0_f64, 0);
        let kinds = [
            ("unanswered_v4", &world.v4),
            ("unanswered_v6", &world.v6),
            ("unanswered_vlan", &world.vlan),
        ];
        for (figure, client) in kinds {
            let mut unanswered = 0;
            for _ in 0..REQUESTS {
                match ask(client, &world.truth, &[])? {
                    Some(told) => {
                        told_in_all += 1;
                        lies += usize::from(told.is_lie());
                        worst_s = worst_s.max(told.error_s);
                    }
                    None => unanswered += 1,
                }
            }
            guest.count(figure, unanswered);
        }
        let told = ask(&world.v4, &world.truth, &EXTENSION_FIELD)?;
        told.context("no reply to a request with an extension field")?;
        let after = daemon.served_since(&before, told_in_all + 1)?;
        let answered = |after: u64, before: u64| usize::try_from(after - before);
        let by_xdp = answered(after.xdp.answered, before.xdp.answered)?;
        let by_daemon = answered(after.user.answered, before.user.answered)?;
        guest.count("answered_by_xdp", by_xdp);
        guest.count("answered_by_daemon", by_daemon);
        guest.count("lies", lies);
        guest.figure("worst_error_ms", worst_s * 1e3);
        Ok(())
    })
}
