//! The keyboard while `top` runs: keys come at once and are not shown. Invariant: the terminal is left as it was.

use std::io::{IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// To end.
    Quit,
    /// To look at once.
    Refresh,
    /// To look more often.
    Faster,
    /// To look less often.
    Slower,
}

/// Standard input, read key by key.
pub(super) struct Keys {
    before: Termios,
}

impl Keys {
    /// Takes the keyboard; `None` where standard input is no terminal.
    pub(super) fn take() -> Option<Self> {
        let input = std::io::stdin();
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
        Some(Self { before })
    }

    /// The next key that means something; `None` when there was none in time.
    #[expect(clippy::unused_self, reason = "keys come one by one only while they are taken")]
    pub(super) fn wait(&self, timeout: Duration) -> Option<Key> {
        let input = std::io::stdin();
        let mut watched = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        if poll(&mut watched, timeout).is_ok_and(|ready| ready == 0) {
            return None;
        }
        let mut octet = [0];
        match input.lock().read(&mut octet) {
            // The terminal has gone.
            Ok(0) | Err(_) => Some(Key::Quit),
            Ok(_) => key(octet[0]),
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.before);
    }
}

fn key(octet: u8) -> Option<Key> {
    const INTERRUPT: u8 = 3;
    Some(match octet {
        b'q' | b'Q' | INTERRUPT => Key::Quit,
        b' ' | b'\r' | b'\n' => Key::Refresh,
        b'+' => Key::Faster,
        b'-' => Key::Slower,
        _ => return None,
    })
}
