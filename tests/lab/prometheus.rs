//! Prometheus, to read what the daemon exposes as an operator's does: it scrapes, evaluates rules and answers queries.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::peers::{Peer, unpacked};
use crate::{Finished, Host, Lab, Process, run};

/// Where it listens, in the network of its host.
const ADDRESS: &str = "127.0.0.1:9090";

/// How long it may take to start, and to answer.
const START: Duration = Duration::from_secs(30);

/// Prometheus and its tool, if they are there and run.
#[must_use]
pub fn prometheus() -> Option<Prometheus> {
    let folders = [PathBuf::from("/usr/bin"), unpacked().join("usr/bin")];
    folders.into_iter().find_map(|folder| {
        let [server, tool] =
            ["prometheus", "promtool"].map(|program| Peer::find(folder.join(program), Vec::new()));
        Some(Prometheus { server: server?, tool: tool?.program().to_owned() })
    })
}

/// The programs.
#[derive(Clone, Debug)]
pub struct Prometheus {
    server: Peer,
    tool: PathBuf,
}

/// The server at work. Dropping it kills it.
#[derive(Debug)]
pub struct Scraping<'a> {
    host: &'a Host,
    _process: Process,
}

impl Prometheus {
    /// What it says its version is.
    #[must_use]
    pub fn version(&self) -> &str {
        self.server.version()
    }

    /// Runs its tool.
    ///
    /// # Errors
    /// It can't be run.
    pub fn tool(&self, words: &[&str], file: &Path) -> Result<Finished> {
        run(Command::new(&self.tool).args(words).arg(file), START)
    }

    /// Starts it in `host`, where it scrapes the endpoint `target` and evaluates the rules of the file `rules` every
    /// second.
    ///
    /// # Errors
    /// It does not start; the error has what it said.
    pub fn scrape<'a>(
        &self,
        lab: &Lab,
        host: &'a Host,
        target: &str,
        rules: &Path,
    ) -> Result<Scraping<'a>> {
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs: [{{job_name: ntp, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        let configuration = lab.file("prometheus.yml", &configuration)?;
        let option = |name: &str, value: String| format!("--{name}={value}");
        let mut command = self.server.command(host);
        command.arg(option("config.file", configuration.display().to_string()));
        let data = lab.folder().join("prometheus");
        command.arg(option("storage.tsdb.path", data.display().to_string()));
        command.arg(option("web.listen-address", ADDRESS.to_owned()));
        let mut process = Process::start("prometheus", &mut command)?;
        process.wait_for_line("Server is ready to receive web requests", START)?;
        Ok(Scraping { host, _process: process })
    }
}

impl Scraping<'_> {
    /// The series that an expression comes to now.
    ///
    /// # Errors
    /// It can't be evaluated, and what Prometheus says of it.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut query = String::new();
        for octet in expression.bytes() {
            write!(query, "%{octet:02X}")?;
        }
        let data = self.ask(&format!("/api/v1/query?query={query}"))?;
        let series = data.get("result").and_then(Value::as_array);
        series.cloned().with_context(|| format!("{expression} comes to no series: {data}"))
    }

    /// The rules, each with its state and what became of its last evaluation.
    ///
    /// # Errors
    /// Prometheus does not tell.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let data = self.ask("/api/v1/rules")?;
        let groups = data.get("groups").and_then(Value::as_array).context("no groups of rules")?;
        let rules = groups.iter().filter_map(|group| group.get("rules")?.as_array());
        Ok(rules.flatten().cloned().collect())
    }

    /// What it answers to a question of its interface for programs.
    fn ask(&self, path: &str) -> Result<Value> {
        let reply = self.host.enter(|| get(path))?;
        let (head, body) = reply.split_once("\r\n\r\n").context("no end of the head")?;
        let answer: Value = serde_json::from_str(body).with_context(|| reply.clone())?;
        ensure!(answer.get("status").is_some_and(|it| it == "success"), "{head}\n{answer:#}");
        answer.get("data").cloned().context("no data")
    }
}

/// The whole answer to a request, of the version of HTTP whose answers have no parts.
fn get(path: &str) -> Result<String> {
    let address: SocketAddr = ADDRESS.parse()?;
    let mut stream = TcpStream::connect(address).context("Prometheus does not listen")?;
    stream.set_read_timeout(Some(START))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {ADDRESS}\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}
