//! The ring of snapshots in a [`ServingPage`]: one writer puts snapshots into force, any number of readers
//! read one that cannot be torn. The page is the daemon's own, or the memory of the XDP program's map.
//!
//! Invariant: one writer a page. The protocol is the one that [`ServingPage`] describes.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use ntp_common::acl::AclControl;
use ntp_common::local::LocalAddresses;
use ntp_common::maps::{
    ABI, BEING_WRITTEN, RING_SLOTS, RingSlot, SERVING_SIZE, ServingPage, ring_slot,
};
use ntp_common::ratelimit::{ClientRules, RULES_WORDS};
use ntp_common::snapshot::{RefSnapshot, SNAPSHOT_WORDS};

/// Words in a page.
pub const PAGE_WORDS: usize = SERVING_SIZE / 8;

const ABI_WORD: usize = offset_of!(ServingPage, abi) / 8;
const NEWEST_WORD: usize = offset_of!(ServingPage, newest) / 8;
const ACL_WORD: usize = offset_of!(ServingPage, acl) / 8;
const RING_WORD: usize = offset_of!(ServingPage, ring) / 8;
const SLOT_WORDS: usize = size_of::<RingSlot>() / 8;
const CLIENTS_WORD: usize = offset_of!(ServingPage, clients) / 8;
const LOCAL_WORD: usize = offset_of!(ServingPage, local) / 8;

/// Words that the served addresses take.
const LOCAL_WORDS: usize = size_of::<LocalAddresses>() / 8;

/// Readings of a snapshot that are tried before a reader gives up: the writer publishes a few times a
/// second, so that a second try succeeds.
const READ_TRIES: usize = 16;

/// Memory that is laid out as a [`ServingPage`].
pub trait Page {
    /// The words of the page, in its order.
    fn words(&self) -> &[AtomicU64; PAGE_WORDS];
}

impl<P: Page + ?Sized> Page for Arc<P> {
    fn words(&self) -> &[AtomicU64; PAGE_WORDS] {
        self.as_ref().words()
    }
}

/// A page in the daemon's own memory.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct OwnedPage([AtomicU64; PAGE_WORDS]);

impl OwnedPage {
    /// A page that nothing was published in.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self([const { AtomicU64::new(0) }; PAGE_WORDS]))
    }
}

impl Page for OwnedPage {
    fn words(&self) -> &[AtomicU64; PAGE_WORDS] {
        &self.0
    }
}

/// Reads snapshots from a page.
#[derive(Clone, Debug)]
pub struct SnapshotReader<P> {
    page: P,
}

impl<P: Page> SnapshotReader<P> {
    /// Reads from `page`.
    pub const fn new(page: P) -> Self {
        Self { page }
    }

    /// The newest snapshot; invalid when none was published. `None` when snapshots were published faster
    /// than one could be read.
    #[must_use]
    pub fn read(&self) -> Option<RefSnapshot> {
        let words = self.page.words();
        (0..READ_TRIES).find_map(|_| read_newest(words))
    }
}

fn read_newest(page: &[AtomicU64; PAGE_WORDS]) -> Option<RefSnapshot> {
    let newest = page[NEWEST_WORD].load(Ordering::Acquire);
    let slot = slot_of(page, newest);
    let mut words = [0; SNAPSHOT_WORDS];
    for (word, stored) in words.iter_mut().zip(&slot[1..]) {
        *word = stored.load(Ordering::Relaxed);
    }
    // Pairs with the fence in `publish`: who saw a word of a later publication sees its mark, too.
    fence(Ordering::Acquire);
    (slot[0].load(Ordering::Relaxed) == newest).then(|| RefSnapshot::from_words(&words))
}

/// A slot of the ring: its generation, then its words.
fn slot_of(page: &[AtomicU64; PAGE_WORDS], publication: u64) -> &[AtomicU64] {
    const { assert!(offset_of!(RingSlot, generation) == 0 && offset_of!(RingSlot, words) == 8) };
    const { assert!(RING_WORD + RING_SLOTS * SLOT_WORDS <= PAGE_WORDS) };
    &page[RING_WORD + ring_slot(publication) * SLOT_WORDS..][..=SNAPSHOT_WORDS]
}

/// Writes a page: the only one who does.
#[derive(Debug)]
pub struct SnapshotWriter<P> {
    page: P,
    newest: u64,
}

impl<P: Page> SnapshotWriter<P> {
    /// Takes over `page`, whose ring goes on where it was left.
    pub fn new(page: P) -> Self {
        let words = page.words();
        words[ABI_WORD].store(ABI, Ordering::Relaxed);
        let newest = words[NEWEST_WORD].load(Ordering::Relaxed);
        Self { page, newest }
    }

    /// Puts a snapshot into force.
    pub fn publish(&mut self, snapshot: &RefSnapshot) {
        let publication = self.newest.wrapping_add(1);
        let page = self.page.words();
        let slot = slot_of(page, publication);
        slot[0].store(BEING_WRITTEN, Ordering::Relaxed);
        fence(Ordering::Release);
        for (stored, word) in slot[1..].iter().zip(snapshot.to_words()) {
            stored.store(word, Ordering::Relaxed);
        }
        slot[0].store(publication, Ordering::Release);
        page[NEWEST_WORD].store(publication, Ordering::Release);
        self.newest = publication;
    }

    /// Withdraws the snapshot in force.
    pub fn invalidate(&mut self) {
        self.publish(&RefSnapshot::INVALID);
    }

    /// Puts access rules into force.
    pub fn set_access(&self, control: AclControl) {
        self.page.words()[ACL_WORD].store(control.to_bits(), Ordering::Release);
    }

    /// Puts rules for clients into force, word by word: a reader may see some of the old ones.
    pub fn set_clients(&self, rules: &ClientRules) {
        let stored = &self.page.words()[CLIENTS_WORD..][..RULES_WORDS];
        for (stored, word) in stored.iter().zip(rules.to_words()) {
            stored.store(word, Ordering::Relaxed);
        }
    }

    /// Replaces the served addresses, word by word: a reader may see some of the old ones among the new.
    pub fn set_local(&self, local: &LocalAddresses) {
        let stored = &self.page.words()[LOCAL_WORD..][..LOCAL_WORDS];
        for (stored, word) in stored.iter().zip(local_words(local)) {
            stored.store(word, Ordering::Relaxed);
        }
    }
}

/// The served addresses as they lie in memory.
fn local_words(local: &LocalAddresses) -> impl Iterator<Item = u64> {
    const { assert!(offset_of!(LocalAddresses, v4) == 16) };
    const { assert!(offset_of!(LocalAddresses, v6) == 16 + size_of_val(&LocalAddresses::EMPTY.v4)) };
    let (v4_pairs, _) = local.v4.as_chunks::<2>();
    [join([local.v4_multiplier, local.reserved]), local.v6_multiplier]
        .into_iter()
        .chain(v4_pairs.iter().copied().map(join))
        .chain(local.v6.iter().flatten().copied())
}

/// Two words that lie one behind the other.
fn join([first, second]: [u32; 2]) -> u64 {
    let mut octets = [0; 8];
    octets[..4].copy_from_slice(&first.to_ne_bytes());
    octets[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::local::v4_word;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    /// A snapshot whose every field tells its number.
    fn numbered(number: u64) -> RefSnapshot {
        let words = [number; SNAPSHOT_WORDS].map(|word| word & 0x0000_ffff_ffff_ffff);
        RefSnapshot::from_words(&words)
    }

    #[test]
    fn empty_page_holds_an_invalid_snapshot() {
        let snapshot = SnapshotReader::new(OwnedPage::new()).read().unwrap();
        assert_eq!(snapshot.valid_until_ns, 0);
    }

    #[test]
    fn newest_publication_is_read_all_the_way_round_the_ring() {
        let page = OwnedPage::new();
        let mut writer = SnapshotWriter::new(Arc::clone(&page));
        let reader = SnapshotReader::new(page);
        for number in 1..=3 * RING_SLOTS as u64 {
            writer.publish(&numbered(number));
            assert_eq!(reader.read(), Some(numbered(number)));
        }
        writer.invalidate();
        assert_eq!(reader.read(), Some(RefSnapshot::INVALID));
    }

    #[test]
    fn second_writer_goes_on_where_the_first_stopped() {
        let page = OwnedPage::new();
        SnapshotWriter::new(Arc::clone(&page)).publish(&numbered(1));
        let mut second = SnapshotWriter::new(Arc::clone(&page));
        second.publish(&numbered(2));
        assert_eq!(second.newest, 2);
        assert_eq!(SnapshotReader::new(page).read(), Some(numbered(2)));
    }

    #[test]
    fn served_addresses_lie_where_the_program_reads_them() {
        let page = OwnedPage::new();
        let words_of_v6 = [7, 9];
        let (local, left_out) = LocalAddresses::build(&[v4_word([192, 0, 2, 1])], &[words_of_v6]);
        assert_eq!(left_out, 0);
        SnapshotWriter::new(Arc::clone(&page)).set_local(&local);
        let octets: Vec<u8> = page
            .words()
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .collect();
        let base = offset_of!(ServingPage, local);
        let v4 = base + offset_of!(LocalAddresses, v4);
        for (index, entry) in local.v4.iter().enumerate() {
            assert_eq!(octets[v4 + 4 * index..][..4], entry.to_ne_bytes());
        }
        let v6 = base + offset_of!(LocalAddresses, v6);
        for (index, entry) in local.v6.iter().flatten().enumerate() {
            assert_eq!(octets[v6 + 8 * index..][..8], entry.to_ne_bytes());
        }
        assert_eq!(octets[base..][..4], local.v4_multiplier.to_ne_bytes());
        assert_eq!(octets[base + 8..][..8], local.v6_multiplier.to_ne_bytes());
    }

    #[test]
    fn snapshot_is_never_torn_while_a_writer_publishes_at_full_speed() {
        const READS: usize = 1_000_000;
        let page = OwnedPage::new();
        let stop = Arc::new(AtomicBool::new(false));
        let writing = thread::spawn({
            let (mut writer, stop) = (SnapshotWriter::new(Arc::clone(&page)), Arc::clone(&stop));
            move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    writer.publish(&numbered(number));
                }
                number
            }
        });
        let reader = SnapshotReader::new(page);
        let (mut read, mut last) = (0, 0);
        while read < READS {
            let Some(snapshot) = reader.read() else { continue };
            assert_eq!(snapshot, numbered(snapshot.base_ns), "torn");
            assert!(snapshot.base_ns >= last, "an older snapshot came back");
            (read, last) = (read + 1, snapshot.base_ns);
        }
        stop.store(true, Ordering::Relaxed);
        let published = writing.join().unwrap();
        assert!(published > RING_SLOTS as u64, "the writer never went round the ring");
    }
}
