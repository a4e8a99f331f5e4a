//! Two requests that chrony does not have, for `ntp-xdp status`: what each path did, and where it does it. Their
//! numbers are far from those that chrony counts up.

use super::octets::{Reader, Writer};

/// Octets of the body of [`Paths`].
pub(super) const PATHS_LEN: usize = 6 * 4 + 2 * PATH_WORDS * 8;
/// Octets of the body of [`Interface`].
pub(super) const INTERFACE_LEN: usize = NAME_LEN + MODE_LEN + NOTE_LEN;

const PATH_WORDS: usize = 7;
const NAME_LEN: usize = 16;
const MODE_LEN: usize = 16;
const NOTE_LEN: usize = 224;
/// Stands for "not known".
const NONE: u32 = u32::MAX;

/// What both paths did since the start, and the state of what they answer from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each a bit of the packet")]
pub struct Paths {
    /// Whether synchronised time is served, by whichever path.
    pub is_synchronised: bool,
    /// Whether the clock is too far off to be slewed and may not be stepped.
    pub is_too_far_off: bool,
    /// Whether the XDP program is loaded.
    pub has_xdp: bool,
    /// Whether clients are limited in how often they are answered.
    pub is_limiting: bool,
    /// Age of the snapshot that is answered from, milliseconds; `None`: there is none.
    pub snapshot_age_ms: Option<u32>,
    /// Interfaces on which the XDP program answers.
    pub interfaces: u32,
    /// Clients that there is room for; 0: none are recorded.
    pub client_slots: u32,
    /// Clients that are recorded; `None`: not counted yet.
    pub clients: Option<u32>,
    /// Seconds since the daemon was started.
    pub uptime_s: u32,
    /// What the daemon did.
    pub user: PathCounts,
    /// What the XDP program did.
    pub xdp: PathCounts,
}

/// What one path did since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathCounts {
    /// Requests answered over IPv4.
    pub answered_v4: u64,
    /// Requests answered over IPv6.
    pub answered_v6: u64,
    /// Requests not answered since their client asks too often.
    pub limited: u64,
    /// Clients told to ask less often.
    pub kisses: u64,
    /// Packets that access rules deny.
    pub denied: u64,
    /// Packets dropped for other reasons.
    pub dropped: u64,
    /// Packets left to somebody else: by XDP to the daemon or to other programs.
    pub passed: u64,
}

/// An interface on which the XDP program answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// How the program is attached: `native` or `generic`.
    pub mode: String,
    /// What there is to say about it; empty: nothing.
    pub note: String,
}

impl PathCounts {
    /// Requests answered.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered_v4.wrapping_add(self.answered_v6)
    }

    fn words(&self) -> [u64; PATH_WORDS] {
        let Self { answered_v4, answered_v6, limited, kisses, denied, dropped, passed } = *self;
        [answered_v4, answered_v6, limited, kisses, denied, dropped, passed]
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let [answered_v4, answered_v6, limited, kisses, denied, dropped, passed] =
            std::array::from_fn(|_| from.u64());
        Self { answered_v4, answered_v6, limited, kisses, denied, dropped, passed }
    }
}

impl Paths {
    pub(super) fn write(&self, to: &mut Writer) {
        let flags = [self.is_synchronised, self.is_too_far_off, self.has_xdp, self.is_limiting];
        let flags = flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u32::from(flag));
        to.u32(flags).u32(self.snapshot_age_ms.unwrap_or(NONE)).u32(self.interfaces);
        to.u32(self.client_slots).u32(self.clients.unwrap_or(NONE)).u32(self.uptime_s);
        for word in self.user.words().into_iter().chain(self.xdp.words()) {
            to.u64(word);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Self {
        let flags = from.u32();
        let known = |number: u32| (number != NONE).then_some(number);
        Self {
            is_synchronised: flags & 1 != 0,
            is_too_far_off: flags & 2 != 0,
            has_xdp: flags & 4 != 0,
            is_limiting: flags & 8 != 0,
            snapshot_age_ms: known(from.u32()),
            interfaces: from.u32(),
            client_slots: from.u32(),
            clients: known(from.u32()),
            uptime_s: from.u32(),
            user: PathCounts::read(from),
            xdp: PathCounts::read(from),
        }
    }
}

impl Interface {
    pub(super) fn write(&self, to: &mut Writer) {
        to.text::<NAME_LEN>(&self.name).text::<MODE_LEN>(&self.mode).text::<NOTE_LEN>(&self.note);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Self {
        Self {
            name: from.text::<NAME_LEN>(),
            mode: from.text::<MODE_LEN>(),
            note: from.text::<NOTE_LEN>(),
        }
    }
}
