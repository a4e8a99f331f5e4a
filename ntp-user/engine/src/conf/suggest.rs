//! The nearest known word to a misspelt one.

/// Longer words resemble nothing; the table of distances stays small.
const MAX_CHARS: usize = 40;

/// The candidate that needs the fewest corrections to `word`, if that is few for its length; of equals, the one
/// with the same letters, else the first.
///
/// A correction is one letter inserted, left out, replaced, or exchanged with its neighbour.
pub(super) fn nearest(
    word: &str,
    candidates: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    let word: Vec<char> =
        word.chars().take(MAX_CHARS + 1).map(|c| c.to_ascii_lowercase()).collect();
    if word.len() > MAX_CHARS {
        return None;
    }
    let letters = sorted(word.iter().copied());
    let tolerated = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= tolerated && distance < candidate.len())
        .min_by_key(|&(distance, candidate)| (distance, letters != sorted(candidate.chars())))
        .map(|(_, candidate)| candidate)
}

fn sorted(letters: impl Iterator<Item = char>) -> Vec<char> {
    let mut letters: Vec<_> = letters.collect();
    letters.sort_unstable();
    letters
}

/// Edit distance with exchanges of neighbours (optimal string alignment).
fn distance(word: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().collect();
    let columns = candidate.len() + 1;
    let mut before_last = vec![0; columns];
    let mut last: Vec<usize> = (0..columns).collect();
    for (row, &a) in word.iter().enumerate() {
        let mut current = vec![row + 1; columns];
        for (column, &b) in candidate.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && a == candidate[column - 1] && word[row - 1] == b {
                best = best.min(before_last[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[columns - 1]
}

#[cfg(test)]
mod tests {
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
            assert_eq!(distance(&word, candidate), expected, "{word:?} {candidate}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let words = ["burst", "trust", "server", "pool", "port", "maxpoll", "minpoll", "all"];
        for (word, expected) in [
            ("sever", Some("server")),
            ("SERVRE", Some("server")),
            ("prot", Some("port")),
            ("turst", Some("trust")),
            ("mxpoll", Some("maxpoll")),
            ("xyzzy", None),
            ("", None),
            ("42", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
        assert_eq!(nearest(&"s".repeat(1000), words), None);
    }
}
