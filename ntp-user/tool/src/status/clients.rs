//! Those who ask most, of a table that may be far larger than what is shown.

use anyhow::Result;
use ntp_engine::candm::{Client, Question, Reply};

use super::link::Link;

/// Questions at most: with 16,384 records looked at for each, enough for the largest table.
const MOST_QUESTIONS: u32 = 4_096;

/// The clients with the most requests, the first with most; empty when none are recorded.
///
/// # Errors
/// Nobody answers.
pub(super) fn most(link: &mut Link, wanted: usize) -> Result<Vec<Client>> {
    let mut best = Best { wanted, clients: Vec::new() };
    let mut first = 0;
    for _ in 0..if wanted == 0 { 0 } else { MOST_QUESTIONS } {
        let question = Question::Clients { first, min_hits: best.least() };
        let Some(Reply::Clients(part)) = link.ask(question)? else { break };
        part.clients.into_iter().for_each(|client| best.add(client));
        if part.next >= part.indices || part.next <= first {
            break;
        }
        first = part.next;
    }
    Ok(best.clients)
}

struct Best {
    wanted: usize,
    clients: Vec<Client>,
}

impl Best {
    /// Requests that a client must have sent to be of interest.
    fn least(&self) -> u32 {
        let last = self.clients.get(self.wanted - 1);
        last.map_or(1, |last| u32::try_from(last.ntp.received + 1).unwrap_or(u32::MAX))
    }

    fn add(&mut self, client: Client) {
        // Who only gave commands is no client of the time service.
        if client.ntp.received == 0 {
            return;
        }
        self.clients.push(client);
        self.clients.sort_by_key(|client| std::cmp::Reverse(client.ntp.received));
        self.clients.truncate(self.wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::client;

    #[test]
    fn those_who_ask_most_are_kept_and_few_others_asked_for() {
        let mut best = Best { wanted: 2, clients: Vec::new() };
        assert_eq!(best.least(), 1);
        for (address, requests) in [(1, 5), (2, 0), (3, 9), (4, 7), (5, 2)] {
            best.add(client(address, requests));
        }
        assert_eq!(best.clients, [client(3, 9), client(4, 7)]);
        assert_eq!(best.least(), 8);
    }
}
