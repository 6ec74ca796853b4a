//! The form of calls: revisions, keys of repeated calls, pages, problems, bodies.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, code};
use crate::support::client::Client;
use crate::support::request::{HOST, Request};

/// Two who change the same thing do not undo each other's change.
#[test]
fn a_change_that_is_meant_for_another_revision_is_refused() {
    let api = Api::start();
    api.credential("shop");
    let owner = api.owner();
    let shop = "/admin/v1/merchants/shop";
    let tag = owner.get(shop).value("etag").unwrap().to_owned();
    let change = |name: &str, tag: &str| {
        let request = owner.with_body("PATCH", shop, &json!({ "name": name }));
        owner.send(&request.header("If-Match", tag))
    };
    let first = change("First", &tag);
    assert_eq!(first.status, 200);
    assert_ne!(first.value("etag"), Some(tag.as_str()));
    let second = change("Second", &tag);
    assert_eq!((second.status, code(&second).as_str()), (412, "changed"));
    assert_eq!(change("Third", "\"no-such-tag\"").status, 412);
    assert_eq!(owner.get(shop).json()["name"], "First");
    assert_eq!(change("Fourth", "*").status, 200);
    for bad in ["7", "W/\"7\"", "\"1\", \"2\""] {
        let answer = change("Fifth", bad);
        assert!([400, 412].contains(&answer.status), "{bad}: {answer:?}");
    }
    assert_eq!(owner.get(shop).json()["name"], "Fourth");
    let get = owner.send(&owner.request("GET", "/admin/v1/merchants").header("If-Match", "\"1\""));
    assert_eq!((get.status, code(&get).as_str()), (400, "invalid_input"));
}

/// Twenty programs that repeat one call at the same time make one version.
#[test]
fn a_repeated_rotation_makes_one_version() {
    let api = Api::start();
    let (key_id, _) = api.credential("shop");
    let owner = api.owner();
    let rotate = format!("/admin/v1/credentials/{key_id}:rotate");
    let request = owner.with_body("POST", &rotate, &json!({ "overlap": "1h" }));
    let request = request.header("Idempotency-Key", "once");
    let answers: Vec<_> = thread::scope(|scope| {
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| api.send(&request))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let mut versions = BTreeSet::new();
    let mut secrets = Vec::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?} {}", answer.text());
        versions.insert(answer.json()["version"].as_u64().unwrap());
        secrets.extend(answer.json()["secret"].as_str().map(str::to_owned));
    }
    assert_eq!(versions.len(), 1, "{versions:?}");
    assert_eq!(secrets.len(), 1, "one of them got the secret, once");
    let listed = owner.get(&format!("/admin/v1/credentials/{key_id}/secrets")).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let other = owner.with_body("POST", &rotate, &json!({ "overlap": "2h" }));
    let other = owner.send(&other.header("Idempotency-Key", "\"once\""));
    assert_eq!((other.status, code(&other).as_str()), (422, "key_reused"));
}

#[test]
fn lists_are_read_page_by_page() {
    let api = Api::start();
    let owner = api.owner();
    for n in 0..7 {
        let body = json!({ "merchant": format!("m{n}+&"), "name": "M", "rate": "1/1" });
        let odd = owner.post("/admin/v1/merchants", body);
        assert_eq!(odd.status, 400, "an id is plain text");
        let body = json!({ "merchant": format!("m{n}"), "name": "M", "rate": "1/1" });
        assert_eq!(owner.post("/admin/v1/merchants", body).status, 201);
    }
    let mut seen = Vec::new();
    let mut target = "/admin/v1/merchants?limit=3".to_owned();
    loop {
        let answer = owner.get(&target);
        let page = answer.json();
        let names = page["items"].as_array().unwrap().iter();
        seen.extend(names.map(|one| one["merchant"].as_str().unwrap().to_owned()));
        let Some(link) = answer.value("link") else {
            assert!(page["next"].is_null());
            break;
        };
        assert!(link.contains(page["next"].as_str().unwrap()));
        let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        assert!(next.contains("limit=3"), "{next}");
        target = next.to_owned();
    }
    assert_eq!(seen, (0..7).map(|n| format!("m{n}")).collect::<Vec<_>>());
}

#[test]
fn what_is_not_of_the_form_is_a_problem_of_its_own() {
    let api = Api::start();
    let owner = api.owner();
    let merchants = "/admin/v1/merchants";
    let post = |kind: &str, body: &[u8]| {
        let request = owner.request("POST", merchants).header("Content-Type", kind);
        let answer = owner.send(&request.body(body));
        (answer.status, code(&answer))
    };
    let json = "application/json";
    let invalid = (400, "invalid_input".to_owned());
    for body in [
        &b"{"[..],
        b"[]",
        b"null",
        b"\"text\"",
        b"{\"name\":\"a\",\"name\":\"b\",\"rate\":\"1/1\"}",
        b"{\"name\":\"a\",\"rate\":\"1/1\",\"unknown\":1}",
        b"{\"name\":1,\"rate\":\"1/1\"}",
        b"{\"name\":\"a\",\"rate\":\"often\"}",
        b"{\"name\":\"\xff\",\"rate\":\"1/1\"}",
        b"{\"name\":\"a\",\"rate\":\"1/1\",\"idempotency_key\":\"k\"}",
        b"",
    ] {
        assert_eq!(post(json, body), invalid, "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(post("text/plain", b"{}"), (415, "unsupported_media_type".to_owned()));
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(64 * 1024));
    assert_eq!(post(json, long.as_bytes()), (413, "body_too_large".to_owned()));
    let chunked = owner.with_body("POST", merchants, &Value::from(long)).chunks(1000);
    assert_eq!(owner.send(&chunked).status, 413);
    let packed = owner.with_body("POST", merchants, &json!({})).header("Content-Encoding", "gzip");
    assert_eq!(owner.send(&packed).status, 415);
    let twice = owner.with_body("POST", &format!("{merchants}?name=a"), &json!({}));
    assert_eq!(owner.send(&twice).status, 400);
    for query in ["limit=x", "limit=1&limit=2", "limit=-1", "nothing=1", "after=%FF"] {
        let answer = owner.get(&format!("{merchants}?{query}"));
        assert_eq!((answer.status, code(&answer)), invalid, "{query}");
    }
    let body = owner.with_body("GET", merchants, &json!({ "limit": 1 }));
    assert_eq!(owner.send(&body).status, 400);
    assert_eq!(owner.get("/admin/v1/merchants/nobody").status, 404);
    assert_eq!(owner.get("/admin/v1/nothing").status, 404);
    assert_eq!(owner.get("/admin/v1/").status, 404);
    assert_eq!(owner.get(merchants).json()["items"], json!([]), "nothing was made");
}

#[test]
fn methods_are_told() {
    let api = Api::start();
    let owner = api.owner();
    let put = owner.send(&owner.request("PUT", "/admin/v1/merchants"));
    assert_eq!((put.status, code(&put).as_str()), (405, "method_not_allowed"));
    assert_eq!(put.value("allow"), Some("GET, POST, HEAD, OPTIONS"));
    let options = api.send(&Request::new("OPTIONS", "/admin/v1/merchants/a"));
    assert_eq!((options.status, options.value("allow")), (204, Some("GET, PATCH, HEAD, OPTIONS")));
    assert!(options.value("access-control-allow-origin").is_none());
    let get = owner.get("/admin/v1/merchants");
    let head = owner.send(&owner.request("HEAD", "/admin/v1/merchants"));
    assert_eq!((head.status, head.value("content-length")), (200, get.value("content-length")));
    let document = api.send(&Request::new("DELETE", "/admin/v1/openapi.json"));
    assert_eq!((document.status, document.value("allow")), (405, Some("GET, HEAD, OPTIONS")));
}

/// A body that comes too slowly is given up, and holds up nobody meanwhile.
#[test]
fn a_slow_client_holds_up_nobody() {
    let api = Api::start();
    let owner = api.owner();
    let body = json!({ "merchant": "slow", "name": "Slow", "rate": "1/1" });
    let bytes = owner.with_body("POST", "/admin/v1/merchants", &body).h1();
    let mut slow: Vec<Client> = (0..40).map(|_| api.connect()).collect();
    for client in &mut slow {
        client.send(&bytes[..bytes.len() - 5]);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(owner.get("/admin/v1/merchants").status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let answer = slow[0].answer();
    assert_eq!((answer.status, code(&answer).as_str()), (408, "body_too_slow"));
    assert_eq!(owner.get("/admin/v1/merchants/slow").status, 404);
}

/// Over HTTP/2 as over HTTP/1.1, and by curl as by anybody.
#[test]
fn curl_reads_and_makes_over_http2() {
    let api = Api::start();
    let owner = api.owner();
    let ca = crate::support::certificates::authority().write(api.site.folder.path());
    let url = format!("https://{HOST}:{}/admin/v1/merchants", api.gate.operations.port());
    let resolve = format!("{HOST}:{}:127.0.0.1", api.gate.operations.port());
    let output = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--http2", "--cacert", ca.to_str().unwrap()])
        .args(["--resolve", &resolve, "--json", r#"{"name":"By curl","rate":"1/1"}"#])
        .args(["--header", &format!("Authorization: Bearer {}", owner.token)])
        .args(["--write-out", "\n%{http_version} %{http_code}", &url])
        .output()
        .expect("curl: apt-get install curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.ends_with("\n2 201"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("\"name\":\"By curl\""), "{text}");
}
