//! The terminal: a screen of its own while it is watched, and what was there before afterwards.

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Effects, Style};
use rustix::termios::tcgetwinsize;

use super::picture::Line;

/// The other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The cursor again, and the screen from before.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Where writing begins anew.
const HOME: &str = "\x1b[H";
/// What stands behind the end of a line, and below the last.
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

const ALARM: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// A screen that is given back when this is dropped.
pub(super) struct Screen(());

impl Screen {
    /// Takes the terminal over.
    pub(super) fn open() -> io::Result<Self> {
        let mut out = io::stdout().lock();
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(Self(()))
    }

    /// Shows these lines in the place of those before, as far as there is room.
    pub(super) fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        let (columns, rows) = match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        };
        let mut text = HOME.to_owned();
        // The last row stays free: a line there would scroll the rest away.
        for line in lines.iter().take(usize::from(rows.saturating_sub(1))) {
            let cut: String = line.text.chars().take(usize::from(columns)).collect();
            match line.alarm {
                true => text.push_str(&format!("{ALARM}{cut}{ALARM:#}")),
                false => text.push_str(&cut),
            }
            text.push_str(REST_OF_LINE);
            text.push_str("\r\n");
        }
        text.push_str(REST_OF_SCREEN);
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Shows a sentence alone.
    pub(super) fn tell(&mut self, text: &str) -> io::Result<()> {
        self.show(&[Line { text: text.to_owned(), alarm: false }])
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // A terminal that is gone needs nothing back.
        drop(out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush()));
    }
}
