//! What holds for every text.

use proptest::prelude::*;

use crate::conf::{Diagnostic, Parsed, directive, parse, source_options};

/// Text made of the words that the reader knows, of values, and of noise.
fn plausible_text() -> impl Strategy<Value = String> {
    let directives: Vec<_> = directive::names().collect();
    let options: Vec<_> = source_options::OPTIONS.iter().map(|option| option.name).collect();
    let value = prop_oneof![
        "-?[0-9]{1,12}",
        "[0-9]{0,3}\\.[0-9]{0,3}(\\.[0-9]{0,3})?(/[0-9]{0,3})?",
        "[a-f0-9:]{1,12}(/[0-9]{0,3})?",
        "[a-z.*/-]{1,8}",
        "\\PC{0,6}",
    ];
    let word = prop_oneof![
        proptest::sample::select(options).prop_map(str::to_owned),
        proptest::sample::select(vec!["all", "stratum", "mode", "interval", "#"])
            .prop_map(str::to_owned),
        value,
    ];
    let line = (proptest::sample::select(directives), prop::collection::vec(word, 0..6))
        .prop_map(|(directive, words)| format!("{directive} {}", words.join(" ")));
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

/// Reads text, and checks that each diagnostic is about a word that is there.
fn check_places(text: &str) -> Result<(), TestCaseError> {
    let diagnostics = match parse("x", text) {
        Ok(Parsed { warnings, .. }) => warnings,
        Err(errors) => {
            prop_assert!(!errors.to_string().is_empty());
            errors.iter().cloned().collect()
        }
    };
    for Diagnostic { at, width, .. } in &diagnostics {
        let line = text.lines().nth(at.line as usize - 1);
        prop_assert!(line.is_some(), "{at} in {text:?}");
        let last = at.column as usize + (*width).max(1) - 1;
        let length = line.map_or(0, |line| line.chars().count());
        prop_assert!(at.column >= 1 && last <= length, "{at}+{width} in {text:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_accepted_or_refused_at_a_word(text in "(\\PC|[ \t\n\r\x0b\x00#])*") {
        check_places(&text)?;
    }

    #[test]
    fn any_mixture_of_known_words_is_accepted_or_refused_at_a_word(text in plausible_text()) {
        check_places(&text)?;
    }
}

#[test]
fn every_option_is_recognised_when_two_neighbouring_letters_are_exchanged() {
    let names = source_options::OPTIONS.iter().map(|option| option.name);
    for name in names.filter(|name| name.len() >= 3) {
        for at in 0..name.len() - 1 {
            let mut letters: Vec<char> = name.chars().collect();
            letters.swap(at, at + 1);
            let misspelt: String = letters.into_iter().collect();
            if misspelt == name {
                continue;
            }
            let errors = parse("x", &format!("server a {misspelt} 1")).unwrap_err();
            let first = errors.to_string();
            let expected =
                format!("unknown option `{misspelt}` of `server`; did you mean `{name}`?");
            assert!(first.starts_with(&format!("x:1:10: error: {expected}\n")), "{first}");
        }
    }
}
