//! Configurations in a folder of their own, loaded as a start would load them.

mod acme;
mod answers;
mod clients;
mod changes;
mod destinations;
mod documentation;
mod faults;
mod front;
mod limits;
mod observing;
mod orders;
mod otlp;
mod schemes;
mod secrets;
mod sources;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Config, Faults, Note};
use crate::clock::Timestamp;
use crate::scheme::{Outgoing, Scheme, VerifyingKey};
use crate::secret::{NamedSecrets, Secret};

/// A right main file; tests change pieces of it.
const MAIN: &str = r#"
state = "state"
merchants = "merchants.toml"
[listener]
address = "127.0.0.1:8443"
certificates = [{ chain = "gate.pem", key = "gate.key" }]
[upstreams.app]
url = "http://127.0.0.1:8080"
[[routes]]
name = "orders"
path = "/v1/*"
upstream = "app"
"#;

/// A right merchants file; tests change pieces of it.
const MERCHANTS: &str = r#"
[merchants.acme]
rate = { per_second = 50, burst = 100 }
[merchants.acme.credentials.pk_acme]
environment = "live"
scopes = ["* /v1/*"]
secrets = [{ list = "secrets.txt" }]
"#;

const SECRETS: &str =
    "# ids and secrets\npk_acme acme-secret-0123456789\nspare spare-secret-0123456789\n";

/// A folder with a right configuration in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("main.toml", MAIN);
        folder.write("merchants.toml", MERCHANTS);
        folder.write("secrets.txt", SECRETS);
        folder
    }

    /// The same with a main and a merchants file of the test's own.
    fn with(main: &str, merchants: &str) -> Self {
        let folder = Self::new();
        folder.write("main.toml", main);
        folder.write("merchants.toml", merchants);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.set_mode(name, 0o600);
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self) -> Result<(Config, Vec<Note>), Faults> {
        super::load(&self.path("main.toml"), &environment)
    }

    fn faults(&self) -> Faults {
        self.load().unwrap_err()
    }
}

/// The environment of all tests: `set_var` would need `unsafe`.
fn environment(name: &str) -> Option<OsString> {
    match name {
        "ACME_SECRET" => Some("env-marker-0123456789".into()),
        "MAC_KEY" => Some("dGhpcnR5LXR3byBieXRlcyBvZiBhIG1hYyBrZXkuLi4".into()),
        "SHORT_SECRET" => Some("env-marker".into()),
        _ => None,
    }
}

/// `text` with one piece changed.
fn change(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} must stand once");
    text.replace(from, to)
}

#[test]
fn the_smallest_configuration_has_the_defaults_of_the_limits() {
    let folder = Folder::new();
    let (config, notes) = folder.load().unwrap();
    check_defaults(&config);
    assert_eq!(config.state, folder.path("state"));
    let credential = &config.merchants[0].credentials[0];
    assert!(credential.repeatable_reads && !credential.suspended && credential.rate.is_none());
    assert_eq!(credential.scheme.name(), "kwikpaisa");
    assert!(notes.iter().any(|note| note.text.contains("leaves the method, target unsigned")));
    let watched = ["gate.key", "gate.pem", "main.toml", "merchants.toml", "secrets.txt"];
    assert_eq!(config.watched, watched.map(|name| folder.path(name)));
}

/// Whether a configuration that states no limits has those of `limit.rs`.
fn check_defaults(config: &Config) {
    use crate::limit::*;
    let same = |a: &dyn std::fmt::Debug, b: &dyn std::fmt::Debug| {
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
    };
    let listener = &config.listener;
    same(&listener.connections, &ConnectionLimits::default());
    same(&listener.deadlines, &ConnectionDeadlines::default());
    same(&listener.body, &BodyDeadlines::default());
    same(&listener.head, &HeadLimits::default());
    same(&listener.http2, &Http2Limits::default());
    same(&listener.failures, &Rate::FAILURES);
    same(&listener.unverified_bytes_max, &UNVERIFIED_BYTES_MAX);
    same(&config.replay.memory_bytes, &REPLAY_MEMORY_BYTES);
    same(&config.upstreams[0].deadlines, &UpstreamDeadlines::default());
    same(&config.upstreams[0].connections_max, &UPSTREAM_CONNECTIONS);
    same(&config.upstreams[0].queue.length_max, &UPSTREAM_QUEUE);
    same(&config.routes[0].window, &Window::default());
    same(&config.routes[0].body_bytes_max, &BODY_BYTES_MAX);
    assert_eq!(config.operations.address.to_string(), "127.0.0.1:9443");
    assert_eq!(config.operations.certificates, config.listener.certificates);
    assert!(config.log.access && config.log.sampling.is_none());
}

#[test]
fn the_sample_starts_as_it_is() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let folder = Folder::new();
    for name in ["config", "certs", "certs/dev"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    for name in ["countersign.toml", "merchants.toml"] {
        fs::copy(sample.join(name), folder.path("config").join(name)).unwrap();
    }
    let secrets = "pk_test_acme test-secret-0123456789\npk_live_bazaar live-secret-0123456789\n";
    folder.write("certs/dev/secrets.txt", secrets);
    let loaded = super::load(&folder.path("config/countersign.toml"), &environment);
    let (config, _) = loaded.unwrap_or_else(|faults| panic!("{faults}"));
    check_defaults(&config);
    assert_eq!((config.routes.len(), config.merchants.len()), (2, 2));
}

#[test]
fn everything_can_be_said() {
    let main = MAIN.replace(
        "[upstreams.app]",
        "failures = { per_second = 1, burst = 2 }\n\
         [listener.connections]\n\
         networks = [{ network = \"::ffff:10.0.0.0/104\", connections = 7 }]\n\
         [listener.limits]\nbody = \"512KiB\"\n\
         [upstreams.app]",
    ) + "hosts = [\"API.example.com\", \"[::1]\"]\nmethods = [\"GET\"]\n\
         window = \"1m\"\nahead = \"5s\"\n";
    let merchants = change(
        MERCHANTS,
        "secrets = [{ list = \"secrets.txt\" }]",
        "expires = 2030-01-01T00:00:00Z\nrate = { per_second = 1, burst = 1 }\nsecrets = [\n\
         { list = \"secrets.txt\" },\n\
         { list = \"secrets.txt\", id = \"spare\", state = \"pending\" },\n\
         { env = \"ACME_SECRET\", state = \"retiring\", until = \"2030-01-01T00:00:00+01:00\" },\n\
         { file = \"own\", state = \"revoked\" }]",
    );
    let folder = Folder::with(&main, &merchants);
    folder.write("own", "own-secret-0123456789\n");
    let (config, _) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    let route = &config.routes[0];
    assert_eq!(route.hosts, ["api.example.com", "::1"]);
    assert_eq!((route.window.past.as_secs(), route.window.ahead.as_secs()), (60, 5));
    assert_eq!(route.body_bytes_max.get(), 512 * 1024);
    assert_eq!(config.listener.connections.per_network[0].0.to_string(), "10.0.0.0/8");
    let credential = &config.merchants[0].credentials[0];
    assert_eq!(credential.expires.unwrap().secs(), 1_893_456_000);
    let versions = &credential.versions;
    let expected: [&[u8]; 4] = [
        b"acme-secret-0123456789",
        b"spare-secret-0123456789",
        b"env-marker-0123456789",
        b"own-secret-0123456789",
    ];
    for (version, secret) in versions.iter().zip(expected) {
        let secret = Secret::new(secret.to_vec()).unwrap();
        let key = credential.scheme.key(&secret, NamedSecrets::default()).unwrap();
        assert_eq!(signed(&credential.scheme, &version.key), signed(&credential.scheme, &key));
    }
    assert_eq!(versions.len(), expected.len());
    assert_eq!(versions[2].until.unwrap().secs(), 1_893_452_400);
}

/// What one message gets as its headers under a key.
fn signed(scheme: &Scheme, key: &VerifyingKey) -> Vec<(HeaderName, HeaderValue)> {
    let outgoing = Outgoing {
        key_id: "pk",
        timestamp: Timestamp::from_secs(1_700_000_000),
        method: &Method::POST,
        authority: "a.example",
        target: "/",
        content_type: "",
        headers: &HeaderMap::new(),
        body: b"{}",
    };
    scheme.sign(key, &outgoing).unwrap()
}
