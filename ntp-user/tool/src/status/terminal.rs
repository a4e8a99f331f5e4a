//! The whole terminal while `top` runs: a screen of its own, keys that come at once and are not shown, and word of
//! a new size or of a wish to end. Invariant: the terminal is left as it was, also when a signal ends the program.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Stdin, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::read;

/// Another screen than that of the shell, without a cursor, and lines that are not wrapped; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// The upper left corner; what is left of a line; what is left of the screen.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To end.
    End,
    /// To look at once.
    Look,
    /// To look more often.
    Faster,
    /// To look less often.
    Slower,
    /// To show the same again: the terminal has another size.
    Redraw,
}

/// The terminal, until it is dropped.
pub(super) struct Terminal {
    /// Standard input with what it was like, if it is a terminal.
    keys: Option<(Stdin, Termios)>,
    signals: SignalFd,
    typed: VecDeque<u8>,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It can't be written to.
    pub(super) fn enter() -> io::Result<Self> {
        let mut awaited = SigSet::empty();
        for signal in [Signal::SIGWINCH, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            awaited.add(signal);
        }
        awaited.thread_block()?;
        let signals = SignalFd::with_flags(&awaited, SfdFlags::SFD_NONBLOCK)?;
        let terminal = Self { keys: take_keys(), signals, typed: VecDeque::new() };
        print(ENTER)?;
        Ok(terminal)
    }

    /// Shows the lines, and `foot` below them.
    ///
    /// # Errors
    /// It can't be written to.
    #[expect(clippy::unused_self, reason = "only what was entered can be filled")]
    pub(super) fn show(&self, lines: &[String], foot: &str) -> io::Result<()> {
        let mut frame = String::from(HOME);
        for line in lines {
            frame.extend([line, CLEAR_LINE, "\r\n"]);
        }
        frame.extend([foot, CLEAR_LINE, CLEAR_REST]);
        print(&frame)
    }

    /// Waits for a wish; `None` when there was none in time.
    pub(super) fn wait(&mut self, timeout: Duration) -> Option<Wish> {
        if let Some(wish) = self.next_typed() {
            return Some(wish);
        }
        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some((input, _)) = &self.keys {
            watched.push(PollFd::new(input.as_fd(), PollFlags::POLLIN));
        }
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        // Whatever interrupts it, there is a next time.
        let ready = poll(&mut watched, timeout).unwrap_or(0);
        let has_keys = watched.get(1).and_then(PollFd::any).unwrap_or(false);
        if ready == 0 {
            return None;
        }
        if let Ok(Some(signal)) = self.signals.read_signal() {
            let is_size = signal.ssi_signo == Signal::SIGWINCH as u32;
            return Some(if is_size { Wish::Redraw } else { Wish::End });
        }
        has_keys.then(|| self.type_on()).flatten()
    }

    /// Reads what was typed: not through a buffer, in which `wait` would not see it.
    fn type_on(&mut self) -> Option<Wish> {
        let (input, _) = self.keys.as_ref()?;
        let mut octets = [0; 64];
        match read(input, &mut octets) {
            // The terminal has gone.
            Ok(0) | Err(_) => Some(Wish::End),
            Ok(len) => {
                // Keys without a letter are an escape and what follows it at once.
                let keys = octets[..len].split(|&octet| octet == b'\x1b').next();
                self.typed.extend(keys.unwrap_or_default());
                self.next_typed()
            }
        }
    }

    fn next_typed(&mut self) -> Option<Wish> {
        while let Some(octet) = self.typed.pop_front() {
            if let Some(wish) = wish(octet) {
                return Some(wish);
            }
        }
        None
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = print(LEAVE);
        if let Some((input, before)) = &self.keys {
            let _ = tcsetattr(input, SetArg::TCSANOW, before);
        }
    }
}

/// Has keys come one by one, where standard input is a terminal.
fn take_keys() -> Option<(Stdin, Termios)> {
    let input = io::stdin();
    if !input.is_terminal() {
        return None;
    }
    let before = tcgetattr(&input).ok()?;
    let mut raw = before.clone();
    // Also what interrupts: the terminal must be put back first.
    raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
    raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
    raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    tcsetattr(&input, SetArg::TCSANOW, &raw).ok()?;
    Some((input, before))
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn wish(octet: u8) -> Option<Wish> {
    const INTERRUPT: u8 = 3;
    Some(match octet {
        b'q' | b'Q' | INTERRUPT => Wish::End,
        b' ' | b'\r' | b'\n' => Wish::Look,
        b'+' | b'=' => Wish::Faster,
        b'-' => Wish::Slower,
        _ => return None,
    })
}
