//! Who may do what: tokens, roles, and tokens for one merchant.

use std::time::Duration;

use countersign::administration::token::RoleWord;
use countersign::administration::verbs;
use countersign::secret::text;
use serde_json::json;

use crate::api::{Api, code, credential_of};
use crate::support::request::Request;
use crate::support::wait_until;

#[test]
fn without_a_good_token_nothing_is_done() {
    let api = Api::start();
    let whole = String::from_utf8(text::api_token(&[9; 32]).expose().to_vec()).unwrap();
    let mistyped = whole.replace("csa_0", "csa_1");
    for (value, told) in [
        (None, "Bearer csa_"),
        (Some("Basic dXNlcjpwYXNz".to_owned()), "Bearer csa_"),
        (Some(format!("Bearer {mistyped}x")), "mistyped"),
        (Some(format!("Bearer {whole}")), "no such token"),
    ] {
        let mut request = Request::get("/admin/v1/merchants");
        if let Some(value) = &value {
            request = request.header("Authorization", value);
        }
        let answer = api.send(&request);
        assert_eq!((answer.status, code(&answer).as_str()), (401, "unauthorized"), "{value:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(told), "{}", answer.text());
        let challenge = answer.value("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
        assert_eq!(challenge.contains("invalid_token"), told != "Bearer csa_");
    }
    assert!(api.count("merchant list", "unauthorized") >= 4.0);
    // What needs no token is as it was.
    assert_eq!(api.gate.operation("/healthz").status, 200);
    assert_eq!(api.gate.operation("/admin/v1/openapi.json").status, 200);
}

#[test]
fn a_token_ends_when_it_is_revoked_or_its_time_is_over() {
    let api = Api::start();
    let owner = api.owner();
    let make = |life: &str| {
        let body = json!({ "name": "n", "role": "auditor", "life": life });
        let made = owner.post("/admin/v1/tokens", body).json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("token"), api.holder(&text("secret")))
    };
    let (id, operator) = make("1h");
    assert_eq!(operator.get("/admin/v1/merchants").status, 200, "good at once");
    owner.post(&format!("/admin/v1/tokens/{id}:revoke"), json!({}));
    let answer = operator.get("/admin/v1/merchants");
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("was revoked"));
    let (_, brief) = make("2s");
    assert_eq!(brief.get("/admin/v1/merchants").status, 200);
    wait_until("the end", || brief.get("/admin/v1/merchants").status == 401);
    assert!(brief.get("/admin/v1/merchants").text().contains("time is over"));
}

/// A token that was revoked by another program while a body was on its way does nothing.
#[test]
fn a_token_is_looked_at_again_when_the_body_is_there() {
    let api = Api::start();
    let owner = api.owner();
    let made = owner.post("/admin/v1/tokens", json!({ "name": "n", "role": "admin" })).json();
    let operator = api.holder(made["secret"].as_str().unwrap());
    let body = json!({ "merchant": "late", "name": "Late", "rate": "1/1" });
    let bytes = operator.with_body("POST", "/admin/v1/merchants", &body).h1();
    let mut client = api.connect();
    let (first, last) = bytes.split_at(bytes.len() - 1);
    client.send(first);
    std::thread::sleep(Duration::from_millis(300));
    let id = made["token"].as_str().unwrap();
    assert_eq!(owner.post(&format!("/admin/v1/tokens/{id}:revoke"), json!({})).status, 200);
    client.send(last);
    assert_eq!(client.answer().status, 401);
    assert_eq!(owner.get("/admin/v1/merchants/late").status, 404);
}

/// Each role against each verb: what is too much for it is refused before the input is looked at.
#[test]
fn roles_are_held_to() {
    for role in ["auditor", "security", "admin"] {
        // A gate for each: who is refused too often is slowed.
        let api = Api::start();
        let operator = api.operator(role, None);
        let mut refused = 0;
        for verb in verbs() {
            let path = verb.path.replace(['{', '}'], "");
            let answer = operator.send(&operator.request(verb.method.as_str(), &path));
            let roles = ["auditor", "security", "admin", "owner"].map(str::to_owned);
            let rank = |role: &str| roles.iter().position(|own| own == role).unwrap();
            let allowed = rank(role) >= rank(&RoleWord(verb.role).to_string());
            assert_eq!(answer.status != 403, allowed, "{role}: {}: {answer:?}", verb.name);
            if !allowed {
                assert_eq!(code(&answer), "forbidden");
                assert!(api.count(verb.name, "forbidden") >= 1.0);
                refused += 1;
            }
        }
        assert!(refused > 0);
        is_audited(&api);
    }
}

/// What a token may not do is written down, in both logs.
fn is_audited(api: &Api) {
    let audit = api.owner().get("/admin/v1/audit?limit=1000").json();
    let events = audit["items"].as_array().unwrap();
    let refused = events.iter().find(|event| event["action"] == "access.refused").unwrap();
    assert!(refused["detail"]["why"].as_str().unwrap().contains("needs the role"));
    let actor = refused["actor"].as_str().unwrap();
    crate::support::wait_until("the line", || {
        let log = api.gate.output();
        log.lines().any(|line| line.contains("\"forbidden\"") && line.contains(actor))
    });
}

/// A token for one merchant sees that merchant and its credentials, and learns of nobody else.
#[test]
fn a_token_for_one_merchant_reaches_no_other() {
    let api = Api::start();
    let (own, _) = api.credential("shop");
    let (other, _) = api.credential("store");
    let operator = api.operator("admin", Some("shop"));
    let mine = operator.get("/admin/v1/credentials").json();
    let items = mine["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|one| &one["key_id"]).collect::<Vec<_>>(), [&own]);
    assert_eq!(operator.get(&format!("/admin/v1/credentials/{own}")).status, 200);
    let theirs = operator.get(&format!("/admin/v1/credentials/{other}"));
    let nobodys = operator.get("/admin/v1/credentials/pk_test_nobody");
    let told = |answer: &crate::support::answer::Answer, key_id: &str| {
        assert_eq!((answer.status, code(answer).as_str()), (404, "not_found"));
        answer.json()["detail"].as_str().unwrap().replace(key_id, "KEY")
    };
    assert_eq!(told(&theirs, &other), told(&nobodys, "pk_test_nobody"));
    let rotate = operator.post(&format!("/admin/v1/credentials/{other}:rotate"), json!({}));
    assert_eq!(rotate.status, 404);
    assert_eq!(operator.post("/admin/v1/credentials", credential_of("shop")).status, 201);
    let mut unnamed = credential_of("shop");
    unnamed.as_object_mut().unwrap().remove("merchant");
    assert_eq!(operator.post("/admin/v1/credentials", unnamed).status, 201);
    for (answer, what) in [
        (operator.post("/admin/v1/credentials", credential_of("store")), "for another"),
        (operator.get("/admin/v1/credentials?merchant=store"), "a list of another"),
        (operator.get("/admin/v1/merchants/store"), "another"),
        (operator.get("/admin/v1/merchants"), "all merchants"),
        (operator.get("/admin/v1/audit"), "the audit log"),
        (operator.get("/admin/v1/tokens"), "tokens"),
        (operator.get("/admin/v1/policies"), "policies"),
        (operator.post("/admin/v1/merchants", json!({ "name": "N", "rate": "1/1" })), "a new one"),
    ] {
        assert_eq!((answer.status, code(&answer).as_str()), (403, "forbidden"), "{what}");
    }
    assert_eq!(operator.get("/admin/v1/merchants/shop").status, 200);
    let versions = api.owner().get(&format!("/admin/v1/credentials/{other}/secrets")).json();
    assert_eq!(versions["items"].as_array().unwrap().len(), 1, "nothing was rotated");
}

/// Who keeps failing is slowed and told nothing more; who has a good token goes on behind the same
/// address.
#[test]
fn who_keeps_failing_is_slowed() {
    let api = Api::start();
    let stranger = api.holder("csa_nothing");
    let slowed = (0..90).map(|_| stranger.get("/admin/v1/merchants")).find(|one| one.status == 429);
    let slowed = slowed.expect("an end to the patience");
    assert_eq!(code(&slowed), "rate_limited");
    assert!(slowed.value("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(api.owner().get("/admin/v1/merchants").status, 200);
    assert!(api.count("merchant list", "rate_limited") >= 1.0);
}
