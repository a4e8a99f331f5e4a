//! A value that is replaced while threads are using it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A value that is in force, for all threads.
#[derive(Debug)]
pub struct Versioned<T> {
    version: AtomicU64,
    value: Mutex<Arc<T>>,
}

impl<T> Versioned<T> {
    /// Puts `value` into force.
    #[must_use]
    pub fn new(value: T) -> Arc<Self> {
        Arc::new(Self { version: AtomicU64::new(0), value: Mutex::new(Arc::new(value)) })
    }

    /// Puts another value into force.
    pub fn replace(&self, value: T) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The value in force.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One thread's hold on the value in force: asking for it costs one load when it is unchanged.
#[derive(Debug)]
pub struct Handle<T> {
    shared: Arc<Versioned<T>>,
    version: u64,
    value: Arc<T>,
}

impl<T> Handle<T> {
    /// Takes hold of the value in force.
    #[must_use]
    pub fn new(shared: Arc<Versioned<T>>) -> Self {
        // The version first: a value that is newer than it is asked for once more.
        let version = shared.version.load(Ordering::Acquire);
        let value = shared.current();
        Self { shared, version, value }
    }

    /// The value that [`Handle::latest`] gave last.
    #[must_use]
    pub fn held(&self) -> &T {
        &self.value
    }

    /// The value in force.
    pub fn latest(&mut self) -> &T {
        let version = self.shared.version.load(Ordering::Acquire);
        if version != self.version {
            (self.version, self.value) = (version, self.shared.current());
        }
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_see_what_was_replaced() {
        let shared = Versioned::new(1);
        let mut handle = Handle::new(Arc::clone(&shared));
        assert_eq!(*handle.latest(), 1);
        shared.replace(2);
        assert_eq!(*handle.held(), 1);
        assert_eq!((*handle.latest(), *handle.held(), *shared.current()), (2, 2, 2));
    }
}
