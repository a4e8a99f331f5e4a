//! Asks the daemon, over its Unix socket or over the network.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail};
use ntp_engine::candm::{MAX_REPLY_LEN, NoAnswer, Question, Reply};

use super::arguments::LinkArguments;

/// Where the daemon's socket is unless its configuration says otherwise.
const USUAL_SOCKET: &str = "/run/chrony/chronyd.sock";

/// How long an answer is waited for, and how often a question is asked.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;

/// A connection to a daemon.
pub(super) struct Link {
    socket: Socket,
    name: String,
    limited_by: Option<String>,
    sequence: u32,
}

enum Socket {
    Local(Named),
    Network(UdpSocket),
}

/// A Unix socket with a name, which a reply needs; the name ends with it.
struct Named {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Drop for Named {
    fn drop(&mut self) {
        // Who can't remove it leaves a file behind that the next one replaces.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Named {
    fn connect(to: &Path) -> io::Result<Self> {
        let folder = to.parent().unwrap_or(Path::new("/"));
        let path = folder.join(format!("ntp-xdp.{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let named = Self { socket: UnixDatagram::bind(&path)?, path };
        // The daemon may run as another user.
        std::fs::set_permissions(&named.path, PermissionsExt::from_mode(0o666))?;
        named.socket.connect(to)?;
        named.socket.set_read_timeout(Some(PATIENCE))?;
        Ok(named)
    }
}

impl Link {
    /// Connects to the daemon: to its usual socket, or else over the loopback interface.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(super) fn open(arguments: &LinkArguments) -> Result<Self> {
        let port = arguments.port;
        match arguments.host.as_deref() {
            Some(path) if path.starts_with('/') => {
                let named = Named::connect(Path::new(path));
                let named = named.with_context(|| format!("cannot reach the daemon at {path}"))?;
                Ok(Self::new(Socket::Local(named), path.to_owned()))
            }
            Some(address) => {
                let ip: IpAddr = address
                    .parse()
                    .with_context(|| format!("`{address}` is neither a path nor an address"))?;
                let mut link = Self::network(SocketAddr::new(ip, port))?;
                link.limited_by =
                    Some("over the network; over its socket the daemon does".to_owned());
                Ok(link)
            }
            None => match Named::connect(Path::new(USUAL_SOCKET)) {
                Ok(named) => Ok(Self::new(Socket::Local(named), USUAL_SOCKET.to_owned())),
                Err(error) => {
                    let mut link = Self::network(SocketAddr::new([127, 0, 0, 1].into(), port))?;
                    link.limited_by = Some(format!("{USUAL_SOCKET}: {}", plain(&error)));
                    Ok(link)
                }
            },
        }
    }

    fn network(address: SocketAddr) -> Result<Self> {
        let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::new(Socket::Network(socket), address.to_string()))
    }

    fn new(socket: Socket, name: String) -> Self {
        Self { socket, name, limited_by: None, sequence: 0 }
    }

    /// Why the daemon may tell less than it could.
    pub(super) fn limited_by(&self) -> Option<&str> {
        self.limited_by.as_deref()
    }

    /// Where the daemon is.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The answer to a question; `None` when the daemon does not tell.
    ///
    /// # Errors
    /// Nobody answers.
    pub(super) fn ask(&mut self, question: Question) -> Result<Option<Reply>> {
        self.sequence = unpredictable(self.sequence);
        let packet = question.packet(self.sequence);
        for _ in 0..TRIES {
            if let Err(error) = self.send(&packet) {
                return Err(self.nobody(&error));
            }
            match self.answer(question)? {
                Some(Ok(reply)) => return Ok(Some(reply)),
                Some(Err(NoAnswer::Refused(_) | NoAnswer::Short | NoAnswer::NotMine)) => {
                    return Ok(None);
                }
                None => {}
            }
        }
        bail!("no answer from {} in {TRIES} tries", self.name)
    }

    /// Waits for the answer; `None`: none came in time.
    fn answer(&self, question: Question) -> Result<Option<Result<Reply, NoAnswer>>> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; MAX_REPLY_LEN];
        while Instant::now() < deadline {
            let len = match self.receive(&mut buffer) {
                Ok(len) => len,
                Err(error) if is_silence(&error) => return Ok(None),
                Err(error) => return Err(self.nobody(&error)),
            };
            match question.answer(self.sequence, &buffer[..len]) {
                // Of an earlier question that was asked twice.
                Err(NoAnswer::NotMine) => {}
                outcome => return Ok(Some(outcome)),
            }
        }
        Ok(None)
    }

    /// What there is to say when nobody listens.
    fn nobody(&self, error: &io::Error) -> Error {
        let tried = self.limited_by.as_ref().map_or(String::new(), |why| format!("; {why}"));
        anyhow!(
            "no daemon listens at {}: {}{tried} (`systemctl status ntp-xdpd` tells whether it runs)",
            self.name,
            plain(error)
        )
    }

    fn send(&self, packet: &[u8]) -> io::Result<usize> {
        match &self.socket {
            Socket::Local(named) => named.socket.send(packet),
            Socket::Network(socket) => socket.send(packet),
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.socket {
            Socket::Local(named) => named.socket.recv(buffer),
            Socket::Network(socket) => socket.recv(buffer),
        }
    }
}

/// What the system says, without its number.
fn plain(error: &io::Error) -> String {
    let said = error.to_string();
    said.split(" (os error").next().unwrap_or_default().to_owned()
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A sequence number that nobody off the path can foretell.
fn unpredictable(before: u32) -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    // Each state has keys from the system's source of randomness.
    let [high, low] = [32, 0].map(|shift| RandomState::new().hash_one(before) >> shift);
    u32::try_from((high ^ low) & u64::from(u32::MAX)).unwrap_or(before.wrapping_add(1))
}
