//! Checks of a finished eBPF object: no panic path survived, and this kernel's verifier accepts every program.

use anyhow::{Context, Result, bail};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfError};
use nix::errno::Errno;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};

/// Parts of the names of functions that end in a panic.
const PANICS: [&str; 5] =
    ["panicking", "panic_fmt", "rust_begin_unwind", "slice_index_fail", "unwrap_failed"];

/// How many of the verifier's last lines are shown.
const LOG_LINES: usize = 30;

/// What loading an object came to.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// The kernel accepts these programs.
    Programs(Vec<String>),
    /// This process may not load programs, so nothing is known.
    NotAllowed,
}

/// Checks that no function of the object, and none that it refers to, ends in a panic.
///
/// # Errors
/// The object cannot be read, or one does.
pub(crate) fn no_panic_path(octets: &[u8]) -> Result<()> {
    let file = object::File::parse(octets).context("not an ELF object")?;
    let mut names: Vec<String> = file.symbols().filter_map(|symbol| name_of(&symbol)).collect();
    for section in file.sections() {
        for (_, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            names.extend(file.symbol_by_index(index).ok().and_then(|symbol| name_of(&symbol)));
        }
    }
    names.retain(|name| PANICS.iter().any(|part| name.contains(part)));
    names.sort();
    names.dedup();
    if !names.is_empty() {
        bail!("a panic path survived:\n  {}", names.join("\n  "));
    }
    Ok(())
}

fn name_of<'data>(symbol: &impl ObjectSymbol<'data>) -> Option<String> {
    symbol.name().ok().map(str::to_owned)
}

/// Loads every program of the object into the kernel, and unloads them again. Nothing is attached.
///
/// # Errors
/// The object cannot be read, has a program that is not for XDP, or the kernel's verifier refuses one.
pub(crate) fn load(octets: &[u8]) -> Result<Loaded> {
    let mut ebpf = match Ebpf::load(octets) {
        Ok(ebpf) => ebpf,
        Err(error) if not_allowed(&error) => return Ok(Loaded::NotAllowed),
        Err(error) => return Err(error).context("the kernel refuses the object"),
    };
    let mut names = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        let Program::Xdp(program) = program else { bail!("{name} is not an XDP program") };
        match program.load() {
            Ok(()) => names.push(name.to_owned()),
            Err(ProgramError::LoadError { io_error, .. }) if is_denial(&io_error) => {
                return Ok(Loaded::NotAllowed);
            }
            Err(ProgramError::LoadError { io_error, verifier_log }) => {
                let log = verifier_log.to_string();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n  ");
                bail!("the verifier refuses {name}: {io_error}\n  {tail}");
            }
            Err(error) => return Err(error).with_context(|| format!("cannot load {name}")),
        }
    }
    if names.is_empty() {
        bail!("there is no program in it");
    }
    names.sort();
    Ok(Loaded::Programs(names))
}

fn is_denial(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EPERM as i32)
}

/// Whether the error, or what caused it, is the kernel's "not permitted".
fn not_allowed(error: &EbpfError) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(is_denial) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Symbol, SymbolSection};
    use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};

    /// An ELF object for BPF that defines a function `name`.
    fn object_with(name: &str) -> Vec<u8> {
        let mut object =
            object::write::Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        object.add_symbol(Symbol {
            name: name.into(),
            value: 0,
            size: 8,
            kind: SymbolKind::Text,
            scope: SymbolScope::Compilation,
            weak: false,
            section: SymbolSection::Absolute,
            flags: SymbolFlags::None,
        });
        object.write().unwrap()
    }

    #[test]
    fn function_that_panics_is_found_by_its_name() {
        let check = |name: &str, passes: bool| {
            assert_eq!(no_panic_path(&object_with(name)).is_ok(), passes, "{name}");
        };
        check("ntp_xdp", true);
        check("_RNvNtCs1NpfdXmxSul_4core9panicking18panic_bounds_check", false);
        check("_ZN4core5slice5index24slice_index_fail17h0123456789abcdefE", false);
        check("_RNvCsc_7___rustc17rust_begin_unwind", false);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(no_panic_path(b"#!/bin/sh").is_err());
    }
}
