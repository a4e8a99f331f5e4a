//! The XDP program through the kernel's test run, without a network interface: what it does with a frame is
//! what the model says, octet by octet.
//!
//! Invariant: a test that cannot run on this machine is reported as ignored, with the reason.

#[expect(dead_code, reason = "the benchmark asks for more")]
mod again;
mod arrivals;
mod busy;
mod corpus;
mod frame;
mod identity;
mod kernel;
mod leap;
mod limits;
mod memory;
mod model;
mod random;
mod rules;
mod torn;
mod verified;
mod waits;
mod world;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use ntp_lab::rights;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("corpus_meets_the_fates_written_beside_it", identity::corpus),
        trial("corpus_agrees_with_the_model_octet_by_octet", identity::corpus_and_model),
        trial("running_time_is_extrapolated_as_the_model_does", identity::running_time),
        trial("most_specific_rule_decides_who_is_answered", identity::access),
        trial("a_million_addresses_under_changing_rules_are_judged_as_by_a_list", rules::changing),
        trial("expired_and_withdrawn_snapshots_are_passed_up", identity::expiry),
        trial("poll_is_raised_to_the_minimum_of_the_snapshot", identity::minimum_poll),
        trial(
            "leap_second_is_served_as_the_model_does_before_and_after_it",
            leap::corpus_around_it,
        ),
        trial("leap_second_is_taken_at_the_nanosecond_that_the_clock_reads", leap::instant),
        trial("a_million_random_frames_agree_with_the_model", random::frames),
        trial("request_is_as_old_as_its_interface_says", arrivals::hardware),
        trial("timestamp_that_does_not_add_up_is_counted_and_not_used", arrivals::fallback),
        trial("timestamps_are_on_the_same_side_of_a_leap_second", arrivals::leap),
        trial("clients_are_charged_as_the_user_path_charges_them", limits::identity),
        trial("client_is_charged_once_whichever_path_it_takes", limits::shared_table),
        trial("busy_cpu_limits_and_counts_all_the_same", busy::limit_and_counts),
        trial("without_a_limit_no_request_counts_as_over_it", busy::without_a_limit),
        trial("flood_of_invented_sources_shuts_no_honest_client_out", limits::flood),
        trial("a_million_clients_take_the_memory_that_is_stated", memory::million_clients),
        trial("no_cpu_waits_for_another", waits::fast_path),
        trial("verifier_follows_no_more_instructions_than_it_should", verified::instructions),
        trial("no_answer_is_torn_while_snapshots_are_replaced", torn::answers),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, check: fn() -> Result<()>) -> Trial {
    Trial::ignorable_test(name, move || {
        if let Err(reason) = rights::load_bpf() {
            return Ok(Completion::ignored_with(reason));
        }
        if !kernel::object_path(world::OBJECT).exists() {
            return Ok(Completion::ignored_with("the eBPF object is not built"));
        }
        check().map_err(|error| Failed::from(format!("{error:#}")))?;
        Ok(Completion::Completed)
    })
}
