//! Runs a program again and again on the requests of many clients, without a system call between: the test run
//! gives a program its own reply as the next request, so another program puts a request there each time.

use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;

use anyhow::{Context, Result, bail};
use aya::maps::{Array, Map, ProgramArray};
use aya::programs::{ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use ntp_common::checksum::updated;

use crate::frame::Frame;
use crate::kernel::{Runner, read_object};

/// Longest frame.
const TEMPLATE_LEN: usize = 128;

/// Programs of `ntp-ebpf/src/reference`: those that run others again and again, and those to compare with.
pub(crate) struct Again {
    reference: Ebpf,
    runner: Runner,
}

impl Again {
    pub(crate) fn load() -> Result<Self> {
        let mut reference = EbpfLoader::new().load(&read_object("reference.o")?)?;
        for (name, program) in reference.programs_mut() {
            let program: &mut Xdp = program.try_into()?;
            program.load().with_context(|| format!("program {name}"))?;
        }
        Ok(Self { reference, runner: Runner::new() })
    }

    /// A program, to be handed to [`Again::set_measured`].
    pub(crate) fn program(&mut self, name: &str) -> Result<ProgramFd> {
        Ok(self.xdp(name)?.fd()?.try_clone()?)
    }

    /// The program that the others run.
    pub(crate) fn set_measured(&mut self, program: &ProgramFd) -> Result<()> {
        let map = self.reference.map_mut("MEASURED").context("map MEASURED")?;
        Ok(ProgramArray::try_from(map)?.set(0, program, 0)?)
    }

    /// Whole frames that take turns.
    pub(crate) fn set_frames(&mut self, frames: &[Vec<u8>]) -> Result<()> {
        let map = self.reference.map_mut("FRAMES").context("map FRAMES")?;
        let mut map: Array<_, [u8; TEMPLATE_LEN]> = Array::try_from(map)?;
        for (index, frame) in (0..).zip(frames) {
            let mut template = [0; TEMPLATE_LEN];
            template[..frame.len()].copy_from_slice(frame);
            map.set(index, template, 0)?;
        }
        Ok(())
    }

    /// Clients of `again_many` that take turns, of whom the first begins; gives the frame that they send but
    /// for what [`sender`] says.
    pub(crate) fn set_senders(&mut self, senders: &[u64]) -> Result<Vec<u8>> {
        let template = template();
        self.set_frames(std::slice::from_ref(&template))?;
        let map = self.reference.map("SENDERS").context("map SENDERS")?;
        let Map::Array(map) = map else { bail!("SENDERS is no array") };
        let len = NonZeroUsize::new(size_of_val(senders)).context("no clients")?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses a place that nothing else is mapped to.
        let memory = unsafe { mmap(None, len, protection, MapFlags::MAP_SHARED, map.fd(), 0) }?;
        let source = NonNull::from(senders).cast::<u64>();
        // SAFETY: the memory is as long as the clients are, aligned to a page, and no program runs meanwhile.
        unsafe { memory.cast::<u64>().copy_from_nonoverlapping(source, senders.len()) };
        // SAFETY: it was mapped with this length, and nothing points into it.
        unsafe { munmap(memory, len.get()) }?;
        self.set_turn(senders.len())?;
        Ok(template)
    }

    fn set_turn(&mut self, senders: usize) -> Result<()> {
        let map = self.reference.map_mut("PROGRESS").context("map PROGRESS")?;
        let mut map: Array<_, [u64; 3]> = Array::try_from(map)?;
        let [rounds, began_ns, turn] = map.get(&0, 0)?;
        let turn = u64::from(u32::try_from(senders)?) | turn >> 32 << 32;
        Ok(map.set(0, [rounds, began_ns, turn], 0)?)
    }

    /// Runs a program and gives its nanoseconds a packet.
    pub(crate) fn run(&mut self, name: &str, frame: &[u8], packets: u32) -> Result<f64> {
        let program =
            self.reference.program_mut(name).with_context(|| format!("program {name}"))?;
        let program: &mut Xdp = program.try_into()?;
        Ok(self.runner.run(program.fd()?.as_fd(), frame, packets)?.duration_ns.into())
    }

    fn xdp(&mut self, name: &str) -> Result<&mut Xdp> {
        let program =
            self.reference.program_mut(name).with_context(|| format!("program {name}"))?;
        Ok(program.try_into()?)
    }
}

/// The frame that all of many clients send, but for their addresses.
fn template() -> Vec<u8> {
    Frame::v4().with(|frame| frame.source = std::net::Ipv4Addr::UNSPECIFIED.into()).octets()
}

/// What differs in a client's frame: address, checksum of the IP header, UDP checksum, as they lie there.
pub(crate) fn sender(address: u32) -> u64 {
    let template = template();
    let octets = address.to_be_bytes();
    let word = |at: usize| u16::from_ne_bytes([template[at], template[at + 1]]);
    let high = u16::from_ne_bytes([octets[0], octets[1]]);
    let low = u16::from_ne_bytes([octets[2], octets[3]]);
    let with_address = |checksum| updated(updated(checksum, 0, high), 0, low);
    let (ip, udp) = (with_address(word(24)), with_address(word(40)));
    u64::from(u32::from_ne_bytes(octets)) | u64::from(ip) << 32 | u64::from(udp) << 48
}
