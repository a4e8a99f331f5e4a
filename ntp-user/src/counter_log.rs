//! What both paths have done, as a line of the log.

use ntp_common::counters::{Counters, REASONS, answered};

/// Logs the counters of both paths in one line.
pub(crate) fn log_counters(xdp: &Counters, user: &Counters) {
    tracing::info!(
        answered_xdp = answered(xdp),
        answered_user = answered(user),
        xdp = reasons(xdp),
        user = reasons(user),
        "served"
    );
}

/// Reasons that were counted, and how often.
fn reasons(counters: &Counters) -> String {
    let counted = REASONS.iter().map(|&reason| (reason.name(), counters[reason as usize]));
    let words: Vec<String> = counted
        .filter(|&(_, count)| count > 0)
        .map(|(name, count)| format!("{name}={count}"))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntp_common::counters::{COUNTER_COUNT, Reason};

    #[test]
    fn reasons_are_listed_when_they_were_counted() {
        let mut counters = [0; COUNTER_COUNT];
        assert_eq!(reasons(&counters), "");
        counters[Reason::Short as usize] = 3;
        counters[Reason::NotNtp as usize] = 1;
        assert_eq!(reasons(&counters), "not_ntp=1 short=3");
    }
}
