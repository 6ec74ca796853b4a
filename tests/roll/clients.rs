//! The clients that partners are given, each in its own language, before a real gate: they begin,
//! roll, lose answers, are refused and begin anew.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign::secret::text::anchor;
use tempfile::TempDir;

use crate::kit::{Site, anchor_bytes};
use crate::support::setup::v1;
use crate::support::upstream::{Step, answer};

/// A client on its command line.
struct Program {
    words: Vec<String>,
    /// What has to be installed for it.
    package: &'static str,
}

fn source(name: &str) -> String {
    format!("{}/docs/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn python() -> Program {
    let words = vec!["/usr/bin/python3".into(), source("python/rolling.py")];
    Program { words, package: "python3-cryptography" }
}

fn php() -> Program {
    Program { words: vec!["php".into(), source("php/rolling.php")], package: "php-cli" }
}

/// A gate at the time of this machine, which the programs sign, and what they are given.
struct Place {
    site: Site,
    folder: TempDir,
}

impl Place {
    fn new(preset: &str) -> Self {
        let site = Site::start(preset);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        site.gateway.advance(since - site.gateway.now());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("body"), b"{\"amount\":1000}").unwrap();
        let text = anchor(true, &anchor_bytes(1));
        crate::support::write_private(&folder.path().join("anchor"), text.expose());
        crate::support::write_private(&folder.path().join("secret"), &v1().secret);
        Self { site, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.site.gateway.address.port())
    }

    fn authority(&self) -> PathBuf {
        self.site.gateway.folder.path().join("ca.pem")
    }

    /// What a client's program says to a request, by POST where it has a body.
    fn runs(&self, program: &Program, target: &str, body: bool) -> Output {
        let mut command = Command::new(&program.words[0]);
        if program.package == "php-cli" {
            command.arg("-d").arg(format!("openssl.cafile={}", self.authority().display()));
        }
        command.args(&program.words[1..]).arg(self.url(target)).arg("pk_live_globex");
        command.arg(if body { self.path("body") } else { "-".into() }).arg(self.path("state"));
        command.env("SSL_CERT_FILE", self.authority());
        command.env("COUNTERSIGN_SECRET", String::from_utf8(v1().secret).unwrap());
        command.env("COUNTERSIGN_ANCHOR", fs::read_to_string(self.path("anchor")).unwrap());
        let package = program.package;
        command.output().unwrap_or_else(|fault| panic!("apt-get install {package}: {fault}"))
    }

    fn kid(&self) -> String {
        let state: serde_json::Value =
            serde_json::from_slice(&fs::read(self.path("state")).unwrap()).unwrap();
        state["set"]["kid"].as_str().unwrap().to_owned()
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn pays(place: &Place, program: &Program) -> String {
    let (code, out, err) = said(&place.runs(program, "/v2/payments?a=b", true));
    assert_eq!((code, &*out), (0, "{\"ok\":true}"), "{err}");
    err
}

fn does_everything(program: &Program) {
    let place = Place::new("standard");
    let upstream = &place.site.gateway.upstream;
    let mut kids = HashSet::new();
    for _ in 0..3 {
        assert_eq!(pays(&place, program), "200\n");
        assert!(kids.insert(place.kid()), "new keys with every answer");
    }
    assert_eq!(upstream.last().body, b"{\"amount\":1000}");
    assert_eq!(upstream.last().target, "/v2/payments?a=b");
    assert!(upstream.last().has("idempotency-key"));
    let mode = fs::metadata(place.path("state")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Without a body, and with an answer that has none.
    upstream.answer(b"HTTP/1.1 204 No Content\r\n\r\n");
    let (code, out, err) = said(&place.runs(program, "/v2/payments/7", false));
    assert_eq!((code, &*out, &*err), (0, "", "204\n"));
    // An answer of the service's that is a refusal, sealed.
    upstream.answer(&answer("422 No", &[], b"{\"why\":\"funds\"}"));
    let (code, out, err) = said(&place.runs(program, "/v2/payments", true));
    assert_eq!((code, &*out, &*err), (1, "{\"why\":\"funds\"}", "422\n"));
    upstream.answer(&crate::support::upstream::ok(b"{\"ok\":true}"));
    begins_anew(&place, program);
    // An answer that never comes is not believed to be any: the service is silent, the gate tells.
    upstream.answer_with(|_| vec![Step::Close]);
    let (code, out, _) = said(&place.runs(program, "/v2/payments", true));
    assert!(code == 1 && out.contains("upstream_broke"), "{out}");
    mistyped(&place, program);
}

/// Keys that the gate does not know any more are replaced, once.
fn begins_anew(place: &Place, program: &Program) {
    let before = place.kid();
    let state = fs::read_to_string(place.path("state")).unwrap();
    // Somebody else has replaced this chain.
    let stolen = place.path("stolen");
    fs::write(&stolen, &state).unwrap();
    place.site.gateway.advance(1);
    let chain = before.parse::<countersign::roll::Kid>().unwrap().chain;
    kill(place, chain);
    assert_eq!(pays(place, program), "200\n");
    let after = place.kid().parse::<countersign::roll::Kid>().unwrap();
    assert_ne!(after.chain, chain);
    assert_eq!(after.generation, 2, "one session, one payment");
}

fn kill(place: &Place, chain: countersign::roll::ChainId) {
    let at = place.site.now();
    let until = at.saturating_add(std::time::Duration::from_secs(3600));
    let key_id = "pk_live_globex".into();
    place.site.gateway.roll().chains.kill(&countersign::roll::Kill { key_id, chain, at, until });
}

fn mistyped(place: &Place, program: &Program) {
    let text = fs::read_to_string(place.path("anchor")).unwrap();
    let wrong = text.replacen("css_live_", "css_live_0", 1);
    fs::write(place.path("anchor"), wrong).unwrap();
    let (code, out, err) = said(&place.runs(program, "/v2/payments", true));
    assert!(code != 0 && out.is_empty() && err.contains("mistyped"), "{code} {out} {err}");
}

#[test]
fn python_rolls() {
    does_everything(&python());
}

#[test]
fn php_rolls() {
    does_everything(&php());
}

/// `countersign send --roll` keeps its keys between two commands.
#[test]
fn the_command_line_rolls() {
    let place = Place::new("strict");
    let send = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["send", "--roll", "--key-id", "pk_live_globex", "--scheme"]);
        command.args(["countersign-v1", "--url", &place.url("/v2/payments")]);
        let file = |command: &mut Command, name: &str, path: &Path| {
            command.arg(name).arg(path);
        };
        file(&mut command, "--secret-file", &place.path("secret"));
        file(&mut command, "--anchor-file", &place.path("anchor"));
        file(&mut command, "--roll-state", &place.path("state"));
        file(&mut command, "--ca", &place.authority());
        said(&command.args(more).output().unwrap())
    };
    let mut kids = HashSet::new();
    for _ in 0..4 {
        let (code, out, err) = send(&["--data", "{\"amount\":1000}"]);
        assert_eq!((code, &*err), (0, "answer opened\n"), "{out}");
        assert!(out.ends_with("{\"ok\":true}\n"), "{out}");
        assert!(kids.insert(place.kid()));
    }
    let mode = fs::metadata(place.path("state")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(place.site.gateway.upstream.last().body, b"{\"amount\":1000}");
    kill(&place, place.kid().parse::<countersign::roll::Kid>().unwrap().chain);
    let (code, out, err) = send(&["--json"]);
    assert_eq!((code, &*err), (0, "answer opened, after fresh keys were asked for\n"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["answer_opened"], true);
    fs::write(place.path("state"), "{}").unwrap();
    let (code, _, err) = send(&[]);
    assert!(code == 1 && err.contains("remove the file to begin anew"), "{err}");
}
