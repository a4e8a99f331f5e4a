//! Metrics for Prometheus: an HTTP endpoint on a thread of its own, which asks the timekeeping thread for its
//! state at every scrape. Neither the thread nor a socket exists without `metricsaddress`.

mod clients;
mod clock;
mod commands;
mod http;
mod page;
mod serving;
mod sources;
mod state;

pub use commands::CommandCounts;
pub use http::{Endpoint, EndpointError};
pub use page::render;
pub use state::{Interface, Question, Questions, State, questions};
