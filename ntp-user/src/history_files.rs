//! Sources' histories between two runs: a file for each in `dumpdir`, named by the source's address as chrony's.
//!
//! Invariant: a file is taken up once, and only on the boot that it was written on. One that is damaged, or of
//! another program, is left alone and changes nothing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ntp_engine::history::{History, Malformed};

use crate::atomic_file::replace;
use crate::clock::readings::slept;
use crate::owner::{Owner, make_folder};

/// Where Linux tells boots apart.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Permissions of the folder if it has to be made.
const MODE: u32 = 0o750;
/// How file names end.
const SUFFIX: &str = ".dat";
/// What file names of reference clocks begin with; eight hexadecimal digits follow.
const REFERENCE_CLOCK: &str = "refid:";
/// Largest file that is read, octets: a history takes up to 9,000.
const LARGEST_FILE: u64 = 1 << 16;
/// Shortest sleep of the machine that counts as one.
const LEAST_SLEEP: Duration = Duration::from_millis(100);

/// The files, if there is a folder for them.
#[derive(Clone, Debug)]
pub(crate) struct HistoryFiles {
    folder: Option<PathBuf>,
}

/// A source as it names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Address(IpAddr),
    ReferenceClock,
}

/// A file that tells nothing.
#[derive(Debug, thiserror::Error)]
enum HistoryError {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("it is larger than {LARGEST_FILE} octets")]
    TooLarge,
    #[error("it was written before the machine was started or slept")]
    OtherBoot,
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("it is the history of {0}")]
    OtherSource(IpAddr),
}

/// What the machine has been through.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Machine {
    boot: String,
    slept: Duration,
}

impl HistoryFiles {
    /// Keeps files in `folder`.
    pub(crate) const fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Makes the folder if it is missing, for whom the daemon will become.
    pub(crate) fn prepare(&self, owner: Owner) {
        if let Some(folder) = &self.folder
            && let Err(error) = make_folder(folder, MODE, owner)
        {
            let folder = folder.display();
            tracing::warn!("Histories of sources can't be kept in {folder}: {error}");
        }
    }

    /// Writes histories; gives whether all were written, which they are when there is no folder for any.
    pub(crate) fn save(&self, histories: &[History]) -> bool {
        let Some(folder) = &self.folder else { return true };
        let machine = Machine::now().to_text();
        let mut is_complete = true;
        for history in histories {
            let path = folder.join(format!("{}{SUFFIX}", history.source));
            let text = format!("{machine}{}", history.to_text());
            if let Err(error) = replace(&path, text.as_bytes()) {
                tracing::warn!("{} can't be written: {error}", path.display());
                is_complete = false;
            }
        }
        is_complete
    }

    /// Reads what the last run left of this boot, and removes what was read.
    pub(crate) fn take(&self) -> Vec<History> {
        if self.folder.is_none() {
            tracing::warn!("There is no `dumpdir` that -r could take up measurements from");
        }
        let machine = Machine::now();
        let mut taken = Vec::new();
        for (path, source) in self.files() {
            // Nothing is measured of reference clocks without their drivers.
            let Named::Address(source) = source else { continue };
            match read(&path, source, &machine) {
                Ok(history) => {
                    taken.push(history);
                    remove(&path);
                }
                Err(error) => tracing::warn!("{} is not used: {error}", path.display()),
            }
        }
        taken
    }

    /// Removes what earlier runs left.
    pub(crate) fn remove(&self) {
        self.files().iter().for_each(|(path, _)| remove(path));
    }

    /// Files that are named like histories, and the sources that name them.
    fn files(&self) -> Vec<(PathBuf, Named)> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!("{} can't be read: {error}", folder.display());
                return Vec::new();
            }
        };
        let named = |entry: fs::DirEntry| {
            let source = source_of(entry.file_name().to_str()?)?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            is_file.then_some((entry.path(), source))
        };
        let mut files: Vec<_> = entries.flatten().filter_map(named).collect();
        files.sort();
        files
    }
}

/// The source that a file is named by, if it is named like a history.
fn source_of(name: &str) -> Option<Named> {
    let name = name.strip_suffix(SUFFIX)?;
    let is_identifier =
        |digits: &str| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    match name.strip_prefix(REFERENCE_CLOCK) {
        Some(digits) => is_identifier(digits).then_some(Named::ReferenceClock),
        None => name.parse().ok().map(Named::Address),
    }
}

fn read(path: &Path, source: IpAddr, machine: &Machine) -> Result<History, HistoryError> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(HistoryError::TooLarge);
    }
    let (first, rest) = text.split_once('\n').ok_or(Malformed)?;
    let written = Machine::parse(first).ok_or(Malformed)?;
    let history = History::parse(rest)?;
    if !machine.is_that_of(&written) {
        return Err(HistoryError::OtherBoot);
    }
    if history.source != source {
        return Err(HistoryError::OtherSource(history.source));
    }
    Ok(history)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!("{} can't be removed: {error}", path.display());
    }
}

impl Machine {
    fn now() -> Self {
        // Without a name all boots are one, and the clock's reading has to tell them apart.
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let boot = boot.trim();
        Self { boot: if boot.is_empty() { "-".into() } else { boot.into() }, slept: slept() }
    }

    fn to_text(&self) -> String {
        format!("boot {} slept {}\n", self.boot, self.slept.as_millis())
    }

    fn parse(line: &str) -> Option<Self> {
        let (boot, slept) = line.strip_prefix("boot ")?.split_once(" slept ")?;
        Some(Self { boot: boot.into(), slept: Duration::from_millis(slept.parse().ok()?) })
    }

    /// Whether the machine has neither been started nor slept since `written`.
    fn is_that_of(&self, written: &Self) -> bool {
        self.boot == written.boot && self.slept < written.slept + LEAST_SLEEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> (PathBuf, HistoryFiles) {
        let path =
            std::env::temp_dir().join(format!("ntp-xdpd-dump-{}-{name}", std::process::id()));
        let files = HistoryFiles::new(Some(path.join("made")));
        files.prepare(Owner::named(None));
        (path, files)
    }

    fn history(source: &str) -> History {
        let numbers =
            "0000000000000000 3f50000000000000 0000000000000000 0000000000000000 0000000000000000";
        let clock = "1000000000 ee6b280000000000 3ff0000000000000 0000000000000000";
        let sample = format!("ee6b280000000000 {numbers} 1 0 7f7f0101");
        History::parse(&format!("ntp-xdp history 1\n{source}\n{clock}\n{sample}\n")).unwrap()
    }

    fn left(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder.join("made")).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_saved_is_taken_up_once() {
        let (path, files) = folder("once");
        let histories = [history("192.0.2.1"), history("2001:db8::1")];
        assert!(files.save(&histories));
        assert_eq!(left(&path), ["192.0.2.1.dat", "2001:db8::1.dat"]);
        assert_eq!(files.take(), histories);
        assert_eq!((files.take(), left(&path)), (Vec::new(), Vec::new()));
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn files_that_are_damaged_or_not_of_this_boot_are_left_alone() {
        let (path, files) = folder("damaged");
        let good = Machine::now().to_text() + &history("192.0.2.1").to_text();
        let (_, text) = good.split_once('\n').unwrap();
        let cases = [
            good[..good.len() - 1].to_owned(),
            text.to_owned(),
            String::new(),
            format!("boot 00000000-0000-0000-0000-000000000000 slept 0\n{text}"),
            good.replace("192.0.2.1", "192.0.2.2"),
            good.replace("history 1", "history 2"),
            "x".repeat(1 << 17),
            // chrony's begin like this.
            "c0000201 0 1 0 4\n".to_owned(),
        ];
        for case in cases {
            let file = path.join("made/192.0.2.1.dat");
            fs::write(&file, &case).unwrap();
            assert_eq!(files.take(), [], "{case}");
            assert_eq!(fs::read_to_string(&file).unwrap(), case);
        }
        fs::write(path.join("made/192.0.2.1.dat"), &good).unwrap();
        assert_eq!(files.take().len(), 1);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn histories_from_before_a_sleep_of_the_machine_are_of_no_use() {
        let at =
            |milliseconds| Machine { boot: "b".into(), slept: Duration::from_millis(milliseconds) };
        assert!(at(1050).is_that_of(&at(1000)) && at(1000).is_that_of(&at(1001)));
        assert!(!at(1200).is_that_of(&at(1000)));
        let text = at(1000).to_text();
        assert_eq!(Machine::parse(text.trim_end()), Some(at(1000)));
    }

    #[test]
    fn only_files_named_like_histories_are_removed() {
        let (path, files) = folder("names");
        let stale = ["10.0.0.1.dat", "::1.dat", "refid:47505300.dat"];
        let others = ["10.0.0.1.dat.tmp", "drift", "keys.dat", "refid:4750.dat", "refid:.dat"];
        for name in stale.iter().chain(&others) {
            fs::write(path.join("made").join(name), "x").unwrap();
        }
        fs::create_dir(path.join("made/10.0.0.2.dat")).unwrap();
        files.remove();
        let mut kept: Vec<_> = others.iter().chain(&["10.0.0.2.dat"]).collect();
        kept.sort();
        assert_eq!(left(&path).iter().collect::<Vec<_>>(), kept);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn without_a_folder_there_is_nothing_to_do() {
        let files = HistoryFiles::new(None);
        assert!(files.save(&[history("192.0.2.1")]) && files.take().is_empty());
        let missing = HistoryFiles::new(Some("/nonexistent/dump".into()));
        assert!(!missing.save(&[history("192.0.2.1")]) && missing.take().is_empty());
    }
}
