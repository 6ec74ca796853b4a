//! A secret is shown once, to who asked, and is nowhere else.

use serde_json::json;

use crate::api::{Api, credential_of};
use crate::support::wait_until;

#[test]
fn a_secret_is_in_one_answer_and_in_no_log() {
    let api = Api::start();
    let owner = api.owner();
    let (key_id, made) = api.credential("shop");
    let brought = "a-marker-secret-that-a-partner-brings";
    let import = format!("/admin/v1/credentials/{key_id}/secrets:import");
    assert_eq!(owner.post(&import, json!({ "secret": brought })).status, 200);
    // In the wrong place, and in a call that fails.
    let lost = "a-marker-secret-in-the-wrong-place";
    let mut wrong = credential_of("shop");
    wrong["secert"] = lost.into();
    assert_eq!(owner.post("/admin/v1/credentials", wrong).status, 400);
    owner.get(&format!("/admin/v1/credentials/{made}"));
    owner.get(&format!("/admin/v1/merchants?after={lost}"));
    let rotated = owner.post(&format!("/admin/v1/credentials/{key_id}:rotate"), json!({})).json();
    let rotated = rotated["secret"].as_str().unwrap().to_owned();
    let token = api.operator("auditor", None).token;
    let secrets = [made.as_str(), brought, lost, &rotated, &token, &owner.token];
    for target in [
        format!("/admin/v1/credentials/{key_id}"),
        format!("/admin/v1/credentials/{key_id}/secrets"),
        "/admin/v1/credentials".to_owned(),
        "/admin/v1/tokens".to_owned(),
        "/admin/v1/audit?limit=1000".to_owned(),
        "/admin/v1/inventory".to_owned(),
        "/metrics".to_owned(),
    ] {
        let text = owner.get(&target).text();
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{target}");
    }
    wait_until("the lines", || api.gate.output().matches("admin_call").count() >= 12);
    let log = api.gate.output();
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
    for entry in std::fs::read_dir(api.state()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} in {}", path.display());
        }
    }
}

/// Every call is a line: who, what, to what, and how it ended.
#[test]
fn every_call_is_a_line() {
    let api = Api::start();
    let (key_id, _) = api.credential("shop");
    let answer = api.owner().get(&format!("/admin/v1/credentials/{key_id}"));
    let id = answer.value("x-request-id").unwrap();
    wait_until("the line", || api.gate.output().contains(id));
    let log = api.gate.output();
    let line = log.lines().find(|line| line.contains(id)).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["event"], &line["level"]), (&json!("admin_call"), &json!("info")));
    assert_eq!((&line["verb"], &line["code"]), (&json!("credential show"), &json!("ok")));
    assert_eq!((&line["object"], &line["peer"]), (&json!(key_id), &json!("127.0.0.1")));
    assert!(line["token"].as_str().unwrap().starts_with("tok_") && line["us"].is_u64());
    assert!(api.count("credential show", "ok") >= 1.0);
}
