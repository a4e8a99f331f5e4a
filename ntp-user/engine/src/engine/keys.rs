//! The symmetric keys that sources are asked with.

use rand::Rng;

use super::Engine;
use crate::auth::{KeyId, Keys};

impl<R: Rng> Engine<R> {
    /// Puts other keys into force. Sources whose key is missing are not asked, which is said.
    pub fn set_keys(&mut self, keys: Keys) {
        self.keys = keys;
        for line in &self.lines {
            let Some(id) = line.line().options.key else { continue };
            let host = &line.line().host;
            match self.keys.find(KeyId(id)) {
                None => tracing::warn!("Key {id} used by source {host} is missing"),
                Some(key) if key.is_short() => {
                    tracing::warn!("Key {id} used by source {host} is too short");
                }
                Some(_) => {}
            }
        }
    }

    /// The keys in force.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}
