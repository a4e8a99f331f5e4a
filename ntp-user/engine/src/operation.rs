//! What an operator can have done while the daemon runs, as values: whoever speaks a command protocol only
//! translates. [`Driver::operate`](crate::driver::Driver::operate) is the way in.

use std::net::IpAddr;

use crate::conf::{Source as Line, SourceOptions};
pub use crate::report::{Named, SelectOptions};

/// Most sources and names that can be configured at once, those of the configuration file included.
pub const MOST_LINES: usize = 4096;

/// Sources that an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// All, and those that names will be resolved to.
    All,
    /// Those whose address is `address` in the bits that are set in `mask`, which is of the same family.
    Masked {
        /// An address.
        address: IpAddr,
        /// Bits that are compared.
        mask: IpAddr,
    },
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Ask these sources from now on.
    Online(Selector),
    /// Do not ask them any more.
    Offline(Selector),
    /// Ask those to which there is a route, and no others.
    OnlineIfRouted(Selector),
    /// Ask servers in quick succession until `good` requests were answered, up to `total` times. Peers are left
    /// alone: they keep time with each other's requests.
    Burst {
        /// Which.
        sources: Selector,
        /// Answers that are wanted, from 1.
        good: u8,
        /// Requests at most, from 1.
        total: u8,
    },
    /// Change an option of this source. Of a reference clock, only its offset and the options of selection can be.
    Change {
        /// Which.
        source: Named,
        /// The option and its new value.
        change: Change,
    },
    /// Add a source, as if the configuration had this line, too.
    Add(Box<Line>),
    /// Give up the sources of a line of the configuration, or ask them in another way.
    ReplaceLine {
        /// The line.
        line: Box<Line>,
        /// A line about the same sources; `None`: there are to be none.
        by: Option<Box<Line>>,
    },
    /// Delete the source with this address.
    Delete(IpAddr),
    /// Forget all measurements, and be unsynchronised until there are new ones.
    ResetSources,
    /// Resolve all names again, and replace sources that are no longer among their addresses.
    Refresh,
}

/// An option of a source with its new value, which is clamped to the range that the option has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// `minpoll`, log2 seconds, -7..=24; raises `maxpoll` if need be.
    Minpoll(i8),
    /// `maxpoll`, log2 seconds, -7..=24; lowers `minpoll` if need be.
    Maxpoll(i8),
    /// `maxdelay`, seconds, 0..=1000.
    Maxdelay(f64),
    /// `maxdelayratio`, from 0 (off).
    Maxdelayratio(f64),
    /// `maxdelaydevratio`, from 0.
    Maxdelaydevratio(f64),
    /// `minstratum`, 0..=16.
    Minstratum(u8),
    /// `polltarget`, from 1.
    Polltarget(u32),
    /// `offset`, seconds.
    Offset(f64),
    /// `prefer`, `noselect`, `trust` and `require`: those in `mask` become what they are in `options`.
    Selection {
        /// What changes.
        mask: SelectOptions,
        /// What it becomes.
        options: SelectOptions,
    },
}

/// Why an operation was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// No source is meant.
    #[error("no such source")]
    NoSuchSource,
    /// A source has the address already.
    #[error("source already present")]
    AlreadyPresent,
    /// There are [`MOST_LINES`].
    #[error("too many sources present")]
    TooMany,
    /// The source asks for Network Time Security, which is not built in.
    #[error("Network Time Security is not built in")]
    Unsupported,
    /// A number of answers or requests of a burst is 0, or an offset or delay no number.
    #[error("value out of range")]
    OutOfRange,
}

/// How many sources do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Asked.
    pub online: u32,
    /// Not asked.
    pub offline: u32,
    /// Asked in a burst, and online after it.
    pub burst_online: u32,
    /// Asked in a burst, and offline after it.
    pub burst_offline: u32,
    /// Names without addresses yet, and missing members of pools.
    pub unresolved: u32,
}

impl Selector {
    /// The source with this address, and no other.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        let mask = match address {
            IpAddr::V4(_) => IpAddr::from([0xff; 4]),
            IpAddr::V6(_) => IpAddr::from([0xff; 16]),
        };
        Self::Masked { address, mask }
    }

    /// Whether a source with this address is meant.
    #[must_use]
    pub fn includes(&self, candidate: IpAddr) -> bool {
        match *self {
            Self::All => true,
            Self::Masked { address, mask } => match (address, mask, candidate) {
                (IpAddr::V4(address), IpAddr::V4(mask), IpAddr::V4(candidate)) => {
                    candidate & mask == address & mask
                }
                (IpAddr::V6(address), IpAddr::V6(mask), IpAddr::V6(candidate)) => {
                    candidate & mask == address & mask
                }
                _ => false,
            },
        }
    }
}

impl Change {
    /// Changes options, and says what changed as the log has it; `None` for what is no number.
    pub(crate) fn apply(self, options: &mut SourceOptions) -> Option<String> {
        const POLLS: (i8, i8) = (-7, 24);
        const LONGEST_S: f64 = 1000.0;
        let number =
            |value: f64, least: f64, most: f64| value.is_finite().then(|| value.clamp(least, most));
        Some(match self {
            Self::Minpoll(log2) => {
                options.minpoll_log2 = log2.clamp(POLLS.0, POLLS.1);
                options.maxpoll_log2 = options.maxpoll_log2.max(options.minpoll_log2);
                format!("minpoll {}", options.minpoll_log2)
            }
            Self::Maxpoll(log2) => {
                options.maxpoll_log2 = log2.clamp(POLLS.0, POLLS.1);
                options.minpoll_log2 = options.minpoll_log2.min(options.maxpoll_log2);
                format!("maxpoll {}", options.maxpoll_log2)
            }
            Self::Maxdelay(seconds) => {
                options.maxdelay_s = number(seconds, 0.0, LONGEST_S)?;
                format!("maxdelay {:.6}", options.maxdelay_s)
            }
            Self::Maxdelayratio(ratio) => {
                options.maxdelayratio = number(ratio, 0.0, f64::MAX)?;
                format!("maxdelayratio {:.6}", options.maxdelayratio)
            }
            Self::Maxdelaydevratio(ratio) => {
                options.maxdelaydevratio = number(ratio, 0.0, f64::MAX)?;
                format!("maxdelaydevratio {:.6}", options.maxdelaydevratio)
            }
            Self::Minstratum(stratum) => {
                options.minstratum = stratum.min(16);
                format!("minstratum {}", options.minstratum)
            }
            Self::Polltarget(target) => {
                options.polltarget = target.max(1);
                format!("polltarget {}", options.polltarget)
            }
            Self::Offset(seconds) => {
                options.offset_s = number(seconds, f64::MIN, f64::MAX)?;
                format!("offset {:.6}", options.offset_s)
            }
            Self::Selection { mask, options: wanted } => {
                let mut said = String::from("selection options");
                for (option, name, is_meant, is_wanted) in [
                    (&mut options.prefer, "prefer", mask.prefer, wanted.prefer),
                    (&mut options.noselect, "noselect", mask.noselect, wanted.noselect),
                    (&mut options.trust, "trust", mask.trust, wanted.trust),
                    (&mut options.require, "require", mask.require, wanted.require),
                ] {
                    if is_meant {
                        *option = is_wanted;
                        said.extend([if is_wanted { " +" } else { " -" }, name]);
                    }
                }
                said
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_compare_the_bits_of_their_mask() {
        let network = Selector::Masked {
            address: "192.0.2.77".parse().unwrap(),
            mask: "255.255.255.0".parse().unwrap(),
        };
        let one = Selector::one("2001:db8::1".parse().unwrap());
        for (selector, address, included) in [
            (network, "192.0.2.1", true),
            (network, "192.0.3.1", false),
            (network, "2001:db8::1", false),
            (one, "2001:db8::1", true),
            (one, "2001:db8::2", false),
            (Selector::All, "192.0.3.1", true),
        ] {
            assert_eq!(selector.includes(address.parse().unwrap()), included, "{address}");
        }
    }

    #[test]
    fn changed_options_are_clamped_to_their_range_and_each_other() {
        let mut options = SourceOptions::default();
        assert_eq!(Change::Minpoll(12).apply(&mut options).unwrap(), "minpoll 12");
        assert_eq!((options.minpoll_log2, options.maxpoll_log2), (12, 12));
        Change::Maxpoll(-20).apply(&mut options).unwrap();
        assert_eq!((options.minpoll_log2, options.maxpoll_log2), (-7, -7));
        assert_eq!(Change::Maxdelay(1e9).apply(&mut options).unwrap(), "maxdelay 1000.000000");
        assert_eq!(Change::Offset(f64::NAN).apply(&mut options), None);
        let prefer = SelectOptions { prefer: true, ..SelectOptions::default() };
        let mask = SelectOptions { noselect: true, ..prefer };
        (options.noselect, options.trust) = (true, true);
        let change = Change::Selection { mask, options: SelectOptions { require: true, ..prefer } };
        assert_eq!(change.apply(&mut options).unwrap(), "selection options +prefer -noselect");
        let found = [options.prefer, options.noselect, options.trust, options.require];
        assert_eq!(found, [true, false, true, false]);
        Change::Polltarget(0).apply(&mut options).unwrap();
        assert_eq!(options.polltarget, 1);
    }
}
