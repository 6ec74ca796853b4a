//! Bodies that are sealed by a content coding, `aes128gcm` (RFC 8188), through the gate: what
//! Python sealed is opened and forwarded, and Python opens what the gate sealed.

use std::process::Command;

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential, merchant};
use crate::support::signer::Signer;

/// Base64 of the 16 bytes that keys are derived from; its text signs.
const SECRET: &str = "BO3ZVPxUlnLORbVGMpbT1Q";
const TEXT: &[u8] = "{\"amount\":500,\"name\":\"Zoë\"}".as_bytes();

/// Seals or opens hexadecimal of standard input, in records of some bytes.
const PYTHON: &str = r#"
import base64, os, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
way, key, size = sys.argv[1], base64.urlsafe_b64decode(sys.argv[2] + "=="), int(sys.argv[3])
given = bytes.fromhex(sys.stdin.read())
salt = os.urandom(16) if way == "seal" else given[:16]
def derive(info, length):
    return HKDF(SHA256(), length, salt, info).derive(key)
aes = AESGCM(derive(b"Content-Encoding: aes128gcm\0", 16))
base = derive(b"Content-Encoding: nonce\0", 12)
def nonce(number):
    return bytes(a ^ b for a, b in zip(base, number.to_bytes(12, "big")))
if way == "seal":
    room = size - 17
    pieces = [given[at:at + room] for at in range(0, len(given), room)] or [b""]
    out = salt + size.to_bytes(4, "big") + b"\0"
    for number, piece in enumerate(pieces):
        piece += b"\2" if number + 1 == len(pieces) else b"\1"
        out += aes.encrypt(nonce(number), piece, None)
else:
    size, start = int.from_bytes(given[16:20], "big"), 21 + given[20]
    pieces = [given[at:at + size] for at in range(start, len(given), size)]
    texts = [aes.decrypt(nonce(number), one, None) for number, one in enumerate(pieces)]
    texts = [text.rstrip(b"\0") for text in texts]
    assert [text[-1] for text in texts] == [1] * (len(texts) - 1) + [2]
    out = b"".join(text[:-1] for text in texts)
print(out.hex())
"#;

fn python(way: &str, bytes: &[u8], record_bytes: usize) -> Vec<u8> {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", PYTHON, way, SECRET, &record_bytes.to_string()]);
    let said = crate::support::signer::said_by(
        &mut command,
        crate::support::signer::hex(bytes).as_bytes(),
    );
    let digits = said.trim().as_bytes();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn partner() -> Signer {
    Signer::kwikpaisa("pk_live_coded", SECRET)
}

/// Signs by the same scheme, and seals nothing.
fn plain() -> Signer {
    Signer::kwikpaisa("pk_live_plain", "plain-5be1f7d2093c6a84")
}

fn gateway(more: &str) -> Gateway {
    let scopes = "scopes = [\"* /coded/*\"]";
    let own = format!("{scopes}\nenvelope = \"rfc8188-aes128gcm\"");
    let tables = [
        merchant("coded", GENEROUS, &[credential("coded", &partner(), "live", &own)]),
        merchant("plain", GENEROUS, &[credential("plain", &plain(), "live", scopes)]),
    ];
    let [coded, clear] = tables;
    let route = format!("envelope = \"rfc8188-aes128gcm\"\n{more}");
    let setup = Setup::new()
        .route("coded", "/coded/*", "kwikpaisa", &route)
        .merchant(coded, &[&partner()])
        .merchant(clear, &[&plain()]);
    Gateway::with(setup)
}

fn signed_by(signer: &Signer, gateway: &Gateway, body: &[u8]) -> Request {
    gateway.advance(1);
    let request = Request::post("/coded/orders", body).header("Content-Encoding", "aes128gcm");
    signer.sign(request, gateway.now())
}

fn signed(gateway: &Gateway, body: &[u8]) -> Request {
    signed_by(&partner(), gateway, body)
}

#[test]
fn what_python_sealed_is_forwarded_as_it_was() {
    let gateway = gateway("");
    // In one record, in several, in full ones, and nothing at all.
    for (text, record_bytes) in [(TEXT, 4096), (TEXT, 20), (&TEXT[..24], 25), (b"", 18)] {
        let request = signed(&gateway, &python("seal", text, record_bytes));
        gateway.accepts(&request);
        let received = gateway.upstream.last();
        assert_eq!(received.body, text);
        assert!(!received.has("content-encoding"), "what is forwarded is in clear");
        assert_eq!(received.value("content-type"), "application/octet-stream");
        assert_eq!(received.value("content-length"), text.len().to_string());
        assert_eq!(received.value("x-countersign-opened"), "rfc8188-aes128gcm");
        gateway.refuses(&request, "replayed");
    }
    let request = signed(&gateway, &python("seal", TEXT, 20)).set("Content-Encoding", "AES128GCM");
    gateway.accepts_h2(&request);
    assert_eq!(gateway.upstream.last().body, TEXT);
}

/// Each is signed as it is: only the seal can tell.
#[test]
fn what_was_altered_is_refused_and_not_forwarded() {
    let gateway = gateway("");
    let sealed = python("seal", TEXT, 30);
    let flipped = |at: usize| {
        let mut sealed = sealed.clone();
        sealed[at] ^= 1;
        sealed
    };
    let with = |at: usize, bytes: &[u8]| {
        let mut sealed = sealed.clone();
        sealed[at..at + bytes.len()].copy_from_slice(bytes);
        sealed
    };
    let (head, records) = sealed.split_at(21);
    let (first, rest) = records.split_at(30);
    let cases = [
        ("the salt", flipped(0)),
        ("the size of records", flipped(19)),
        ("the key id", flipped(20)),
        ("records of four gigabytes", with(16, &[0xff; 4])),
        ("records of no bytes", with(16, &[0; 4])),
        ("a key id that is longer than all", with(20, &[0xff])),
        ("the first record", flipped(21)),
        ("the last tag", flipped(sealed.len() - 1)),
        ("no last record", [head, first].concat()),
        ("no first record", [head, rest].concat()),
        ("a record twice", [head, first, records].concat()),
        ("more behind the last", [&sealed[..], &[0]].concat()),
        ("a head alone", head.to_vec()),
        ("half a head", head[..20].to_vec()),
        ("clear", TEXT.to_vec()),
        ("nothing", Vec::new()),
    ];
    let forwarded = gateway.upstream.count();
    for (what, body) in cases {
        let answer = gateway.ask(&signed(&gateway, &body));
        assert_eq!(answer.refusal().code, "cannot_open", "{what}");
    }
    assert_eq!(gateway.upstream.count(), forwarded);
    gateway.accepts(&signed(&gateway, &sealed));
}

#[test]
fn other_codings_and_other_places_are_refused() {
    let gateway = gateway("");
    let sealed = python("seal", TEXT, 4096);
    let request = || signed(&gateway, &sealed);
    for coding in ["gzip", "aes128gcm, gzip", "gzip, aes128gcm", "aes256gcm", ""] {
        gateway.refuses(&request().set("Content-Encoding", coding), "unsupported_encoding");
    }
    gateway.refuses(&request().header("Content-Encoding", "aes128gcm"), "bad_request");
    gateway.refuses_h1(&request().without("Content-Encoding"), "cannot_open");
    gateway.refuses_h1(&request().set("Content-Encoding", "identity"), "cannot_open");
    let bodiless = Request::get("/coded/orders").header("Content-Encoding", "aes128gcm");
    gateway.refuses_h1(&partner().sign(bodiless, gateway.now()), "cannot_open");
    // Where no envelope is a coding, and where there is no route.
    let elsewhere = Request::post("/v2/orders", &sealed).header("Content-Encoding", "aes128gcm");
    let elsewhere = crate::support::setup::v1().sign(elsewhere, gateway.now());
    gateway.refuses(&elsewhere, "unsupported_encoding");
    gateway.refuses(&elsewhere.target("/none"), "no_route");
}

/// A body that says that it is coded is opened or refused, also where others may be clear.
#[test]
fn a_coded_body_never_passes_as_a_clear_one() {
    let gateway = gateway("sealed = \"optional\"");
    let sealed = python("seal", TEXT, 4096);
    gateway.accepts(&signed(&gateway, &sealed));
    assert_eq!(gateway.upstream.last().body, TEXT);
    let forwarded = gateway.upstream.count();
    gateway.refuses_h1(&signed(&gateway, b""), "cannot_open");
    gateway.refuses_h1(&signed(&gateway, TEXT), "cannot_open");
    let clear = signed(&gateway, &sealed).without("Content-Encoding");
    gateway.refuses_h1(&clear, "cannot_open");
    // A credential that seals nothing: its clear bodies pass, coded ones do not.
    gateway.refuses_h1(&signed_by(&plain(), &gateway, &sealed), "cannot_open");
    assert_eq!(gateway.upstream.count(), forwarded);
    gateway.accepts(&signed_by(&plain(), &gateway, TEXT).without("Content-Encoding"));
    assert_eq!(gateway.upstream.last().body, TEXT);
}

#[test]
fn python_opens_answers_that_are_sealed_by_a_coding() {
    let gateway = gateway("seal_answers = true");
    let said = |answer: &Answer| {
        assert_eq!(answer.value("content-encoding"), Some("aes128gcm"), "{answer:?}");
        assert_eq!(answer.value("content-length"), Some(&*answer.body.len().to_string()));
        python("open", &answer.body, 0)
    };
    let request = || signed(&gateway, &python("seal", TEXT, 4096));
    assert_eq!(said(&gateway.ask(&request())), b"{\"ok\":true}");
    assert_eq!(said(&gateway.ask_h2(&request())), b"{\"ok\":true}");
    let long = vec![b'x'; 10_000];
    gateway.upstream.answer(&crate::support::upstream::ok(&long));
    assert_eq!(said(&gateway.ask(&request())), long);
}
