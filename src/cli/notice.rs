//! What `serve` says to people beside its log. Nobody may be listening: whoever reads standard
//! error can have stopped or gone, and the gate must end in order all the same.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::mpsc;
use std::time::Duration;

/// How long a line waits for somebody who takes it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes a line to standard error, after the program's name. One that is not taken in time is
/// left to a thread that ends with the process.
pub(crate) fn say(line: impl Display) {
    let line = format!("countersign: {line}\n");
    let (done, written) = mpsc::channel::<()>();
    let writer = std::thread::Builder::new().name("notice".into()).spawn(move || {
        drop(std::io::stderr().write_all(line.as_bytes()));
        drop(done);
    });
    if writer.is_ok() {
        // Ends when the writer drops its end.
        let _ = written.recv_timeout(PATIENCE);
    }
}
