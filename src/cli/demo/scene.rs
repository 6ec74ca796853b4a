//! The files of a demo, in a temporary folder that goes away with it: certificates, secrets, and a
//! configuration as anybody would write it.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use countersign::clock::Timestamp;
use countersign::config::scheme::builtin;
use countersign::crypto::random;
use countersign::scheme::VerifyingKey;
use countersign::secret::{NamedSecrets, Secret};
use tempfile::TempDir;

use super::super::Failure;
use super::super::certs::{Authority, Folder, KeyKind, Mode, secret_list};
use super::super::curl::quote;
use super::super::secret_source::listed;

pub(super) use super::super::certs::{ACME, BAZAAR};

/// The largest body that the gate of the demo takes, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// What `bazaar` may do at once.
pub(super) const BURST: u32 = 5;

/// What the tour signs with.
pub(super) struct Secrets {
    pub(super) acme: VerifyingKey,
    pub(super) bazaar: VerifyingKey,
    /// A secret that the gate does not know.
    pub(super) stranger: VerifyingKey,
}

/// Where everything of the demo listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) gate: SocketAddr,
    pub(super) operations: SocketAddr,
    pub(super) echo: SocketAddr,
}

/// The folder with everything in it.
pub(super) struct Scene {
    folder: TempDir,
    pub(super) secrets: Secrets,
}

impl Scene {
    /// Makes the folder and what the gate needs in it.
    pub(super) fn set(now: Timestamp, addresses: Addresses) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("countersign-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|e| {
                Failure::because("cannot make a temporary folder (TMPDIR names where)", &e)
            })?;
        let secrets = write_files(folder.path(), now, addresses)?;
        Ok(Self { folder, secrets })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path("countersign.toml")
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A line for bash and other shells that signs an order when it is run, and sends it.
    pub(super) fn curl_line(&self, gate: SocketAddr) -> String {
        let ca = self.ca().display().to_string();
        let list = self.path("secrets.txt").display().to_string();
        format!(
            "body='{{\"order_id\":\"A-100\",\"amount\":500}}'; now=$(date +%s); \
             curl --cacert {ca} -H 'Content-Type: application/json' -H 'X-API-KEY: {ACME}' \
             -H \"X-TIMESTAMP: $now\" -H \"X-SIGNATURE: $(printf %s%s \"$body\" \"$now\" | \
             openssl dgst -sha256 -r -hmac \"$(sed -n 's/^{ACME} //p' {list})\" | cut -d' ' -f1)\" \
             --data-raw \"$body\" https://{gate}/v1/orders",
            ca = quote(&ca),
            list = quote(&list),
        )
    }

    /// A line that shows the metrics.
    pub(super) fn metrics_line(&self, operations: SocketAddr) -> String {
        let ca = self.ca().display().to_string();
        format!("curl --cacert {} https://{operations}/metrics", quote(&ca))
    }
}

fn write_files(path: &Path, now: Timestamp, addresses: Addresses) -> Result<Secrets, Failure> {
    let no_cert = |e| Failure::because("cannot make certificates", &e);
    let authority = Authority::new(now).map_err(no_cert)?;
    let gate = authority.issue(KeyKind::EcdsaP256).map_err(no_cert)?;
    let list = secret_list().map_err(Failure::failed)?;
    let folder = Folder::open(path).map_err(Failure::failed)?;
    for (name, content, mode) in [
        ("ca.pem", &*authority.pem(), Mode::Everyone),
        ("gate.pem", &gate.chain, Mode::Everyone),
        ("gate.key", &gate.key, Mode::OwnerOnly),
        ("secrets.txt", &list, Mode::OwnerOnly),
        ("merchants.toml", &merchants(), Mode::Everyone),
        ("countersign.toml", &configuration(addresses), Mode::Everyone),
    ] {
        folder.write(name, content.as_bytes(), mode).map_err(Failure::failed)?;
    }
    let scheme = builtin("kwikpaisa").ok_or_else(|| Failure::failed("no scheme"))?;
    let key = |bytes: Vec<u8>| {
        let secret = Secret::new(bytes).map_err(Failure::failed)?;
        scheme.key(&secret, NamedSecrets::default()).map_err(Failure::failed)
    };
    let of = |id| key(listed(list.as_bytes(), id).unwrap_or_default());
    let stranger = random::<32>().map_err(Failure::failed)?;
    Ok(Secrets { acme: of(ACME)?, bazaar: of(BAZAAR)?, stranger: key(stranger.to_vec())? })
}

fn configuration(Addresses { gate, operations, echo }: Addresses) -> String {
    format!(
        r#"state = "state"
workers = 1
merchants = "merchants.toml"

[listener]
address = "{gate}"
certificates = [{{ chain = "gate.pem", key = "gate.key" }}]

[operations]
address = "{operations}"

[log]
format = "text"

[upstreams.echo]
url = "http://{echo}"

[[routes]]
name = "api"
path = "/v1/*"
upstream = "echo"
scheme = "kwikpaisa"
body = "{}KiB"
"#,
        BODY_BYTES_MAX / 1024
    )
}

fn merchants() -> String {
    format!(
        r#"[merchants.acme]
rate = {{ per_second = 100, burst = 100 }}

[merchants.acme.credentials.{ACME}]
environment = "test"
scopes = ["POST /v1/orders", "GET /v1/*"]
secrets = [{{ list = "secrets.txt" }}]

[merchants.bazaar]
rate = {{ per_second = 1, burst = {BURST} }}

[merchants.bazaar.credentials.{BAZAAR}]
environment = "live"
addresses = ["127.0.0.1/32"]
scopes = ["POST /v1/orders", "GET /v1/*"]
secrets = [{{ list = "secrets.txt" }}]
"#
    )
}
