//! The loaded program and its maps.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::{fs, io};

use aya::maps::{Map, MapData};
use aya::util::nr_cpus;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use ntp_common::arrival::ArrivalCounters;
use ntp_common::clients::SET_SIZE;
use ntp_common::counters::Counters;
use ntp_common::maps::{
    ACL_MAP, ACL_TABLE_SIZE, ACL_TABLES, ARRIVALS_MAP, ARRIVALS_SIZE, CLIENTS_MAP, CLOCKS_MAP,
    CLOCKS_SIZE, COUNTERS_MAP, COUNTERS_SIZE, PROGRAM, SERVING_MAP, SERVING_SIZE,
};
use ntp_common::waiting::WAITING_SIZE;

use super::acl_map::AclMap;
use super::arrivals::{self, Arrivals, Refusal};
use super::capabilities::missing_for_xdp;
use super::clients_map::MappedClients;
use super::clocks_map::MappedClocks;
use super::counters_map::{MappedCounters, possible_cpus};
use super::linked::{LinkError, Linked};
use super::maps::Maps;
use super::serving_map::MappedPage;
use super::stamped::{self, StampedError};
use super::system_call::For;

/// The object that was built by `cargo xtask build-ebpf` before the daemon was.
#[cfg(ntp_xdp_object)]
pub const OBJECT: Option<&[u8]> =
    Some(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ntp-xdp.o")));

/// The object that was built by `cargo xtask build-ebpf` before the daemon was: there was none.
#[cfg(not(ntp_xdp_object))]
pub const OBJECT: Option<&[u8]> = None;

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The daemon was built before the eBPF object.
    #[error("XDP is not built in: run `cargo xtask build-ebpf` and build the daemon again")]
    NotBuiltIn,
    /// The process lacks a right.
    #[error("no permission to load the XDP program: this process lacks {}", .0.join(", "))]
    NotPermitted(Vec<String>),
    /// It can't be put together, or the kernel does not take it.
    #[error(transparent)]
    Unlinked(#[from] LinkError),
    /// A map's memory is not to be had.
    #[error("cannot map the memory of `{map}`: {error}")]
    Unmapped {
        /// The map.
        map: &'static str,
        /// The reason.
        error: io::Error,
    },
}

/// The program, loaded. Dropping it unloads it where no link holds it.
#[derive(Debug)]
pub struct Program {
    maps: Maps,
    descriptor: OwnedFd,
    counters: MappedCounters,
    client_sets: u32,
    /// Whether the kernel has room for the program that reads receive timestamps.
    has_room: bool,
    /// Interfaces whose receive timestamps are read; `None`: no interface ever was to be one.
    arrivals: Option<Arrivals>,
}

/// What the program is given when it is loaded, and can't be told later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// The served UDP port.
    pub port: u16,
    /// Sets in the table of clients; 0: there is none.
    pub client_sets: u32,
}

impl Program {
    /// Loads the embedded object.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(built: Built) -> Result<Self, LoadError> {
        Self::load_object(OBJECT.ok_or(LoadError::NotBuiltIn)?, built)
    }

    /// Loads an object.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load_object(object: &[u8], built: Built) -> Result<Self, LoadError> {
        let missing = missing_for_xdp();
        if !missing.is_empty() {
            return Err(LoadError::NotPermitted(missing));
        }
        // Before Linux 5.11 maps counted against the limit on locked memory.
        if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
            tracing::debug!(%error, "The limit on locked memory stays");
        }
        let maps = Maps::create(object, built)?;
        let linked = Linked::new(object, PROGRAM, &maps, &[])?;
        let descriptor = linked.load(For::Any).map_err(LinkError::from)?;
        let counters = array(&maps, COUNTERS_MAP)?.fd();
        let counters = MappedCounters::new(counters, possible_cpus().map_err(LinkError::from)?)
            .map_err(|error| LoadError::Unmapped { map: COUNTERS_MAP, error })?;
        Ok(Self {
            maps,
            descriptor,
            counters,
            client_sets: built.client_sets,
            has_room: false,
            arrivals: None,
        })
    }

    /// The program itself, to attach it or to run it.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Loads the program that reads receive timestamps of this interface's hardware, and gives its slot.
    pub(super) fn bind(&mut self, index: u32) -> Result<(OwnedFd, usize), Refusal> {
        let slot = match &self.arrivals {
            Some(arrivals) => arrivals.free_slot()?,
            None => 0,
        };
        let object = OBJECT.ok_or(StampedError::from(LinkError::Missing(PROGRAM)))?;
        if !self.has_room {
            stamped::check(object, &self.maps)?;
            self.has_room = true;
        }
        let program = stamped::load(object, &self.maps, index, number(slot))?;
        Ok((program, slot))
    }

    /// Loads the program of `object` that reads receive timestamps so that every packet has the same one, or none,
    /// bound to no interface: for tests.
    ///
    /// # Errors
    /// [`StampedError`].
    pub fn load_told(
        &self,
        object: &[u8],
        slot: usize,
        stamp_ns: Option<u64>,
    ) -> Result<OwnedFd, StampedError> {
        stamped::load_told(object, &self.maps, number(slot), stamp_ns)
    }

    /// Maps what the program is told of the clocks of interfaces.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn clocks_map(&self) -> Result<MappedClocks, LoadError> {
        MappedClocks::new(self.array(CLOCKS_MAP)?.fd())
            .map_err(|error| LoadError::Unmapped { map: CLOCKS_MAP, error })
    }

    /// Has an interface stamp what it receives, and its clock watched; what it lacks is told.
    pub(super) fn watch(&mut self, slot: usize, interface: &str) -> Option<String> {
        if self.arrivals.is_none() {
            self.arrivals = self.clocks_map().ok().map(Arrivals::new);
        }
        self.arrivals.as_mut().and_then(|arrivals| arrivals.watch(slot, interface))
    }

    /// Ends what [`Self::watch`] began.
    pub(super) fn forget(&mut self, slot: usize) {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.forget(slot);
        }
    }

    /// Tells the programs that read timestamps what the clocks of their interfaces show.
    pub(super) fn refresh_clocks(&mut self) {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.refresh();
        }
    }

    /// By whose word the requests of the interface with this slot had come in; `None`: the kernel does not tell.
    #[must_use]
    pub fn arrivals(&self, slot: usize) -> Option<ArrivalCounters> {
        arrivals::counted(self.maps.get(ARRIVALS_MAP)?, slot)
    }

    /// Maps the page of snapshots.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn serving_page(&self) -> Result<MappedPage, LoadError> {
        MappedPage::new(self.array(SERVING_MAP)?.fd())
            .map_err(|error| LoadError::Unmapped { map: SERVING_MAP, error })
    }

    /// Maps the access tables. To be called once: who fills them must be alone.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn acl_map(&self) -> Result<AclMap, LoadError> {
        AclMap::new(self.array(ACL_MAP)?.fd())
            .map_err(|error| LoadError::Unmapped { map: ACL_MAP, error })
    }

    /// Maps the table of clients; `None` when the program has none.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn clients_map(&self) -> Result<Option<MappedClients>, LoadError> {
        if self.client_sets == 0 {
            return Ok(None);
        }
        MappedClients::new(self.array(CLIENTS_MAP)?.fd(), self.client_sets)
            .map(Some)
            .map_err(|error| LoadError::Unmapped { map: CLIENTS_MAP, error })
    }

    /// The counters of all CPUs together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.total()
    }

    /// Memory of all maps, octets, by the kernel's own account; by ours where it does not give one.
    #[must_use]
    pub fn octets(&self) -> usize {
        let accounted: Option<usize> = self.maps.iter().map(accounted).sum();
        accounted.unwrap_or_else(|| {
            let cpus = nr_cpus().unwrap_or(1);
            let clients = self.client_sets.max(1) as usize * SET_SIZE;
            let tables = ACL_TABLES as usize * ACL_TABLE_SIZE;
            let of_cpu = COUNTERS_SIZE + WAITING_SIZE + ARRIVALS_SIZE;
            SERVING_SIZE + tables + clients + CLOCKS_SIZE + cpus * of_cpu
        })
    }

    fn array(&self, name: &'static str) -> Result<&MapData, LinkError> {
        array(&self.maps, name)
    }
}

fn array<'a>(maps: &'a Maps, name: &'static str) -> Result<&'a MapData, LinkError> {
    match maps.get(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(LinkError::Missing(name)),
    }
}

/// The kernel's account of a map's memory, octets: `memlock` of `proc_pid_fdinfo(5)`.
fn accounted(map: &Map) -> Option<usize> {
    let (Map::Array(data) | Map::PerCpuArray(data)) = map else { return None };
    let descriptor = data.fd().as_fd().as_raw_fd();
    let account = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
    let line = account.lines().find_map(|line| line.strip_prefix("memlock:"))?;
    line.trim().parse().ok()
}

fn number(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or_default()
}

/// An error and what it was caused by, in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}
