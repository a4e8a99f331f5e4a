//! The daemon's own dispatch with everything behind it, but nobody in front: packets are handed to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;

use ntp_common::ratelimit::ClientRules;
use ntp_engine::conf::{Config, parse};
use ntp_engine::driver::Seams;
use ntp_engine::settings::EngineConfig;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;

use crate::access::{AccessRules, HostAddresses};
use crate::clock::follow::FollowClock;
use crate::clock::reference::RefClocks;
use crate::clock::{DaemonClock, TimeBase};
use crate::command::sockets::{Packet, Sender};
use crate::command::{Commands, Prepared};
use crate::drift_file::DriftFile;
use crate::event_loop::DaemonDriver;
use crate::history_files::HistoryFiles;
use crate::key_file::KeyFile;
use crate::listening::Listening;
use crate::logs::Logs;
use crate::net::hardware::Stamper;
use crate::net::interfaces::Served;
use crate::net::interleaved::Exchanges;
use crate::net::socket::Manner;
use crate::net::udp::{LocalEnd, Served as ServedPort, UdpTransport};
use crate::net::worker::Shared;
use crate::resolver::{Families, ThreadResolver};
use crate::serving::access_list::{AccessList, SharedAccess};
use crate::serving::clients::Clients;
use crate::serving::occupancy::Occupancy;
use crate::serving::published::Published;
use crate::serving::ring::OwnedPage;
use crate::setup::Means;
use crate::source_folders::SourceFolders;
use crate::tasks::{Access, Limits, Tasks, UserPath};

/// Where commands are carried out.
pub(super) struct Desk {
    commands: Commands,
    pub(super) driver: DaemonDriver,
    pub(super) tasks: Tasks,
    socket: Arc<UnixDatagram>,
    network: Arc<OwnedFd>,
    /// What is done needs it.
    pub(super) runtime: Runtime,
}

impl Desk {
    /// A daemon with this configuration, which serves nobody and asks nobody: its time stands still between commands.
    pub(super) fn new(directives: &str) -> Self {
        let config = parse("test", &format!("port 0\n{directives}")).unwrap().config;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let entered = runtime.enter();
        let clock = DaemonClock::Follow(FollowClock::start());
        let (transport, _) = UdpTransport::new(NOWHERE, Stamper::kernel(clock.time_base()));
        let (resolver, _) = ThreadResolver::new(Families::Both);
        let page = OwnedPage::new();
        let ref_map = Published::new(Arc::clone(&page), None, None);
        let drift_store = DriftFile::new(None);
        let seams = Seams { clock, transport, ref_map, resolver, drift_store };
        let rng = StdRng::seed_from_u64(7);
        let engine = EngineConfig::from_config(&config);
        let mut driver = DaemonDriver::new(engine, rng, None, seams);
        let mut tasks = tasks(&config, page);
        tasks.start(&mut driver).unwrap();
        let resolver = &mut driver.seams_mut().resolver;
        let commands = Commands::start(&config, Prepared::default(), resolver).unwrap();
        driver.start();
        let socket = Arc::new(UnixDatagram::unbound().unwrap());
        let network = Arc::new(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into());
        drop(entered);
        Self { commands, driver, tasks, socket, network, runtime }
    }

    /// The answer to what a process of this host sends.
    pub(super) fn answer(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        let path = PathBuf::new();
        let from = Sender::Local { socket: Arc::clone(&self.socket), path };
        self.answer_to(from, octets)
    }

    /// The answer to what comes over the network.
    pub(super) fn answer_network(&mut self, from: IpAddr, octets: &[u8]) -> Option<Vec<u8>> {
        let address = SocketAddr::new(from, 40_000);
        let from = Sender::Network { socket: Arc::clone(&self.network), address, asked: None };
        self.answer_to(from, octets)
    }

    fn answer_to(&mut self, from: Sender, octets: &[u8]) -> Option<Vec<u8>> {
        let _entered = self.runtime.enter();
        let packet = Packet { octets: octets.to_vec(), from };
        self.commands.answer(&packet, &mut self.driver, &mut self.tasks)
    }
}

/// Packets leave from anywhere, which they don't.
const NOWHERE: LocalEnd = LocalEnd {
    v4: Ipv4Addr::UNSPECIFIED,
    v6: Ipv6Addr::UNSPECIFIED,
    port: 0,
    families: Families::Both,
    manner: Manner::ANY,
    served: ServedPort {
        v4: Ipv4Addr::UNSPECIFIED,
        v6: Ipv6Addr::UNSPECIFIED,
        port: 0,
        manner: Manner::ANY,
    },
};

fn tasks(config: &Config, page: Arc<OwnedPage>) -> Tasks {
    let rules: Vec<_> = config.access.iter().map(|rule| rule.value.clone()).collect();
    let hosts = HostAddresses::new();
    let list = AccessList::compile(&AccessRules::from_config(&rules, &hosts)).unwrap();
    let key_file = KeyFile::new(None);
    let shared = Shared {
        page,
        access: SharedAccess::new(list),
        keys: Arc::clone(key_file.keys()),
        clients: Clients::on_heap(ClientRules::new(16, [3, 5])),
        exchanges: Exchanges::new(),
        hardware: None,
        precision_log2: -20,
    };
    let means = Means { follow: true, families: Families::Both, is_one_shot: false };
    Tasks {
        access: Access::new(rules, Arc::clone(&shared.access)),
        xdp: None,
        served: Served { interfaces: Vec::new(), bound: Vec::new() },
        user_path: UserPath::Nobody,
        leap_file: None,
        key_file,
        histories: HistoryFiles::new(None),
        thermometer: None,
        refclocks: RefClocks::new(TimeBase::Kernel).0,
        logs: Logs::default(),
        source_folders: SourceFolders::of(config),
        limits: Limits { one_shot: None, end: None },
        is_watched: false,
        addresses: Vec::new(),
        clients: Arc::clone(&shared.clients),
        occupancy: Occupancy::default(),
        listening: Listening::new(config, means),
        shared,
        ticks: 0,
        is_told_to_end: false,
    }
}
