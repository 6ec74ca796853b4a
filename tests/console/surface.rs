//! Table, router, document and command line against each other.

use std::collections::BTreeSet;

use countersign::administration::verbs;
use countersign::console::{Routes, openapi};
use http::Method;

use crate::api::Api;
use crate::support::process::Site;
use crate::support::process::countersign;
use crate::support::request::Request;
use crate::support::setup::Setup;

/// Whatever the document says, a verb answers; and every verb is in the document.
#[test]
fn table_router_and_document_say_the_same() {
    let document = openapi::document();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            // Each member by a value that tells nothing of its place.
            let example = path.replace(['{', '}'], "x");
            let found = Routes::new().find(&method, &example).expect(path);
            assert_eq!(found.verb.path, path);
            assert_eq!(openapi::operation_id(found.verb), operation["operationId"]);
            assert!(described.insert(found.verb.name), "{path}");
        }
    }
    assert_eq!(described, verbs().map(|verb| verb.name).collect());
}

/// What the API can do, the command line can.
#[test]
fn every_verb_is_a_command() {
    let folder = tempfile::tempdir().unwrap();
    for verb in verbs() {
        let words: Vec<&str> = verb.name.split(' ').chain(["--help"]).collect();
        let (status, said) = countersign(folder.path(), &words);
        assert!(status.success(), "{}: {said}", verb.name);
        assert!(said.contains(verb.summary), "{}: {said}", verb.name);
    }
}

#[test]
fn the_document_is_served_to_anybody() {
    let api = Api::start();
    let answer = api.send(&Request::get("/admin/v1/openapi.json"));
    assert_eq!((answer.status, answer.value("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json(), openapi::document());
    let head = api.send(&Request::new("HEAD", "/admin/v1/openapi.json"));
    assert_eq!(head.value("content-length"), answer.value("content-length"));
}

/// Before a store is there it says how one comes to be; afterwards it needs no restart.
#[test]
fn a_store_may_come_later() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    gate.wait_ready();
    let token = countersign::secret::text::api_token(&[1; 32]);
    let value = [b"Bearer ", token.expose()].concat();
    let ask = |value: &[u8]| {
        let mut client =
            crate::support::client::Client::dial(gate.operations, "api.example.com", &["http/1.1"]);
        let request = Request::get("/admin/v1/merchants").header("Authorization", value);
        client.as_mut().unwrap().ask(&request)
    };
    let answer = ask(&value);
    assert_eq!((answer.status, crate::api::code(&answer).as_str()), (503, "store"));
    assert!(answer.text().contains("master create"), "{}", answer.text());
    let init = ["master", "create", "--config", crate::api::CONFIG];
    assert!(countersign(site.folder.path(), &init).0.success());
    let token = crate::api::first_token(site.folder.path(), "auditor");
    let value = format!("Bearer {token}");
    crate::support::wait_until("the store", || ask(value.as_bytes()).status == 200);
}

#[test]
fn it_can_be_turned_off() {
    let site = Site::new(Setup::new().with("operations.admin", "false"));
    let gate = site.serve();
    gate.wait_ready();
    assert_eq!(gate.operation("/admin/v1/merchants").status, 404);
    assert_eq!(gate.operation("/admin/v1/openapi.json").status, 404);
    assert_eq!(gate.operation("/healthz").status, 200);
}

/// What the document tells a newcomer to type works as it stands.
#[test]
fn five_minutes_of_the_document_work() {
    let site = Site::new(Setup::new());
    let gate = site.serve();
    gate.wait_ready();
    let folder = site.folder.path();
    crate::support::certificates::authority().write(folder);
    let text = include_str!("../../docs/admin-api.md");
    let own = format!("localhost:{}", gate.operations.port());
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    // A reader takes longer than the gate to find the store.
    let script = blocks.collect::<Vec<_>>().join("sleep 1.5\n").replace("localhost:9443", &own);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap();
    let output = std::process::Command::new("bash")
        .args(["-c", &format!("set -euo pipefail; PATH=\"{}:$PATH\"\n{script}", program.display())])
        .current_dir(folder)
        .output()
        .unwrap();
    let told = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told:?}");
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("rotated.json")["version"], 2);
    assert!(read("credential.json")["secret"].as_str().unwrap().starts_with("csh_test_"));
    assert!(told.0.trim_end().ends_with('}') && told.0.contains("\"revoked\""), "{told:?}");
}
