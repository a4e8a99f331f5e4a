//! Counters as the daemon tells them in its log, and what is read off the kernel's.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ntp_common::counters::{Counters, Family, Reason, answered_index};
use ntp_common::wire::NEWEST_VERSION;

/// What the line opens with, behind time and level, that the daemon logs when it is asked and when it ends.
pub(crate) const TOLD: &str = " served answered_xdp=";

/// What the daemon says that its two paths have done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The XDP program.
    pub xdp: Told,
    /// The daemon itself.
    pub user: Told,
}

/// What one path has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Requests answered.
    pub answered: u64,
    /// Packets not answered, by the names of reasons; those that did not occur are left out.
    pub reasons: BTreeMap<String, u64>,
}

impl Told {
    /// Packets not answered for `reason`.
    #[must_use]
    pub fn count(&self, reason: Reason) -> u64 {
        self.reasons.get(reason.name()).copied().unwrap_or_default()
    }
}

impl Served {
    /// Reads the daemon's line:
    /// `... served answered_xdp=3 answered_user=5 xdp="not_ntp=1 short=3" user=""`.
    ///
    /// # Errors
    /// It is none.
    pub fn read(line: &str) -> Result<Self> {
        let path = |name: &str| -> Option<Told> {
            let answered = line.split_once(&format!(" answered_{name}="))?.1;
            let answered = answered.split(' ').next()?.parse().ok()?;
            let reasons = line.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
            let pair = |word: &str| {
                let (name, count) = word.split_once('=')?;
                Some((name.to_owned(), count.parse().ok()?))
            };
            let reasons = reasons.split_whitespace().map(pair).collect::<Option<_>>()?;
            Some(Told { answered, reasons })
        };
        let both = path("xdp").zip(path("user"));
        let (xdp, user) = both.with_context(|| format!("no counters in: {line}"))?;
        Ok(Self { xdp, user })
    }
}

/// Requests answered over one address family, of every version.
#[must_use]
pub fn answered_over(counters: &Counters, family: Family) -> u64 {
    (1..=NEWEST_VERSION).map(|version| counters[answered_index(family, version)]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_the_daemon_is_read() {
        let line = "2026-11-22T08:03:00Z  INFO served answered_xdp=3 answered_user=5 \
                    xdp=\"not_ntp=1 short=4\" user=\"\"";
        assert!(line.contains(TOLD));
        let served = Served::read(line).unwrap();
        assert_eq!((served.xdp.answered, served.user.answered), (3, 5));
        assert_eq!(served.xdp.count(Reason::Short), 4);
        assert_eq!(served.xdp.count(Reason::BadMode), 0);
        assert!(served.user.reasons.is_empty());
        for broken in ["served", "served answered_xdp=x answered_user=5 xdp=\"\" user=\"\""] {
            assert!(Served::read(broken).is_err(), "{broken}");
        }
    }
}
