//! `maxchange`: what no clock update may correct. Somebody who can make a clock jump by a year can do more harm than
//! one that has stopped being updated.

use crate::conf::MaxChange;

/// Whether an update may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// It may.
    Granted,
    /// It is left out, this time.
    Ignored,
    /// It is not made, and none after it: the daemon is to end.
    GivenUp,
}

/// The rule, and how far it has been used up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ChangeLimit {
    rule: MaxChange,
    /// Offsets that are still ignored; `None`: any number.
    left: Option<u32>,
    updates: u32,
}

impl ChangeLimit {
    pub(super) fn new(rule: MaxChange) -> Self {
        Self { rule, left: rule.ignored, updates: 0 }
    }

    /// Goes by another rule from now on; updates so far count for it.
    pub(super) fn replace(&mut self, rule: MaxChange) {
        if rule != self.rule {
            *self = Self { updates: self.updates, ..Self::new(rule) };
        }
    }

    /// Judges an update by what it would change the estimate of true time by, seconds.
    pub(super) fn judge(&mut self, change_s: f64) -> Permission {
        if self.rule.start.is_none_or(|start| self.updates < start) {
            self.updates = self.updates.saturating_add(1);
            return Permission::Granted;
        }
        if change_s.abs() <= self.rule.offset_s {
            return Permission::Granted;
        }
        let (change_s, limit_s) = (change_s.abs(), self.rule.offset_s);
        let outcome = if self.left == Some(0) { "exiting" } else { "ignored" };
        tracing::error!(
            change_s,
            "Adjustment of {change_s:.3} seconds exceeds the allowed maximum of {limit_s:.3} seconds ({outcome})"
        );
        match &mut self.left {
            Some(0) => Permission::GivenUp,
            Some(left) => {
                *left -= 1;
                Permission::Ignored
            }
            None => Permission::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Permission::{GivenUp, Granted, Ignored};

    #[test]
    fn large_changes_are_ignored_as_often_as_allowed_and_then_end_the_daemon() {
        let rule = |start, ignored| MaxChange { offset_s: 10.0, start, ignored };
        let changes = [99.0, 5.0, -11.0, 10.0, 12.0, 13.0];
        let cases = [
            (rule(Some(1), Some(2)), [Granted, Granted, Ignored, Granted, Ignored, GivenUp]),
            (rule(Some(0), Some(0)), [GivenUp, Granted, GivenUp, Granted, GivenUp, GivenUp]),
            (rule(Some(0), None), [Ignored, Granted, Ignored, Granted, Ignored, Ignored]),
            (rule(Some(5), Some(0)), [Granted, Granted, Granted, Granted, Granted, GivenUp]),
            (rule(None, Some(0)), [Granted; 6]),
        ];
        for (rule, expected) in cases {
            let mut limit = ChangeLimit::new(rule);
            assert_eq!(changes.map(|change_s| limit.judge(change_s)), expected, "{rule:?}");
        }
    }
}
