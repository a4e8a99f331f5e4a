//! A test with what it needs of the machine: without that it is ignored, and says why.

use anyhow::Result;
use libtest_mimic::{Completion, Failed, Trial};
use ntp_lab::{peers, rights};

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The right to make network namespaces, and the programs that fill them.
    Namespaces,
    /// chrony's daemon.
    Chronyd,
}

impl Needs {
    fn met(self) -> Result<(), String> {
        match self {
            Self::Namespaces => rights::make_namespaces(),
            Self::Chronyd if peers::chronyd().is_some() => Ok(()),
            Self::Chronyd => Err("there is no chronyd (`cargo xtask setup` brings it)".to_owned()),
        }
    }
}

/// A test named by the sentence that it checks.
pub(crate) fn trial(
    sentence: &str,
    needs: &'static [Needs],
    check: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(sentence.replace(' ', "_"), move || {
        for need in needs {
            if let Err(reason) = need.met() {
                return Ok(Completion::ignored_with(reason));
            }
        }
        check().map_err(|error| Failed::from(format!("{error:#}")))?;
        Ok(Completion::Completed)
    })
}
