//! Programs that run for a while beside the test, and programs that are waited for, but not for ever.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::held::{Held, Resource};

/// How long a program may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a running program is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

/// How long the last lines of a program that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A program that runs, with all that it has printed. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
    // None as soon as the child was waited for: its number may be another's from then on.
    held: Option<Held>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// All lines of its standard output and standard error, as they came.
    pub output: String,
}

/// The lines printed so far, and a bell for each that comes.
#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    bell: Condvar,
}

impl Process {
    /// Starts `command`; `name` is for messages.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let held = Some(Held::new(Resource::Process(child.id().cast_signed())));
        let output = Arc::new(Output::default());
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(collect(pipe, &output));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(collect(pipe, &output));
        }
        Ok(Self { name: name.to_owned(), child, output, readers, held })
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        joined(&self.output.lock())
    }

    /// Waits until it has printed a line that has `text` in it, and returns that line.
    ///
    /// # Errors
    /// It ended without, or `within` passed; the error has what it printed.
    pub fn wait_for_line(&mut self, text: &str, within: Duration) -> Result<String> {
        self.wait_for_nth_line(1, text, within)
    }

    /// As [`Process::wait_for_line`], for the `nth` such line; the first is 1.
    ///
    /// # Errors
    /// It ended without, or `within` passed; the error has what it printed.
    pub fn wait_for_nth_line(
        &mut self,
        nth: usize,
        text: &str,
        within: Duration,
    ) -> Result<String> {
        let deadline = Instant::now() + within;
        loop {
            // Asked first, so that nothing it printed before its end is missed.
            let ended = self.poll()?;
            let lines = self.output.lock();
            let mut found = lines.iter().filter(|line| line.contains(text));
            if let Some(line) = found.nth(nth.saturating_sub(1)) {
                return Ok(line.clone());
            }
            if let Some(status) = ended {
                bail!("{} ended ({status}) before it said `{text}`\n{}", self.name, joined(&lines));
            }
            if Instant::now() >= deadline {
                bail!("{} did not say `{text}` in {within:?}\n{}", self.name, joined(&lines));
            }
            drop(self.output.bell.wait_timeout(lines, Duration::from_millis(50)));
        }
    }

    /// Sends `signal`.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Asks it to end with SIGTERM and waits for that.
    ///
    /// # Errors
    /// It does not end in five seconds (then it is killed).
    pub fn stop(self) -> Result<Finished> {
        self.signal(Signal::SIGTERM)?;
        self.wait(PATIENCE)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not end `within` that time (then it is killed).
    pub fn wait(mut self, within: Duration) -> Result<Finished> {
        let deadline = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.poll()? {
                break status;
            }
            if Instant::now() >= deadline {
                bail!("{} did not end in {within:?}\n{}", self.name, self.log());
            }
            std::thread::sleep(POLL);
        };
        Ok(Finished { name: self.name.clone(), status, output: self.log() })
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.poll(), Ok(None))
    }

    /// How it ended, if it has: then all that it printed has been read.
    fn poll(&mut self) -> Result<Option<ExitStatus>> {
        let ended = self.child.try_wait()?;
        if ended.is_some() {
            self.held.take().into_iter().for_each(Held::release);
            // A child of its own may hold the pipe open for longer than anybody wants to wait.
            let deadline = Instant::now() + LAST_WORDS;
            while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
        }
        Ok(ended)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Does nothing to a child that was waited for, whose number may be another's by now.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.held.take().into_iter().for_each(Held::release);
    }
}

impl Finished {
    /// Itself, when the program succeeded.
    ///
    /// # Errors
    /// It failed; the error has what it printed.
    pub fn success(self) -> Result<Self> {
        if !self.status.success() {
            bail!("{} failed ({})\n{}", self.name, self.status, self.output);
        }
        Ok(self)
    }
}

/// Runs `command` to its end.
///
/// # Errors
/// It cannot be started or does not end `within` that time (then it is killed). That it failed is no error:
/// see [`Finished::success`].
pub fn run(command: &mut Command, within: Duration) -> Result<Finished> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut name = String::new();
    for word in words {
        let _ = write!(name, "{} ", word.to_string_lossy());
    }
    Process::start(name.trim_end(), command)?.wait(within)
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a thread that moves the lines of `pipe` into `output`.
fn collect(pipe: impl Read + Send + 'static, output: &Arc<Output>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            output.lock().push(String::from_utf8_lossy(&line).into_owned());
            output.bell.notify_all();
        }
    })
}

fn joined(lines: &[String]) -> String {
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(5);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn line_is_found_when_it_comes_late_or_just_before_the_end() {
        let mut late =
            Process::start("late", &mut shell("sleep 0.1; echo ready; sleep 60")).unwrap();
        assert_eq!(late.wait_for_line("ready", SHORT).unwrap(), "ready");
        let mut last = Process::start("last", &mut shell("echo on stderr >&2")).unwrap();
        assert_eq!(last.wait_for_line("stderr", SHORT).unwrap(), "on stderr");
    }

    #[test]
    fn program_that_ends_without_the_line_is_an_error_with_what_it_said() {
        let mut process = Process::start("sad", &mut shell("echo bad luck; exit 3")).unwrap();
        let error = process.wait_for_line("ready", SHORT).unwrap_err().to_string();
        assert!(error.contains("bad luck") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn program_that_hangs_is_killed() {
        let process = Process::start("hangs", &mut shell("sleep 60")).unwrap();
        let pid = Pid::from_raw(process.id().cast_signed());
        let error = process.wait(Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains("did not end"), "{error}");
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn failure_is_told_with_the_output() {
        let finished = run(&mut shell("echo no; exit 1"), SHORT).unwrap();
        assert_eq!(finished.output, "no");
        assert!(finished.success().unwrap_err().to_string().ends_with("no"));
    }
}
