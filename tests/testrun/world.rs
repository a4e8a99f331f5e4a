//! The loaded program, and what it was told of the time and of its clients.

use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Context, Result};
use aya::programs::{ProgramFd, ProgramInfo};
use ipnet::IpNet;
use ntp_common::arrival::ArrivalCounters;
use ntp_common::counters::Counters;
use ntp_common::local::{LocalAddresses, v4_word, v6_words};
use ntp_common::ratelimit::ClientRules;
use ntp_common::snapshot::{NO_LEAP, NOMINAL_MULTIPLIER, RefSnapshot, head};
use ntp_common::time::NtpShort;
use ntp_common::wire::{LeapIndicator, NTP_PORT};
use ntp_user::access::AccessRules;
use ntp_user::bpf::acl_map::AclMap;
use ntp_user::bpf::clocks_map::MappedClocks;
use ntp_user::bpf::program::{Built, Program};
use ntp_user::bpf::serving_map::MappedPage;
use ntp_user::serving::clients::Clients;
use ntp_user::serving::ring::SnapshotWriter;

use crate::frame::{SERVER_V4, SERVER_V6};
use crate::kernel::{Outcome, Runner, info_of, monotonic_ns, read_object};

/// Object of the program that answers.
pub(crate) const OBJECT: &str = "ntp-xdp.o";

/// Rules as in a configuration: network, whether it is allowed.
pub(crate) type Rules<'a> = &'a [(&'a str, bool)];

/// The program with its maps.
pub(crate) struct Server {
    program: Program,
    pub(crate) page: SnapshotWriter<MappedPage>,
    tables: AclMap,
    runner: Runner,
    /// The clients that the program records, as the user path reaches them.
    pub(crate) clients: Arc<Clients>,
}

impl Server {
    /// Loads the program: it serves two addresses and allows everyone, but does not know the time.
    pub(crate) fn load() -> Result<Self> {
        Self::load_with(ClientRules::OFF)
    }

    /// Loads the program as [`Server::load`] does, with rules for clients.
    pub(crate) fn load_with(rules: ClientRules) -> Result<Self> {
        let built = Built { port: NTP_PORT, client_sets: rules.sets };
        let program = Program::load_object(&read_object(OBJECT)?, built)?;
        let page = SnapshotWriter::new(program.serving_page()?);
        page.set_clients(&rules);
        let clients = match program.clients_map()? {
            Some(map) => Clients::mapped(rules, map),
            None => Clients::on_heap(rules),
        };
        let (local, left_out) =
            LocalAddresses::build(&[v4_word(SERVER_V4.octets())], &[v6_words(SERVER_V6.octets())]);
        assert_eq!(left_out, 0, "two addresses find a place");
        page.set_local(&local);
        let tables = program.acl_map()?;
        let mut server = Self { program, page, tables, runner: Runner::new(), clients };
        server.allow(&[("0.0.0.0/0", true), ("::/0", true)])?;
        Ok(server)
    }

    /// Another mapping of the page, for a thread of its own; nothing may be published through
    /// [`Server::page`] while it is used.
    pub(crate) fn second_writer(&self) -> Result<SnapshotWriter<MappedPage>> {
        Ok(SnapshotWriter::new(self.program.serving_page()?))
    }

    /// Puts rules into force.
    pub(crate) fn allow(&mut self, rules: Rules<'_>) -> Result<()> {
        let mut compiled = AccessRules::default();
        for (network, is_allowed) in rules {
            let network: IpNet = network.parse().with_context(|| format!("network {network}"))?;
            compiled.lay(network, *is_allowed, false);
        }
        self.put(&compiled)
    }

    /// Puts compiled rules into force.
    pub(crate) fn put(&mut self, rules: &AccessRules) -> Result<()> {
        let control = self.tables.fill(rules)?;
        self.page.set_access(control);
        Ok(())
    }

    /// Runs the program on a frame once.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<Outcome<'_>> {
        self.runner.run(self.program.descriptor(), frame, 1)
    }

    /// The program that reads receive timestamps of the hardware, with a driver that says the same of every packet.
    pub(crate) fn stamped(&self, slot: usize, stamp_ns: Option<u64>) -> Result<OwnedFd> {
        Ok(self.program.load_told(&read_object(OBJECT)?, slot, stamp_ns)?)
    }

    /// Runs another program on a frame once.
    pub(crate) fn run_other(
        &mut self,
        program: BorrowedFd<'_>,
        frame: &[u8],
    ) -> Result<Outcome<'_>> {
        self.runner.run(program, frame, 1)
    }

    /// What the program is told of the clocks of interfaces.
    pub(crate) fn clocks(&self) -> Result<MappedClocks> {
        Ok(self.program.clocks_map()?)
    }

    /// By whose word requests had come in.
    pub(crate) fn arrivals(&self, slot: usize) -> Result<ArrivalCounters> {
        self.program.arrivals(slot).context("the kernel does not tell")
    }

    /// The program, to be run by others.
    pub(crate) fn descriptor(&self) -> Result<ProgramFd> {
        Ok(self.info()?.fd()?)
    }

    /// What the kernel says of the program.
    pub(crate) fn info(&self) -> Result<ProgramInfo> {
        info_of(self.program.descriptor())
    }

    /// Memory of the program's maps, octets, as it states it.
    pub(crate) fn octets(&self) -> usize {
        self.program.octets()
    }

    /// What the program counted so far.
    pub(crate) fn counters(&self) -> Counters {
        self.program.counters()
    }
}

/// Whether rules allow an address: the longest prefix that holds it decides.
pub(crate) fn allows(rules: Rules<'_>, address: IpAddr) -> bool {
    rules
        .iter()
        .map(|(network, is_allowed)| (network.parse::<IpNet>().expect("a network"), *is_allowed))
        .filter(|(network, _)| network.contains(&address))
        .max_by_key(|(network, _)| network.prefix_len())
        .is_some_and(|(_, is_allowed)| is_allowed)
}

/// A snapshot that says the same for the next hours.
pub(crate) fn running() -> RefSnapshot {
    let now = monotonic_ns();
    RefSnapshot {
        base_ns: now - 1_000_000_000,
        base_ntp: 0xe1f0_0000_1234_5678,
        multiplier: NOMINAL_MULTIPLIER,
        valid_until_ns: now + 100_000_000_000,
        head: head(LeapIndicator::Normal, 2, -25, NtpShort::from_bits(0x123)),
        root_dispersion: 0x456,
        dispersion_rate: 64_425,
        reference_id: 0xc000_0201,
        min_poll: 0,
        fuzz_mask: 0x7f,
        reference_timestamp: 0xe1ef_ffff_0000_0000,
        leap_at_ns: NO_LEAP,
        leap_step: 0,
    }
}

/// A snapshot whose time stands still: every octet of every answer is known beforehand.
pub(crate) fn frozen() -> RefSnapshot {
    RefSnapshot { multiplier: 0, valid_until_ns: u64::MAX, ..running() }
}
