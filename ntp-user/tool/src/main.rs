//! The program `ntp-xdp`; what it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ntp_xdp::cli::main()
}
