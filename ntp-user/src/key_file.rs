//! The key file: read at the start, and again when an operator asks for that.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use ntp_engine::auth::Keys;

use crate::serving::versioned::Versioned;

/// A key file and the keys in force.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: Option<PathBuf>,
    keys: Arc<Versioned<Keys>>,
}

impl KeyFile {
    /// Reads the file, if there is to be one. What is wrong with it is logged; without it there are no keys.
    #[must_use]
    pub fn open(path: Option<PathBuf>) -> Self {
        let file = Self { path, keys: Versioned::new(Keys::default()) };
        file.read();
        file
    }

    /// Reads the file again and puts its keys into force. When it can't be read those in force stay. Whether it
    /// was read.
    pub fn read(&self) -> bool {
        let Some(path) = &self.path else { return true };
        let text = match fs::read(path) {
            Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "Could not open keyfile {}", path.display());
                return false;
            }
        };
        let (keys, problems) = Keys::parse(&text);
        for problem in problems {
            tracing::warn!("{}, {problem}", path.display());
        }
        tracing::info!(path = %path.display(), count = keys.len(), "Keys read");
        self.keys.replace(keys);
        true
    }

    /// Goes by another file from now on.
    pub fn change(&mut self, path: Option<PathBuf>) {
        self.path = path;
        if self.path.is_none() {
            self.keys.replace(Keys::default());
        }
        self.read();
    }

    /// The keys in force.
    #[must_use]
    pub fn keys(&self) -> &Arc<Versioned<Keys>> {
        &self.keys
    }
}
