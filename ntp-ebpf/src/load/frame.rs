//! Access to a frame at offsets that are known only when it runs. The verifier sees every access behind a
//! comparison with the end of the frame.

use aya_ebpf::programs::XdpContext;

/// No header lies farther in.
const MAX_OFFSET: usize = 0xff;

/// Where a frame begins and ends, as addresses.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    start: usize,
    end: usize,
}

impl Frame {
    #[inline(always)]
    pub(crate) fn of(context: &XdpContext) -> Self {
        Self { start: context.data(), end: context.data_end() }
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.end - self.start
    }

    /// A pointer to the `T` at `offset`, when the frame holds all of it.
    #[inline(always)]
    fn at<T>(self, offset: usize) -> Option<*mut T> {
        let address = self.start + (offset & MAX_OFFSET);
        if address + size_of::<T>() > self.end {
            return None;
        }
        Some(address as *mut T)
    }

    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: usize) -> Option<T> {
        let pointer = self.at::<T>(offset)?;
        // SAFETY: the frame holds it, and any octets are a value of the types that are read.
        Some(unsafe { pointer.read_unaligned() })
    }

    #[inline(always)]
    pub(crate) fn write<T: Copy>(self, offset: usize, value: T) -> Option<()> {
        let pointer = self.at::<T>(offset)?;
        // SAFETY: the frame holds it, and nobody else writes the frame.
        unsafe { pointer.write_unaligned(value) };
        Some(())
    }
}
