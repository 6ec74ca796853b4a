//! A marker planted as a secret is found nowhere: no log, metric, answer, fault, argument or file
//! beside the one it was planted in.

use std::fs;
use std::path::Path;

use countersign::config::Config;
use rustix::process::Signal;

use crate::support::gateway::Gateway;
use crate::support::process::{Site, countersign, wall_now};
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential, merchant};
use crate::support::signer::{Signer, hmac_hex};
use crate::support::{wait_until, write_private};

const BODY: &[u8] = b"{\"card\":\"4929123412341234\"}";
const MARKER: &str = "MARKER-5f1d7c3b9a2e-never-shown";

fn marked() -> Signer {
    Signer::v1("pk_marked", MARKER)
}

/// The marker in any of the spellings in which it could leak.
fn spellings() -> Vec<String> {
    use base64::Engine as _;
    let hex: String = MARKER.bytes().map(|byte| format!("{byte:02x}")).collect();
    let bytes = format!("{:?}", MARKER.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']).to_owned();
    vec![
        MARKER.into(),
        MARKER[7..19].into(),
        hex.to_uppercase(),
        hex,
        bytes,
        base64::engine::general_purpose::STANDARD.encode(MARKER)[..32].into(),
    ]
}

fn is_clean(what: &str, text: &str) {
    for spelling in spellings() {
        assert!(!text.contains(&spelling), "{spelling} in {what}:\n{text}");
    }
    assert!(!text.contains("4929123412341234"), "the body in {what}");
}

/// Row 102.
#[test]
fn a_marker_secret_shows_in_no_log_metric_or_answer() {
    let setup = Setup::new().partner("marked", &marked(), "").deadline("body", 300);
    let mut gateway = Gateway::with(setup);
    let sign = |gateway: &Gateway| marked().sign(Request::post("/v2/x", BODY), gateway.now());
    let mut answers = String::new();
    let good = sign(&gateway);
    let expected = sign(&gateway);
    for request in [
        good.clone(),
        good,
        expected.clone().body(b"{}"),
        expected.clone().set("X-SIGNATURE", "0".repeat(64)),
        expected.clone().set("X-TIMESTAMP", "1000000000"),
        expected.clone().without("X-NONCE"),
        expected.clone().target("/nowhere"),
        expected.clone().set("X-API-KEY", MARKER),
        expected.clone().set("X-SIGNATURE", MARKER),
    ] {
        for answer in [gateway.ask(&request), gateway.ask_h2(&request)] {
            answers.push_str(&format!("{:?}\n{}\n", answer.headers, answer.text()));
        }
    }
    // The right signature for another body is never told.
    let request = expected.clone().body(b"{}");
    let lines = crate::support::signer::nine_lines(
        "pk_marked",
        &request.value("X-TIMESTAMP"),
        &request.value("X-NONCE"),
        &request,
    );
    let right = hmac_hex(MARKER.as_bytes(), &lines);
    assert!(!answers.contains(&right), "an expected signature in an answer");
    is_clean("answers", &answers);
    let mut bad = gateway.setup.clone();
    std::mem::swap(&mut bad, &mut gateway.setup);
    gateway.setup.merchants.push("[merchants.broken]\nrate = 7\n".into());
    gateway.write();
    is_clean("reload faults", &gateway.reload().unwrap_err());
    gateway.setup = bad;
    gateway.write();
    gateway.reload().unwrap();
    is_clean("metrics", &gateway.operation("/metrics").text());
    is_clean("readiness", &gateway.operation("/readyz").text());
    gateway.stop();
    // Also where it was sent as a key id: only one that is somebody's is logged.
    is_clean("the log", &gateway.log());
    assert!(gateway.log().contains(r#""credential":"(not-in-service)""#));
    assert!(!gateway.log().contains(&right));
}

/// Faults of configuration name the place, never the secret.
#[test]
fn faults_of_configuration_never_show_a_secret() {
    let table = |secrets: &str| {
        format!(
            "[merchants.marked]\n{GENEROUS}\n[merchants.marked.credentials.pk_marked]\n\
             environment = \"live\"\nscheme = \"countersign-v1\"\nsecrets = {secrets}\n"
        )
    };
    for (name, merchants, list) in [
        ("a literal", table(&format!("\"{MARKER}\"")), ""),
        ("a literal in a list", table(&format!("[\"{MARKER}\"]")), ""),
        ("a literal under file", table(&format!("[{{ file = \"{MARKER}\" }}]")), ""),
        ("a literal under secret", table(&format!("[{{ secret = \"{MARKER}\" }}]")), ""),
        ("a literal under env", table(&format!("[{{ env = \"{MARKER}\" }}]")), ""),
        ("broken TOML", format!("secret = \"{MARKER}\nx = \"\"\" {MARKER}"), ""),
        ("a line without id", table("[{ list = \"secrets.txt\" }]"), MARKER),
        (
            "the same twice",
            table(
                "[{ list = \"secrets.txt\", id = \"a\" }, \
                  { list = \"secrets.txt\", id = \"b\", state = \"pending\" }]",
            ),
            &format!("a {MARKER}\nb {MARKER}\n"),
        ),
        (
            "an id that is the secret",
            table("[{ list = \"secrets.txt\", id = \"c\" }]"),
            &format!("{MARKER} x\n"),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut setup = Setup::new();
        setup.merchants = vec![merchants];
        let file = setup.write(folder.path(), "http://localhost:1");
        Setup::write_certificates(folder.path());
        write_private(&folder.path().join("secrets.txt"), list.as_bytes());
        let faults = Config::load(&file).expect_err(name);
        let path_is_marker = name == "a literal under file";
        let (shown, debug) = (faults.to_string(), format!("{faults:?}"));
        let (status, said) = countersign(folder.path(), &["check", "--config", "countersign.toml"]);
        assert!(!status.success(), "{name}");
        for text in [shown, debug, said] {
            assert!(!text.is_empty());
            if !path_is_marker {
                is_clean(name, &text);
            }
        }
    }
}

/// Row 57.
#[test]
fn weak_and_doubled_secrets_do_not_load() {
    let load = |secret: &str| -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let mut setup = Setup::new().partner("weak", &marked(), "");
        setup.named_secret("pk_marked", secret);
        let file = setup.write(folder.path(), "http://localhost:1");
        Setup::write_certificates(folder.path());
        Config::load(&file).map(|_| ()).map_err(|faults| faults.to_string())
    };
    for secret in ["", "                    ", "four", "fifteen-bytes-x"] {
        assert!(load(secret).is_err(), "{secret:?}");
    }
    load("sixteen-bytes-xy").unwrap();
    // The secret of another credential, in whatever environment.
    assert!(load("kwik-test-81d0c7a95e3b426f").is_err());
    assert!(load("globex-live-5be1f7d2093c6a84").is_err());
    // A scheme that signs no target needs scopes.
    let folder = tempfile::tempdir().unwrap();
    let open = Signer::kwikpaisa("pk_open", MARKER);
    let table = merchant("open", GENEROUS, &[credential("open", &open, "live", "")]);
    let file = Setup::new().merchant(table, &[&open]).write(folder.path(), "http://localhost:1");
    let faults = Config::load(&file).expect_err("no scopes").to_string();
    assert!(faults.contains("scopes"), "{faults}");
}

/// A file of secrets that others can read does not load.
#[test]
fn a_file_of_secrets_that_others_can_read_does_not_load() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = Setup::new().write(folder.path(), "http://localhost:1");
    Setup::write_certificates(folder.path());
    Config::load(&file).unwrap();
    let secrets = folder.path().join("secrets.txt");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o644)).unwrap();
    let faults = Config::load(&file).expect_err("world-readable").to_string();
    assert!(faults.contains("secrets.txt") && faults.contains("0644"), "{faults}");
}

/// Row 102: the whole life of the program, its arguments, and all that it wrote.
#[test]
fn a_marker_secret_shows_nowhere_around_the_program() {
    let site = Site::new(Setup::new().partner("marked", &marked(), ""));
    let mut gate = site.serve();
    gate.wait_ready();
    let request = marked().sign(Request::post("/v2/x", BODY), wall_now());
    assert_eq!(gate.ask(&request).status, 200);
    assert_eq!(gate.ask(&request).status, 409);
    is_clean("metrics", &gate.operation("/metrics").text());
    for name in ["cmdline", "environ", "status", "maps"] {
        match fs::read(format!("/proc/{}/{name}", gate.id())) {
            Ok(bytes) => is_clean(name, &String::from_utf8_lossy(&bytes)),
            // Root alone reads these of a process that hides its memory.
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::PermissionDenied, "{name}"),
        }
    }
    gate.signal(Signal::TERM);
    gate.ends_within(std::time::Duration::from_secs(5));
    wait_until("its last words", || gate.output().contains("stopped"));
    is_clean("its output", &gate.output());
    files_are_clean(&site.folder.path().join("state"));
    let (_, said) = countersign(site.folder.path(), &["check", "--config", "countersign.toml"]);
    is_clean("check", &said);
}

fn files_are_clean(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files_are_clean(&path);
        } else {
            let bytes = fs::read(&path).unwrap();
            is_clean(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
}

/// What the library shows of itself when something is printed by mistake.
#[test]
fn debug_output_of_a_configuration_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new().partner("marked", &marked(), "");
    let file = setup.write(folder.path(), "http://localhost:1");
    let (config, notes) = Config::load(&file).unwrap();
    is_clean("a configuration", &format!("{config:#?}"));
    is_clean("notes", &format!("{notes:#?}"));
}
