//! `countersign sign`, checked against another implementation.

use crate::support::*;

const SECRET: &str = "0123456789abcdef0123456789";
const BODY: &str = "{\"note\":\"it's\",\n \"amount\":500}";

fn secret_file(place: &tempfile::TempDir) -> String {
    let file = place.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    path(&file).to_owned()
}

#[test]
fn kwikpaisa_agrees_with_openssl() {
    let place = tempfile::tempdir().unwrap();
    let file = secret_file(&place);
    let output = run(&[
        "sign",
        "--key-id=pk_test_acme",
        "--secret-file",
        &file,
        "--timestamp=1700000000",
        "--url=https://localhost:8443/v1/orders",
        "--data",
        BODY,
    ]);
    let body = place.path().join("body");
    std::fs::write(&body, format!("{BODY}1700000000")).unwrap();
    let script = format!("openssl dgst -sha256 -r -hmac {SECRET} {} | cut -d' ' -f1", path(&body));
    let openssl = shell(&script);
    let expected = format!(
        "Content-Type: application/json\nX-API-KEY: pk_test_acme\nX-TIMESTAMP: 1700000000\n\
         X-SIGNATURE: {}",
        good(&openssl)
    );
    assert_eq!(good(&output), expected);
}

/// The nine lines of SCHEMES, put together here once more.
#[test]
fn countersign_v1_agrees_with_openssl() {
    let place = tempfile::tempdir().unwrap();
    let file = secret_file(&place);
    let output = run(&[
        "sign",
        "--json",
        "--scheme=countersign-v1",
        "--key-id=pk_test_acme",
        "--secret-file",
        &file,
        "--timestamp=1700000000",
        "--url=https://API.example.test:8443/v1/orders?a=%20",
        "--method=PUT",
        "--content-type=text/plain",
        "--data=x",
    ]);
    let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
    let header = |name: &str| {
        let headers = json["headers"].as_array().unwrap();
        headers.iter().find(|header| header[0] == name).unwrap()[1].as_str().unwrap()
    };
    let digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let message = [
        "countersign-v1",
        "pk_test_acme",
        "1700000000",
        header("X-NONCE"),
        "PUT",
        "api.example.test:8443",
        "/v1/orders?a=%20",
        "text/plain",
        digest,
    ]
    .join("\n");
    let signed = place.path().join("message");
    std::fs::write(&signed, message).unwrap();
    let script =
        format!("openssl dgst -sha256 -r -hmac {SECRET} {} | cut -d' ' -f1", path(&signed));
    assert_eq!(header("X-SIGNATURE"), good(&shell(&script)).trim());
}

#[test]
fn secrets_come_from_lists_and_the_environment() {
    let place = tempfile::tempdir().unwrap();
    let list = place.path().join("list");
    std::fs::write(&list, format!("# ids\nother {SECRET}x\nk {SECRET}\n")).unwrap();
    let arguments = ["sign", "--key-id=k", "--timestamp=1700000000", "--url=https://h/"];
    let listed = [&arguments[..], &["--secret-list", path(&list)]].concat();
    let environment = countersign(&arguments).env("COUNTERSIGN_SECRET", SECRET).output();
    assert_eq!(good(&run(&listed)), good(&environment.unwrap()));
}

#[test]
fn a_curl_line_holds_the_very_request() {
    let place = tempfile::tempdir().unwrap();
    let file = secret_file(&place);
    let arguments = [
        "sign",
        "--key-id=k",
        "--secret-file",
        &file,
        "--timestamp=1700000000",
        "--url=https://localhost:8443/v1/a?b=[c]",
        "--header=X-Trace: a'b",
        "--data",
        BODY,
    ];
    let line = run(&[&arguments[..], &["--curl"]].concat());
    // curl's place is taken by a function that shows what it was given.
    let script = format!("curl() {{ printf '<%s>\\n' \"$@\"; }}\n{}", good(&line));
    let words = shell(&script);
    let words = good(&words);
    for header in good(&run(&arguments)).lines() {
        assert!(words.contains(&format!("<--header>\n<{header}>\n")), "{header} {words}");
    }
    assert!(words.contains("<--header>\n<X-TRACE: a'b>\n"), "{words}");
    assert!(words.contains(&format!("<--data-raw>\n<{BODY}>\n")), "{words}");
    assert!(words.ends_with("<https://localhost:8443/v1/a?b=[c]>\n"), "{words}");
    assert!(!words.contains(SECRET));
}

#[test]
fn mistakes_are_named() {
    let place = tempfile::tempdir().unwrap();
    let file = secret_file(&place);
    let short = place.path().join("short");
    std::fs::write(&short, "too short\n").unwrap();
    let base = ["sign", "--key-id=k", "--url=https://h/v1"];
    let with_secret = [&base[..], &["--secret-file", &file]].concat();
    let cases: [(&[&str], Option<i32>, &str); 7] = [
        (&base, Some(2), "--secret-file"),
        (&[&base[..], &["--secret-file", path(&short)]].concat(), Some(1), "at least 16 bytes"),
        (&[&base[..], &["--secret-file", "/nowhere"]].concat(), Some(1), "/nowhere: cannot"),
        (&[&base[..], &["--secret-list", &file]].concat(), Some(1), "no line begins with k"),
        (&[&with_secret[..], &["--scheme=md5"]].concat(), Some(2), "countersign scheme list"),
        (&[&with_secret[..], &["-H", "X-Signature: 1"]].concat(), Some(2), "x-signature"),
        (&["sign", "--key-id=k", "--url=http://h/"], Some(2), "https://host"),
    ];
    for (arguments, status, said) in cases {
        let output = run(arguments);
        assert_eq!(output.status.code(), status, "{arguments:?}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
        assert!(!text(&output.stderr).contains(SECRET));
    }
}

/// RFC 9421 with a private key: OpenSSL verifies the lines, put together here once more.
#[test]
fn an_ed25519_signature_by_rfc_9421_verifies_with_openssl() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| path(&place.path().join(name)).to_owned();
    let (private, public, signature) = (file("private"), file("public"), file("signature"));
    good(&shell(&format!(
        "umask 077; openssl genpkey -algorithm ed25519 -out {private} && \
         openssl pkey -in {private} -pubout -out {public}"
    )));
    let output = run(&[
        "sign",
        "--json",
        "--scheme=rfc9421-ed25519",
        "--key-id=pk_test_acme",
        "--secret-file",
        &private,
        "--timestamp=1700000000",
        "--url=https://API.example.test/v1/orders?a=%20",
        "--data=x",
    ]);
    let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
    let header = |name: &str| {
        let headers = json["headers"].as_array().unwrap();
        headers.iter().find(|header| header[0] == name).unwrap()[1].as_str().unwrap().to_owned()
    };
    let parameters = header("signature-input").strip_prefix("sig1=").unwrap().to_owned();
    let covered = "(\"@method\" \"@target-uri\" \"content-type\" \"content-digest\")";
    assert!(parameters.starts_with(covered), "{parameters}");
    // SHA-256 of "x".
    let digest = "sha-256=:LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=:";
    assert_eq!(header("content-digest"), digest);
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": https://api.example.test/v1/orders?a=%20\n\
         \"content-type\": application/json\n\"content-digest\": {digest}\n\
         \"@signature-params\": {parameters}"
    );
    let text = header("signature");
    let text = text.strip_prefix("sig1=:").and_then(|text| text.strip_suffix(':')).unwrap();
    std::fs::write(file("base"), base).unwrap();
    let verified = shell(&format!(
        "echo {text} | openssl base64 -d -A > {signature} && openssl pkeyutl -verify -pubin \
         -inkey {public} -rawin -in {} -sigfile {signature}",
        file("base")
    ));
    assert_eq!(good(&verified).trim(), "Signature Verified Successfully");
}

/// What is pasted wrongly is told before anything is signed with it.
#[test]
fn a_mistyped_secret_of_ours_is_refused_and_not_shown() {
    use countersign::secret::text as own;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("secret");
    let key_id = own::key_id(true, &[9; 10]);
    let sign = |secret: &str| {
        std::fs::write(&file, secret).unwrap();
        let more = ["--secret-file", path(&file), "--url=https://localhost:8443/v1/orders"];
        run(&[&["sign", "--key-id", &key_id][..], &more].concat())
    };
    let secret = |live| {
        let secret = own::secret(live, &[9; 32]);
        String::from_utf8(secret.expose().to_vec()).unwrap()
    };
    good(&sign(&secret(true)));
    for (secret, words) in [
        (secret(true)[..30].to_owned(), "it looks like a live secret, but is mistyped or cut"),
        (secret(false), "it is a test secret, and test and live never mix"),
        (key_id.clone(), "it is a live key id, which does not sign"),
    ] {
        let output = sign(&secret);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains(words), "{shown}");
        assert!(secret == key_id || !shown.contains(&secret[12..]), "{shown}");
    }
}
