//! What the process may do of what XDP takes. `capabilities(7)`.

use caps::{CapSet, Capability, has_cap};

/// Capabilities that XDP takes since Linux 5.8. `CAP_SYS_ADMIN` stands for the first and the last.
const NEEDED: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];

/// Names of the capabilities that are missing for XDP.
#[must_use]
pub fn missing_for_xdp() -> Vec<String> {
    let is_admin = holds(Capability::CAP_SYS_ADMIN);
    let is_there =
        |capability| holds(capability) || is_admin && capability != Capability::CAP_NET_ADMIN;
    NEEDED
        .into_iter()
        .filter(|&capability| !is_there(capability))
        .map(|capability| capability.to_string())
        .collect()
}

fn holds(capability: Capability) -> bool {
    has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}
