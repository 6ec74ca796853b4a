//! The configuration of a gateway under test, as the files that a user would write.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::certificates::authority;
use super::signer::{Signer, Way};
use super::write_private;

/// Dotted keys with TOML values, tables as text, and secrets. Changed by tests, then written.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// `listener.deadlines.head` and its value as TOML text; later ones replace earlier ones.
    keys: Vec<(String, String)>,
    pub(crate) routes: Vec<String>,
    pub(crate) upstreams: Vec<String>,
    pub(crate) merchants: Vec<String>,
    /// Ids and secrets, one a line of the list.
    pub(crate) secrets: Vec<(String, String)>,
    /// More keys of the standard upstream.
    pub(crate) service: String,
}

const KWIK_SECRET: &str = "kwik-live-2f6c9b1e40d75a83";
const KWIK_TEST_SECRET: &str = "kwik-test-81d0c7a95e3b426f";
const V1_SECRET: &str = "globex-live-5be1f7d2093c6a84";

/// Limits that no test meets by accident, and that still fit the replay memory.
pub(crate) const GENEROUS: &str = "rate = { per_second = 50, burst = 20000 }";

/// `acme`, live, signs as KwikPaisa does; calls `/v1/*`.
pub(crate) fn kwik() -> Signer {
    Signer::kwikpaisa("pk_live_acme", KWIK_SECRET)
}

/// `acme`, test.
pub(crate) fn kwik_test() -> Signer {
    Signer::kwikpaisa("pk_test_acme", KWIK_TEST_SECRET)
}

/// `globex`, live, signs by `countersign-v1`; calls anything.
pub(crate) fn v1() -> Signer {
    Signer::v1("pk_live_globex", V1_SECRET)
}

/// What a credential of this scheme needs to be told beside its secrets.
fn scopes(signer: &Signer) -> &'static str {
    match signer.way {
        Way::KwikPaisa => r#"scopes = ["* /v1/*"]"#,
        Way::V1 => "",
    }
}

impl Setup {
    /// Two merchants, two routes, one upstream and limits that are out of the way.
    pub(crate) fn new() -> Self {
        let acme = [(&kwik(), "live"), (&kwik_test(), "test")]
            .map(|(signer, environment)| credential("acme", signer, environment, scopes(signer)));
        let globex = credential("globex", &v1(), "live", "");
        let mut setup = Self {
            keys: Vec::new(),
            routes: vec![
                route("kwik", "/v1/*", "kwikpaisa", ""),
                route("v1", "/v2/*", "countersign-v1", ""),
            ],
            upstreams: Vec::new(),
            merchants: vec![
                merchant("acme", GENEROUS, &acme),
                merchant("globex", &GENEROUS.replace("20000", "200000"), &[globex]),
            ],
            secrets: Vec::new(),
            service: String::new(),
        };
        for signer in [kwik(), kwik_test(), v1()] {
            setup.secret(&signer);
        }
        for (key, value) in [
            ("state", r#""state""#),
            ("workers", "2"),
            ("merchants", r#""merchants.toml""#),
            ("listener.address", r#""127.0.0.1:0""#),
            (
                "listener.certificates",
                concat!(
                    r#"[{ chain = "api.pem", key = "api.key" }, "#,
                    r#"{ chain = "shop.pem", key = "shop.key" }]"#
                ),
            ),
            ("listener.failures", "{ per_second = 100000, burst = 100000 }"),
            ("operations.address", r#""127.0.0.1:0""#),
            ("replay.memory", r#""128MiB""#),
        ] {
            setup.set(key, value);
        }
        setup
    }

    /// Gives a key a value, both as TOML writes them.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.keys.retain(|(own, _)| own != key);
        self.keys.push((key.into(), value.into()));
    }

    /// The same in passing.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.set(key, value);
        self
    }

    /// Leaves a key out.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.keys.retain(|(own, _)| own != key);
        self
    }

    /// Deadlines of the listener in milliseconds.
    pub(crate) fn deadline(self, name: &str, ms: u64) -> Self {
        self.with(&format!("listener.deadlines.{name}"), &format!("\"{ms}ms\""))
    }

    /// More keys of the standard upstream.
    pub(crate) fn service(mut self, more: &str) -> Self {
        self.service.push_str(more);
        self.service.push('\n');
        self
    }

    /// Adds a route to the standard upstream.
    pub(crate) fn route(mut self, name: &str, path: &str, scheme: &str, more: &str) -> Self {
        self.routes.push(route(name, path, scheme, more));
        self
    }

    /// Adds a merchant with one live credential, and its secret.
    pub(crate) fn partner(self, name: &str, signer: &Signer, more: &str) -> Self {
        let more =
            if more.contains("rate =") { more.into() } else { format!("{GENEROUS}\n{more}") };
        let credentials = [credential(name, signer, "live", scopes(signer))];
        self.merchant(merchant(name, &more, &credentials), &[signer])
    }

    /// Adds a merchant as written, with the secrets of these signers.
    pub(crate) fn merchant(mut self, table: String, signers: &[&Signer]) -> Self {
        self.merchants.push(table);
        for signer in signers {
            self.secret(signer);
        }
        self
    }

    pub(crate) fn secret(&mut self, signer: &Signer) -> &mut Self {
        let secret = String::from_utf8(signer.secret.clone()).expect("a secret in UTF-8");
        self.named_secret(&signer.key_id, &secret)
    }

    pub(crate) fn named_secret(&mut self, id: &str, secret: &str) -> &mut Self {
        self.secrets.retain(|(own, _)| own != id);
        self.secrets.push((id.into(), secret.into()));
        self
    }

    /// Writes all files and tells where the configuration is.
    pub(crate) fn write(&self, folder: &Path, upstream: &str) -> PathBuf {
        let mut text = String::new();
        for (key, value) in &self.keys {
            writeln!(text, "{key} = {value}").expect("text");
        }
        let service = &self.service;
        writeln!(text, "[upstreams.service]\nurl = \"{upstream}\"\n{service}").expect("text");
        for table in self.upstreams.iter().chain(&self.routes) {
            writeln!(text, "{table}").expect("text");
        }
        let secrets: Vec<String> =
            self.secrets.iter().map(|(id, secret)| format!("{id} {secret}\n")).collect();
        write_private(&folder.join("secrets.txt"), secrets.concat().as_bytes());
        write_private(&folder.join("merchants.toml"), self.merchants.concat().as_bytes());
        let path = folder.join("countersign.toml");
        write_private(&path, text.as_bytes());
        path
    }

    /// Writes the standard certificates and the authority.
    pub(crate) fn write_certificates(folder: &Path) {
        authority().api.write(folder, "api");
        authority().shop.write(folder, "shop");
        authority().write(folder);
    }
}

/// A route's table, to the standard upstream unless it says otherwise.
pub(crate) fn route(name: &str, path: &str, scheme: &str, more: &str) -> String {
    let upstream = if more.contains("upstream =") { "" } else { "upstream = \"service\"" };
    format!(
        "[[routes]]\nname = \"{name}\"\npath = \"{path}\"\nscheme = \"{scheme}\"\n\
         {upstream}\n{more}\n"
    )
}

/// An upstream's table.
pub(crate) fn upstream(name: &str, url: &str, more: &str) -> String {
    format!("[upstreams.{name}]\nurl = \"{url}\"\n{more}\n")
}

/// A merchant's table with its credentials; `more` states the rate.
pub(crate) fn merchant(id: &str, more: &str, credentials: &[String]) -> String {
    format!("[merchants.{id}]\n{more}\n{}\n", credentials.concat())
}

/// A credential's table with one active secret.
pub(crate) fn credential(merchant: &str, signer: &Signer, environment: &str, more: &str) -> String {
    let secret = version(&signer.key_id, "active", "");
    credential_with(
        merchant,
        signer,
        &format!("environment = \"{environment}\"\n{more}"),
        &[secret],
    )
}

/// A credential's table with secret versions; `more` states the environment.
pub(crate) fn credential_with(
    merchant: &str,
    signer: &Signer,
    more: &str,
    versions: &[String],
) -> String {
    let scheme = match signer.way {
        Way::KwikPaisa => "kwikpaisa",
        Way::V1 => "countersign-v1",
    };
    format!(
        "[merchants.{merchant}.credentials.\"{}\"]\nscheme = \"{scheme}\"\n{more}\n\
         secrets = [{}]\n",
        signer.key_id,
        versions.join(", ")
    )
}

/// One secret version, found under an id in the list of secrets.
pub(crate) fn version(id: &str, state: &str, until: &str) -> String {
    let until = if until.is_empty() { String::new() } else { format!(", until = \"{until}\"") };
    format!("{{ list = \"secrets.txt\", id = \"{id}\", state = \"{state}\"{until} }}")
}

/// Unix seconds as configuration writes a time.
pub(crate) fn rfc3339(secs: u64) -> String {
    let secs = i64::try_from(secs).expect("a time");
    let time = time::OffsetDateTime::from_unix_timestamp(secs).expect("a time");
    time.format(&time::format_description::well_known::Rfc3339).expect("a time")
}
