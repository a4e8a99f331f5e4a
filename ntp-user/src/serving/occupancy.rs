//! How many clients are recorded: counted a part of the table at a time, so that the largest takes no more of a
//! second than the smallest.

use ntp_common::time::MonoNs;

use super::clients::Clients;

/// Records that are looked at in one go: all of a table of the default size.
const AT_ONCE: usize = 16_384;

/// A count under way, and the last one that was finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    next: usize,
    counted: u32,
    last: Option<u32>,
}

impl Occupancy {
    /// Clients with a record, when they were counted last: at most a second ago for each 16,384 that there is room
    /// for, if [`Occupancy::count`] is called every second. `None` before that.
    #[must_use]
    pub const fn clients(&self) -> Option<u32> {
        self.last
    }

    /// Goes on counting.
    pub fn count(&mut self, clients: &Clients, now: MonoNs) {
        let slots = clients.capacity();
        let end = slots.min(self.next + AT_ONCE);
        let found = (self.next..end).filter(|&slot| clients.at(slot, now).is_some()).count();
        self.counted = self.counted.saturating_add(u32::try_from(found).unwrap_or(u32::MAX));
        self.next = end;
        if end == slots {
            *self = Self { last: Some(self.counted), ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::clients::sets_in;
    use ntp_common::ratelimit::ClientRules;

    #[test]
    fn clients_are_counted_in_as_many_parts_as_the_table_has() {
        let clients =
            Clients::on_heap(ClientRules::new(sets_in(2 << 19), [0x1234_5678_9abc_def1, 7]));
        assert_eq!(clients.capacity(), 2 * AT_ONCE);
        for host in 0..1_000u32 {
            let _ = clients.request(std::net::Ipv4Addr::from_bits(host).into(), MonoNs(1));
        }
        // Some have made room for others.
        let recorded = u32::try_from(clients.iter(MonoNs(1)).count()).unwrap();
        assert!(recorded > 500);
        let mut occupancy = Occupancy::default();
        occupancy.count(&clients, MonoNs(1));
        assert_eq!(occupancy.clients(), None);
        for _ in 0..3 {
            occupancy.count(&clients, MonoNs(1));
            assert_eq!(occupancy.clients(), Some(recorded));
        }
        let mut none = Occupancy::default();
        none.count(&Clients::on_heap(ClientRules::OFF), MonoNs(1));
        assert_eq!(none.clients(), Some(0));
    }
}
