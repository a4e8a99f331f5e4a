//! The arguments of `ntp-xdp load-test`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use super::mix::Mix;
use super::outcome::Step;
use super::plan::Plan;
use super::target;
use crate::units;

/// Longest run of a step, seconds.
const MAX_SECONDS: f64 = 3600.0;
/// How long a fixed rate is sent unless told otherwise, and how long each of several rates.
const FIXED_SECONDS: f64 = 10.0;
const STEP_SECONDS: f64 = 2.0;

const EXAMPLES: &str = "\
Examples:
  ntp-xdp load-test 127.0.0.1 --rate 50k
      50,000 requests a second for 10 s from sockets, without privileges
  ntp-xdp load-test 192.0.2.1 --allow-remote 192.0.2.1 --find-limit 0.1 --json
      the highest rate of which at most 0.1 % is lost, for a program to read
  ntp-xdp load-test 10.1.0.1 --generator frames --interface eth0 --rate 1M \\
      --clients 1000000 --clients-from 10.77.0.0 --allow-remote 10.1.0.1
      a million clients; 10.1.0.1 must send its replies to 10.77.0.0/12 back to this machine
  ntp-xdp load-test 10.1.0.1 --ramp 10k..2M --steps 12 --save report
      a ramp, with report/report.html, report/report.json and report/latency.hlog
  ntp-xdp load-test 10.1.0.1 --mix plain=80,mac=10,garbage=10 --keyfile ntp.keys --key 7
      a mix; garbage deserves no answer and its loss is not counted";

/// Put an NTP server under load, and measure what it answers, how fast, and how right.
///
/// A request's latency counts from when it was due, so that a sender that was held up hides nothing. A prober asks
/// beside the load and measures the offset of the server's clock, which is an error where both share a clock.
///
/// Nothing is sent to other machines unless --allow-remote names the server, and every run ends by itself.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LoadTest {
    /// The server's address, with a port if it is not 123
    #[arg(value_parser = target::server)]
    pub server: SocketAddr,

    /// What sends: sockets run anywhere; frames are made in the kernel and need root and --interface
    #[arg(long, value_enum, default_value_t = GeneratorKind::Sockets)]
    pub generator: GeneratorKind,

    /// Requests a second, as 250, 250k or 1.5M
    #[arg(long, value_parser = units::rate, default_value = "10k", conflicts_with_all = ["ramp", "find_limit"])]
    pub rate: f64,

    /// Rates from one to another in equal ratios, as 10k..2M
    #[arg(long, value_name = "FROM..TO", value_parser = ramp, conflicts_with = "find_limit")]
    pub ramp: Option<(f64, f64)>,

    /// How many rates a ramp has
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(2..=100))]
    pub steps: u8,

    /// Find the highest rate of which no more than PERCENT is lost
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, default_missing_value = "0.1", value_parser = percent)]
    pub find_limit: Option<f64>,

    /// How often a rate that loses too much is tried before --find-limit takes it for too high
    #[arg(long, value_name = "TIMES", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub tries: u8,

    /// How long each rate is sent [default: 10, and 2 where there are several]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,

    /// How many clients there are; with sockets at most 4096, with frames 10,000,000
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub clients: u64,

    /// The first client's address, for frames [default: this interface's]
    #[arg(long, value_name = "ADDRESS")]
    pub clients_from: Option<IpAddr>,

    /// Clients beside those, each of which asks once a second; counted apart (frames)
    #[arg(long, value_name = "CLIENTS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub regular: u32,

    /// The first of the regular clients' addresses
    #[arg(long, value_name = "ADDRESS")]
    pub regular_from: Option<IpAddr>,

    /// Kinds of requests and their weights: plain, mac, interleaved, garbage, denied
    #[arg(long, default_value = "plain")]
    pub mix: Mix,

    /// File of symmetric keys, as chrony's, for `mac`
    #[arg(long, value_name = "FILE", requires = "key")]
    pub keyfile: Option<PathBuf>,

    /// The number of the key
    #[arg(long, value_name = "NUMBER", requires = "keyfile")]
    pub key: Option<u32>,

    /// Where requests of the kind `denied` come from
    #[arg(long, value_name = "ADDRESS")]
    pub denied_from: Option<IpAddr>,

    /// The interface that frames leave through
    #[arg(long)]
    pub interface: Option<String>,

    /// A VLAN tag of frames; twice for two, the outer one first
    #[arg(long, value_name = "TAG", value_parser = clap::value_parser!(u16).range(0..4096))]
    pub vlan: Vec<u16>,

    /// The Ethernet address of the server or of the way to it [default: the neighbour's]
    #[arg(long, value_name = "MAC", value_parser = station)]
    pub station: Option<[u8; 6]>,

    /// CPUs that send, as 0 or 0,1 [default: the first]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub cpus: Vec<usize>,

    /// Measure the latency of one reply in TIMES, a power of two, and only count the others (frames): the CPU has more time
    /// to send
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = power_of_two)]
    pub latency_every: u32,

    /// Requests a second of the prober; 0 for none
    #[arg(long, value_name = "RATE", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub probe: u32,

    /// The address of a server on another machine that may be put under load
    #[arg(long, value_name = "ADDRESS")]
    pub allow_remote: Option<IpAddr>,

    /// Print the result for a program to read
    #[arg(long)]
    pub json: bool,

    /// Write report.html, report.json, latency.hlog and offset.hlog to this folder
    #[arg(long, value_name = "FOLDER")]
    pub save: Option<PathBuf>,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
}

/// What sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GeneratorKind {
    /// Sockets of this process.
    Sockets,
    /// Frames made in the kernel.
    Frames,
}

/// A command line of its own, for programs that run tests as an operator would.
#[derive(Debug, Parser)]
#[command(name = "ntp-xdp load-test")]
struct Line {
    #[command(flatten)]
    test: LoadTest,
}

impl LoadTest {
    /// Reads the words of a command line, without the program and subcommand.
    ///
    /// # Errors
    /// They are none.
    pub fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        Line::try_parse_from(["load-test"].into_iter().chain(words)).map(|line| line.test)
    }

    /// Which rates are tried.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let lasts = |default: f64| self.duration.unwrap_or(Duration::from_secs_f64(default));
        match (self.ramp, self.find_limit) {
            (Some((from, to)), _) => {
                Plan::Ramp { from, to, steps: self.steps.into(), duration: lasts(STEP_SECONDS) }
            }
            (None, Some(percent)) => Plan::Limit {
                loss: percent / 100.0,
                from: None,
                tries: self.tries.into(),
                duration: lasts(STEP_SECONDS),
            },
            (None, None) => {
                Plan::Fixed(Step { rate: Some(self.rate), duration: lasts(FIXED_SECONDS) })
            }
        }
    }
}

fn ramp(text: &str) -> Result<(f64, f64), String> {
    let (from, to) = text.split_once("..").ok_or("a ramp is two rates, as 10k..2M")?;
    Ok((units::rate(from)?, units::rate(to)?))
}

fn power_of_two(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number: &u32| number.is_power_of_two());
    number
        .filter(|number| *number <= 1024)
        .ok_or_else(|| format!("`{text}` is no power of two from 1 to 1024"))
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse().ok();
    let number = number.filter(|number| (0.0..100.0).contains(number));
    number.ok_or_else(|| format!("`{text}` is no percentage, as 0.1 is"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches('s').parse().ok();
    let number = number.filter(|number| (0.1..=MAX_SECONDS).contains(number));
    let number =
        number.ok_or_else(|| format!("`{text}` is not from 0.1 to {MAX_SECONDS} seconds"))?;
    Ok(Duration::from_secs_f64(number))
}

fn station(text: &str) -> Result<[u8; 6], String> {
    let octets: Option<Vec<u8>> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let octets = octets.and_then(|octets| octets.try_into().ok());
    octets.ok_or_else(|| format!("`{text}` is no Ethernet address, as 02:00:00:00:00:01 is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<LoadTest, clap::Error> {
        LoadTest::read(words.split_whitespace())
    }

    #[test]
    fn rates_become_plans() {
        let plan = |words: &str| read(words).unwrap().plan();
        let lasts = Duration::from_secs;
        let fixed = Plan::Fixed(Step { rate: Some(50e3), duration: lasts(10) });
        assert_eq!(plan("127.0.0.1 --rate 50k"), fixed);
        let ramp = Plan::Ramp { from: 10e3, to: 2e6, steps: 12, duration: lasts(3) };
        assert_eq!(plan("::1 --ramp 10k..2M --steps 12 --duration 3"), ramp);
        let limit = |loss, tries| Plan::Limit { loss, from: None, tries, duration: lasts(2) };
        assert_eq!(plan("::1 --find-limit"), limit(0.001, 2));
        assert_eq!(plan("::1 --find-limit 1 --tries 10"), limit(0.01, 10));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for words in [
            "",
            "pool.ntp.org",
            "::1 --rate 1k --find-limit",
            "::1 --ramp 1k",
            "::1 --duration 7200",
            "::1 --clients 0",
            "::1 --clients 10000001",
            "::1 --latency-every 0",
            "::1 --latency-every 12",
            "::1 --latency-every 2048",
            "::1 --vlan 4096",
            "::1 --keyfile x",
            "::1 --mix nonsense",
            "::1 --station 02:00",
            "::1 --find-limit 100",
            "::1 --find-limit --tries 0",
        ] {
            assert!(read(words).is_err(), "{words}");
        }
    }
}
