//! The reachability register: which of the last eight polls were answered. RFC 5905 section 9.2.

/// Polls that the register remembers.
pub(crate) const POLLS: u32 = u8::BITS;

/// The register of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    register: u8,
    missed: u32,
}

impl Reach {
    /// A request leaves.
    pub(crate) fn polled(&mut self) {
        self.register <<= 1;
        self.missed = self.missed.saturating_add(1);
    }

    /// A good reply has come to the last request.
    pub(crate) fn answered(&mut self) {
        self.register |= 1;
        self.missed = 0;
    }

    /// One bit for each of the last eight polls, the latest lowest.
    pub(crate) fn register(self) -> u8 {
        self.register
    }

    /// Whether one of the last eight polls was answered.
    pub(crate) fn is_reachable(self) -> bool {
        self.register != 0
    }

    /// Requests since the last good reply, with the one that is out.
    pub(crate) fn missed(self) -> u32 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_unreachable_after_eight_polls_without_an_answer() {
        let mut reach = Reach::default();
        reach.polled();
        assert!(!reach.is_reachable());
        reach.answered();
        for missed in 1..POLLS {
            reach.polled();
            assert!(reach.is_reachable(), "after {missed}");
        }
        reach.polled();
        assert!(!reach.is_reachable());
        assert_eq!(reach.missed(), POLLS);
    }
}
