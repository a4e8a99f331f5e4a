//! Options of a source that selection goes by: those of its line, and what `authselectmode` makes of them.

use crate::conf::{AuthSelectMode, SourceOptions};
use crate::report::SelectOptions;

/// What the configuration says of a source.
pub(crate) fn configured(options: &SourceOptions) -> SelectOptions {
    let &SourceOptions { noselect, prefer, trust, require, .. } = options;
    SelectOptions { noselect, prefer, trust, require }
}

/// Whether the packets of a source are authenticated.
pub(crate) fn is_authenticated(options: &SourceOptions) -> bool {
    options.key.is_some() || options.nts
}

/// How authenticated sources and others are mixed. Sources that are not to be selected count as neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mixture {
    mode: AuthSelectMode,
    any_authenticated: bool,
    any_other: bool,
}

impl Mixture {
    /// The mixture of all sources, each with its options.
    pub(crate) fn of<'a>(
        mode: AuthSelectMode,
        sources: impl Iterator<Item = &'a SourceOptions>,
    ) -> Self {
        let (mut any_authenticated, mut any_other) = (false, false);
        for options in sources.filter(|options| !options.noselect) {
            let authenticated = is_authenticated(options);
            any_authenticated |= authenticated;
            any_other |= !authenticated;
        }
        Self { mode, any_authenticated, any_other }
    }

    /// The options that come into effect for a reference clock, which nobody between it and us can forge.
    pub(crate) fn effective_of_clock(self, options: &SourceOptions) -> SelectOptions {
        let said = configured(options);
        let mixed = self.mode == AuthSelectMode::Mix && self.any_authenticated && self.any_other;
        if mixed && !said.noselect {
            SelectOptions { trust: true, require: true, ..said }
        } else {
            said
        }
    }

    /// The options that come into effect for a source.
    pub(crate) fn effective(self, options: &SourceOptions) -> SelectOptions {
        let said = configured(options);
        if said.noselect {
            return said;
        }
        let (authenticated, mixed) =
            (is_authenticated(options), self.any_authenticated && self.any_other);
        match self.mode {
            AuthSelectMode::Require => SelectOptions { noselect: !authenticated, ..said },
            AuthSelectMode::Prefer => {
                SelectOptions { noselect: self.any_authenticated && !authenticated, ..said }
            }
            AuthSelectMode::Mix if authenticated && mixed => {
                SelectOptions { trust: true, require: true, ..said }
            }
            AuthSelectMode::Mix | AuthSelectMode::Ignore => said,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthSelectMode::{Ignore, Mix, Prefer, Require};

    #[test]
    fn authselectmode_shuts_out_or_trusts() {
        let plain = SourceOptions::default();
        let keyed = SourceOptions { key: Some(1), ..plain.clone() };
        let ignored = SourceOptions { noselect: true, ..keyed.clone() };
        let none = SelectOptions::default();
        let shut_out = SelectOptions { noselect: true, ..none };
        let trusted = SelectOptions { trust: true, require: true, ..none };
        let cases = [
            (Require, vec![&plain, &keyed], [shut_out, none]),
            (Require, vec![&plain], [shut_out, none]),
            (Prefer, vec![&plain, &keyed], [shut_out, none]),
            (Prefer, vec![&plain, &ignored], [none, none]),
            (Mix, vec![&plain, &keyed], [none, trusted]),
            (Mix, vec![&keyed], [none, none]),
            (Ignore, vec![&plain, &keyed], [none, none]),
        ];
        for (mode, sources, expected) in cases {
            let mixture = Mixture::of(mode, sources.iter().copied());
            let effective = [&plain, &keyed].map(|options| mixture.effective(options));
            assert_eq!(effective, expected, "{mode:?}");
            assert_eq!(mixture.effective(&ignored), shut_out, "{mode:?}: {ignored:?}");
            let of_clock = mixture.effective_of_clock(&plain);
            let is_trusted = mode == Mix && sources.len() > 1;
            assert_eq!(of_clock, if is_trusted { trusted } else { none }, "{mode:?}");
        }
    }
}
