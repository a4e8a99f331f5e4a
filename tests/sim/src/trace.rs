//! What a simulation looked like, second by second.

/// One second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// True time since the start, seconds.
    pub at_s: f64,
    /// What the steered clock is ahead of true time, seconds.
    pub clock_s: f64,
    /// What served time is ahead of true time, seconds; `None` when nothing is served.
    pub served_s: Option<f64>,
    /// What the steered clock gains in a second.
    pub frequency: f64,
}

/// All of them, in their order.
pub type Trace = Vec<Moment>;
