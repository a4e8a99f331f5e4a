//! Where servers are measured: a server's host and its clients' host, joined by a link.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use ntp_lab::{End, Host, Lab, run};
use ntp_xdp::load::Test;
use ntp_xdp::load::arguments::LoadTest;

use crate::tasks::Tasks;

/// The interfaces at both ends.
pub(crate) const LAN: &str = "lan";
/// The server's address.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 123, 0, 1);
/// The first of the clients' addresses: 10.128.0.0/9.
pub(crate) const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);
/// The first of the regular clients' addresses: 10.64.0.0/16.
pub(crate) const REGULAR: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
/// How many clients there are unless a benchmark says otherwise.
pub(crate) const CLIENT_COUNT: u64 = 10_000;

/// The CPU that requests come from, and the one that the server has.
pub(crate) const LOAD_CPU: usize = 0;
pub(crate) const SERVER_CPU: usize = 1;

/// The hosts.
pub(crate) struct Field {
    pub(crate) lab: Lab,
    pub(crate) server: Host,
    pub(crate) client: Host,
    polling: Polling,
    /// The kernel's threads that were there before.
    strangers: Tasks,
}

/// Who does the server's work in the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Polling {
    /// Whoever sends: all is done on one CPU.
    BySender,
    /// A thread of the server's interface, which has a CPU of its own.
    ByThread,
}

impl Field {
    pub(crate) fn open(polling: Polling) -> Result<Self> {
        Self::with_queues(polling, 1)
    }

    /// As [`Field::open`], with so many queues of the link: each CPU that sends has one of its own.
    pub(crate) fn with_queues(polling: Polling, queues: usize) -> Result<Self> {
        let lab = Lab::open()?;
        let (server, client) = (lab.host("server")?, lab.host("client")?);
        lab.link_with_queues(
            End { host: &server, interface: LAN, addresses: &["10.123.0.1/24"] },
            End { host: &client, interface: LAN, addresses: &["10.123.0.2/24"] },
            queues,
        )?;
        for network in ["10.128.0.0/9", "10.64.0.0/16"] {
            let mut route = server.command("ip");
            run(route.args(["route", "add", network, "via", "10.123.0.2"]), PATIENCE)?.success()?;
        }
        let strangers = Tasks::napi(LAN);
        Ok(Self { lab, server, client, polling, strangers })
    }

    /// Gives the server's interface threads of its own to poll it, if that is wanted, and finds them. The interface has
    /// an XDP program by now: a veth pair is polled only with one, and the kernel refuses threads before that.
    pub(crate) fn poll(&self) -> Result<Tasks> {
        if self.polling == Polling::BySender {
            return Ok(Tasks::default());
        }
        // What is in /sys depends on the namespace that it was mounted in.
        let mut set = self.server.command("unshare");
        let script = format!("mount -t sysfs sysfs /sys && echo 1 > /sys/class/net/{LAN}/threaded");
        run(set.args(["--mount", "--", "sh", "-c", &script]), PATIENCE)?.success()?;
        let tasks = Tasks::napi(LAN).without(&self.strangers);
        tasks.hasten()?;
        Ok(tasks)
    }

    /// Does `work` with a load test from the clients' host; `words` are further arguments.
    pub(crate) fn test<T: Send>(
        &self,
        words: &str,
        work: impl FnOnce(&mut Test) -> Result<T> + Send,
    ) -> Result<T> {
        let mut line = format!(
            "{SERVER} --generator frames --interface {LAN} --clients-from {CLIENTS} --regular-from {REGULAR} \
             --quiet {words}"
        );
        for (option, default) in [("--clients", CLIENT_COUNT), ("--cpus", LOAD_CPU as u64)] {
            if !words.split_whitespace().any(|word| word == option) {
                line = format!("{line} {option} {default}");
            }
        }
        let arguments = LoadTest::read(line.split_whitespace())?;
        self.client.enter(|| work(&mut Test::open(&arguments)?))
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
