//! Commands as packets: what they are answered, by the dispatch that the daemon runs.

mod access;
mod captured;
mod desk;
mod hostile;
