//! What the kernel's verifier has to do for the program is bounded: it follows every way through it that it can't tell from
//! another, before the daemon can serve. A guest without hardware of its own takes seconds for that.

use anyhow::{Context, Result, ensure};
use aya::programs::loaded_programs;

use crate::world::Server;

/// Instructions that it follows, at most. Linux 6.18 follows 135,496, and 174,541 if it is known before
/// a client is charged whether the snapshot is young; with clients charged in the midst of the program it followed 492,923, and the daemon of a guest took more than 20 s to load the programs for two interfaces. The kernel gives up at a million.
const MOST: u32 = 200_000;

pub(crate) fn instructions() -> Result<()> {
    let mut server = Server::load()?;
    let id = server.id()?;
    let info = loaded_programs().find_map(|info| info.ok().filter(|info| info.id() == id));
    let info = info.context("the program is not there")?;
    let followed = info.verified_instruction_count();
    let followed = followed.context("this kernel does not tell (Linux 5.16 and later do)")?;
    println!("{followed} instructions");
    ensure!((1_000..=MOST).contains(&followed), "{followed} instructions");
    Ok(())
}
