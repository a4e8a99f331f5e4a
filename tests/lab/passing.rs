//! The other end of a veth pair: the kernel hands it what an XDP program sends back only while it has an XDP
//! program itself. This attaches one that passes every packet on.

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::programs::{Program, XdpMode};

use crate::{Host, workspace};

/// The program, among those that the benchmark compares with.
const PROGRAM: &str = "empty";

/// The attached program. Dropping it detaches it; so does the end of this process.
#[derive(Debug)]
pub struct Passing {
    _ebpf: Ebpf,
}

impl Passing {
    /// Attaches it to `interface` of `host`.
    ///
    /// # Errors
    /// `cargo xtask build-ebpf` was not run, or the kernel refuses.
    pub fn attach(host: &Host, interface: &str) -> Result<Self> {
        Self::attach_reference(host, interface, PROGRAM)
    }

    /// As [`Passing::attach`], with another of those programs, which need not pass anything on.
    ///
    /// # Errors
    /// As there, or there is no such program.
    pub fn attach_reference(host: &Host, interface: &str, name: &str) -> Result<Self> {
        let object = workspace().join("target/bpf/reference.o");
        let octets = std::fs::read(&object).with_context(|| {
            format!("cannot read {}: `cargo xtask build-ebpf` makes it", object.display())
        })?;
        let mut ebpf = Ebpf::load(&octets).context("cannot load the passing program")?;
        let Some(Program::Xdp(program)) = ebpf.program_mut(name) else {
            bail!("no XDP program {name} in {}", object.display());
        };
        program.load()?;
        host.enter(|| Ok(program.attach(interface, XdpMode::Driver)?))?;
        Ok(Self { _ebpf: ebpf })
    }
}
