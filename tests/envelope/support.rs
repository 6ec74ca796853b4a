//! What these tests share: other programs, and a message to open.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;
use countersign::config::envelope::builtin;
use countersign::envelope::{CannotOpen, Envelope, Fixed, Opened, Prepared};
use countersign::recipe::Subject;
use countersign::secret::NamedSecrets;
use http::{HeaderMap, Method};

/// Runs a script and gives what it prints; it must succeed.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/envelope");
    let mut child = Command::new(program)
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}; tests/run installs it"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// Runs a script that reads and prints JSON.
pub(crate) fn run_json(
    program: &str,
    arguments: &[&str],
    input: &serde_json::Value,
) -> serde_json::Value {
    serde_json::from_slice(&run(program, arguments, input.to_string().as_bytes())).unwrap()
}

/// An envelope with a key.
pub(crate) struct Kit {
    pub(crate) envelope: std::sync::Arc<Envelope>,
    pub(crate) prepared: Prepared,
}

impl Kit {
    /// A built-in one with a secret.
    pub(crate) fn builtin(name: &str, secret: &[u8]) -> Self {
        let envelope = builtin(name).unwrap();
        let prepared = envelope.prepare(Some(secret), &NamedSecrets::default()).unwrap();
        Self { envelope, prepared }
    }

    pub(crate) fn open(&self, body: &[u8]) -> Result<Opened, CannotOpen> {
        let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
        let body = [Bytes::copy_from_slice(body)];
        self.envelope.open(&self.prepared, &subject(&headers, &body, &values))
    }

    pub(crate) fn seal(&self, text: &[u8]) -> Vec<u8> {
        self.envelope.seal(&self.prepared, text, &Fixed::default(), None).unwrap().body.to_vec()
    }
}

/// A body as it is posted.
pub(crate) fn subject<'a>(
    headers: &'a HeaderMap,
    body: &'a [Bytes],
    values: &'a NamedSecrets,
) -> Subject<'a> {
    Subject {
        method: Method::POST.as_str(),
        scheme: "https",
        authority: "gate.example",
        target: "/v1/orders",
        headers,
        body,
        status: None,
        public_url: None,
        secret: None,
        values,
    }
}
