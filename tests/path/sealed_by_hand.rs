//! Sealed bodies as somebody puts them up who has the key, or a part of it, and means harm: boxes
//! of every shape, texts that other programs would run, and what stays of a text that was opened.

use std::fs;
use std::path::Path;
use std::process::Command;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;

use crate::sealed::{Kit, SECRET, partner, setup, signed};
use crate::support::gateway::Gateway;
use crate::support::process::{Process, Site, wall_now};
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential, merchant, upstream};
use crate::support::signer::{Signer, fresh_nonce, hex, hmac_hex, said_by};
use crate::support::upstream::Step;
use crate::support::wait_until;

const IV: [u8; 16] = *b"0123456789abcdef";

/// AES-256-CBC by OpenSSL, in base64; `more` may say that the text is padded already.
fn encrypted(text: &[u8], more: &[&str]) -> String {
    let mut command = Command::new("openssl");
    command.args(["enc", "-aes-256-cbc", "-K", &hex(SECRET.as_bytes()), "-iv", &hex(&IV)]);
    said_by(command.args(["-a", "-A"]).args(more), text).trim().to_owned()
}

/// What PayKun's form field holds, of any text.
fn field(text: &str) -> Vec<u8> {
    let text = BASE64_STANDARD.encode(text);
    let text = text.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F");
    format!("encrypted_request={text}").into_bytes()
}

/// A box whose MAC is right for the two texts.
fn boxed(iv: &str, value: &str) -> Vec<u8> {
    let mac = hmac_hex(SECRET.as_bytes(), format!("{iv}{value}").as_bytes());
    field(&format!("{{\"iv\":\"{iv}\",\"value\":\"{value}\",\"mac\":\"{mac}\"}}"))
}

fn iv() -> String {
    BASE64_STANDARD.encode(IV)
}

/// Nothing of these is forwarded, and nobody can tell from the answers what was wrong.
fn refused_alike(gateway: &Gateway, bodies: Vec<(String, Vec<u8>)>) {
    let mut first = None;
    for (what, body) in bodies {
        let answer = gateway.ask(&signed(gateway, &body));
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        let mut said = answer.json();
        said["request_id"] = serde_json::Value::Null;
        assert_eq!(said["code"], "cannot_open", "{what}");
        assert_eq!(*first.get_or_insert_with(|| said.clone()), said, "{what}");
    }
    assert_eq!(gateway.upstream.count(), 0, "nothing was forwarded");
}

#[test]
fn what_openssl_put_up_opens() {
    let gateway = Gateway::with(setup(""));
    gateway.accepts(&signed(&gateway, &boxed(&iv(), &encrypted(b"s:4:\"text\";", &[]))));
    assert_eq!(gateway.upstream.last().body, b"text");
}

/// Row 62: the MAC is right where nothing else is said.
#[test]
fn padding_and_length_say_no_more_than_a_wrong_mac() {
    let gateway = Gateway::with(setup(""));
    let padded = |end: &[u8]| {
        let text = [&b"sixteen bytes 16"[..16 - end.len()], end].concat();
        boxed(&iv(), &encrypted(&text, &["-nopad"]))
    };
    let long = |bytes: usize| boxed(&iv(), &BASE64_STANDARD.encode(vec![7; bytes]));
    let value = encrypted(b"text", &[]);
    let wrong_mac =
        format!("{{\"iv\":\"{}\",\"value\":\"{value}\",\"mac\":\"{}\"}}", iv(), "0".repeat(64));
    let bodies = vec![
        ("the MAC".to_owned(), field(&wrong_mac)),
        ("no padding".to_owned(), padded(&[0])),
        ("more padding than a block".to_owned(), padded(&[17])),
        ("padding of two kinds".to_owned(), padded(&[2, 3, 3])),
        ("15 bytes".to_owned(), long(15)),
        ("17 bytes".to_owned(), long(17)),
        ("no bytes".to_owned(), long(0)),
    ];
    refused_alike(&gateway, bodies);
}

/// Row 63: the MAC is over two texts with nothing between them, so where one ends must be certain.
#[test]
fn vectors_have_one_length_and_one_spelling() {
    let gateway = Gateway::with(setup(""));
    let value = encrypted(b"0123456789abcdef0123456789abcdef", &[]);
    let mut bodies: Vec<(String, Vec<u8>)> = [0, 1, 12, 15, 17, 24, 32]
        .map(|bytes| {
            (format!("{bytes} bytes"), boxed(&BASE64_STANDARD.encode(vec![1; bytes]), &value))
        })
        .into();
    let own = iv();
    // Sixteen bytes leave four bits of the last digit unused: `A` becomes `B`.
    let spare = own.replace("Zg==", "Zh==");
    assert_ne!(spare, own);
    let spellings = [
        ("spare bits", spare),
        ("no padding", own.trim_end_matches('=').to_owned()),
        ("half the padding", own[..23].to_owned()),
        ("more padding", format!("{own}=")),
        ("a space", format!("{} {}", &own[..8], &own[8..])),
        ("a line break", format!("{own}\\n")),
        ("another alphabet", BASE64_STANDARD.encode([0xff; 16]).replace('/', "_")),
    ];
    bodies.extend(spellings.map(|(what, iv)| (what.to_owned(), boxed(&iv, &value))));
    // One MAC for all of these: it does not know where the vector ends.
    let both = format!("{own}{value}");
    bodies.extend([4, 8, 20, 22, 28, 32, 44].map(|at| {
        let (iv, value) = both.split_at(at);
        (format!("{at} digits for the vector"), boxed(iv, value))
    }));
    refused_alike(&gateway, bodies);
    gateway.accepts(&signed(&gateway, &boxed(&own, &value)));
}

/// Row 64.
#[test]
fn members_of_other_types_are_refused_alike() {
    let gateway = Gateway::with(setup(""));
    let (iv, value) = (iv(), encrypted(b"text", &[]));
    let mac = hmac_hex(SECRET.as_bytes(), format!("{iv}{value}").as_bytes());
    let good = [("iv", &iv), ("value", &value), ("mac", &mac)];
    let written = |members: &[String]| field(&format!("{{{}}}", members.join(",")));
    let texts = || good.map(|(name, text)| format!("\"{name}\":\"{text}\""));
    let mut bodies = Vec::new();
    for (at, (name, text)) in good.into_iter().enumerate() {
        for other in ["[]", "{}", "7", "-1e400", "null", "true", "false", "\"\""] {
            let mut members = texts();
            members[at] = format!("\"{name}\":{other}");
            bodies.push((format!("{name} as {other}"), written(&members)));
        }
        for other in [format!("[\"{text}\"]"), format!("{{\"a\":\"{text}\"}}")] {
            let mut members = texts();
            members[at] = format!("\"{name}\":{other}");
            bodies.push((format!("{name} as {other}"), written(&members)));
        }
        let mut twice = texts().to_vec();
        twice.push(twice[at].clone());
        bodies.push((format!("{name} twice"), written(&twice)));
        let mut missing = texts().to_vec();
        missing.remove(at);
        bodies.push((format!("no {name}"), written(&missing)));
        let mut capital = texts();
        capital[at] = capital[at].replace(name, &name.to_uppercase());
        bodies.push((format!("{name} in capitals"), written(&capital)));
    }
    for other in ["[]", "null", "7", "\"text\"", "", "{", "[[[[", "{\"iv\":{\"iv\":{}}}"] {
        bodies.push((format!("{other} as the box"), field(other)));
    }
    bodies.push(("deep arrays".to_owned(), field(&"[".repeat(20_000))));
    // A tag belongs to modes that authenticate by it: beside a MAC it is empty, or there is none.
    let tagged = |tag: &str| written(&[&texts()[..], &[format!("\"tag\":{tag}")]].concat());
    for tag in ["\"AAAAAAAAAAAAAAAAAAAAAA==\"", "\" \"", "[]", "7", "true"] {
        bodies.push((format!("{tag} as the tag"), tagged(tag)));
    }
    refused_alike(&gateway, bodies);
    gateway.accepts(&signed(&gateway, &tagged("\"\"")));
    assert_eq!(gateway.upstream.last().body, b"text");
}

/// Row 65: a text can be longer than what it was sealed in, because JSON escapes what PHP does not.
#[test]
fn neither_the_box_nor_its_text_is_larger_than_the_route_takes() {
    let gateway = Gateway::with(setup("body = \"8KiB\""));
    let array = |length: usize| {
        let text = format!("a:1:{{i:0;s:{length}:\"{}\";}}", "\u{1}".repeat(length));
        let body = boxed(&iv(), &encrypted(text.as_bytes(), &[]));
        assert!(body.len() < 8 * 1024, "{}", body.len());
        signed(&gateway, &body)
    };
    gateway.accepts(&array(1000));
    assert_eq!(gateway.upstream.last().body.len(), 1000 * "\\u0001".len() + 4);
    let before = gateway.upstream.count();
    gateway.refuses_h1(&array(2000), "cannot_open");
    let large = boxed(&iv(), &encrypted(&[b'x'; 8000], &[]));
    gateway.refuses_h1(&signed(&gateway, &large), "body_too_large");
    // Base64 in base64: of the field, and of the value with its right MAC.
    let value = encrypted(b"text", &[]);
    let twice = BASE64_STANDARD.encode(format!("{{\"iv\":\"{}\",\"value\":\"{value}\"}}", iv()));
    gateway.refuses_h1(&signed(&gateway, &field(&twice)), "cannot_open");
    let twice = boxed(&iv(), &BASE64_STANDARD.encode(&value));
    gateway.refuses_h1(&signed(&gateway, &twice), "cannot_open");
    assert_eq!(gateway.upstream.count(), before);
}

/// An envelope of one's own, with a key that signs nothing, for bytes of any kind.
const OWN: &str = r#"
[own]
cipher = "aes-256-gcm"
key = "{cred:body_key | unhex}"
iv = "{header:X-Iv | unhex}"
data = "{body}"
inside = "bytes"
content_type = "application/octet-stream"
"#;
const BODY_KEY: [u8; 32] = [0x5b; 32];

fn own_gateway() -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    fs::write(&file, OWN).unwrap();
    let more = "scopes = [\"* /own/*\"]\nenvelope = \"own\"\n\
                values = { body_key = { list = \"secrets.txt\", id = \"body\" } }";
    let table = merchant("own", GENEROUS, &[credential("own", &own_partner(), "live", more)]);
    let mut setup = Setup::new()
        .route("own", "/own/*", "kwikpaisa", "envelope = \"own\"")
        .merchant(table, &[&own_partner()])
        .with("envelopes", &format!("[{:?}]", file.to_str().unwrap()));
    setup.named_secret("body", &hex(&BODY_KEY));
    Gateway::with(setup)
}

fn own_partner() -> Signer {
    // Its text would do as a key of AES-256 as well.
    Signer::kwikpaisa("pk_live_own", "7d3c9e0f4d1a7c25e8b90a1f3d5c7e92")
}

fn own(gateway: &Gateway, key: &[u8], text: &[u8]) -> Request {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    gateway.advance(1);
    let iv: [u8; 12] = format!("{:012}", gateway.now()).into_bytes().try_into().unwrap();
    let mut sealed = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).unwrap();
    let request = Request::post("/own/orders", &sealed).header("X-Iv", hex(&iv));
    own_partner().sign(request, gateway.now())
}

/// Row 66.
#[test]
fn the_keys_of_others_open_nothing() {
    let other = Signer::kwikpaisa("pk_live_other", "8B3C9E0F4D1A7C25E8B90A1F3D5C7E93");
    let more = "scopes = [\"* /sealed/*\"]\nenvelope = \"paykun\"";
    let table = merchant("other", GENEROUS, &[credential("other", &other, "live", more)]);
    let gateway = Gateway::with(setup("").merchant(table, &[&other]));
    let (first, second) = (Kit::new(SECRET).seal(b"text"), {
        let secret = String::from_utf8(other.secret.clone()).unwrap();
        Kit::new(&secret).seal(b"text")
    });
    let by = |signer: &Signer, body: &[u8]| {
        gateway.advance(1);
        signer.sign(Request::post("/sealed/orders", body), gateway.now())
    };
    gateway.refuses_h1(&by(&partner(), &second), "cannot_open");
    gateway.refuses_h1(&by(&other, &first), "cannot_open");
    let unknown = Signer::kwikpaisa("pk_live_nobody", SECRET);
    gateway.refuses(&by(&unknown, &first), "invalid_signature");
    assert_eq!(gateway.upstream.count(), 0);
    gateway.accepts(&by(&partner(), &first));
    gateway.accepts(&by(&other, &second));
    // The key that signs is another than the one that opens, and does not do instead.
    let gateway = own_gateway();
    let request = own(&gateway, &own_partner().secret, b"text");
    gateway.refuses_h1(&request, "cannot_open");
    gateway.accepts(&own(&gateway, &BODY_KEY, b"text"));
}

/// Row 67: what would run elsewhere is bytes here.
#[test]
fn texts_that_others_would_unserialise_are_not_looked_at() {
    let gateway = own_gateway();
    let texts: [&[u8]; 8] = [
        b"O:8:\"stdClass\":1:{s:1:\"a\";i:1;}",
        b"a:1:{i:0;O:3:\"Foo\":0:{}}",
        b"cos\nsystem\n(S'id'\ntR.",
        b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94",
        b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap",
        b"!!python/object/apply:os.system [id]",
        b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
        b"\0\xff\xfe",
    ];
    for text in texts {
        gateway.accepts(&own(&gateway, &BODY_KEY, text));
        let received = gateway.upstream.last();
        assert!(received.body == text, "{}", String::from_utf8_lossy(text));
        assert_eq!(received.value("content-type"), "application/octet-stream");
    }
    // PayKun's bodies are values of PHP: a string stays what stands in it, an object is refused.
    let gateway = Gateway::with(setup(""));
    let by_paykun = |text: &str| signed(&gateway, &boxed(&iv(), &encrypted(text.as_bytes(), &[])));
    for text in ["O:8:\"stdClass\":0:{}", "a:1:{i:0;i:1;}", "cos\nsystem\n(S'id'\ntR."] {
        gateway.accepts(&by_paykun(&format!("s:{}:\"{text}\";", text.len())));
        assert_eq!(gateway.upstream.last().body, text.as_bytes());
    }
    for text in ["O:8:\"stdClass\":0:{}", "C:3:\"Foo\":2:{{}}", "a:1:{i:0;O:3:\"Foo\":0:{}}"] {
        gateway.refuses_h1(&by_paykun(text), "cannot_open");
    }
}

/// Row 68: nothing of a text becomes a header, and a configuration cannot ask for it.
#[test]
fn a_text_with_line_breaks_reaches_no_header() {
    let changes = "request_headers = { set = { X-Order = \"{json:order}\" } }";
    let gateway = Gateway::with(setup(changes));
    let text = "{\"order\":\"1\r\nX-Injected: yes\r\n\r\nGET /admin HTTP/1.1\"}";
    let escaped = text.replace("\r\n", "\\r\\n");
    for text in [text, &escaped] {
        let php = format!("s:{}:\"{text}\";", text.len());
        let before = gateway.upstream.count();
        gateway.accepts(&signed(&gateway, &boxed(&iv(), &encrypted(php.as_bytes(), &[]))));
        assert_eq!(gateway.upstream.count(), before + 1, "one request");
        let received = gateway.upstream.last();
        assert_eq!(received.body, text.as_bytes());
        assert_eq!(received.value("x-order"), "{json:order}", "a text, and no template");
        let head = String::from_utf8_lossy(&received.head).into_owned();
        assert!(!head.contains("Injected") && !head.contains("/admin"), "{head}");
    }
    // The one thing that is read from a text is the number of an order, and it stays in the ledger.
    let unique = "methods = [\"POST\"]\nunique_order = { field = \"/order\" }";
    let gateway = Gateway::with(setup(unique));
    let php = format!("s:{}:\"{escaped}\";", escaped.len());
    let request = || signed(&gateway, &boxed(&iv(), &encrypted(php.as_bytes(), &[])));
    gateway.accepts(&request());
    let head = String::from_utf8_lossy(&gateway.upstream.last().head).into_owned();
    let again = gateway.ask(&request());
    assert_eq!(again.refusal().code, "duplicate_order");
    let shown = format!("{head} {:?} {}", again.headers, again.text());
    assert!(!shown.contains("Injected") && !shown.contains("/admin"), "{shown}");
}

const MARKER: &str = "MARKER-9c41e07ab8d2-opened";

/// Where the marker or half of it stands: as it is, in hexadecimal or, wherever it begins, in
/// base64.
fn shows_the_marker(bytes: &[u8]) -> bool {
    let inner = &MARKER[3..21];
    let mut forms = vec![MARKER[..12].to_owned(), MARKER[12..].to_owned()];
    forms.extend([hex(inner.as_bytes()), hex(inner.as_bytes()).to_uppercase()]);
    forms.extend((0..3).map(|at| BASE64_STANDARD.encode(&inner[at..at + 15])));
    forms.iter().any(|form| bytes.windows(form.len()).any(|part| part == form.as_bytes()))
}

fn files(folder: &Path, seen: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { files(&path, seen) } else { seen(&path) }
    }
}

fn marked(prefix: &str) -> Request {
    // Something new behind it: the same body at the same time would be a replay.
    let text = format!("{MARKER} {}", fresh_nonce());
    let text = format!("s:{}:\"{text}\";", text.len());
    let body = boxed(&iv(), &encrypted(text.as_bytes(), &[]));
    let request = Request::post(&format!("{prefix}/orders"), &body);
    partner().sign(request, wall_now())
}

/// Row 70: the service is gone when the text is open. It stays in no log, answer, metric or file;
/// what a core file would hold is tested with the program's memory.
#[test]
fn a_text_that_cannot_be_delivered_stays_nowhere() {
    assert!(
        shows_the_marker(MARKER.as_bytes()) && shows_the_marker(hex(MARKER.as_bytes()).as_bytes())
    );
    assert!(shows_the_marker(BASE64_STANDARD.encode(format!("a{MARKER}")).as_bytes()));
    let more = "scopes = [\"* /sealed/*\", \"* /dead/*\"]\nenvelope = \"paykun\"";
    let table = merchant("sealing", GENEROUS, &[credential("sealing", &partner(), "live", more)]);
    let mut setup = Setup::new()
        .route("sealed", "/sealed/*", "kwikpaisa", "envelope = \"paykun\"")
        .route("dead", "/dead/*", "kwikpaisa", "envelope = \"paykun\"\nupstream = \"dead\"")
        .merchant(table, &[&partner()]);
    setup.upstreams.push(upstream("dead", "http://localhost:1", ""));
    let site = Site::new(setup);
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["serve", "--config", "countersign.toml"]).env("TMPDIR", scratch.path());
    let mut gate = site.run(command);
    gate.wait_ready();
    // It breaks off at once, and in the head of its answer.
    for end in [Vec::new(), b"HTTP/1.1 200".to_vec()] {
        site.upstream.answer_with(move |_| vec![Step::Send(end.clone()), Step::Close]);
        fails(&gate, "/sealed", "upstream_broke");
        let opened = site.upstream.last().body;
        assert!(opened.starts_with(MARKER.as_bytes()), "the service had got the text");
    }
    fails(&gate, "/dead", "upstream_unreachable");
    assert!(!shows_the_marker(&gate.operation("/metrics").body));
    gate.signal(Signal::TERM);
    assert!(gate.ends_within(std::time::Duration::from_secs(10)).success());
    wait_until("its last words", || gate.output().contains("stopped"));
    assert!(!shows_the_marker(gate.output().as_bytes()), "{}", gate.output());
    for folder in [site.folder.path(), scratch.path()] {
        files(folder, &mut |file| {
            assert!(!shows_the_marker(&fs::read(file).unwrap()), "{}", file.display());
        });
    }
}

fn fails(gate: &Process, prefix: &str, code: &str) {
    let answer = gate.ask(&marked(prefix));
    assert_eq!(answer.refusal().code, code, "{prefix}");
    let shown = format!("{:?} {}", answer.headers, answer.text());
    assert!(!shows_the_marker(shown.as_bytes()), "{shown}");
}
