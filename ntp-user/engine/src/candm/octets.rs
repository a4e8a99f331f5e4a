//! Numbers in network order: read from octets and appended to them.

/// Reads a packet from its beginning on. Lengths are checked before; what lies beyond the end reads as zeros.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The next octets.
    pub(super) fn take<const LEN: usize>(&mut self) -> [u8; LEN] {
        let (octets, rest) = self.0.split_first_chunk().unwrap_or((&[0; LEN], &[]));
        self.0 = rest;
        *octets
    }

    pub(super) fn u8(&mut self) -> u8 {
        let [octet] = self.take();
        octet
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    /// Text up to its first zero, or as long as there is room; what is no UTF-8 is replaced.
    pub(super) fn text<const LEN: usize>(&mut self) -> String {
        let octets: [u8; LEN] = self.take();
        let text = octets.split(|&octet| octet == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    pub(super) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }
}

/// Appends to a packet.
#[derive(Clone, Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(super) fn octets(&mut self, octets: &[u8]) -> &mut Self {
        self.0.extend_from_slice(octets);
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.octets(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.octets(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.octets(&value.to_be_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.octets(&value.to_be_bytes())
    }

    /// A count that saturates.
    pub(super) fn count(&mut self, value: u64) -> &mut Self {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// Text with a zero at its end; what is too long is cut.
    pub(super) fn text<const LEN: usize>(&mut self, text: &str) -> &mut Self {
        let mut octets = [0; LEN];
        let fits = |at: &usize| text.is_char_boundary(*at);
        let kept = (0..LEN.min(text.len() + 1)).rev().find(fits).unwrap_or_default();
        octets[..kept].copy_from_slice(&text.as_bytes()[..kept]);
        self.octets(&octets)
    }

    /// The packet.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}
