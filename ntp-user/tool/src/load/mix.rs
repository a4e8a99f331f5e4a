//! What a load is made of: kinds of requests and their shares.

use std::str::FromStr;

use ntp_common::load::KINDS;

/// A kind of request. The discriminant is its number in the kernel's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 48 octets that ask for the time.
    Plain = 0,
    /// With a symmetric key's code behind them. RFC 5905 section 7.3.
    Mac = 1,
    /// With an origin timestamp that asks for an interleaved reply. RFC 9769.
    Interleaved = 2,
    /// Too short, too long, of a wrong mode or version: nothing that deserves an answer.
    Garbage = 3,
    /// Plain, from addresses that the server's access rules are to deny.
    Denied = 4,
    /// Plain, from a few clients that ask at a rate of their own beside the load.
    Regular = 5,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Plain, Self::Mac, Self::Interleaved, Self::Garbage, Self::Denied, Self::Regular];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Mac => "mac",
            Self::Interleaved => "interleaved",
            Self::Garbage => "garbage",
            Self::Denied => "denied",
            Self::Regular => "regular",
        }
    }

    /// Whether a server is to answer it.
    #[must_use]
    pub const fn expects_answer(self) -> bool {
        !matches!(self, Self::Garbage | Self::Denied)
    }
}

const _: () = assert!(Kind::ALL.len() <= KINDS);

/// Kinds and their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix(Vec<(Kind, f64)>);

impl Default for Mix {
    fn default() -> Self {
        Self(vec![(Kind::Plain, 1.0)])
    }
}

impl FromStr for Mix {
    type Err = String;

    /// Reads `plain=90,mac=8,garbage=2`; a kind alone has the weight 1.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut kinds: Vec<(Kind, f64)> = Vec::new();
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            // Regular clients have a rate, not a share.
            let known = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Regular);
            let kind = known.clone().find(|kind| kind.name() == name).ok_or_else(|| {
                let names: Vec<_> = known.map(Kind::name).collect();
                format!("`{name}` is no kind of request; there are {}", names.join(", "))
            })?;
            let weight =
                weight.parse().ok().filter(|weight: &f64| weight.is_finite() && *weight > 0.0);
            let weight =
                weight.ok_or_else(|| format!("the weight of `{name}` is no number above zero"))?;
            if kinds.iter().any(|(other, _)| *other == kind) {
                return Err(format!("`{name}` is there twice"));
            }
            kinds.push((kind, weight));
        }
        Ok(Self(kinds))
    }
}

impl Mix {
    /// Whether some of the load is of `kind`.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.0.iter().any(|(other, _)| *other == kind)
    }

    /// The shares of a load of `rate` requests a second, summing to 1, with `regular` of those from regular
    /// clients. As fast as it goes is an infinite rate.
    #[must_use]
    pub fn shares(&self, rate: f64, regular: f64) -> Vec<(Kind, f64)> {
        let regular = (regular / rate).clamp(0.0, 1.0);
        let sum: f64 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut shares: Vec<(Kind, f64)> =
            self.0.iter().map(|(kind, weight)| (*kind, weight / sum * (1.0 - regular))).collect();
        if regular > 0.0 {
            shares.push((Kind::Regular, regular));
        }
        shares
    }
}

/// Deals `len` turns to shares that sum to 1, each as evenly spread as can be; a share above zero has at least one.
/// Gives the index of the share for each turn.
#[must_use]
pub fn deal(shares: &[f64], len: usize) -> Vec<usize> {
    let least = 1.0 / len as f64;
    let mut owed = vec![0.0; shares.len()];
    let mut turns = Vec::with_capacity(len);
    for _ in 0..len {
        for (owed, share) in owed.iter_mut().zip(shares) {
            *owed += if *share > 0.0 { share.max(least) } else { 0.0 };
        }
        let most = owed.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
        let index = most.map_or(0, |(index, _)| index);
        if let Some(owed) = owed.get_mut(index) {
            *owed -= 1.0;
        }
        turns.push(index);
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_are_read() {
        let mix: Mix = "plain=6,mac=3,garbage".parse().unwrap();
        let shares = mix.shares(1000.0, 0.0);
        assert_eq!(shares, [(Kind::Plain, 0.6), (Kind::Mac, 0.3), (Kind::Garbage, 0.1)]);
        for (wrong, part) in [
            ("plian", "no kind"),
            ("plain=0", "weight"),
            ("plain=x", "weight"),
            ("plain,plain", "twice"),
            ("", "no kind"),
            ("regular", "no kind"),
        ] {
            let error = wrong.parse::<Mix>().unwrap_err();
            assert!(error.contains(part), "{wrong}: {error}");
        }
    }

    #[test]
    fn regular_clients_take_their_rate_of_any_load() {
        let shares = Mix::default().shares(1e6, 1000.0);
        assert_eq!(shares, [(Kind::Plain, 0.999), (Kind::Regular, 0.001)]);
        assert_eq!(Mix::default().shares(f64::INFINITY, 1000.0), [(Kind::Plain, 1.0)]);
    }

    #[test]
    fn turns_are_dealt_by_share_and_evenly() {
        let turns = deal(&[0.7, 0.2, 0.1], 1000);
        for (index, expected) in [(0, 700), (1, 200), (2, 100)] {
            let count = turns.iter().filter(|&&turn| turn == index).count();
            assert!(count.abs_diff(expected) <= 1, "{index}: {count}");
        }
        let gaps = turns.split(|&turn| turn == 2).map(<[usize]>::len).max();
        assert!(gaps.is_some_and(|gap| gap <= 12), "{gaps:?}");
        let rare = deal(&[1.0 - 1e-9, 1e-9], 4096);
        assert_eq!(rare.iter().filter(|&&turn| turn == 1).count(), 1);
    }
}
