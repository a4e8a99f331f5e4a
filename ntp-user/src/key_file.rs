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
    /// The keys of a file that is not read yet, if there is to be one.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, keys: Versioned::new(Keys::default()) }
    }

    /// Reads the file and puts its keys into force; what is wrong with it is logged. When it can't be read those in
    /// force stay. Whether it was read.
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

    /// Goes by another file, once it is read.
    pub fn change(&mut self, path: Option<PathBuf>) {
        self.path = path;
        if self.path.is_none() {
            self.keys.replace(Keys::default());
        }
    }

    /// The keys in force.
    #[must_use]
    pub fn keys(&self) -> &Arc<Versioned<Keys>> {
        &self.keys
    }
}
