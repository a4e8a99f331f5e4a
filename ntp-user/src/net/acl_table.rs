//! Makes access tables on the heap: at 2 MiB they must never pass over a stack.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

use ntp_common::acl::AclTable;

/// A table that allows nobody, in memory that the kernel hands out as it is touched.
#[must_use]
pub fn zeroed_table() -> Box<AclTable> {
    let layout = Layout::new::<AclTable>();
    // SAFETY: a table is not of size zero.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    #[expect(clippy::cast_ptr_alignment, reason = "the layout says how the memory is aligned")]
    let table = memory.cast::<AclTable>();
    // SAFETY: the memory was allocated with the layout of a table, and zeros are one: it consists of integers.
    unsafe { Box::from_raw(table) }
}
