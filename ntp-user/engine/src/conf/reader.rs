//! Walks over the lines of a configuration and of the files that it includes, in chrony's order.
//! Files are provided by the caller; how deep and how many is limited here.

use std::path::PathBuf;
use std::sync::Arc;

use ntp_common::wire::ReferenceId;

use super::config::Config;
use super::directive::{self, Action, Directive};
use super::error::{Diagnostic, Errors, Problem, Severity, Subject};
use super::lexer::{Line, Word, lines};
use super::location::Location;
use super::statement::{Log, Owner, Read, Statement};
use super::suggest::nearest;
use super::{COMMAND_LINE, Parsed};

/// The file that was asked for counts as the first.
pub(super) const MAX_INCLUDE_DEPTH: usize = 10;
/// Files of one configuration, all told.
pub(super) const MAX_FILES: usize = 1000;
/// Directories in one `confdir` or `sourcedir` line.
const MAX_DIRECTORIES: usize = 10;

/// A file's path and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// The path, as it is to appear in messages.
    pub path: String,
    /// The text. Bytes that are no UTF-8 are best replaced: they are harmless in comments and found elsewhere.
    pub text: String,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The path.
    pub path: String,
    /// Why not, as in `No such file or directory`.
    pub reason: String,
}

/// Provides the files that a configuration includes.
pub trait Files {
    /// Reads the files whose paths match a shell pattern, sorted by path. A pattern without any of `*`, `?`, `[`
    /// is a path. No match of a pattern, or a directory that is not there, is an empty list.
    ///
    /// # Errors
    /// The first file that is there but cannot be read, or the path that is not there.
    fn matching(&mut self, pattern: &str) -> Result<Vec<TextFile>, FileError>;
}

/// Nothing can be included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFiles;

impl Files for NoFiles {
    fn matching(&mut self, pattern: &str) -> Result<Vec<TextFile>, FileError> {
        Err(FileError {
            path: pattern.to_owned(),
            reason: "files cannot be included here".to_owned(),
        })
    }
}

/// What has been read so far.
pub(super) struct Reader<'f> {
    files: &'f mut dyn Files,
    config: Config,
    lines: Vec<String>,
    log: Log,
    depth: usize,
    files_read: usize,
}

impl<'f> Reader<'f> {
    pub(super) fn new(files: &'f mut dyn Files) -> Self {
        let (config, lines) = (Config::default(), Vec::new());
        Self { files, config, lines, log: Log::default(), depth: 0, files_read: 0 }
    }

    /// Reads a file line by line.
    pub(super) fn read_file(&mut self, name: &str, text: &str) {
        let name = Arc::from(name);
        self.depth += 1;
        self.files_read += 1;
        // Some editors begin a file with this mark.
        for line in lines(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            self.read_line(&name, &line);
        }
        self.depth -= 1;
    }

    /// Reads an argument of the command line.
    pub(super) fn read_argument(&mut self, number: u32, argument: &str) {
        self.read_line(&Arc::from(COMMAND_LINE), &Line::new(number, argument));
    }

    /// Reads the files of a `sourcedir` line.
    pub(super) fn read_source_folders(&mut self, at: &Location, directories: &[PathBuf]) {
        let words = directories.iter().map(|directory| format!(" {}", directory.display()));
        let text = format!("sourcedir{}", words.collect::<String>());
        self.read_line(&at.file, &Line::new(at.line, &text));
    }

    /// Gives the configuration, unless anything was wrong.
    pub(super) fn finish(mut self) -> Result<Parsed, Errors> {
        let bad_locks = bad_locks(&self.config, std::mem::take(&mut self.log.locks));
        self.log.diagnostics.extend(bad_locks);
        let (errors, warnings): (Vec<_>, Vec<_>) =
            self.log.diagnostics.into_iter().partition(|d| d.severity == Severity::Error);
        if errors.is_empty() {
            Ok(Parsed { config: self.config, warnings, lines: self.lines })
        } else {
            Err(Errors(errors))
        }
    }

    fn read_line(&mut self, file: &Arc<str>, line: &Line<'_>) {
        let mut statement = Statement::new(file, line, &mut self.log);
        if line.too_long {
            statement.report_line(Problem::LineTooLong);
            return;
        }
        let Some(word) = statement.next() else { return };
        let Some(directive) = directive::find(word.text) else {
            let nearest = nearest_directive(word.text);
            let token = word.text.to_owned();
            statement.report(word, Problem::UnknownDirective { token, nearest });
            return;
        };
        if self.log.lenient && !directive.is_source() {
            let problem = Problem::NotASource { token: word.text.to_owned() };
            Statement::new(file, line, &mut self.log).report(word, problem);
            return;
        }
        if !self.log.lenient && !directive.is_replaced() {
            let words: Vec<&str> = line.words.iter().map(|word| word.text).collect();
            self.lines.push(words.join(" "));
        }
        // Whatever is wrong has been reported; the next line is read in any case.
        let _reported = self.obey(directive, file, line, word);
    }

    fn obey<'a>(
        &mut self,
        directive: &'static Directive,
        file: &'a Arc<str>,
        line: &'a Line<'a>,
        word: Word<'a>,
    ) -> Read<()> {
        let name = directive.name();
        let owner = Owner { subject: Subject { name, part: None }, word };
        let mut statement = Statement::new(file, line, &mut self.log);
        statement.next();
        statement.expect_form(directive.usage);
        directive.support.check(&mut statement, owner)?;
        if directive.once {
            statement.warn_if_repeated(name, owner);
        }
        match directive.action {
            Action::Unread => Ok(()),
            Action::Apply(apply) => {
                apply(&mut self.config, &mut statement, owner)?;
                statement.end(name)
            }
            Action::Include => {
                let pattern = statement.word(owner, "a file or a pattern")?;
                statement.end(name)?;
                self.include(pattern.text, file, line, pattern)
            }
            Action::Confdir => {
                let directories = directories(&mut statement, owner)?;
                self.include_directories(&directories, "conf", file, line)
            }
            Action::Sourcedir => {
                let directories = directories(&mut statement, owner)?;
                let paths = directories.iter().map(|word| word.text.into()).collect();
                self.config.sourcedir.push(statement.locate(paths, word));
                // Their files come and go while the daemon runs: a mistake in one must not stop it.
                let strict = std::mem::replace(&mut self.log.lenient, true);
                let outcome = self.include_directories(&directories, "sources", file, line);
                self.log.lenient = strict;
                outcome
            }
        }
    }

    fn include(
        &mut self,
        pattern: &str,
        file: &Arc<str>,
        line: &Line<'_>,
        word: Word<'_>,
    ) -> Read<()> {
        for found in self.find(pattern, file, line, word)? {
            self.read_included(&found, file, line, word)?;
        }
        Ok(())
    }

    /// Reads the directories' files in the order of their names; of files with the same name only the one in
    /// the directory that was given first.
    fn include_directories(
        &mut self,
        directories: &[Word<'_>],
        suffix: &str,
        file: &Arc<str>,
        line: &Line<'_>,
    ) -> Read<()> {
        let mut found = Vec::new();
        for &word in directories {
            let pattern = format!("{}/*.{suffix}", word.text);
            for text_file in self.find(&pattern, file, line, word)? {
                found.push((word, text_file));
            }
        }
        found.sort_by(|(_, a), (_, b)| base_name(&a.path).cmp(base_name(&b.path)));
        found.dedup_by(|(_, later), (_, first)| base_name(&later.path) == base_name(&first.path));
        for (word, text_file) in &found {
            self.read_included(text_file, file, line, *word)?;
        }
        Ok(())
    }

    fn find(
        &mut self,
        pattern: &str,
        file: &Arc<str>,
        line: &Line<'_>,
        word: Word<'_>,
    ) -> Read<Vec<TextFile>> {
        let mut statement = Statement::new(file, line, &mut self.log);
        if self.depth >= MAX_INCLUDE_DEPTH || self.files_read >= MAX_FILES {
            return Err(statement.report(word, Problem::TooManyFiles));
        }
        self.files.matching(pattern).map_err(|FileError { path, reason }| {
            statement.report(word, Problem::Unreadable { path, reason })
        })
    }

    fn read_included(
        &mut self,
        found: &TextFile,
        file: &Arc<str>,
        line: &Line<'_>,
        word: Word<'_>,
    ) -> Read<()> {
        if self.files_read >= MAX_FILES {
            let mut statement = Statement::new(file, line, &mut self.log);
            return Err(statement.report(word, Problem::TooManyFiles));
        }
        if !self.log.lenient || found.text.is_empty() || found.text.ends_with('\n') {
            self.read_file(&found.path, &found.text);
            return Ok(());
        }
        // A source file whose last line has no end is still being written.
        let whole = found.text.rfind('\n').map_or(0, |end| end + 1);
        self.read_file(&found.path, &found.text[..whole]);
        let name = Arc::from(found.path.as_str());
        if let Some(last) = lines(&found.text).last().filter(|line| !line.words.is_empty()) {
            Statement::new(&name, &last, &mut self.log).report_line(Problem::UnterminatedLine);
        }
        Ok(())
    }
}

/// The directive that a word resembles, or else what stands before the first mark in it: `server=192.0.2.1`.
fn nearest_directive(word: &str) -> Option<&'static str> {
    let is_mark = |c: char| !c.is_alphanumeric() && c != '_';
    let begins =
        || word.split_once(is_mark).and_then(|(name, _)| nearest(name, directive::names()));
    nearest(word, directive::names()).or_else(begins)
}

/// What is wrong with the locks of reference clocks: there is no such clock, or it gives nothing but pulses.
fn bad_locks(config: &Config, locks: Vec<(ReferenceId, Diagnostic)>) -> Vec<Diagnostic> {
    let clock = |id: ReferenceId| {
        config.refclocks.iter().map(|it| &it.value).find(|clock| clock.options.refid == id)
    };
    let is_good = |id: ReferenceId| {
        let wanted = clock(id).and_then(|clock| clock.options.lock).filter(|&wanted| wanted != id);
        wanted.and_then(clock).is_some_and(|clock| !clock.gives_pulses())
    };
    locks.into_iter().filter(|&(id, _)| !is_good(id)).map(|(_, diagnostic)| diagnostic).collect()
}

/// Takes the directories of a line.
fn directories<'a>(statement: &mut Statement<'a, '_>, owner: Owner<'a>) -> Read<Vec<Word<'a>>> {
    let mut directories = vec![statement.word(owner, "a directory")?];
    let more = std::iter::from_fn(|| statement.next()).take(MAX_DIRECTORIES - 1);
    directories.extend(more);
    statement.end(owner.subject.name)?;
    Ok(directories)
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
