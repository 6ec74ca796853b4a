//! Schemes whose credentials are public keys, over TLS: what OpenSSL's command line signed with RSA
//! and ECDSA passes once, and nothing else under that signature does.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::gateway::Gateway;
use crate::support::pair::{Pair, r_and_s};
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, merchant};
use crate::support::signer::fresh_nonce;

/// A gate with one route of a scheme, and the partner whose public key it knows.
fn gateway(scheme: &str, file: Option<&Path>, pair: &Pair) -> Gateway {
    let table = format!(
        "[merchants.pair.credentials.pk_pair]\nenvironment = \"live\"\nscheme = \"{scheme}\"\n\
         secrets = [{{ list = \"secrets.txt\" }}]\n"
    );
    let mut setup = Setup::new().merchant(merchant("pair", GENEROUS, &[table]), &[]);
    let named = if scheme.contains("rfc9421") { "" } else { "credential = \"pk_pair\"" };
    setup = setup.route("pair", "/pair/*", scheme, named);
    setup.named_secret("pk_pair", &pair.public);
    if let Some(file) = file {
        setup.set("schemes", &format!("[{:?}]", file.to_str().unwrap()));
    }
    Gateway::with(setup)
}

/// A request that is good passes once; changed in any way it does not.
fn passes_once(gateway: &Gateway, good: &Request, spoilt: &[(&str, Request)]) {
    let forwarded = gateway.upstream.count();
    for (what, request) in spoilt {
        let answer = gateway.ask(request);
        assert_eq!(answer.refusal().code, "invalid_signature", "{what}");
    }
    assert_eq!(gateway.upstream.count(), forwarded);
    gateway.accepts(good);
    assert_eq!(gateway.upstream.last().body, good.body);
    gateway.refuses(good, "replayed");
}

/// A request by RFC 9421, as its section 2.5 puts the text together.
fn by_rfc9421(gateway: &Gateway, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> Request {
    let body = b"{\"amount\":500}";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    let digest = format!("sha-256=:{}:", STANDARD.encode(digest));
    let parameters = format!(
        "(\"@method\" \"@target-uri\" \"content-digest\")\
         ;created={};keyid=\"pk_pair\";nonce=\"{}\"",
        gateway.now(),
        fresh_nonce()
    );
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": https://api.example.com/pair/orders?a=1\n\
         \"content-digest\": {digest}\n\"@signature-params\": {parameters}"
    );
    Request::post("/pair/orders?a=1", body)
        .header("Content-Digest", digest)
        .header("Signature-Input", format!("sig1={parameters}"))
        .header("Signature", format!("sig1=:{}:", STANDARD.encode(sign(base.as_bytes()))))
}

fn rfc9421_passes_once(scheme: &str, pair: &Pair, sign: &dyn Fn(&Pair, &[u8]) -> Vec<u8>) {
    let gateway = gateway(scheme, None, pair);
    let good = by_rfc9421(&gateway, &|base| sign(pair, base));
    let flipped = {
        let text = good.value("Signature");
        let mut bytes = STANDARD.decode(&text["sig1=:".len()..text.len() - 1]).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        format!("sig1=:{}:", STANDARD.encode(bytes))
    };
    let stranger = if scheme.contains("rsa") { Pair::rsa() } else { Pair::p256() };
    let forged = by_rfc9421(&gateway, &|base| sign(&stranger, base));
    let spoilt = [
        ("another method", good.clone().method("PUT")),
        ("another target", good.clone().target("/pair/orders?a=2")),
        ("another body", good.clone().body(b"{\"amount\":900}")),
        ("a flipped bit", good.clone().set("Signature", flipped)),
        ("another pair", forged),
    ];
    passes_once(&gateway, &good, &spoilt);
    gateway.accepts_h2(&by_rfc9421(&gateway, &|base| sign(pair, base)));
}

#[test]
fn openssl_signs_by_rfc9421_with_ecdsa() {
    rfc9421_passes_once("rfc9421-ecdsa-p256-sha256", &Pair::p256(), &|pair, base| {
        r_and_s(&pair.signs(&["-sha256"], base))
    });
}

#[test]
fn openssl_signs_by_rfc9421_with_rsa() {
    let pss = ["-sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:64"];
    rfc9421_passes_once("rfc9421-rsa-pss-sha512", &Pair::rsa(), &move |pair, base| {
        pair.signs(&pss, base)
    });
}

/// A scheme of one's own, in a file.
fn own(mac: &str) -> String {
    format!(
        "[acme]\n\
         time      = \"{{header:X-Time}}\"\n\
         message   = \"{{header:X-Time}}\\n{{method}}\\n{{target}}\\n{{body}}\"\n\
         mac       = \"{mac}\"\n\
         encode    = \"base64\"\n\
         signature = \"{{header:X-Sign}}\"\n"
    )
}

/// What OpenSSL signs as it does if nothing is said: PKCS#1 v1.5 for RSA, DER for ECDSA.
fn own_passes_once(mac: &str, pair: &Pair, stranger: &Pair) -> (Gateway, Request, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    std::fs::write(&file, own(mac)).unwrap();
    let gateway = gateway("acme", Some(&file), pair);
    let now = gateway.now();
    let message = format!("{now}\nPOST\n/pair/orders\n{{\"amount\":500}}");
    let signed = |by: &Pair| STANDARD.encode(by.signs(&["-sha256"], message.as_bytes()));
    let good = Request::post("/pair/orders", b"{\"amount\":500}")
        .header("X-Time", now.to_string())
        .header("X-Sign", signed(pair));
    let spoilt = [
        ("another method", good.clone().method("PUT")),
        ("another target", good.clone().target("/pair/orders?a=1")),
        ("another body", good.clone().body(b"{\"amount\":900}")),
        ("another time", good.clone().set("X-Time", (now - 1).to_string())),
        ("another pair", good.clone().set("X-Sign", signed(stranger))),
    ];
    passes_once(&gateway, &good, &spoilt);
    let anew = signed(pair);
    (gateway, good, anew)
}

#[test]
fn openssl_signs_by_a_scheme_of_ones_own_with_rsa() {
    own_passes_once("rsa-v1_5-sha256", &Pair::rsa(), &Pair::rsa());
}

/// A signature by ECDSA has many forms: whoever makes another of a good one must not get the same
/// request through a second time.
#[test]
fn openssl_signs_by_a_scheme_of_ones_own_with_ecdsa() {
    let (gateway, good, anew) =
        own_passes_once("ecdsa-p256-sha256-der", &Pair::p256(), &Pair::p256());
    assert_ne!(good.value("X-Sign"), anew, "ECDSA signs differently each time");
    let der = STANDARD.decode(&anew).unwrap();
    gateway.refuses(&good.clone().set("X-Sign", anew), "replayed");
    let other_form = STANDARD.encode(r_and_s(&der));
    let refused = gateway.ask(&good.set("X-Sign", other_form)).refusal().code;
    assert!(["malformed_header", "invalid_signature"].contains(&refused.as_str()), "{refused}");
}
