//! What `status` and `top` are told on the command line.

use clap::Args;

/// How the daemon is reached.
#[derive(Clone, Debug, Args)]
pub(super) struct LinkArguments {
    /// The daemon's Unix socket, or an address of its host: over the network it tells less
    #[arg(short = 'H', long, value_name = "PATH|ADDRESS")]
    pub(super) host: Option<String>,
    /// The UDP port of an address
    #[arg(short, long, default_value_t = 323)]
    pub(super) port: u16,
}

/// `ntp-xdp status`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit status: 0 the time is good, 1 good with a reservation, 2 not good, 3 nobody answers."
)]
pub struct StatusArguments {
    #[command(flatten)]
    pub(super) link: LinkArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// Seconds between the two looks that rates are worked out from; 0: one look, no rates
    #[arg(short, long = "interval", default_value_t = 1.0, value_name = "SECONDS", value_parser = seconds)]
    pub(super) interval_s: f64,
    /// Clients that are listed: those who ask most
    #[arg(short, long, default_value_t = 5, value_name = "NUMBER")]
    pub(super) clients: usize,
}

/// `ntp-xdp top`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Keys: q ends, space refreshes at once, + and - change the interval.")]
pub struct TopArguments {
    #[command(flatten)]
    pub(super) link: LinkArguments,
    /// Print JSON, an object a line
    #[arg(long)]
    pub(super) json: bool,
    /// Seconds between two looks
    #[arg(short, long = "interval", default_value_t = 1.0, value_name = "SECONDS", value_parser = positive)]
    pub(super) interval_s: f64,
    /// Looks until it ends by itself
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub(super) count: Option<u64>,
    /// Clients that are listed
    #[arg(short, long, default_value_t = 10, value_name = "NUMBER")]
    pub(super) clients: usize,
}

/// A number of seconds, at most an hour.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    if (0.0..=3600.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("not between 0 and 3600 seconds".to_owned())
    }
}

/// The same, and long enough that the daemon is not kept busy with answering.
fn positive(text: &str) -> Result<f64, String> {
    seconds(text).and_then(|seconds| {
        if seconds >= 0.1 { Ok(seconds) } else { Err("less than 0.1 seconds".to_owned()) }
    })
}
