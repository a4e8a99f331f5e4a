//! What this build has, as `-v` and the first line of the log tell it.

use std::path::Path;
use std::sync::LazyLock;

use crate::bpf::program::OBJECT;

/// The daemon's own name.
const NAME: &str = "ntp-xdpd";

/// The name of the daemon whose place it takes.
const CHRONYD: &str = "chronyd";

/// The name that the daemon goes by: chrony's if it was started as that.
static CALLED: LazyLock<&str> = LazyLock::new(|| {
    let called = std::env::args_os().next().unwrap_or_default();
    let is_chronyd = Path::new(&called).file_name().is_some_and(|name| name == CHRONYD);
    if is_chronyd { CHRONYD } else { NAME }
});

/// The daemon's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Features in chrony's words and order, and whether they are there; XDP last.
const FEATURES: [(&str, bool); 12] = [
    ("CMDMON", true),
    ("NTP", true),
    ("REFCLOCK", true),
    ("RTC", false),
    ("PRIVDROP", true),
    ("SCFILTER", true),
    ("SIGND", false),
    ("ASYNCDNS", true),
    ("NTS", false),
    ("SECHASH", true),
    ("IPV6", true),
    ("XDP", OBJECT.is_some()),
];

/// The daemon's name, as messages give it.
#[must_use]
pub(crate) fn name() -> &'static str {
    &CALLED
}

/// Whether the daemon was started by chrony's name, and uses the files that go with it.
#[must_use]
pub(crate) fn is_chronyd() -> bool {
    name() == CHRONYD
}

/// The features, each with `+` or `-`, in parentheses.
#[must_use]
pub(crate) fn list() -> String {
    let words: Vec<String> = FEATURES
        .iter()
        .map(|(name, is_there)| format!("{}{name}", if *is_there { '+' } else { '-' }))
        .collect();
    format!("({})", words.join(" "))
}

/// The line that `-v` prints.
#[must_use]
pub(crate) fn version_line() -> String {
    format!("{} (ntp-xdp) version {VERSION} {}", name(), list())
}
