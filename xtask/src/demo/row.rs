//! What one client saw, and whether that is as it should be.

use ntp_common::counters::Family;
use ntp_common::wire::ReferenceId;
use ntp_lab::peers::Seen;

/// Most that an offset may be between hosts that share one clock, seconds.
const LARGEST_OFFSET_S: f64 = 5e-3;

/// Fewest of a hundred requests that must go the way that they should.
const FEWEST_PERCENT: u64 = 99;

/// Which path is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The XDP program.
    Xdp,
    /// The daemon.
    User,
    /// Nobody.
    Silence,
}

/// What the daemon is to say of its clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    /// Its stratum.
    pub(crate) stratum: u8,
    /// What it is synchronised to.
    pub(crate) reference_id: ReferenceId,
}

/// What one client asked and saw.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The client.
    pub(crate) client: String,
    /// The address family that it asked over.
    pub(crate) family: Family,
    /// Which path was to answer.
    pub(crate) due: Due,
    /// Datagrams that the client's host sent.
    pub(crate) asked: u64,
    /// Datagrams that came back to it.
    pub(crate) answered: u64,
    /// Requests that XDP answered, by its own counters.
    pub(crate) by_xdp: u64,
    /// Requests that the daemon answered, by its own counters.
    pub(crate) by_user: u64,
    /// Requests that XDP dropped as denied, by its own counters.
    pub(crate) denied: u64,
    /// What the client measured.
    pub(crate) seen: Vec<Seen>,
    /// Why the client could not be run, or came to no conclusion.
    pub(crate) failure: Option<String>,
}

impl Row {
    /// The measurement with the median offset.
    pub(crate) fn median(&self) -> Option<Seen> {
        let mut seen = self.seen.clone();
        seen.sort_by(|one, other| one.offset_s.total_cmp(&other.offset_s));
        seen.get(seen.len() / 2).copied()
    }

    /// Which path answered, for a person to read.
    pub(crate) fn path(&self) -> String {
        match (self.by_xdp, self.by_user) {
            (0, 0) => "none".to_owned(),
            (_, 0) => "XDP".to_owned(),
            (0, _) => "user".to_owned(),
            (xdp, user) => format!("XDP {xdp}, user {user}"),
        }
    }

    /// What is not as it should be; nothing, if all is.
    pub(crate) fn faults(&self, truth: Truth) -> Vec<String> {
        let mut faults = self.faults_of_path();
        faults.extend(self.failure.clone());
        for seen in &self.seen {
            if seen.stratum != truth.stratum {
                faults.push(format!("stratum {} is not {}", seen.stratum, truth.stratum));
            }
            if seen.reference_id.is_some_and(|id| id != truth.reference_id) {
                faults.push("the reference ID is not the upstream's address".to_owned());
            }
        }
        faults.dedup();
        // Of the median: a client that was interrupted between its two clock readings says nothing of the server.
        // What is no number is near nothing.
        let is_near = |seen: Seen| seen.offset_s.abs() <= LARGEST_OFFSET_S;
        if self.median().is_some_and(|seen| !is_near(seen)) {
            faults.push(format!("an offset of more than {} ms", LARGEST_OFFSET_S * 1e3));
        }
        faults
    }

    fn faults_of_path(&self) -> Vec<String> {
        let (expected, name) = match self.due {
            Due::Xdp => (self.by_xdp, "answered in XDP"),
            Due::User => (self.by_user, "answered by the daemon"),
            Due::Silence => (self.denied, "denied in XDP"),
        };
        let mut faults = Vec::new();
        if self.asked == 0 {
            faults.push("nothing was asked".to_owned());
        }
        if expected * 100 < self.asked * FEWEST_PERCENT {
            faults.push(format!("only {expected} of {} were {name}", self.asked));
        }
        match self.due {
            Due::Silence if self.answered + self.by_xdp + self.by_user > 0 => {
                faults.push("a denied client was answered".to_owned());
            }
            Due::Xdp | Due::User if self.answered * 100 < self.asked * FEWEST_PERCENT => {
                faults.push(format!("only {} of {} came back", self.answered, self.asked));
            }
            Due::Xdp | Due::User if self.seen.is_empty() && self.failure.is_none() => {
                faults.push("the client measured nothing".to_owned());
            }
            Due::Xdp | Due::User | Due::Silence => {}
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: Truth = Truth { stratum: 2, reference_id: ReferenceId(7) };
    const SEEN: Seen =
        Seen { offset_s: 1e-6, delay_s: None, stratum: 2, reference_id: Some(ReferenceId(7)) };

    fn row(due: Due) -> Row {
        let (by_xdp, by_user, denied) = match due {
            Due::Xdp => (200, 0, 0),
            Due::User => (0, 200, 0),
            Due::Silence => (0, 0, 200),
        };
        let (answered, seen) = match due {
            Due::Xdp | Due::User => (200, vec![SEEN; 200]),
            Due::Silence => (0, Vec::new()),
        };
        Row {
            client: "client".to_owned(),
            family: Family::V4,
            due,
            asked: 200,
            answered,
            by_xdp,
            by_user,
            denied,
            seen,
            failure: None,
        }
    }

    fn check(row: &Row, expected: &[&str]) {
        assert_eq!(row.faults(TRUTH), expected, "{row:?}");
    }

    #[test]
    fn row_as_it_should_be_has_no_faults() {
        for due in [Due::Xdp, Due::User, Due::Silence] {
            check(&row(due), &[]);
        }
        // One of a hundred may go another way.
        check(&Row { by_xdp: 198, by_user: 2, ..row(Due::Xdp) }, &[]);
    }

    #[test]
    fn wrong_path_is_a_fault() {
        check(
            &Row { by_xdp: 197, by_user: 3, ..row(Due::Xdp) },
            &["only 197 of 200 were answered in XDP"],
        );
        check(
            &Row { by_xdp: 200, by_user: 0, ..row(Due::User) },
            &["only 0 of 200 were answered by the daemon"],
        );
        check(&Row { answered: 1, ..row(Due::Silence) }, &["a denied client was answered"]);
        check(&Row { denied: 0, ..row(Due::Silence) }, &["only 0 of 200 were denied in XDP"]);
    }

    #[test]
    fn client_that_sees_little_or_nothing_is_a_fault() {
        check(&Row { answered: 190, ..row(Due::Xdp) }, &["only 190 of 200 came back"]);
        check(&Row { seen: Vec::new(), ..row(Due::Xdp) }, &["the client measured nothing"]);
        check(&Row { asked: 0, ..row(Due::Silence) }, &["nothing was asked"]);
        let failure = Some("crashed".to_owned());
        check(&Row { seen: Vec::new(), failure, ..row(Due::Xdp) }, &["crashed"]);
    }

    #[test]
    fn wrong_clock_is_a_fault() {
        let with = |seen| Row { seen: vec![seen; 2], ..row(Due::Xdp) };
        check(&with(Seen { stratum: 3, ..SEEN }), &["stratum 3 is not 2"]);
        check(
            &with(Seen { reference_id: Some(ReferenceId(8)), ..SEEN }),
            &["the reference ID is not the upstream's address"],
        );
        check(&with(Seen { reference_id: None, ..SEEN }), &[]);
        for offset_s in [5.1e-3, -5.1e-3, f64::NAN] {
            check(&with(Seen { offset_s, ..SEEN }), &["an offset of more than 5 ms"]);
        }
    }

    #[test]
    fn path_and_median_are_those_of_the_requests() {
        assert_eq!(row(Due::Xdp).path(), "XDP");
        assert_eq!(row(Due::User).path(), "user");
        assert_eq!(row(Due::Silence).path(), "none");
        assert_eq!(Row { by_user: 1, ..row(Due::Xdp) }.path(), "XDP 200, user 1");
        let seen = [3.0, 1.0, 2.0].map(|offset_s| Seen { offset_s, ..SEEN }).to_vec();
        let median = Seen { offset_s: 2.0, ..SEEN };
        assert_eq!(Row { seen, ..row(Due::Xdp) }.median(), Some(median));
        assert_eq!(row(Due::Silence).median(), None);
    }
}
