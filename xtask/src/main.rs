//! `cargo xtask TASK`: everything that the project does to itself, one file a task.
//!
//! Invariant: compiles with stable Rust and a C linker alone; whatever else a task needs, it installs or names.

mod bench;
mod build_ebpf;
mod demo;
mod fuzz;
mod guests;
mod load_test;
mod object_check;
mod package;
mod paths;
mod peers;
mod process;
mod report;
mod setup;
mod sim;
mod system;
mod test;
mod tidy;
mod toolchain;
mod versions;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what building the eBPF program, the tests and the demonstration need
    Setup,
    /// Build the eBPF objects, check them, and put them where the daemon's build finds them
    BuildEbpf,
    /// Show the daemon at work between an upstream and its clients, in network namespaces
    Demo(demo::DemoArguments),
    /// Measure what the program costs
    Bench(bench::BenchArguments),
    /// Put an NTP server under load, and measure what it answers, how fast, and how right
    LoadTest(load_test::LoadTestArguments),
    /// Keep simulated clocks, and print how well, beside chrony
    Sim(sim::SimArguments),
    /// Play scenarios with a real clock in guests of other kernels
    Vm(vm::VmArguments),
    /// Try octets of all kinds, guided by what they reach
    Fuzz(fuzz::FuzzArguments),
    /// Build Debian packages
    Package(package::PackageArguments),
    /// Run every check of the project
    Test(test::TestArguments),
    /// Check the sources' sizes and layout alone
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup => setup::run().map(|()| ExitCode::SUCCESS),
        Task::BuildEbpf => build_ebpf::run().map(|()| ExitCode::SUCCESS),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments).map(|()| ExitCode::SUCCESS),
        Task::LoadTest(arguments) => load_test::run(&arguments).map(|()| ExitCode::SUCCESS),
        Task::Sim(arguments) => sim::run(&arguments).map(|()| ExitCode::SUCCESS),
        Task::Vm(arguments) => vm::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Package(arguments) => package::run(&arguments).map(|()| ExitCode::SUCCESS),
        Task::Test(arguments) => Ok(test::run(&arguments)),
        Task::Tidy => tidy::run(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
