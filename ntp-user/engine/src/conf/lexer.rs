//! Lines and words. Words are separated by blanks; a line whose first other character is one of
//! `!`, `;`, `#`, `%` is a comment. There is no quoting and no comment behind a directive.

use std::sync::Arc;

/// A line may have at most this many bytes, as in chrony.
pub(super) const MAX_LINE_BYTES: usize = 2047;

/// A word of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// Column of the first character, from 1, in characters.
    pub(super) column: u32,
}

/// A line with its words.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: u32,
    /// The text, kept for diagnostics; only the beginning when the line is too long.
    pub(super) text: Arc<str>,
    /// Empty when the line is blank or a comment.
    pub(super) words: Vec<Word<'a>>,
    /// Longer than [`MAX_LINE_BYTES`]: there are no words.
    pub(super) too_long: bool,
}

impl<'a> Line<'a> {
    /// Splits one line.
    pub(super) fn new(number: u32, text: &'a str) -> Self {
        const SHOWN_CHARS: usize = 80;
        let too_long = text.len() > MAX_LINE_BYTES;
        if too_long {
            let shown: String = text.chars().take(SHOWN_CHARS).collect();
            return Self { number, text: shown.into(), words: Vec::new(), too_long };
        }
        let words = words(text);
        let comment = words.first().is_some_and(|word| starts_comment(word.text));
        Self {
            number,
            text: text.into(),
            words: if comment { Vec::new() } else { words },
            too_long,
        }
    }
}

/// The lines of a file, with or without carriage returns.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    (1..).zip(text.lines()).map(|(number, line)| Line::new(number, line))
}

/// Whether a line that begins with this word is a comment.
pub(super) fn starts_comment(word: &str) -> bool {
    word.starts_with(['!', ';', '#', '%'])
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut column = 0;
    for (index, character) in text.char_indices() {
        column += 1;
        match (start, is_blank(character)) {
            (None, false) => start = Some((index, column)),
            (Some((from, at)), true) => {
                words.push(Word { text: &text[from..index], column: at });
                start = None;
            }
            (None, true) | (Some(_), false) => {}
        }
    }
    if let Some((from, at)) = start {
        words.push(Word { text: &text[from..], column: at });
    }
    words
}

/// The blanks of C's `isspace`.
fn is_blank(character: char) -> bool {
    character.is_ascii_whitespace() || character == '\x0b'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words_and_counts_columns_in_characters() {
        for (text, expected) in [
            ("", vec![]),
            ("  \t ", vec![]),
            ("server", vec![("server", 1)]),
            (" a\t b \x0b c\r", vec![("a", 2), ("b", 5), ("c", 9)]),
            (
                "pool \u{e9}\u{e9}.example iburst",
                vec![("pool", 1), ("\u{e9}\u{e9}.example", 6), ("iburst", 17)],
            ),
            ("log #x", vec![("log", 1), ("#x", 5)]),
        ] {
            let words: Vec<_> =
                Line::new(1, text).words.iter().map(|w| (w.text, w.column)).collect();
            assert_eq!(words, expected, "{text:?}");
        }
    }

    #[test]
    fn skips_comments_of_all_four_kinds() {
        for text in ["!x", "; x", "\t#x", "  %", "# server a"] {
            assert!(Line::new(1, text).words.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn numbers_lines_whatever_ends_them() {
        let found: Vec<_> = lines("a\r\n\nb").map(|line| (line.number, line.words.len())).collect();
        assert_eq!(found, [(1, 1), (2, 0), (3, 1)]);
    }

    #[test]
    fn keeps_only_the_beginning_of_a_line_that_is_too_long() {
        let just = "x".repeat(MAX_LINE_BYTES);
        assert!(!Line::new(1, &just).too_long);
        let line = "\u{e9}".repeat(MAX_LINE_BYTES / 2 + 1);
        let line = Line::new(1, &line);
        assert!(line.too_long);
        assert_eq!(line.text.chars().count(), 80);
    }
}
