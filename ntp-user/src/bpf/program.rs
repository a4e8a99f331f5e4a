//! The loaded program and its maps.

use std::os::fd::{AsFd, AsRawFd};
use std::{fs, io};

use aya::maps::{Map, MapData, PerCpuArray};
use aya::programs::Xdp;
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use ntp_common::clients::SET_SIZE;
use ntp_common::counters::{COUNTER_COUNT, Counters, accumulate};
use ntp_common::maps::{
    ACL_MAP, ACL_TABLE_SIZE, ACL_TABLES, CLIENT_SET_LINES, CLIENTS_MAP, COUNTERS_MAP,
    COUNTERS_SIZE, PORT_VARIABLE, PROGRAM, SERVING_MAP, SERVING_SIZE,
};
use ntp_common::waiting::WAITING_SIZE;

use super::acl_map::AclMap;
use super::capabilities::missing_for_xdp;
use super::clients_map::MappedClients;
use super::serving_map::MappedPage;

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
    /// The kernel did not take it.
    #[error("the kernel refuses the XDP program: {0}")]
    Refused(String),
    /// A map or program is not in the object.
    #[error("the XDP object has no `{0}`: it does not belong to this daemon")]
    Missing(&'static str),
    /// A map's memory is not to be had.
    #[error("cannot map the memory of `{map}`: {error}")]
    Unmapped {
        /// The map.
        map: &'static str,
        /// The reason.
        error: io::Error,
    },
}

impl From<EbpfError> for LoadError {
    fn from(error: EbpfError) -> Self {
        Self::Refused(with_causes(&error))
    }
}

/// The program, loaded. Dropping it unloads it where no link holds it.
#[derive(Debug)]
pub struct Program {
    ebpf: Ebpf,
    client_sets: u32,
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
        let port = built.port.to_be();
        let mut loader = EbpfLoader::new();
        loader.override_global(PORT_VARIABLE, &port, true);
        // There is no map without entries.
        loader.map_max_entries(CLIENTS_MAP, (built.client_sets * CLIENT_SET_LINES).max(1));
        let mut program = Self { ebpf: loader.load(object)?, client_sets: built.client_sets };
        program.xdp()?.load().map_err(|error| LoadError::Refused(with_causes(&error)))?;
        Ok(program)
    }

    /// The program itself, to attach it or to run it.
    ///
    /// # Errors
    /// [`LoadError::Missing`].
    pub fn xdp(&mut self) -> Result<&mut Xdp, LoadError> {
        let program = self.ebpf.program_mut(PROGRAM).ok_or(LoadError::Missing(PROGRAM))?;
        program.try_into().map_err(|_| LoadError::Missing(PROGRAM))
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
    ///
    /// # Errors
    /// When the map is missing or the kernel does not tell.
    pub fn counters(&self) -> Result<Counters, LoadError> {
        let map = self.ebpf.map(COUNTERS_MAP).ok_or(LoadError::Missing(COUNTERS_MAP))?;
        let map = PerCpuArray::<_, Counters>::try_from(map)
            .map_err(|_| LoadError::Missing(COUNTERS_MAP))?;
        let cpus = map.get(&0, 0).map_err(|error| LoadError::Refused(with_causes(&error)))?;
        let mut total = [0; COUNTER_COUNT];
        for counters in cpus.iter() {
            accumulate(&mut total, counters);
        }
        Ok(total)
    }

    /// Memory of all maps, octets, by the kernel's own account; by ours where it does not give one.
    #[must_use]
    pub fn octets(&self) -> usize {
        let accounted: Option<usize> = self.ebpf.maps().map(|(_, map)| accounted(map)).sum();
        accounted.unwrap_or_else(|| {
            let cpus = nr_cpus().unwrap_or(1);
            let clients = self.client_sets.max(1) as usize * SET_SIZE;
            let tables = ACL_TABLES as usize * ACL_TABLE_SIZE;
            SERVING_SIZE + tables + clients + cpus * (COUNTERS_SIZE + WAITING_SIZE)
        })
    }

    fn array(&self, name: &'static str) -> Result<&MapData, LoadError> {
        match self.ebpf.map(name) {
            Some(Map::Array(data)) => Ok(data),
            _ => Err(LoadError::Missing(name)),
        }
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
