//! chrony's client: asked for reports, and told to give commands.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::peers::Peer;
use crate::{Host, run};

/// How long it may take: it asks three times when nobody answers.
const PATIENCE: Duration = Duration::from_secs(15);

/// chrony's client.
#[derive(Clone, Debug)]
pub struct Chronyc(Peer);

/// How it reaches the daemon.
#[derive(Clone, Debug)]
pub enum Way {
    /// By the Unix socket at this path.
    Socket(PathBuf),
    /// By UDP.
    Network(IpAddr, u16),
}

impl From<PathBuf> for Way {
    fn from(path: PathBuf) -> Self {
        Self::Socket(path)
    }
}

/// What it said.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whether it was content.
    pub is_success: bool,
    /// Its lines.
    pub output: String,
}

impl Told {
    /// What it said, if it was content.
    ///
    /// # Errors
    /// It was not; the error has what it said.
    pub fn success(self) -> Result<Self> {
        if self.is_success { Ok(self) } else { bail!("chronyc failed: {}", self.output) }
    }

    /// The columns of the lines, with commas between them as `-c` prints them.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        self.output.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }

    /// The only line's column `index` as a number.
    ///
    /// # Errors
    /// There is none, or it is none.
    pub fn number(&self, index: usize) -> Result<f64> {
        let rows = self.rows();
        let column = rows.first().and_then(|row| row.get(index));
        let column = column.with_context(|| format!("no column {index} in {}", self.output))?;
        column.parse().with_context(|| format!("column {index} of {}", self.output))
    }
}

impl Chronyc {
    pub(crate) fn new(peer: Peer) -> Self {
        Self(peer)
    }

    /// Gives one command in `host`, without looking names up; with columns of plain numbers for an answer.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn give(&self, host: &Host, way: &Way, command: &str) -> Result<Told> {
        self.run(host, way, &["-n", "-c"], command)
    }

    /// As [`Chronyc::give`], with an answer for people.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn print(&self, host: &Host, way: &Way, command: &str) -> Result<Told> {
        self.run(host, way, &["-n"], command)
    }

    fn run(&self, host: &Host, way: &Way, options: &[&str], words: &str) -> Result<Told> {
        let mut command = self.0.command(host);
        command.args(options);
        match way {
            Way::Socket(path) => command.arg("-h").arg(path),
            Way::Network(address, port) => {
                command.args(["-h", &address.to_string(), "-p", &port.to_string()])
            }
        };
        let finished = run(command.args(words.split(' ')), PATIENCE)?;
        Ok(Told { is_success: finished.status.success(), output: finished.output })
    }
}
