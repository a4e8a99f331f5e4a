//! The key file: lines of `ID [TYPE] KEY`. A line that is wrong is said to be and costs only its own key.

use std::collections::BTreeMap;
use std::fmt;

use super::key::{Key, KeyId, KeyType};

/// Symmetric keys by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: BTreeMap<KeyId, Key>,
}

/// Something about a key file that its owner should know. It does not show the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.what)
    }
}

impl Keys {
    /// Reads a key file. Comments begin with `!`, `;`, `#` or `%`. A key is `HEX:` and hexadecimal digits, or
    /// `ASCII:` and characters, or characters alone; without a type it is for MD5.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<Problem>) {
        let mut keys = Self::default();
        let mut problems = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['!', ';', '#', '%']) {
                continue;
            }
            let mut say = |what: String| problems.push(Problem { line: index + 1, what });
            match read_line(line) {
                Ok((id, key)) => {
                    if key.is_short() {
                        say(format!("key {} is shorter than 80 bits", id.0));
                    }
                    if keys.keys.insert(id, key).is_some() {
                        say(format!("key {} is there twice; the later one counts", id.0));
                    }
                }
                Err(what) => say(what),
            }
        }
        (keys, problems)
    }

    /// The key with this number.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(&id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl FromIterator<(KeyId, Key)> for Keys {
    fn from_iter<I: IntoIterator<Item = (KeyId, Key)>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect() }
    }
}

fn read_line(line: &str) -> Result<(KeyId, Key), String> {
    let mut words = line.split_whitespace();
    let id = words.next().unwrap_or_default();
    let id = id.parse().ok().filter(|&id| id > 0).map(KeyId);
    let id = id.ok_or("a line begins with a key's number, from 1 to 4294967295")?;
    let (key_type, secret) = match (words.next(), words.next(), words.next()) {
        (Some(secret), None, _) => (KeyType::Md5, secret),
        (Some(name), Some(secret), None) => (find_type(name)?, secret),
        (None, ..) => return Err(format!("key {} is missing", id.0)),
        (_, _, Some(_)) => return Err(format!("too many words after key {}", id.0)),
    };
    let key = Key::new(key_type, &decode(secret)?).map_err(|error| error.to_string())?;
    Ok((id, key))
}

fn find_type(name: &str) -> Result<KeyType, String> {
    KeyType::find(name).ok_or_else(|| {
        let known: Vec<_> = KeyType::ALL.iter().map(|(name, _)| *name).collect();
        format!("unknown type `{name}`; known are {}", known.join(", "))
    })
}

fn decode(secret: &str) -> Result<Vec<u8>, String> {
    if let Some(digits) = secret.strip_prefix("HEX:") {
        return hexadecimal(digits).ok_or_else(|| "wrong hexadecimal digits".to_owned());
    }
    Ok(secret.strip_prefix("ASCII:").unwrap_or(secret).as_bytes().to_vec())
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let values: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let values = values?;
    let pairs = values.chunks_exact(2);
    let is_whole = pairs.remainder().is_empty();
    let octets: Option<Vec<u8>> =
        pairs.map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect();
    octets.filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_form_of_a_key_is_read() {
        let (keys, problems) = Keys::parse(
            "# comment\n\
             \n\
             1 MD5 ASCII:AVeryLongAsciiKey\n\
             2 sha1 HEX:0123456789abcdefABCDEF0123456789\n\
             3 PlainKeyWithoutType\n\
             4 AES128 HEX:00112233445566778899aabbccddeeff\n\
             5 AES256 HEX:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n\
             6 SHA384 LongEnoughKey\n\
             % 7 MD5 NotThere\n",
        );
        assert_eq!(problems, []);
        let types: Vec<_> = (1..=7).map(|id| keys.find(KeyId(id)).map(Key::key_type)).collect();
        assert_eq!(
            types,
            [
                Some(KeyType::Md5),
                Some(KeyType::Sha1),
                Some(KeyType::Md5),
                Some(KeyType::Aes128),
                Some(KeyType::Aes256),
                Some(KeyType::Sha384),
                None,
            ]
        );
        assert_eq!(keys.find(KeyId(2)).map(Key::bits), Some(128));
    }

    #[test]
    fn wrong_lines_are_named_and_the_others_kept() {
        let (keys, problems) = Keys::parse(
            "zero MD5 abcdefghijkl\n\
             0 MD5 abcdefghijkl\n\
             3 SHA257 abcdefghijkl\n\
             4\n\
             5 MD5 two words\n\
             6 MD5 HEX:012\n\
             7 AES128 HEX:0011\n\
             8 MD5 abcdefghijkl\n\
             8 SHA1 abcdefghijkl\n\
             9 MD5 short\n\
             10 MD5 HEX:\n",
        );
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "line 1: a line begins with a key's number, from 1 to 4294967295",
                "line 2: a line begins with a key's number, from 1 to 4294967295",
                "line 3: unknown type `SHA257`; known are MD5, SHA1, SHA256, SHA384, SHA512, AES128, \
                 AES256",
                "line 4: key 4 is missing",
                "line 5: too many words after key 5",
                "line 6: wrong hexadecimal digits",
                "line 7: a key of type AES128 has 16 octets, not 2",
                "line 9: key 8 is there twice; the later one counts",
                "line 10: key 9 is shorter than 80 bits",
                "line 11: the key is empty",
            ]
        );
        assert_eq!(keys.len(), 2);
        assert_eq!(keys.find(KeyId(8)).map(Key::key_type), Some(KeyType::Sha1));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[ -~\n\t]{0,200}") {
            let (keys, problems) = Keys::parse(&text);
            prop_assert!(keys.len() + problems.len() <= 2 * text.lines().count());
        }
    }
}
