//! No CPU waits for another on the fast path: of the program's instructions none is atomic, and of the kernel's
//! helpers it calls none that takes a lock.

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, SectionKind};

use crate::kernel::read_object;
use crate::world::OBJECT;

/// `bpf_map_lookup_elem` (of arrays alone, which takes no lock), `bpf_ktime_get_ns`, `bpf_get_smp_processor_id`: linux/bpf.h.
const HELPERS: [i32; 3] = [1, 5, 8];

/// Octets of an instruction: operation, registers, offset, immediate. RFC 9669 section 3.
const LEN: usize = 8;
/// Loads 64 bits, half of which are the immediate of a second instruction.
const LOAD_WIDE: u8 = 0x18;
/// Calls a helper of the kernel or, if the source register is not zero, another function.
const CALL: u8 = 0x85;

pub(crate) fn fast_path() -> Result<()> {
    check_the_check()?;
    let octets = read_object(OBJECT)?;
    let file = object::File::parse(&*octets).context("no ELF object")?;
    let mut instructions = 0;
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let name = section.name()?;
        instructions += read(section.data()?).with_context(|| format!("section {name}"))?;
    }
    println!("{instructions} instructions");
    ensure!(instructions > 1000, "that is not all of the program");
    Ok(())
}

/// Reads instructions; gives how many there are.
fn read(code: &[u8]) -> Result<usize> {
    let (instructions, rest) = code.as_chunks::<LEN>();
    ensure!(rest.is_empty(), "half an instruction at the end");
    let mut index = 0;
    while let Some(instruction) = instructions.get(index) {
        let [operation, registers, _, _, immediate @ ..] = *instruction;
        let (is_atomic, source) = (is_atomic(operation), registers >> 4);
        ensure!(!is_atomic, "instruction {index} is atomic: {instruction:02x?}");
        let helper = i32::from_le_bytes(immediate);
        if operation == CALL && source == 0 && !HELPERS.contains(&helper) {
            bail!("instruction {index} calls the helper {helper}");
        }
        index += if operation == LOAD_WIDE { 2 } else { 1 };
    }
    Ok(instructions.len())
}

/// Whether a store is of the atomic mode: additions, exchanges, and stores that others are to see in order.
const fn is_atomic(operation: u8) -> bool {
    const CLASS: u8 = 0x07;
    const STORE: u8 = 0x03;
    const MODE: u8 = 0xe0;
    const ATOMIC: u8 = 0xc0;
    operation & CLASS == STORE && operation & MODE == ATOMIC
}

/// What must not be there is found where it is.
fn check_the_check() -> Result<()> {
    let store = [0x7b, 0x21, 0, 0, 0, 0, 0, 0];
    let add = [0xdb, 0x21, 0, 0, 0, 0, 0, 0];
    let add_half = [0xc3, 0x21, 0, 0, 0, 0, 0, 0];
    let lookup = [CALL, 0, 0, 0, 1, 0, 0, 0];
    let lock = [CALL, 0, 0, 0, 93, 0, 0, 0];
    let own_function = [CALL, 0x10, 0, 0, 93, 0, 0, 0];
    // The second half of a wide load says nothing by itself.
    let wide = [[LOAD_WIDE, 1, 0, 0, 0, 0, 0, 0], add];
    ensure!(read([store, lookup, own_function, wide[0], wide[1]].as_flattened())? == 5);
    for forbidden in [add, add_half, lock] {
        ensure!(read([store, forbidden].as_flattened()).is_err(), "{forbidden:02x?} is not found");
    }
    Ok(())
}
