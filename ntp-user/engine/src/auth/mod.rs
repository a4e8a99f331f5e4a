//! Symmetric keys: the key file, and message authentication codes of packets. RFC 5905 section 7.3, RFC 8573.
//!
//! Invariant: keys are neither logged nor shown, and codes are compared in constant time.

mod key;
mod keyfile;
mod mac;
pub mod trailer;

pub use key::{Key, KeyError, KeyId, KeyType};
pub use keyfile::{Keys, Problem};
pub use mac::{CryptoError, MAX_MAC_LEN, MacRef, append, verify};
