//! What replies say of our clock's origin and quality: the upstream that it follows, `local`, or that there is
//! no time to be had.

use std::net::IpAddr;

use md5::{Digest, Md5};
use ntp_common::time::{MonoNs, NtpTimestamp};
use ntp_common::wire::{LeapIndicator, ReferenceId};

use crate::conf::Local;
use crate::seconds;

/// What the clock follows, as of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Upstream {
    /// Its address; of a reference clock its reference ID in the place of one.
    pub(crate) address: IpAddr,
    /// It is a reference clock.
    pub(crate) is_clock: bool,
    /// Its stratum, 0..=14.
    pub(crate) stratum: u8,
    /// Delay to the reference clock by way of it, seconds.
    pub(crate) root_delay_s: f64,
    /// Dispersion to the reference clock by way of it, seconds.
    pub(crate) root_dispersion_s: f64,
    /// Growth of that dispersion, seconds a second.
    pub(crate) dispersion_rate: f64,
    /// When the clock was corrected, in estimated true time.
    pub(crate) updated: NtpTimestamp,
    /// When that was.
    pub(crate) at: MonoNs,
}

/// What replies say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Served {
    pub(crate) leap: LeapIndicator,
    /// 0 when not synchronised.
    pub(crate) stratum: u8,
    pub(crate) reference_id: ReferenceId,
    pub(crate) reference_timestamp: NtpTimestamp,
    pub(crate) root_delay_s: f64,
    pub(crate) root_dispersion_s: f64,
    pub(crate) dispersion_rate: f64,
}

/// What is served without synchronisation: leap 3, stratum 0, reference ID 0, delay and dispersion 1 s.
pub(crate) const UNSYNCHRONISED: Served = Served {
    leap: LeapIndicator::Unsynchronised,
    stratum: 0,
    reference_id: ReferenceId::NONE,
    reference_timestamp: NtpTimestamp::UNKNOWN,
    root_delay_s: 1.0,
    root_dispersion_s: 1.0,
    dispersion_rate: 0.0,
};

/// The reference.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    local: Option<Local>,
    started: MonoNs,
    upstream: Option<Upstream>,
    last_update: Option<MonoNs>,
    /// The root distance has been small enough once for `local` to be allowed.
    local_allowed: bool,
}

impl Reference {
    /// Begins without an upstream.
    pub(crate) fn new(local: Option<Local>, now: MonoNs) -> Self {
        let local_allowed = local.is_some_and(|local| local.activate_s <= 0.0);
        Self { local, started: now, upstream: None, last_update: None, local_allowed }
    }

    /// The clock has been corrected after `upstream`.
    pub(crate) fn update(&mut self, upstream: Upstream) {
        self.upstream = Some(upstream);
        self.last_update = Some(upstream.at);
        let distance_s = upstream.root_delay_s / 2.0 + upstream.root_dispersion_s;
        self.local_allowed |= self.local.is_some_and(|local| distance_s <= local.activate_s);
    }

    /// Goes by another `local` from now on.
    pub(crate) fn set_local(&mut self, local: Option<Local>) {
        if local != self.local {
            self.local_allowed |= local.is_some_and(|local| local.activate_s <= 0.0);
            self.local = local;
        }
    }

    /// There is nothing to follow any more. Gives whether there was.
    pub(crate) fn lose(&mut self) -> bool {
        self.upstream.take().is_some()
    }

    /// True time leaps: when the clock was corrected is told on time as it is now.
    pub(crate) fn leap_by(&mut self, by_s: f64) {
        if let Some(upstream) = &mut self.upstream {
            upstream.updated = upstream.updated + seconds::duration(by_s);
        }
    }

    /// What the clock follows.
    pub(crate) fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }

    /// What replies say at `now`, when true time is estimated to be `time`.
    pub(crate) fn served(&self, now: MonoNs, time: NtpTimestamp) -> Served {
        let upstream = self.upstream.map(|upstream| upstream.served(now));
        if let Some(local) = self.local.filter(|local| self.is_local(local, upstream.as_ref(), now))
        {
            return Served {
                leap: LeapIndicator::Normal,
                stratum: local.stratum,
                reference_id: ReferenceId::LOCAL,
                reference_timestamp: time,
                root_delay_s: 0.0,
                root_dispersion_s: 0.0,
                dispersion_rate: 0.0,
            };
        }
        upstream.unwrap_or(UNSYNCHRONISED)
    }

    /// Whether `local` takes over: when nothing is followed, or from too far away, for long enough.
    fn is_local(&self, local: &Local, upstream: Option<&Served>, now: MonoNs) -> bool {
        let far = upstream.is_none_or(|served| {
            served.root_delay_s / 2.0 + served.root_dispersion_s > local.distance_s
        });
        let (since, wait_s) = match self.last_update {
            Some(at) => (at, local.waitsynced_s),
            None => (self.started, local.waitunsynced_s),
        };
        self.local_allowed && far && seconds::between(since, now) >= wait_s
    }
}

impl Upstream {
    fn served(&self, now: MonoNs) -> Served {
        let age_s = seconds::between(self.at, now);
        Served {
            leap: LeapIndicator::Normal,
            stratum: self.stratum + 1,
            reference_id: reference_id(self.address),
            reference_timestamp: self.updated,
            root_delay_s: self.root_delay_s,
            root_dispersion_s: self.root_dispersion_s + self.dispersion_rate * age_s,
            dispersion_rate: self.dispersion_rate,
        }
    }
}

/// The identifier of a server: its IPv4 address, or the first four octets of the MD5 hash of its IPv6
/// address. RFC 5905 section 7.3.
#[must_use]
pub fn reference_id(address: IpAddr) -> ReferenceId {
    match address {
        IpAddr::V4(address) => ReferenceId::from_octets(address.octets()),
        IpAddr::V6(address) => {
            let hash = Md5::digest(address.octets());
            ReferenceId::from_octets([hash[0], hash[1], hash[2], hash[3]])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TIME: NtpTimestamp = NtpTimestamp::from_bits(4_000_000_000 << 32);

    fn mono(seconds: u64) -> MonoNs {
        MonoNs(u64::try_from(Duration::from_secs(seconds).as_nanos()).unwrap())
    }

    fn upstream(root_dispersion_s: f64) -> Upstream {
        Upstream {
            address: "192.0.2.1".parse().unwrap(),
            is_clock: false,
            stratum: 3,
            root_delay_s: 0.02,
            root_dispersion_s,
            dispersion_rate: 2e-6,
            updated: TIME,
            at: mono(100),
        }
    }

    fn local() -> Local {
        Local {
            stratum: 10,
            orphan: false,
            distance_s: 1.0,
            activate_s: 0.0,
            waitsynced_s: 0.0,
            waitunsynced_s: 0.0,
        }
    }

    #[test]
    fn reference_id_is_the_ipv4_address_or_a_hash_of_the_ipv6_address() {
        assert_eq!(reference_id("192.0.2.1".parse().unwrap()), ReferenceId(0xc000_0201));
        // The first octets of md5 of 2001:0db8:0000:...:0001.
        let hash = reference_id("2001:db8::1".parse().unwrap());
        assert_eq!(hash, ReferenceId(IPV6_REFERENCE_ID));
    }

    /// `printf '\x20\x01\x0d\xb8...\x01' | md5sum | cut -c1-8`
    const IPV6_REFERENCE_ID: u32 = 0x39ab_9b37;

    #[test]
    fn without_an_upstream_replies_say_unsynchronised() {
        let served = Reference::new(None, mono(0)).served(mono(5), TIME);
        assert_eq!((served.leap, served.stratum), (LeapIndicator::Unsynchronised, 0));
        assert_eq!((served.root_delay_s, served.root_dispersion_s), (1.0, 1.0));
    }

    #[test]
    fn we_are_one_stratum_below_and_our_dispersion_grows() {
        let mut reference = Reference::new(None, mono(0));
        reference.update(upstream(0.001));
        let served = reference.served(mono(1100), TIME);
        assert_eq!((served.leap, served.stratum), (LeapIndicator::Normal, 4));
        assert!((served.root_dispersion_s - 0.003).abs() < 1e-12);
        assert!(reference.lose() && !reference.lose());
        assert_eq!(reference.served(mono(1100), TIME).stratum, 0);
    }

    #[test]
    fn local_is_served_without_an_upstream_and_with_one_too_far_away() {
        let mut reference = Reference::new(Some(local()), mono(0));
        assert_eq!(reference.served(mono(0), TIME).reference_id, ReferenceId::LOCAL);
        assert_eq!(reference.served(mono(0), TIME).stratum, 10);
        reference.update(upstream(0.001));
        assert_eq!(reference.served(mono(100), TIME).stratum, 4);
        reference.update(upstream(1.5));
        assert_eq!(reference.served(mono(100), TIME).stratum, 10);
    }

    #[test]
    fn local_waits_as_long_as_it_is_told_to() {
        let stratum = |local: Local, update: Option<f64>, seconds: u64| {
            let mut reference = Reference::new(Some(local), mono(0));
            if let Some(root_dispersion_s) = update {
                reference.update(upstream(root_dispersion_s));
                reference.lose();
            }
            reference.served(mono(seconds), TIME).stratum
        };
        let unsynced = Local { waitunsynced_s: 300.0, ..local() };
        assert_eq!((stratum(unsynced, None, 299), stratum(unsynced, None, 300)), (0, 10));
        let synced = Local { waitsynced_s: 50.0, ..local() };
        assert_eq!((stratum(synced, Some(0.1), 149), stratum(synced, Some(0.1), 150)), (0, 10));
        let activate = Local { activate_s: 0.1, ..local() };
        assert_eq!((stratum(activate, None, 9999), stratum(activate, Some(0.5), 9999)), (0, 0));
        assert_eq!(stratum(activate, Some(0.05), 9999), 10);
    }
}
