//! The corpora of the fuzzers, and octets near them and at random, through the same functions.

use std::fs;
use std::path::{Path, PathBuf};

use ntp_fuzz::KINDS;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Inputs near those of the corpus, and at random, of each kind.
const CASES: u32 = 2_000;

fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(kind);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.iter().map(read).collect()
}

#[test]
fn every_kind_has_a_corpus_and_nothing_in_it_is_mishandled() {
    for (kind, attempt) in KINDS {
        let corpus = corpus(kind);
        assert!(corpus.len() >= 3, "{kind}: {} inputs", corpus.len());
        for octets in corpus {
            attempt(&octets);
        }
    }
}

#[test]
fn octets_near_those_of_the_corpora_are_not_mishandled() {
    for (kind, attempt) in KINDS {
        let seeds = prop::sample::select(corpus(kind));
        let wrong = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        let near = (seeds, wrong, any::<prop::sample::Index>(), any::<bool>());
        run(kind, near, |(mut octets, wrong, end, is_cut)| {
            if octets.is_empty() {
                return;
            }
            for (place, octet) in wrong {
                let place = place.index(octets.len());
                octets[place] = octet;
            }
            if is_cut {
                octets.truncate(end.index(octets.len()));
            }
            attempt(&octets);
        });
    }
}

#[test]
fn octets_at_random_are_not_mishandled() {
    for (kind, attempt) in KINDS {
        run(kind, prop::collection::vec(any::<u8>(), 0..700), |octets| attempt(&octets));
    }
}

fn run<S: Strategy>(kind: &str, inputs: S, attempt: impl Fn(S::Value)) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        attempt(input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{kind}: {error}");
    }
}
