//! The UDP header as it lies in a frame.

/// A UDP header. Both ports are one word, for the checksum.
#[repr(C, packed)]
pub(crate) struct UdpHeader {
    pub(crate) ports: u32,
    pub(crate) len: u16,
    pub(crate) checksum: u16,
}

impl UdpHeader {
    /// Source port, host order.
    #[inline(always)]
    pub(crate) fn source_port(&self) -> u16 {
        (u32::from_be(self.ports) >> 16) as u16
    }

    /// Destination port, network order.
    #[inline(always)]
    pub(crate) fn destination_port(&self) -> u16 {
        let [_, _, high, low] = self.ports.to_ne_bytes();
        u16::from_ne_bytes([high, low])
    }

    /// Destination port and length, as they lie there: one load.
    #[inline(always)]
    pub(crate) fn port_and_len(&self) -> u32 {
        let both = (&raw const *self).cast::<u8>().wrapping_add(2).cast::<[u8; 4]>();
        // SAFETY: both fields lie within the header.
        u32::from_ne_bytes(unsafe { *both })
    }

    /// Has the ports change sides.
    #[inline(always)]
    pub(crate) fn swap_ports(&mut self) {
        let ports = (&raw mut self.ports).cast::<[[u8; 2]; 2]>();
        // SAFETY: the pointer is to the field.
        let [source, destination] = unsafe { *ports };
        // SAFETY: as above.
        unsafe { *ports = [destination, source] };
    }
}
