//! What the kernel's verifier has to do for the program is bounded: it follows every way through it that it can't tell from
//! another, before the daemon can serve. A guest without hardware of its own takes seconds for that.

use anyhow::{Context, Result, ensure};
use ntp_common::ratelimit::ClientRules;
use ntp_common::waiting::NEAR_SETS;

use crate::world::Server;

/// Instructions that it follows, at most, whatever the table of clients. The kernel gives up at a million; with 492,923, the daemon of
/// a guest took more than 20 s to load the programs for two interfaces.
const MOST: u32 = 150_000;

pub(crate) fn instructions() -> Result<()> {
    for sets in [0, 1, NEAR_SETS, NEAR_SETS + 1, 1 << 20] {
        let server = Server::load_with(ClientRules::new(sets, [7, 9]))?;
        let followed = server.info()?.verified_instruction_count();
        let followed = followed.context("this kernel does not tell (Linux 5.16 and later do)")?;
        println!("{sets} sets: {followed} instructions");
        ensure!((1_000..=MOST).contains(&followed), "{sets} sets: {followed} instructions");
    }
    Ok(())
}
