//! The metrics that the daemon serves, and what the project ships that reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ntp_common::counters::answered;
use ntp_lab::query::EXTENSION_FIELD;
use ntp_lab::scene::{DENIED, LAN, SERVER, Scene, UPSTREAM};
use ntp_lab::{Host, workspace};

use crate::played::{LOCAL, PATIENCE, Played, QUIET, answer, until};
use crate::prometheus::labels_of;
use crate::trial::Needs::{Chronyd, Namespaces, Xdp};
use crate::trial::{daemon, trial};

/// Where the daemon is asked, in its own network.
pub(crate) const ADDRESS: &str = "127.0.0.1:9123";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("metrics count what both paths have done", &[Namespaces, Xdp], counts),
        trial("metrics tell of clock and sources", &[Namespaces, Chronyd], clock),
        trial("dashboard and alerts ask for metrics that exist", &[Namespaces, Chronyd], shipped),
        trial("metrics port in use is refused by name", &[Namespaces], in_use),
    ]
}

fn counts() -> Result<()> {
    let denied = DENIED.v4;
    let directives =
        format!("{LOCAL}allow\ndeny {denied}\nxdp {LAN} mode native\nmetricsaddress {ADDRESS}\n");
    let played = Played::open(&directives)?;
    for server in SERVER.both() {
        let client = played.client(server)?;
        for _ in 0..100 {
            answer(&client)?;
        }
        client.query_with(&EXTENSION_FIELD, PATIENCE)?.answered()?;
    }
    played.client_from(denied.into(), SERVER.v4.into())?.query(QUIET)?;
    let page = Page::scrape(&played.scene.server)?;
    let xdp = page.sum("ntp_xdp_requests_answered_total", &[("path", "xdp")]);
    ensure!(xdp == 200, "{xdp} of 200 in XDP");
    ensure!(xdp == answered(&played.xdp()?), "the kernel counts otherwise");
    for family in ["ipv4", "ipv6"] {
        let labels = [("path", "user"), ("family", family), ("version", "4")];
        let user = page.sum("ntp_xdp_requests_answered_total", &labels);
        ensure!(user == 1, "{user} over {family} by the daemon");
    }
    let denied = [("path", "xdp"), ("reason", "access_denied")];
    let denied = page.sum("ntp_xdp_packets_unanswered_total", &denied);
    ensure!(denied == 1, "{denied} denied");
    let answered = page.sum("ntp_xdp_user_service_seconds_count", &[]);
    ensure!(answered == 2, "{answered} times of answers by the daemon");
    let clients = page.sum("ntp_xdp_clients", &[]);
    ensure!(clients <= 2, "{clients} clients are recorded");
    let interface = page.sum("ntp_xdp_interface_info", &[("interface", LAN), ("mode", "native")]);
    ensure!(interface == 1, "{page:?}");
    Ok(())
}

fn clock() -> Result<()> {
    let directives = format!(
        "server {} iburst minpoll 0 maxpoll 0\nallow\nmetricsaddress {ADDRESS}\n",
        UPSTREAM.v4
    );
    let (played, header) = Played::following(3, &directives)?;
    let host = &played.scene.server;
    let source = UPSTREAM.v4.to_string();
    until("the source is selected", || {
        let selected = [("source", source.as_str()), ("state", "selected")];
        Ok(Page::scrape(host)?.sum("ntp_xdp_source_state", &selected) == 1)
    })?;
    let page = Page::scrape(host)?;
    let labels = [("source", source.as_str())];
    ensure!(page.sum("ntp_xdp_source_state", &labels) == 1, "a source is in one state");
    ensure!(page.sum("ntp_xdp_synchronised", &[]) == 1, "{page:?}");
    ensure!(page.sum("ntp_xdp_stratum", &[]) == u64::from(header.stratum), "{page:?}");
    ensure!(page.sum("ntp_xdp_clock_updates_total", &[]) >= 1, "{page:?}");
    let age_s = page.values("ntp_xdp_snapshot_age_seconds", &[]).next().context("no snapshot")?;
    ensure!((0.0..60.0).contains(&age_s.parse::<f64>()?), "{age_s}");
    let replies = page.sum("ntp_xdp_source_replies_total", &[("result", "accepted")]);
    let requests = page.sum("ntp_xdp_source_requests_total", &labels);
    ensure!(replies >= 1 && requests >= replies, "{replies} of {requests}");
    Ok(())
}

fn shipped() -> Result<()> {
    let directives = format!("server {} iburst\nallow\nmetricsaddress {ADDRESS}\n", UPSTREAM.v4);
    let (played, _) = Played::following(3, &directives)?;
    let page = Page::scrape(&played.scene.server)?;
    for file in ["grafana-dashboard.json", "prometheus-alerts.yml"] {
        let path = workspace().join("ntp-user/dist").join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let asked = names(&text);
        ensure!(asked.len() > 5, "{file} asks for {asked:?}");
        let missing: Vec<_> = asked.iter().filter(|name| !page.describes(name)).collect();
        ensure!(missing.is_empty(), "{file} asks for {missing:?}");
    }
    Ok(())
}

fn in_use() -> Result<()> {
    let scene = Scene::open()?;
    let address: SocketAddr = ADDRESS.parse()?;
    let _taken = scene.server.enter(|| Ok(TcpListener::bind(address)?))?;
    let directives = format!("{LOCAL}metricsaddress {ADDRESS}\n");
    let refused = daemon()?.refuse(&scene.lab, &scene.server, &directives)?;
    let said = format!("cannot serve metrics on {ADDRESS}: Address already in use");
    ensure!(!refused.status.success() && refused.output.contains(&said), "{refused:?}");
    Ok(())
}

/// Names of metrics in a file.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    words.filter(|word| word.starts_with("ntp_xdp_")).collect()
}

/// One scrape.
#[derive(Debug)]
pub(crate) struct Page(String);

impl Page {
    pub(crate) fn scrape(host: &Host) -> Result<Self> {
        let reply = host.enter(|| {
            let address: SocketAddr = ADDRESS.parse()?;
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply)?;
            Ok(reply)
        })?;
        ensure!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
        ensure!(reply.ends_with("# EOF\n"), "cut short: {reply}");
        Ok(Self(reply))
    }

    /// The sum of the whole numbers with this name and these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let whole = |value: &str| value.strip_suffix(".0").unwrap_or(value).parse::<u64>().ok();
        self.values(name, labels).filter_map(whole).sum()
    }

    fn values(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &str> {
        let wanted: Vec<_> = labels.iter().map(|(key, it)| format!("{key}=\"{it}\"")).collect();
        let lines = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        lines
            .filter(move |(metric, _)| metric.split('{').next() == Some(name))
            .filter(move |(metric, _)| wanted.iter().all(|label| metric.contains(label.as_str())))
            .map(|(_, value)| value)
    }

    /// The labels of every series of that name.
    pub(crate) fn series(&self, name: &str) -> Vec<BTreeMap<&str, &str>> {
        let series = self.0.lines().filter(|line| !line.starts_with('#'));
        let series = series.filter_map(|line| line.rsplit_once(' '));
        let named = series.map(|(series, _)| series.split_once('{').unwrap_or((series, "")));
        named.filter(|(it, _)| *it == name).map(|(_, labels)| labels_of(labels)).collect()
    }

    fn describes(&self, name: &str) -> bool {
        let parts = ["_total", "_bucket", "_count", "_sum"];
        let whole = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
        self.0.lines().any(|line| {
            line.strip_prefix("# TYPE ").is_some_and(|rest| rest.split(' ').next() == Some(whole))
        })
    }
}
