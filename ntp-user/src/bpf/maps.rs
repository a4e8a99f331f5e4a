//! The maps of the XDP object, made as it declares them, and with what it leaves to the daemon.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use aya::maps::{Map, MapData};
use aya_obj::{EbpfSectionKind, Map as Declared, Object};
use ntp_common::maps::{
    CLIENTS_MAP, COUNTERS_MAP, CPUS_VARIABLE, PLAIN_UDP_LEN, PORT_VARIABLE, SETS_VARIABLE,
    port_and_len,
};

use super::counters_map::possible_cpus;
use super::linked::LinkError;
use super::program::{Built, with_causes};
use super::system_call::{freeze, set_only_value};

/// What the names of sections begin with whose memory the daemon shares with the program. Such a section is a map of one
/// value, at an address that the kernel writes into the program; behind this is the map's name.
const SHARED: &str = ".bss.";

/// `BPF_F_MMAPABLE` of the kernel's uapi.
const MMAPABLE: u32 = 1 << 10;

/// The maps, by their names.
#[derive(Debug)]
pub(super) struct Maps(BTreeMap<String, Map>);

impl Maps {
    /// Makes the maps of an object.
    ///
    /// # Errors
    /// [`LinkError`].
    pub(super) fn create(object: &[u8], built: Built) -> Result<Self, LinkError> {
        let mut object = Object::parse(object).map_err(|error| LinkError::unusable(&error))?;
        let cpus = possible_cpus()?;
        let port = port_and_len(built.port, PLAIN_UDP_LEN).to_ne_bytes();
        let sets = built.client_sets.to_ne_bytes();
        let variables = [
            (PORT_VARIABLE, (&port[..], true)),
            (SETS_VARIABLE, (&sets[..], true)),
            (CPUS_VARIABLE, (&cpus.to_ne_bytes()[..], true)),
        ];
        let patched = object.patch_map_data(variables.into_iter().collect());
        patched.map_err(|error| LinkError::unusable(&error))?;
        let mut maps = BTreeMap::new();
        for (section, mut declared) in object.maps {
            let name = name_of(&section);
            if let (true, Declared::Legacy(map)) = (name != section, &mut declared) {
                map.def.map_flags |= MMAPABLE;
            }
            // How many of what the section has one of; there is no map without octets.
            let count = match name {
                CLIENTS_MAP => built.client_sets.max(1),
                COUNTERS_MAP => cpus,
                _ => 1,
            };
            declared.set_value_size(declared.value_size().saturating_mul(count));
            maps.insert(name.to_owned(), create(name, declared)?);
        }
        Ok(Self(maps))
    }

    /// A map.
    pub(super) fn get(&self, name: &str) -> Option<&Map> {
        self.0.get(name)
    }

    /// All maps.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Map> {
        self.0.values()
    }

    /// The descriptor of the map that an object declares under this name, or as this section.
    pub(super) fn descriptor(&self, declared: &str) -> Option<RawFd> {
        let map = self.get(name_of(declared))?;
        let (Map::Array(data) | Map::PerCpuArray(data)) = map else { return None };
        Some(data.fd().as_fd().as_raw_fd())
    }
}

/// The name of the map that an object declares under a name, or as a section.
fn name_of(declared: &str) -> &str {
    declared.strip_prefix(SHARED).unwrap_or(declared)
}

/// Makes one map. The octets of read-only variables are put into it, and none can be changed any more then: so the verifier
/// knows them.
fn create(name: &str, mut declared: Declared) -> Result<Map, LinkError> {
    let is_constant = declared.section_kind() == EbpfSectionKind::Rodata;
    let octets = std::mem::take(declared.data_mut());
    let refused = |error: &dyn std::error::Error| {
        LinkError::Refused(io::Error::other(format!("map `{name}`: {}", with_causes(error))))
    };
    let data = MapData::create(declared, name, None).map_err(|error| refused(&error))?;
    if is_constant {
        set_only_value(data.fd(), &octets).map_err(|error| refused(&error))?;
        freeze(data.fd()).map_err(|error| refused(&error))?;
    }
    Map::from_map_data(data).map_err(|error| refused(&error))
}
