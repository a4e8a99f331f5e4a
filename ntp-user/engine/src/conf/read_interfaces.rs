//! Readers of the directives about network interfaces and threads: `hwtimestamp`, `xdp`, `serverthreads`,
//! `metricsaddress`.

use std::net::SocketAddr;

use std::ops::RangeInclusive;

use super::config::Config;
use super::error::{Problem, Subject};
use super::options::Kind::{Flag, Value};
use super::options::Support::{NoEffect, Works};
use super::options::{OptionEntry, option, read_options};
use super::statement::{ANY, FROM_ZERO, Owner, Read, Statement, Unit};
use super::values::{HwTimestamp, RxFilter, Xdp, XdpMode};

pub(super) fn hwtimestamp<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    struct Written {
        entry: HwTimestamp,
        maxpoll_log2: Option<i8>,
    }
    const POLL: RangeInclusive<i8> = -6..=20;
    const NOTHING_KEPT: &str =
        "the clock of an interface is read whenever a timestamp of its comes, not at intervals";
    const OPTIONS: &[OptionEntry<Written>] = &[
        option(
            "minpoll",
            NoEffect(NOTHING_KEPT),
            Value(|w, s, o| s.integer(o, POLL).map(|v| w.entry.minpoll_log2 = v)),
        ),
        option(
            "maxpoll",
            NoEffect(NOTHING_KEPT),
            Value(|w, s, o| s.integer(o, POLL).map(|v| w.maxpoll_log2 = Some(v))),
        ),
        option(
            "minsamples",
            NoEffect(NOTHING_KEPT),
            Value(|w, s, o| s.integer(o, 0..=u32::MAX).map(|v| w.entry.minsamples = v)),
        ),
        option(
            "maxsamples",
            NoEffect(NOTHING_KEPT),
            Value(|w, s, o| s.integer(o, 0..=u32::MAX).map(|v| w.entry.maxsamples = v)),
        ),
        option(
            "precision",
            NoEffect(NOTHING_KEPT),
            Value(|w, s, o| s.number(o, Unit::Seconds, FROM_ZERO).map(|v| w.entry.precision_s = v)),
        ),
        option(
            "txcomp",
            Works,
            Value(|w, s, o| s.number(o, Unit::Seconds, ANY).map(|v| w.entry.txcomp_s = v)),
        ),
        option(
            "rxcomp",
            Works,
            Value(|w, s, o| s.number(o, Unit::Seconds, ANY).map(|v| w.entry.rxcomp_s = v)),
        ),
        option("nocrossts", Works, Flag(|w| w.entry.nocrossts = true)),
        option(
            "rxfilter",
            Works,
            Value(|w, s, o| s.choice(o, RxFilter::NAMES).map(|v| w.entry.rxfilter = Some(v))),
        ),
    ];
    let interface = s.word(owner.part("interface"), "an interface, or *")?;
    let entry = HwTimestamp::new(interface.text);
    let mut written = Written { entry, maxpoll_log2: None };
    read_options(s, owner.subject.name, OPTIONS, &mut written)?;
    let Written { mut entry, maxpoll_log2 } = written;
    entry.maxpoll_log2 = maxpoll_log2.unwrap_or(entry.minpoll_log2 + 1);
    c.hwtimestamp.push(s.locate(entry, owner.word));
    Ok(())
}

pub(super) fn xdp<'a>(c: &mut Config, s: &mut Statement<'a, '_>, owner: Owner<'a>) -> Read<()> {
    const OPTIONS: &[OptionEntry<Xdp>] = &[
        option("mode", Works, Value(|x, s, o| s.choice(o, XdpMode::NAMES).map(|v| x.mode = v))),
        option("holdover", Works, Value(|x, s, o| s.integer(o, 0..=60).map(|v| x.holdover_s = v))),
        option("hwtimestamp", Works, Flag(|x| x.hwtimestamp = true)),
    ];
    let place = s.peek().unwrap_or(owner.word);
    let interface = s.value(owner.part("interface"), INTERFACE, interface_name);
    let mut xdp = Xdp::default();
    let options = read_options(s, owner.subject.name, OPTIONS, &mut xdp);
    xdp.interface = interface?;
    options?;
    if let Some(earlier) = c.xdp.iter().find(|earlier| earlier.value.interface == xdp.interface) {
        let subject = Subject { name: "xdp", part: Some("interface") };
        let first = Some(earlier.at.clone());
        return Err(s.report(place, Problem::Duplicate { subject, first }));
    }
    c.xdp.push(s.locate(xdp, place));
    Ok(())
}

pub(super) fn serverthreads<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    const OPTIONS: &[OptionEntry<Threads>] = &[option(
        "cpus",
        Works,
        Value(|w, s, o| {
            let expected = "a list of as many different CPUs as threads, such as 0-3,8";
            let list = |text: &str| cpu_list(text).filter(|cpus| cpus.len() == w.count.into());
            s.value(o, expected, list).map(|v| w.cpus = v)
        }),
    )];
    let mut written = Threads { count: s.integer(owner, 0..=64)?, cpus: Vec::new() };
    read_options(s, owner.subject.name, OPTIONS, &mut written)?;
    (c.serverthreads, c.servercpus) = (Some(written.count), written.cpus);
    match s.say_once("serverthreads", owner.word) {
        None => Ok(()),
        first => Err(s.report(owner.word, Problem::Duplicate { subject: owner.subject, first })),
    }
}

pub(super) fn metricsaddress<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let expected = "an address and a port, such as 127.0.0.1:9123 or [::1]:9123";
    let address: SocketAddr = s.value(owner, expected, |text| text.parse().ok())?;
    if !c.metricsaddress.contains(&address) {
        c.metricsaddress.push(address);
    }
    Ok(())
}

/// Threads and the CPUs that they are kept on.
struct Threads {
    count: u8,
    cpus: Vec<u16>,
}

/// A list of CPUs as the kernel writes it: numbers and ranges, each CPU once.
fn cpu_list(text: &str) -> Option<Vec<u16>> {
    const MAX_CPUS: usize = 64;
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = cpu(first)?..=cpu(last)?;
        if range.is_empty() || range.len() > MAX_CPUS || range.clone().any(|it| cpus.contains(&it))
        {
            return None;
        }
        cpus.extend(range);
    }
    Some(cpus)
}

/// The number of a CPU, of which Linux knows 8192 at most.
fn cpu(text: &str) -> Option<u16> {
    const MAX_CPU: u16 = 8191;
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|&number| number <= MAX_CPU)
}

/// What [`interface_name`] accepts.
pub(super) const INTERFACE: &str = "an interface's name (1 to 15 characters, no / or :)";

/// What the kernel accepts as the name of a network interface.
pub(super) fn interface_name(text: &str) -> Option<String> {
    const IFNAMSIZ: usize = 16;
    let is_name = text.len() < IFNAMSIZ
        && !matches!(text, "" | "." | "..")
        && !text.contains(['/', ':', '\0']);
    is_name.then(|| text.to_owned())
}
