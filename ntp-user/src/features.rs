//! What this build has, as `-v` and the first line of the log tell it.

use crate::bpf::program::OBJECT;

/// The daemon's name.
pub(crate) const NAME: &str = "ntp-xdpd";

/// The daemon's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Features in chrony's words and order, and whether they are there; XDP last.
const FEATURES: [(&str, bool); 12] = [
    ("CMDMON", true),
    ("NTP", true),
    ("REFCLOCK", false),
    ("RTC", false),
    ("PRIVDROP", true),
    ("SCFILTER", false),
    ("SIGND", false),
    ("ASYNCDNS", true),
    ("NTS", false),
    ("SECHASH", false),
    ("IPV6", true),
    ("XDP", OBJECT.is_some()),
];

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
    format!("{NAME} (ntp-xdp) version {VERSION} {}", list())
}
