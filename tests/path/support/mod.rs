//! The kit of the path tests: a real gate on port 0 with a clock moved by hand, a signer of its
//! own, an upstream that writes everything down, and clients that send any bytes.

pub(crate) mod answer;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod http2;
pub(crate) mod office;
pub(crate) mod pair;
pub(crate) mod process;
pub(crate) mod request;
pub(crate) mod setup;
pub(crate) mod signer;
pub(crate) mod tls;
pub(crate) mod upstream;

use std::path::Path;
use std::time::{Duration, Instant};

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let fresh = path.with_extension("fresh");
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).expect("file");
    file.write_all(bytes).expect("written");
    std::fs::rename(fresh, path).expect("renamed");
}

/// Waits until something is so, looking often; fails the test after a minute, which is long enough
/// for a busy machine.
pub(crate) fn wait_until(what: &str, mut good: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !good() {
        assert!(Instant::now() < until, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
