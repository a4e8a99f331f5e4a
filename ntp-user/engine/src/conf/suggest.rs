//! The nearest known word to a misspelt one.

/// Longer words resemble nothing; the table of distances stays small.
const MAX_CHARS: usize = 40;

/// The candidate that needs the fewest corrections to `word`, if that is few for its length; of equals, the one
/// with the same letters, else the first.
///
/// A correction is one letter inserted, left out, replaced, or exchanged with its neighbour, in any case.
pub(super) fn nearest(
    word: &str,
    candidates: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    let word: Vec<char> =
        word.chars().take(MAX_CHARS + 1).map(|c| c.to_ascii_lowercase()).collect();
    if word.len() > MAX_CHARS {
        return None;
    }
    let tolerated = (word.len() / 3).clamp(1, 3);
    let letters = sorted(word.iter().copied());
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(&word, candidate, tolerated)?, candidate)))
        .filter(|&(distance, candidate)| distance < candidate.len())
        .min_by_key(|&(distance, candidate)| {
            (distance, letters != sorted(candidate.bytes().map(lower)))
        })
        .map(|(_, candidate)| candidate)
}

fn sorted(letters: impl Iterator<Item = char>) -> Vec<char> {
    let mut letters: Vec<_> = letters.collect();
    letters.sort_unstable();
    letters
}

fn lower(octet: u8) -> char {
    char::from(octet.to_ascii_lowercase())
}

/// Edit distance with exchanges of neighbours (optimal string alignment), if it is at most `most`; candidates are ASCII.
/// Most of them are told by their length, or by the beginning of the word, and cost nothing.
fn distance(word: &[char], candidate: &str, most: usize) -> Option<usize> {
    const COLUMNS: usize = MAX_CHARS + 4;
    let candidate = candidate.as_bytes();
    let columns = candidate.len() + 1;
    if word.len().abs_diff(candidate.len()) > most || columns > COLUMNS {
        return None;
    }
    let mut before_last = [0; COLUMNS];
    let mut last: [usize; COLUMNS] = std::array::from_fn(|column| column);
    for (row, &a) in word.iter().enumerate() {
        let mut current = [row + 1; COLUMNS];
        for (column, b) in candidate.iter().copied().map(lower).enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let before = column.checked_sub(1).map(|before| lower(candidate[before]));
            if row > 0 && before == Some(a) && word[row - 1] == b {
                best = best.min(before_last[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        // A row is at least the smaller of the two before it.
        if last[..columns].iter().chain(&current[..columns]).all(|&distance| distance > most) {
            return None;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    Some(last[columns - 1]).filter(|&distance| distance <= most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_one_for_each_kind_of_slip() {
        for (word, candidate, expected) in [
            ("iburst", "iburst", 0),
            ("ibrust", "iburst", 1),
            ("ibrst", "iburst", 1),
            ("iiburst", "iburst", 1),
            ("oburst", "iburst", 1),
            ("", "key", 3),
            ("key", "", 3),
        ] {
            let word: Vec<char> = word.chars().collect();
            assert_eq!(distance(&word, candidate, 9), Some(expected), "{word:?} {candidate}");
        }
    }

    proptest! {
        /// By the definition, without regard to what it costs: the shortest way through all of them.
        #[test]
        fn is_the_least_number_of_slips(
            word in "[abc]{0,7}",
            candidate in "[abc]{0,7}",
            most in 0usize..8,
        ) {
            fn least(a: &[char], b: &[char]) -> usize {
                let ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) = (a, b) else {
                    return a.len().max(b.len());
                };
                let either = 1 + least(rest_a, b).min(least(a, rest_b));
                let replaced = usize::from(first_a != first_b) + least(rest_a, rest_b);
                let exchanged = match (rest_a, rest_b) {
                    ([second_a, rest_a @ ..], [second_b, rest_b @ ..])
                        if first_a == second_b && second_a == first_b =>
                    {
                        1 + least(rest_a, rest_b)
                    }
                    _ => usize::MAX,
                };
                either.min(replaced).min(exchanged)
            }
            let [a, b] = [&word, &candidate].map(|text| text.chars().collect::<Vec<_>>());
            let expected = Some(least(&a, &b)).filter(|&distance| distance <= most);
            prop_assert_eq!(distance(&a, &candidate, most), expected);
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let words =
            ["SHM", "burst", "trust", "server", "pool", "port", "maxpoll", "minpoll", "all"];
        for (word, expected) in [
            ("sever", Some("server")),
            ("SERVRE", Some("server")),
            ("prot", Some("port")),
            ("turst", Some("trust")),
            ("mxpoll", Some("maxpoll")),
            ("xyzzy", None),
            ("", None),
            ("42", None),
            ("smh", Some("SHM")),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
        assert_eq!(nearest(&"s".repeat(1000), words), None);
    }
}
