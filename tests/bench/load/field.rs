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

/// Takes the neighbour discovery of IPv6 from interfaces that are yet to be made.
const WITHOUT_IPV6: &str =
    "F=/proc/sys/net/ipv6/conf/default/disable_ipv6; [ ! -e $F ] || echo 1 > $F";

/// The hosts.
pub(crate) struct Field {
    pub(crate) lab: Lab,
    pub(crate) server: Host,
    pub(crate) client: Host,
    polling: Polling,
}

/// Who does the server's work in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polling {
    /// Whoever sends: all is done on one CPU.
    BySender,
    /// A thread of the server's interface, which has the server's CPU: XDP answers there.
    ByThread,
    /// Whoever sends takes the frames in, and the server's CPU has what is to be done with them from there on (receive packet
    /// steering): what suits a server in user space best. A thread that polls would take its CPU from it.
    Steered,
    /// The same, and replies are taken in by the CPU that sends, as they are with [`Polling::ByThread`]: it spares the server's
    /// CPU the sink, and costs it a wake-up.
    SteeredBothWays,
}

impl Field {
    pub(crate) fn open(polling: Polling) -> Result<Self> {
        Self::with_queues(polling, 1)
    }

    /// As [`Field::open`], with so many queues of the link: each CPU that sends has one of its own.
    pub(crate) fn with_queues(polling: Polling, queues: usize) -> Result<Self> {
        let lab = Lab::open()?;
        let (server, client) = (lab.host("server")?, lab.host("client")?);
        // What a host sends by itself has the CPU that it sends from poll the link, and that CPU keeps it as long as the load
        // lasts: nothing but the load is to be sent.
        for host in [&server, &client] {
            run(host.command("sh").args(["-c", WITHOUT_IPV6]), PATIENCE)?.success()?;
        }
        lab.link_with_queues(
            End { host: &server, interface: LAN, addresses: &["10.123.0.1/24"] },
            End { host: &client, interface: LAN, addresses: &["10.123.0.2/24"] },
            queues,
        )?;
        for network in ["10.128.0.0/9", "10.64.0.0/16"] {
            let mut route = server.command("ip");
            run(route.args(["route", "add", network, "via", "10.123.0.2"]), PATIENCE)?.success()?;
        }
        Ok(Self { lab, server, client, polling })
    }

    /// Has the server's work in the kernel done as was wanted, and gives the threads that do it, if there are any. The
    /// interface has an XDP program by now: a veth pair is polled only with one, and the kernel refuses threads before that.
    pub(crate) fn poll(&self) -> Result<Tasks> {
        match self.polling {
            Polling::BySender => Ok(Tasks::default()),
            Polling::ByThread => {
                let others = Tasks::napi(LAN);
                set(&self.server, "threaded", "1")?;
                let tasks = Tasks::napi(LAN).without(&others);
                tasks.hasten()?;
                Ok(tasks)
            }
            Polling::Steered | Polling::SteeredBothWays => {
                let cpus = format!("{:x}", 1u64 << SERVER_CPU);
                set(&self.server, "queues/rx-0/rps_cpus", &cpus)?;
                Ok(Tasks::default())
            }
        }
    }

    /// Has replies taken in by a thread of the clients' interface on the CPU that sends, so that the server's CPU does
    /// nothing that a server's CPU does not. The interface has the sink by now.
    pub(crate) fn poll_replies(&self) -> Result<()> {
        match self.polling {
            Polling::BySender | Polling::Steered => return Ok(()),
            Polling::ByThread | Polling::SteeredBothWays => {}
        }
        let others = Tasks::napi(LAN);
        set(&self.client, "threaded", "1")?;
        let tasks = Tasks::napi(LAN).without(&others);
        tasks.pin(LOAD_CPU)?;
        tasks.go_first()
    }
    /// Does `work` with a load test from the clients' host; `words` are further arguments.
    pub(crate) fn test<T: Send>(
        &self,
        words: &str,
        work: impl FnOnce(&mut Test) -> Result<T> + Send,
    ) -> Result<T> {
        let mut test = self.open_test(words)?;
        self.client.enter(|| work(&mut test))
    }

    /// Makes a load test ready at the clients' host; `words` are further arguments.
    pub(crate) fn open_test(&self, words: &str) -> Result<Test> {
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
        let test = self.client.enter(|| Test::open(&arguments))?;
        self.poll_replies()?;
        Ok(test)
    }
}

/// Sets something of the interface at an end.
fn set(host: &Host, name: &str, value: &str) -> Result<()> {
    // What is in /sys depends on the namespace that it was mounted in.
    let mut set = host.command("unshare");
    let script = format!("mount -t sysfs sysfs /sys && echo {value} > /sys/class/net/{LAN}/{name}");
    run(set.args(["--mount", "--", "sh", "-c", &script]), PATIENCE)?.success()?;
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(10);
