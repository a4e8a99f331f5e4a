//! A terminal that nobody looks at: a pseudo-terminal with a program on it, and what its screen would show.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, ttyname};
use ntp_lab::run;

use crate::played::{LONG, until};

/// A program on a terminal. Dropping it kills the program.
pub(crate) struct Terminal {
    child: Child,
    master: File,
    /// Keeps the terminal, and what it is set to, when the program has gone.
    _slave: File,
    path: String,
    screen: Arc<Mutex<Screen>>,
}

impl Terminal {
    /// Starts `command` on a terminal of that size; the size is of rows and columns.
    pub(crate) fn start(command: &Command, name: &str, size: (usize, usize)) -> Result<Self> {
        let pair = openpty(None, None)?;
        let (master, slave) = (File::from(pair.master), File::from(pair.slave));
        let path = ttyname(&slave)?.display().to_string();
        stty(&path, &["rows", &size.0.to_string(), "cols", &size.1.to_string()])?;
        let screen = Arc::new(Mutex::new(Screen::new(size)));
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", name)
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(Stdio::from(slave.try_clone()?))
            .spawn()
            .context("cannot run setsid")?;
        let (mut reader, shown) = (master.try_clone()?, Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(len @ 1..) = reader.read(&mut octets) {
                shown.lock().unwrap_or_else(PoisonError::into_inner).take(&octets[..len]);
            }
        });
        Ok(Self { child, master, _slave: slave, path, screen })
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) -> Result<()> {
        Ok(self.master.write_all(keys.as_bytes())?)
    }

    /// Has another size.
    pub(crate) fn resize(&self, (rows, columns): (usize, usize)) -> Result<()> {
        self.look(|screen| (screen.rows, screen.at) = (vec![vec![' '; columns]; rows], (0, 0)));
        stty(&self.path, &["rows", &rows.to_string(), "cols", &columns.to_string()])
    }

    /// What it is set to.
    pub(crate) fn settings(&self) -> Result<String> {
        Ok(run(Command::new("stty").args(["-g", "-F", &self.path]), LONG)?.success()?.output)
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), signal)?)
    }

    /// Reads off the screen.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Screen) -> T) -> T {
        look(&mut self.screen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the screen shows `text`.
    pub(crate) fn shows(&self, text: &str) -> Result<()> {
        until(text, || Ok(self.look(|screen| screen.text().contains(text))))
            .with_context(|| self.look(|screen| screen.text()))
    }

    /// Waits until the program ends by itself.
    pub(crate) fn ends(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + LONG;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("it did not end\n{}", self.look(|screen| screen.text()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stty(path: &str, words: &[&str]) -> Result<()> {
    run(Command::new("stty").args(["-F", path]).args(words), LONG)?.success()?;
    Ok(())
}

/// What is shown: it knows the sequences that full-screen programs of this project use, and no others.
pub(crate) struct Screen {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    /// What came of a character or a sequence so far.
    open: Vec<u8>,
    /// Whether the other screen is shown, the cursor hidden, long lines wrapped.
    pub(crate) is_other: bool,
    pub(crate) is_cursor_hidden: bool,
    wraps: bool,
    /// Everything that came, as it came.
    pub(crate) raw: String,
    /// What a program does wrong.
    pub(crate) faults: Vec<String>,
}

impl Screen {
    fn new((rows, columns): (usize, usize)) -> Self {
        Self {
            rows: vec![vec![' '; columns]; rows],
            at: (0, 0),
            open: Vec::new(),
            is_other: false,
            is_cursor_hidden: false,
            wraps: true,
            raw: String::new(),
            faults: Vec::new(),
        }
    }

    /// The lines, one below the other.
    pub(crate) fn text(&self) -> String {
        let lines = self.rows.iter().map(|row| row.iter().collect::<String>());
        lines.map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    fn take(&mut self, octets: &[u8]) {
        for &octet in octets {
            self.open.push(octet);
            let Ok(text) = String::from_utf8(self.open.clone()) else { continue };
            let ends = !text.starts_with('\x1b')
                || text.len() > 2 && text.ends_with(|c: char| c.is_ascii_alphabetic());
            if ends {
                self.open.clear();
                self.raw.push_str(&text);
                self.put(&text);
            }
        }
    }

    fn put(&mut self, text: &str) {
        let (row, column) = self.at;
        match text {
            "\r" => self.at.1 = 0,
            "\n" if row + 1 < self.rows.len() => self.at.0 += 1,
            "\n" if self.is_other => self.faults.push("scrolls".to_owned()),
            "\n" => {
                let width = self.rows[0].len();
                self.rows.remove(0);
                self.rows.push(vec![' '; width]);
            }
            "\x1b[H" => self.at = (0, 0),
            "\x1b[K" => self.rows[row].iter_mut().skip(column).for_each(|cell| *cell = ' '),
            "\x1b[J" => {
                self.rows[row].iter_mut().skip(column).for_each(|cell| *cell = ' ');
                self.rows.iter_mut().skip(row + 1).for_each(|it| it.fill(' '));
            }
            "\x1b[?1049h" => self.is_other = true,
            "\x1b[?1049l" => self.is_other = false,
            "\x1b[?25l" => self.is_cursor_hidden = true,
            "\x1b[?25h" => self.is_cursor_hidden = false,
            "\x1b[?7l" => self.wraps = false,
            "\x1b[?7h" => self.wraps = true,
            colour if colour.starts_with("\x1b[") && colour.ends_with('m') => {}
            escape if escape.starts_with('\x1b') => self.faults.push(format!("{escape:?}")),
            text => self.print(text),
        }
    }

    fn print(&mut self, text: &str) {
        let (row, column) = self.at;
        match (self.rows[row].get_mut(column), text.chars().next()) {
            (Some(cell), Some(c)) => {
                *cell = c;
                self.at.1 += 1;
            }
            _ if self.is_other => self.faults.push(format!("too wide in row {row}")),
            _ => {}
        }
    }
}

/// Fails if the program used its screen wrongly, or left it otherwise than it was.
pub(crate) fn is_left_as_it_was(terminal: &Terminal, settings: &str) -> Result<()> {
    terminal.look(|screen| {
        ensure!(screen.faults.is_empty(), "{:?}\n{}", screen.faults, screen.text());
        ensure!(!screen.is_other && !screen.is_cursor_hidden && screen.wraps, "{:?}", screen.raw);
        Ok(())
    })?;
    let now = terminal.settings()?;
    ensure!(now == settings, "{settings}, then {now}");
    Ok(())
}
