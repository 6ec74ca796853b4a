//! Schemes as data on the path: claims that lie in the body, schemes of one's own, further values
//! of a credential, public keys, and routes that name the credential.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, merchant};
use crate::support::signer::hmac_hex;

const SECRET: &str = "partner-secret-7c1d09e5b2a4";

/// A gate with one more route and one more credential for it; the schemes are those of a file.
fn gateway(schemes: &str, route: &str, credential: &str, secrets: &[(&str, &str)]) -> Gateway {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("own.toml");
    std::fs::write(&file, schemes).expect("written");
    let mut setup = Setup::new().merchant(merchant("far", GENEROUS, &[credential.into()]), &[]);
    setup.set("schemes", &format!("[{:?}]", file.to_str().expect("text")));
    setup.routes.push(format!(
        "[[routes]]\nname = \"own\"\npath = \"/far/*\"\nupstream = \"service\"\n{route}\n"
    ));
    for (id, secret) in secrets {
        setup.named_secret(id, secret);
    }
    Gateway::with(setup)
}

fn credential(id: &str, scheme: &str, more: &str) -> String {
    format!(
        "[merchants.far.credentials.\"{id}\"]\nenvironment = \"live\"\nscheme = \"{scheme}\"\n\
         scopes = [\"* /far/*\"]\n{more}\nsecrets = [{{ list = \"secrets.txt\" }}]\n"
    )
}

/// A call by the built-in scheme `far-games`: agent and time stand in the body, which is signed as
/// PHP writes it, its members in order.
fn far(body: &str) -> Request {
    let signature = hmac_hex(SECRET.as_bytes(), body.as_bytes());
    Request::post("/far/play", body.as_bytes()).header("X-Signature", signature)
}

fn far_gateway() -> Gateway {
    let credential = credential("7", "far-games", "");
    gateway("", "scheme = \"far-games\"", &credential, &[("7", SECRET)])
}

#[test]
fn claims_in_the_body_are_read_when_it_is_there() {
    let gateway = far_gateway();
    let now = gateway.now();
    let body = format!("{{\"agent_id\":7,\"game\":1,\"timestamp\":{now}}}");
    gateway.accepts(&far(&body));
    gateway.refuses(&far(&body), "replayed");
    let body = format!("{{\"agent_id\":7,\"game\":2,\"timestamp\":{now}}}");
    gateway.accepts(&far(&body).chunks(5));
    // The same members in another order are the same request.
    let moved = format!("{{\"timestamp\":{now}, \"game\":2, \"agent_id\":7}}");
    let signature = far(&body).value("X-Signature");
    gateway.refuses(&far(&moved).set("X-Signature", &signature), "replayed");
    let body = format!("{{\"agent_id\":7,\"game\":3,\"timestamp\":{now}}}");
    gateway.accepts_h2(&far(&body));
}

#[test]
fn claims_in_the_body_are_refused_one_by_one() {
    let gateway = far_gateway();
    let now = gateway.now();
    let good = format!("{{\"agent_id\":7,\"game\":1,\"timestamp\":{now}}}");
    let cases = [
        (format!("{{\"game\":1,\"timestamp\":{now}}}"), "missing_header"),
        ("{\"agent_id\":7,\"game\":1}".to_owned(), "missing_header"),
        (format!("{{\"agent_id\":7,\"agent_id\":7,\"timestamp\":{now}}}"), "malformed_header"),
        ("{\"agent_id\":7,\"timestamp\":\"soon\"}".to_owned(), "malformed_header"),
        ("no JSON".to_owned(), "malformed_header"),
        (format!("{{\"agent_id\":7,\"timestamp\":{}}}", now - 301), "stale_timestamp"),
        (format!("{{\"agent_id\":7,\"timestamp\":{}}}", now + 31), "stale_timestamp"),
        (format!("{{\"agent_id\":8,\"timestamp\":{now}}}"), "invalid_signature"),
    ];
    for (body, code) in cases {
        gateway.refuses(&far(&body), code);
    }
    gateway.refuses(&far(&good).without("X-Signature"), "missing_header");
    let other = far(&good).value("X-Signature");
    let forged = format!("{{\"agent_id\":7,\"game\":9,\"timestamp\":{now}}}");
    gateway.refuses(&far(&forged).set("X-Signature", &other), "invalid_signature");
    let answer = gateway.ask(&far("{}"));
    assert!(answer.text().contains("json:agent_id"), "{}", answer.text());
    gateway.accepts(&far(&good));
}

const OWN: &str = r#"
[acme]
about     = "a partner's own way"
key_id    = "{header:Authorization | strip('ACME ') | field(':', 0)}"
time      = "{header:X-Time}"
time_unit = "ms"
nonce     = "{header:X-Once}"
message.GET = "{header:X-Time}.{header:X-Once}.{method}.{target}"
message."*" = "{header:X-Time}.{header:X-Once}.{method}.{target}.{body | sha256 | hex}"
mac       = "hmac-sha256"
signature = "{header:Authorization | strip('ACME ') | field(':', 1)}"
require   = [["{header:X-Pass}", "{cred:passphrase}"]]

[silent]
time      = "{header:X-Time}"
message   = "{header:X-Time}{method}{target}{body}"
mac       = "hmac-sha256"
signature = "{header:X-Sign}"

[pair]
key_id    = "{header:X-Key}"
time      = "{header:X-Time}"
message   = "{header:X-Key}\n{header:X-Time}\n{method}\n{target}\n{body}"
mac       = "ed25519"
encode    = "base64"
signature = "{header:X-Sign}"
"#;

#[test]
fn a_scheme_of_ones_own_works_without_code() {
    let values = "values = { passphrase = { list = \"secrets.txt\", id = \"pass\" } }";
    let credential = credential("pk_own", "acme", values);
    let secrets = [("pk_own", SECRET), ("pass", "open-sesame")];
    let gateway = gateway(OWN, "scheme = \"acme\"", &credential, &secrets);
    let time = format!("{}123", gateway.now());
    let signed = |method: &str, once: &str, body: &str| {
        let mut message = format!("{time}.{once}.{method}./far/a?b=1");
        if method != "GET" {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
            message += &format!(".{}", crate::support::signer::hex(digest.as_ref()));
        }
        let signature = hmac_hex(SECRET.as_bytes(), message.as_bytes());
        Request::new(method, "/far/a?b=1")
            .body(body.as_bytes())
            .header("X-Time", &time)
            .header("X-Once", once)
            .header("X-Pass", "open-sesame")
            .header("Authorization", format!("ACME pk_own:{signature}"))
    };
    let answer = gateway.accepts(&signed("POST", "one", "{}"));
    assert_eq!(answer.status, 200);
    gateway.accepts(&signed("GET", "two", ""));
    gateway.refuses(&signed("POST", "one", "{}"), "replayed");
    gateway.refuses(&signed("POST", "one", "{\"other\":1}"), "replayed");
    gateway.refuses(&signed("POST", "three", "{}").set("X-Pass", "open"), "invalid_signature");
    gateway.refuses(&signed("POST", "three", "{}").target("/far/b"), "invalid_signature");
    gateway.refuses(&signed("POST", "three", "{}").without("X-Once"), "missing_header");
    gateway.refuses(&signed("POST", "three", "{}").set("X-Time", "1764000000"), "malformed_header");
    gateway.refuses(&signed("POST", "three", "{}").set("Authorization", "none"), "missing_header");
}

#[test]
fn a_route_names_the_credential_where_the_scheme_does_not() {
    let credential = credential("pk_silent", "silent", "");
    let route = "scheme = \"silent\"\ncredential = \"pk_silent\"";
    let gateway = gateway(OWN, route, &credential, &[("pk_silent", SECRET)]);
    let now = gateway.now();
    let request = |secret: &str| {
        let signature = hmac_hex(secret.as_bytes(), format!("{now}POST/far/a{{}}").as_bytes());
        Request::post("/far/a", b"{}").header("X-Time", now.to_string()).header("X-Sign", signature)
    };
    gateway.accepts(&request(SECRET));
    gateway.refuses(&request("some-other-secret-0123"), "invalid_signature");
}

#[test]
fn a_public_key_verifies_and_replays_are_known_by_the_message() {
    let pair = Ed25519KeyPair::generate().expect("a key pair");
    let public = STANDARD.encode(pair.public_key().as_ref());
    let credential = credential("pk_pair", "pair", "");
    let gateway = gateway(OWN, "scheme = \"pair\"", &credential, &[("pk_pair", &public)]);
    let now = gateway.now();
    let request = |body: &str| {
        let message = format!("pk_pair\n{now}\nPOST\n/far/a\n{body}");
        let signature = STANDARD.encode(pair.sign(message.as_bytes()).as_ref());
        Request::post("/far/a", body.as_bytes())
            .header("X-Key", "pk_pair")
            .header("X-Time", now.to_string())
            .header("X-Sign", signature)
    };
    gateway.accepts(&request("{\"a\":1}"));
    gateway.refuses(&request("{\"a\":1}"), "replayed");
    let other = request("{\"a\":2}");
    gateway.refuses(&other.clone().body(b"{\"a\":3}"), "invalid_signature");
    gateway.refuses(&other.clone().set("X-Key", "pk_nobody"), "invalid_signature");
    gateway.accepts(&other);
}
