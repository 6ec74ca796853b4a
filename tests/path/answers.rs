//! Answers that are signed or sealed: what the client gets is what the service said, to this very
//! request; and where neither is asked for, answers stream as before.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use base64::Engine as _;
use bytes::Bytes;
use countersign::config::envelope::builtin;
use countersign::envelope::{Envelope, Prepared};
use countersign::recipe::Subject;
use countersign::secret::NamedSecrets;

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{
    GENEROUS, Setup, credential, credential_with, merchant, rfc3339, v1, version,
};
use crate::support::signer::{Signer, fresh_nonce, hex, hmac_hex, python_hmac_hex};
use crate::support::upstream::{Step, answer, ok};

const V1_SECRET: &str = "globex-live-5be1f7d2093c6a84";
const SEAL_SECRET: &str = "6B3C9E0F4D1A7C25E8B90A1F3D5C7E92";
const ANSWER_SECRET: &str = "answers-3f1c7d90b2586ea4";

fn signing(more: &str) -> Setup {
    let more = format!("sign_answers = true\n{more}");
    Setup::new().route("signed", "/signed/*", "countersign-v1", &more)
}

/// What an answer by `countersign-v1` signs, written from its description.
fn nine_lines(key_id: &str, request: &Request, answer: &Answer) -> Vec<u8> {
    let body = hex(digest::digest(&digest::SHA256, &answer.body).as_ref());
    let status = answer.status.to_string();
    let lines = [
        "countersign-v1-response",
        key_id,
        answer.value("x-timestamp").expect("a time"),
        &request.value("X-NONCE"),
        &status,
        &request.authority.to_lowercase(),
        &request.target,
        answer.value("content-type").unwrap_or_default(),
        &body,
    ];
    lines.join("\n").into_bytes()
}

fn is_signed(secret: &str, key_id: &str, request: &Request, answer: &Answer) {
    let expected = python_hmac_hex(secret, &nine_lines(key_id, request, answer));
    let found = answer.value("x-signature");
    assert_eq!(found, Some(expected.as_str()), "{answer:?} {}", answer.text());
}

fn asked(gateway: &Gateway, target: &str) -> Request {
    v1().sign(Request::post(target, b"{\"amount\":100}"), gateway.now())
}

#[test]
fn python_verifies_a_signed_answer() {
    let gateway = Gateway::with(signing(""));
    gateway.upstream.answer(&answer(
        "201 Created",
        &[("Content-Type", "application/json; charset=utf-8"), ("X-Signature", "of the service")],
        b"{\"id\":7}",
    ));
    let request = asked(&gateway, "/signed/orders?a=1&b=%20").authority("API.example.com");
    let request = v1().sign(request, gateway.now());
    let over_http1 = gateway.ask(&request);
    is_signed(V1_SECRET, "pk_live_globex", &request, &over_http1);
    assert_eq!(over_http1.value("x-timestamp"), Some(gateway.now().to_string().as_str()));
    assert_eq!((over_http1.status, over_http1.text().as_str()), (201, "{\"id\":7}"));
    assert_eq!(over_http1.value("content-length"), Some("8"));
    let request = asked(&gateway, "/signed/orders");
    let over_http2 = gateway.ask_h2(&request);
    is_signed(V1_SECRET, "pk_live_globex", &request, &over_http2);
    assert_eq!(over_http2.value("content-length"), Some("8"));
    let signatures = over_http2.headers.iter().filter(|(name, _)| name == "x-signature").count();
    assert_eq!(signatures, 1, "the service's own is gone");
}

/// Body and time alone, as its requests: so by a secret of their own.
#[test]
fn answers_by_kwikpaisa_are_signed_with_a_secret_of_their_own() {
    let signer = Signer::kwikpaisa("pk_live_answered", "answered-5be1f7d2093c6a84");
    let more = "scopes = [\"* /own/*\"]\n\
                answer_secret = { list = \"secrets.txt\", id = \"answers\" }";
    let table = merchant("answered", GENEROUS, &[credential("answered", &signer, "live", more)]);
    // The other credentials of the scheme need one too.
    let mut setup = Setup::new().route("own", "/own/*", "kwikpaisa", "sign_answers = true");
    setup.merchants.retain(|merchant| !merchant.contains("kwikpaisa"));
    let mut setup = setup.merchant(table, &[&signer]);
    setup.named_secret("answers", ANSWER_SECRET);
    let gateway = Gateway::with(setup);
    let request = signer.sign(Request::post("/own/orders", b"{}"), gateway.now());
    let answer = gateway.ask(&request);
    let time = answer.value("x-timestamp").expect("a time");
    let message = [answer.body.as_slice(), time.as_bytes()].concat();
    let expected = python_hmac_hex(ANSWER_SECRET, &message);
    assert_eq!(answer.value("x-signature"), Some(expected.as_str()));
    let as_request = signer.claims(Request::post("/own/orders", &answer.body), time, "", &expected);
    gateway.refuses(&as_request, "invalid_signature");
}

#[test]
fn the_version_that_verified_the_request_signs_the_answer() {
    let (new, old) = ("rotated-new-90f1c7d2093c6a84", "rotated-old-90f1c7d2093c6a84");
    let gateway = Gateway::with({
        let signer = Signer::v1("pk_rotated", new);
        let last = rfc3339(crate::support::gateway::START + 1000);
        let versions =
            [version("pk_rotated", "active", ""), version("rotated-old", "retiring", &last)];
        let table = credential_with("rotated", &signer, "environment = \"live\"", &versions);
        let mut setup = signing("").merchant(merchant("rotated", GENEROUS, &[table]), &[&signer]);
        setup.named_secret("rotated-old", old);
        setup
    });
    for secret in [old, new] {
        let request = Request::post("/signed/orders", b"{}");
        let request = Signer::v1("pk_rotated", secret).sign(request, gateway.now());
        is_signed(secret, "pk_rotated", &request, &gateway.ask(&request));
    }
}

#[test]
fn an_answer_never_passes_as_a_request() {
    let gateway = Gateway::with(signing(""));
    let request = asked(&gateway, "/signed/orders");
    let answer = gateway.ask(&request);
    let (time, signature) =
        (answer.value("x-timestamp").unwrap(), answer.value("x-signature").unwrap());
    // The same nine lines but for the first: its status is a method that HTTP allows.
    for method in ["200", "POST", "GET"] {
        let reflected = Request::new(method, "/signed/orders")
            .header("Content-Type", "application/json")
            .body(&answer.body);
        let reflected = v1().claims(reflected, time, &request.value("X-NONCE"), signature);
        gateway.refuses_h1(&reflected, "invalid_signature");
    }
}

#[test]
fn answers_without_a_body_are_signed_as_such() {
    let gateway = Gateway::with(signing(""));
    let head = v1().sign(Request::new("HEAD", "/signed/orders"), gateway.now());
    for answer in [gateway.ask(&head), {
        let head = v1().sign(Request::new("HEAD", "/signed/orders"), gateway.now());
        let answer = gateway.ask_h2(&head);
        is_signed(V1_SECRET, "pk_live_globex", &head, &answer);
        answer
    }] {
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.value("content-length"), Some("11"), "as a GET would have it");
    }
    for status in ["204 No Content", "304 Not Modified"] {
        let bytes = format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\n\r\n").into_bytes();
        gateway.upstream.answer(&bytes);
        let request = v1().sign(Request::get("/signed/orders"), gateway.now());
        let answer = gateway.ask(&request);
        is_signed(V1_SECRET, "pk_live_globex", &request, &answer);
        assert_eq!(answer.value("content-length"), None, "{status}");
        let request = v1().sign(Request::get("/signed/orders"), gateway.now());
        is_signed(V1_SECRET, "pk_live_globex", &request, &gateway.ask_h2(&request));
    }
    gateway.upstream.answer(&ok(b""));
    let request = asked(&gateway, "/signed/orders");
    let answer = gateway.ask(&request);
    is_signed(V1_SECRET, "pk_live_globex", &request, &answer);
    assert_eq!(answer.value("content-length"), Some("0"));
}

#[test]
fn an_answer_that_is_too_large_to_be_signed_is_an_upstream_fault() {
    let gateway = Gateway::with(signing("answer_bytes_max = \"1KiB\""));
    let chunked = |length: usize| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend(crate::support::request::chunked(&vec![b'x'; length], 100));
        bytes
    };
    for bytes in [ok(&[b'x'; 1024]), chunked(1024)] {
        gateway.upstream.answer(&bytes);
        let request = asked(&gateway, "/signed/orders");
        let answer = gateway.ask(&request);
        is_signed(V1_SECRET, "pk_live_globex", &request, &answer);
        assert_eq!(answer.value("content-length"), Some("1024"));
        assert_eq!(answer.value("transfer-encoding"), None);
    }
    for bytes in [ok(&[b'x'; 1025]), chunked(1025)] {
        gateway.upstream.answer(&bytes);
        for answer in [
            gateway.ask(&asked(&gateway, "/signed/orders")),
            gateway.ask_h2(&asked(&gateway, "/signed/orders")),
        ] {
            let refusal = answer.refusal();
            assert_eq!((refusal.status, refusal.code.as_str()), (502, "answer_too_large"));
            assert_eq!(refusal.forwarded, "maybe");
        }
    }
}

#[test]
fn nothing_leaves_of_an_answer_that_breaks_off() {
    let gateway = Gateway::with(signing(""));
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it".to_vec();
    gateway.upstream.answer_with(move |_| vec![Step::Send(head.clone()), Step::Close]);
    for answer in [
        gateway.ask(&asked(&gateway, "/signed/orders")),
        gateway.ask_h2(&asked(&gateway, "/signed/orders")),
    ] {
        assert_eq!(answer.refusal().code, "upstream_broke");
    }
}

#[test]
fn trailers_end_at_the_gate_and_refusals_are_not_signed() {
    let gateway = Gateway::with(signing(""));
    let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n\
                  4\r\nwhole\r\n0\r\nX-End: 1\r\n\r\n";
    let bytes = String::from_utf8_lossy(bytes).replace("4\r\nwhole", "5\r\nwhole").into_bytes();
    gateway.upstream.answer(&bytes);
    let request = asked(&gateway, "/signed/orders");
    let answer = gateway.ask(&request);
    is_signed(V1_SECRET, "pk_live_globex", &request, &answer);
    assert_eq!(answer.text(), "whole");
    assert!(answer.value("x-end").is_none() && answer.value("trailer").is_none());
    let refused = gateway.ask(&request);
    assert_eq!(refused.refusal().code, "replayed");
    assert!(refused.value("x-signature").is_none());
}

#[test]
fn answers_stream_where_neither_is_asked_for() {
    let gateway = Gateway::with(signing(""));
    gateway.upstream.answer_with(|_| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n".to_vec();
        vec![Step::Send(head), Step::Hold, Step::Send(b"4\r\nlast\r\n0\r\n\r\n".to_vec())]
    });
    let mut client = gateway.client();
    let request = v1().sign(Request::post("/v2/orders", b"{}"), gateway.now());
    client.send(request.h1());
    let first = |client: &crate::support::client::Client| {
        client.left_over().windows(5).any(|part| part == b"first")
    };
    while !first(&client) {
        client.more().expect("the first piece, while the service holds the last");
    }
    gateway.upstream.release();
    let answer = client.answer();
    assert_eq!(answer.text(), "firstlast");
    assert!(answer.value("x-signature").is_none());
}

fn sealing(more: &str) -> Setup {
    let signer = partner();
    let table = merchant(
        "sealing",
        GENEROUS,
        &[credential("sealing", &signer, "live", "envelope = \"paykun\"")],
    );
    let keys = format!("envelope = \"paykun\"\nsealed = \"optional\"\nseal_answers = true\n{more}");
    Setup::new().route("sealed", "/sealed/*", "countersign-v1", &keys).merchant(table, &[&signer])
}

fn partner() -> Signer {
    Signer::v1("pk_live_sealed", SEAL_SECRET)
}

struct Kit {
    envelope: std::sync::Arc<Envelope>,
    prepared: Prepared,
}

impl Kit {
    fn new() -> Self {
        let envelope = builtin("paykun").unwrap();
        let prepared = envelope.prepare(Some(SEAL_SECRET.as_bytes()), &NamedSecrets::default());
        Self { envelope, prepared: prepared.unwrap() }
    }

    fn open(&self, answer: &Answer) -> Vec<u8> {
        let (headers, values) = (http::HeaderMap::new(), NamedSecrets::default());
        let subject = Subject {
            method: "POST",
            scheme: "https",
            authority: "",
            target: "/",
            headers: &headers,
            body: &[Bytes::copy_from_slice(&answer.body)],
            status: None,
            public_url: None,
            secret: None,
            values: &values,
        };
        self.envelope.open(&self.prepared, &subject).expect("an answer that opens").text.to_vec()
    }
}

#[test]
fn answers_are_sealed_for_their_caller_and_then_signed() {
    let gateway = Gateway::with(sealing("sign_answers = true"));
    gateway.upstream.answer(&answer(
        "200 OK",
        &[("Content-Type", "application/json"), ("Content-Digest", "sha-256=:AAAA:")],
        "{\"name\":\"Zoë\"}".as_bytes(),
    ));
    let request = || {
        let request = Request::get("/sealed/orders").header("Accept-Encoding", "gzip");
        partner().sign(request, gateway.now())
    };
    for over_http2 in [false, true] {
        let request = request();
        let answer = if over_http2 { gateway.ask_h2(&request) } else { gateway.ask(&request) };
        is_signed(SEAL_SECRET, "pk_live_sealed", &request, &answer);
        assert_eq!(Kit::new().open(&answer), "{\"name\":\"Zoë\"}".as_bytes());
        assert_eq!(answer.value("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(answer.value("content-length"), Some(answer.body.len().to_string().as_str()));
        assert_eq!(answer.value("content-digest"), None, "a digest of other bytes");
        assert!(!gateway.upstream.last().has("accept-encoding"), "a coding could not be seen");
    }
    let head = partner().sign(Request::new("HEAD", "/sealed/orders"), gateway.now());
    gateway.upstream.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n");
    let answer = gateway.ask(&head);
    is_signed(SEAL_SECRET, "pk_live_sealed", &head, &answer);
    assert_ne!(answer.value("content-length"), Some("11"), "of the clear body");
}

/// PayKun's own library is PHP: `openssl_decrypt` and `hash_hmac` open what the gate sealed.
#[test]
fn php_opens_a_sealed_answer() {
    let gateway = Gateway::with(sealing(""));
    gateway.upstream.answer(&ok("{\"name\":\"Zoë\"}".as_bytes()));
    let request = partner().sign(Request::get("/sealed/orders"), gateway.now());
    let answer = gateway.ask(&request);
    let program = r"
        parse_str(stream_get_contents(STDIN), $form);
        $box = json_decode(base64_decode($form['encrypted_request']), true);
        $mac = hash_hmac('sha256', $box['iv'] . $box['value'], $argv[1]);
        if (!hash_equals($mac, $box['mac'])) exit(1);
        $iv = base64_decode($box['iv']);
        echo unserialize(openssl_decrypt($box['value'], 'AES-256-CBC', $argv[1], 0, $iv));
    ";
    let text = crate::support::signer::said_by(
        std::process::Command::new("php").args(["-r", program, "--", SEAL_SECRET]),
        &answer.body,
    );
    assert_eq!(text, "{\"name\":\"Zoë\"}");
}

#[test]
fn a_coded_answer_is_not_sealed_and_nobody_else_gets_a_clear_one() {
    let gateway = Gateway::with(sealing(""));
    let coded = [("Content-Encoding", "gzip"), ("Content-Type", "application/json")];
    gateway.upstream.answer(&answer("200 OK", &coded, b"xxxx"));
    let request = partner().sign(Request::get("/sealed/orders"), gateway.now());
    assert_eq!(gateway.ask(&request).refusal().code, "upstream_broke");
    let before = gateway.upstream.count();
    let request = v1().sign(Request::get("/sealed/orders"), gateway.now());
    gateway.refuses_h1(&request, "cannot_open");
    assert_eq!(gateway.upstream.count(), before, "refused before it is forwarded");
}

/// The digest of a request by RFC 9421 goes into the signature of its answer.
#[test]
fn answers_by_rfc9421_say_which_request_they_belong_to() {
    let secret = "rfc-5be1f7d2093c6a84-0123";
    let table = format!(
        "[merchants.rfc]\n{GENEROUS}\n[merchants.rfc.credentials.pk_rfc]\nenvironment = \"live\"\n\
         scheme = \"rfc9421\"\nsecrets = [{}]\n",
        version("pk_rfc", "active", "")
    );
    let mut setup = Setup::new().route("rfc", "/rfc/*", "rfc9421", "sign_answers = true");
    setup = setup.merchant(table, &[]);
    setup.named_secret("pk_rfc", secret);
    let gateway = Gateway::with(setup);
    let mac = |message: &str| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        base64::prelude::BASE64_STANDARD.encode(tag.as_ref())
    };
    let digest = |body: &[u8]| {
        let digest = digest::digest(&digest::SHA256, body);
        format!("sha-256=:{}:", base64::prelude::BASE64_STANDARD.encode(digest))
    };
    let parameters = format!(
        "(\"@method\" \"@target-uri\" \"content-digest\");created={};keyid=\"pk_rfc\";nonce=\"{}\"",
        gateway.now(),
        fresh_nonce()
    );
    let sent = digest(b"{}");
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": https://api.example.com/rfc/orders\n\
         \"content-digest\": {sent}\n\"@signature-params\": {parameters}"
    );
    let request = Request::post("/rfc/orders", b"{}")
        .header("Content-Digest", &sent)
        .header("Signature-Input", format!("sig1={parameters}"))
        .header("Signature", format!("sig1=:{}:", mac(&base)));
    let answer = gateway.ask(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let input = answer.value("signature-input").expect("a signature");
    let parameters = input.strip_prefix("sig1=").unwrap();
    assert!(parameters.contains("\"content-digest\";req"), "{parameters}");
    let own = digest(&answer.body);
    assert_eq!(answer.value("content-digest"), Some(own.as_str()));
    let base = format!(
        "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": {own}\n\
         \"@method\";req: POST\n\"@target-uri\";req: https://api.example.com/rfc/orders\n\
         \"content-digest\";req: {sent}\n\"@signature-params\": {parameters}"
    );
    let expected = format!("sig1=:{}:", mac(&base));
    assert_eq!(answer.value("signature"), Some(expected.as_str()), "{parameters}");
}

/// `countersign send` against the gate, with the secret in a file.
fn send(gateway: &Gateway, signer: &Signer, target: &str, more: &[&str]) -> (i32, String, String) {
    let secret = gateway.folder.path().join("sender");
    crate::support::write_private(&secret, &signer.secret);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["send", "--scheme=countersign-v1", "--key-id", &signer.key_id])
        .args([
            format!("--secret-file={}", secret.display()),
            format!("--ca={}", gateway.folder.path().join("ca.pem").display()),
            format!("--connect={}", gateway.address),
            format!("--url=https://api.example.com{target}"),
            format!("--timestamp={}", gateway.now()),
        ])
        .args(more)
        .output()
        .expect("the program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("a status"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_line_verifies_opens_and_seals() {
    let gateway = Gateway::with(sealing("sign_answers = true"));
    let seal = ["--seal=paykun", "--data={\"clear\":1}"];
    let (status, out, err) = send(&gateway, &partner(), "/sealed/orders", &seal);
    assert_eq!((status, err.contains("answer signature good")), (0, true), "{err}");
    assert!(out.contains("{\"ok\":true}"), "{out}");
    assert_eq!(gateway.upstream.last().body, b"{\"clear\":1}", "sealed on the way, opened there");
    let (status, out, err) = send(&gateway, &partner(), "/sealed/orders", &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((status, json["answer_signature"].as_str()), (0, Some("good")), "{err}");
    assert!(json["body"].as_str().expect("text").starts_with("encrypted_request="), "{out}");
    let (status, _, err) = send(&gateway, &v1(), "/v2/orders", &["--data={}"]);
    assert_eq!((status, err.contains("answer signature absent")), (0, true), "{err}");
    // A service that signs with something else.
    let zeros = "0".repeat(64);
    let forged = [("X-TIMESTAMP", "1764000000"), ("X-SIGNATURE", zeros.as_str())];
    gateway.upstream.answer(&answer("200 OK", &forged, b"forged"));
    let (status, out, err) = send(&gateway, &v1(), "/v2/orders", &["--data={}"]);
    assert_eq!((status, err.contains("answer signature bad")), (1, true), "{err}");
    assert!(out.contains("forged"), "{out}");
}

/// The program of docs/signing.md verifies what the gate sends, and nothing else.
#[test]
fn the_documented_program_verifies_answers() {
    let page = include_str!("../../docs/signing.md");
    let (_, section) = page.split_once("\n## Answers").expect("the section");
    let (_, rest) = section.split_once("```python\n").expect("a program");
    let (program, _) = rest.split_once("```").expect("its end");
    let program = format!(
        "{program}\nimport json, sys\nsaid = json.load(sys.stdin)\n\
         said['answer']['body'] = said['answer']['body'].encode()\n\
         print(verify_countersign_v1(sys.argv[1].encode(), said['request'], said['answer']))\n\
         print(verify_kwikpaisa(sys.argv[1].encode(), said['answer']))"
    );
    let gateway = Gateway::with(signing(""));
    let request = asked(&gateway, "/signed/orders?a=1");
    let answer = gateway.ask(&request);
    let headers: std::collections::HashMap<_, _> = answer.headers.iter().cloned().collect();
    let said = |status: u16, headers: &serde_json::Value, body: &str| {
        let json = serde_json::json!({
            "request": {
                "key_id": "pk_live_globex", "nonce": request.value("X-NONCE"),
                "host": request.authority, "target": request.target,
            },
            "answer": { "status": status, "headers": headers, "body": body },
        });
        crate::support::signer::said_by(
            std::process::Command::new("python3").args(["-c", &program, V1_SECRET]),
            json.to_string().as_bytes(),
        )
    };
    let headers = serde_json::json!(headers);
    assert_eq!(said(200, &headers, &answer.text()), "True\nFalse\n");
    assert_eq!(said(201, &headers, &answer.text()), "False\nFalse\n");
    // As kwikpaisa signs: now, long ago, and with a digit that moved from the body to the time.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    for (time, expected) in [(now, "False\nTrue\n"), (now - 400, "False\nFalse\n")] {
        let signature = hmac_hex(V1_SECRET.as_bytes(), format!("paid 500{time}").as_bytes());
        let headers =
            |time: String| serde_json::json!({ "x-timestamp": time, "x-signature": signature });
        assert_eq!(said(200, &headers(time.to_string()), "paid 500"), expected);
        assert_eq!(said(200, &headers(format!("0{time}")), "paid 50"), "False\nFalse\n");
    }
}
