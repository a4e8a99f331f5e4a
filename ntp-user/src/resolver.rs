//! Resolves names on a thread of its own, which exists from the first name on: `getaddrinfo(3)` blocks for
//! as long as the network likes.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc as requests;
use std::thread;

use ntp_engine::seams::Resolver;
use tokio::sync::mpsc as answers;

/// Which addresses of a name are of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// All.
    Both,
    /// IPv4 alone (`-4`).
    V4,
    /// IPv6 alone (`-6`).
    V6,
}

impl Families {
    /// Whether addresses of the family of `address` are of use.
    #[must_use]
    pub const fn include(self, address: IpAddr) -> bool {
        match self {
            Self::Both => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// A name and its addresses; none when it could not be resolved.
#[derive(Debug)]
pub struct Resolved {
    /// The name.
    pub name: String,
    /// Its addresses, in the order of the system's preference.
    pub addresses: Vec<IpAddr>,
}

/// Hands names to the thread.
#[derive(Debug)]
pub struct ThreadResolver {
    families: Families,
    names: Option<requests::Sender<String>>,
    answers: answers::UnboundedSender<Resolved>,
}

impl ThreadResolver {
    /// A resolver without a thread yet, and the end where its answers come out.
    #[must_use]
    pub fn new(families: Families) -> (Self, answers::UnboundedReceiver<Resolved>) {
        // As many answers wait at most as there were names asked for.
        let (answers, receiver) = answers::unbounded_channel();
        (Self { families, names: None, answers }, receiver)
    }

    fn start(&self) -> std::io::Result<requests::Sender<String>> {
        let (sender, names) = requests::channel::<String>();
        let (families, answers) = (self.families, self.answers.clone());
        thread::Builder::new().name("resolve".to_owned()).spawn(move || {
            for name in names {
                let addresses = addresses(&name, families);
                if answers.send(Resolved { name, addresses }).is_err() {
                    return;
                }
            }
        })?;
        Ok(sender)
    }
}

impl Resolver for ThreadResolver {
    fn resolve(&mut self, name: &str) {
        if self.names.is_none() {
            self.names = self.start().inspect_err(|error| tracing::error!(%error, "No names")).ok();
        }
        let is_sent = self.names.as_ref().is_some_and(|names| names.send(name.to_owned()).is_ok());
        if !is_sent {
            // The channel is open as long as its receiver, which outlives the resolver.
            let _sent =
                self.answers.send(Resolved { name: name.to_owned(), addresses: Vec::new() });
        }
    }
}

fn addresses(name: &str, families: Families) -> Vec<IpAddr> {
    let found = match (name, 0).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip()).filter(|&ip| families.include(ip)).collect(),
        Err(error) => {
            tracing::debug!(name, %error, "Name could not be resolved");
            Vec::new()
        }
    };
    tracing::debug!(name, addresses = ?found, "Name resolved");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_in_the_families_of_use() {
        for (families, expected) in [(Families::V4, true), (Families::V6, false)] {
            let (mut resolver, mut answers) = ThreadResolver::new(families);
            resolver.resolve("127.0.0.1");
            let answer = answers.blocking_recv().unwrap();
            assert_eq!(answer.name, "127.0.0.1");
            assert_eq!(answer.addresses.contains(&IpAddr::from([127, 0, 0, 1])), expected);
        }
    }

    #[test]
    fn name_that_does_not_exist_has_no_addresses() {
        let (mut resolver, mut answers) = ThreadResolver::new(Families::Both);
        resolver.resolve("nonexistent.invalid");
        assert!(answers.blocking_recv().unwrap().addresses.is_empty());
    }
}
