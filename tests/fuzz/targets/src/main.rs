//! One program for all kinds of input: the environment variable `NTP_FUZZ` names the kind.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    static KIND: OnceLock<String> = OnceLock::new();
    let kind = KIND.get_or_init(|| std::env::var("NTP_FUZZ").unwrap_or_default());
    ntp_fuzz::try_as(kind, octets);
});
