//! `countersign scheme`: list, explain, test and new.

use crate::support::*;

#[test]
fn the_list_names_every_scheme_and_what_it_is() {
    let output = run(&["scheme", "list"]);
    let text = good(&output);
    for name in ["kwikpaisa", "countersign-v1", "stripe", "aws-sigv4", "wechatpay-v2"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}\n{text}");
    }
    let output = run(&["scheme", "list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
    assert!(json.as_array().unwrap().len() > 90);
}

#[test]
fn a_scheme_is_explained_piece_by_piece() {
    let output = run(&["scheme", "explain", "kwikpaisa"]);
    let text = good(&output);
    for line in [
        "{body}                made of body",
        "{header:X-TIMESTAMP}  made of header:x-timestamp",
        "Strength: full",
        "Open: the method is not signed",
        "Open: path and query are not signed",
        "Open: there is no nonce",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let output = run(&["scheme", "explain", "github", "--json"]);
    let json: serde_json::Value = serde_json::from_str(good(&output)).unwrap();
    assert_eq!(json["signs"]["body"], true);
    assert_eq!(json["claim_headers"][0], "x-hub-signature-256");
    let output = run(&["scheme", "explain", "githb"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_scheme_that_signs_otherwise_fails_its_recipe() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("own.toml");
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/recipes/coinify-webhook.json");
    let scheme = |message: &str| {
        format!(
            "[coinify-webhook]\nmessage = \"{message}\"\nmac = \"hmac-sha256\"\n\
             signature = \"{{header:X-Coinify-Webhook-Signature}}\"\n"
        )
    };
    let renamed = std::fs::read_to_string(recipe).unwrap().replace("coinify-webhook", "mine");
    let recipe = place.path().join("mine.json");
    std::fs::write(&recipe, renamed).unwrap();
    // A built-in's name may be tried on a scheme of one's own.
    std::fs::write(&file, scheme("{body}x")).unwrap();
    let built_in =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/recipes/coinify-webhook.json");
    let output = run(&["scheme", "test", "--schemes", path(&file), built_in]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    good(&run(&["scheme", "test", built_in]));
    for (message, right, code) in [("{body}", true, 0), ("{body}x", false, 1)] {
        std::fs::write(&file, scheme(message).replace("coinify-webhook]", "mine]")).unwrap();
        let output = run(&["scheme", "test", "--json", "--schemes", path(&file), path(&recipe)]);
        assert_eq!(output.status.code(), Some(code));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (json["good"].as_bool(), json["recipes"][0]["id"].as_str()),
            (Some(right), Some("mine"))
        );
    }
}

#[test]
fn a_new_scheme_begins_from_an_example() {
    let place = tempfile::tempdir().unwrap();
    let (request, secret) = (place.path().join("one.http"), place.path().join("secret"));
    std::fs::write(&secret, "partner-secret-1").unwrap();
    let body = "{\"amount\":100}";
    let script = format!(
        "printf '%s' '1700000000.POST./v1/pay?a=1.{body}' | \
         openssl dgst -sha256 -r -hmac partner-secret-1 | cut -d' ' -f1"
    );
    let output = shell(&script);
    let signature = good(&output).trim();
    std::fs::write(
        &request,
        format!(
            "POST /v1/pay?a=1 HTTP/1.1\r\nHost: api.example.com\r\nX-Client-Id: c1\r\n\
             X-Time: 1700000000\r\nX-Sign: sha256={signature}\r\n\r\n{body}"
        ),
    )
    .unwrap();
    let output = run(&[
        "scheme",
        "new",
        "--name=mine",
        "--request",
        path(&request),
        "--secret-file",
        path(&secret),
    ]);
    let found = good(&output);
    for line in [
        "[mine]",
        "key_id    = \"{header:X-Client-Id}\"",
        "time      = \"{header:X-Time}\"",
        "message   = \"{header:X-Time}.{method}.{target}.{body}\"",
        "mac       = \"hmac-sha256\"",
        "signature = \"{header:X-Sign | after('sha256=')}\"",
    ] {
        assert!(found.contains(line), "{line:?} is not in\n{found}");
    }
    // The line break that an editor puts at the end of a file belongs to no body.
    let written = std::fs::read_to_string(&request).unwrap();
    let written = written.replace("X-Time", &format!("Content-Length: {}\r\nX-Time", body.len()));
    std::fs::write(&request, format!("{written}\n")).unwrap();
    let arguments = ["scheme", "new", "--name=mine", "--request", path(&request)];
    let again = run(&[&arguments[..], &["--secret-file", path(&secret)]].concat());
    assert_eq!(good(&again), found);
    // What it prints is a scheme that loads.
    let own = place.path().join("own.toml");
    std::fs::write(&own, found).unwrap();
    good(&run(&["scheme", "explain", "mine", "--schemes", path(&own)]));
    std::fs::write(&secret, "another-secret-1").unwrap();
    let output =
        run(&["scheme", "new", "--request", path(&request), "--secret-file", path(&secret)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("guesses"), "{}", text(&output.stdout));
}
