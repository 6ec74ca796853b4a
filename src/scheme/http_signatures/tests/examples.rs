//! The examples of RFC 9421, sections 2 to 4 and appendix B.2, with the keys of appendix B.1.

use super::*;

struct Example {
    owned: Owned,
    /// Status, fields and body, where a response is signed.
    response: Option<(u16, HeaderMap, Bytes)>,
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../tests/vectors/rfc9421/messages.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn fields(value: &Value) -> HeaderMap {
    let pairs = value.as_array().unwrap().iter();
    let pair = |pair: &Value| {
        let name = HeaderName::from_bytes(text(&pair[0]).as_bytes()).unwrap();
        (name, text(&pair[1]).parse().unwrap())
    };
    pairs.map(pair).collect()
}

fn example(vectors: &Value, signature: &Value) -> Example {
    let request = &vectors["request"];
    let mut headers = fields(&request["headers"]);
    let mut response = signature.get("response").map(|response| {
        let status = response["status"].as_u64().unwrap().try_into().unwrap();
        let body = Bytes::copy_from_slice(text(&response["body"]).as_bytes());
        (status, fields(&response["headers"]), body)
    });
    let signed = response.as_mut().map_or(&mut headers, |(_, headers, _)| headers);
    for name in ["signature-input", "signature"] {
        signed.insert(HeaderName::from_static(name), text(&signature[name]).parse().unwrap());
    }
    let owned = Owned {
        method: text(&request["method"]).to_owned(),
        authority: text(&request["headers"][0][1]).to_owned(),
        target: text(&request["target"]).to_owned(),
        headers,
        body: vec![Bytes::copy_from_slice(text(&request["body"]).as_bytes())],
    };
    Example { owned, response }
}

impl Example {
    fn message(&self) -> Message<'_> {
        match &self.response {
            None => self.owned.message(),
            Some((status, headers, _)) => {
                let response = Response { status: *status, headers };
                Message::Response(response, self.owned.request())
            }
        }
    }

    fn body(&self) -> Vec<Bytes> {
        let response = self.response.as_ref().map(|(_, _, body)| vec![body.clone()]);
        response.unwrap_or_else(|| self.owned.body.clone())
    }
}

fn algorithm(signature: &Value) -> Algorithm {
    let name = text(&signature["algorithm"]);
    Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name).unwrap()
}

/// A scheme that asks for no coverage: several examples cover little, to be short.
fn lenient(algorithm: Algorithm) -> HttpSignatures {
    let requirement = Requirement::of(&[]).unwrap();
    HttpSignatures { requirement, ..HttpSignatures::new(algorithm) }
}

#[test]
fn every_example_verifies() {
    let vectors = vectors();
    let signatures = vectors["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 10);
    for signature in signatures {
        let (section, algorithm) = (text(&signature["section"]), algorithm(signature));
        let example = example(&vectors, signature);
        let scheme = lenient(algorithm);
        let claims = scheme.claims(example.message().headers()).unwrap();
        assert_eq!(claims.key_id(), text(&signature["key"]), "{section}");
        if let Some(expected) = signature.get("base") {
            let mut base = Vec::new();
            claims.feed(&example.message(), &mut |bytes| base.extend_from_slice(bytes)).unwrap();
            assert_eq!(String::from_utf8(base).unwrap(), text(expected), "{section}");
        }
        let key = Verifier::new(algorithm, &pair(text(&signature["key"])).1);
        let verdict = verify(&scheme, &key, &example.message(), &example.body());
        assert_eq!(verdict, Ok(true), "{section}");
        // With a shared secret, or Ed25519, there is one signature only, and we make the same.
        let other = Verifier::new(algorithm, &other_key(algorithm));
        let verdict = verify(&scheme, &other, &example.message(), &example.body());
        assert_eq!(verdict, Ok(false), "{section}");
    }
}

/// A key that signed none of the examples.
fn other_key(algorithm: Algorithm) -> Vec<u8> {
    match algorithm.method() {
        Method::Mac(_) => b"another shared secret".to_vec(),
        Method::KeyPair(asymmetric::Algorithm::RsaPssSha512) => pair("test-key-rsa").1,
        Method::KeyPair(pair) => {
            let fresh = match pair {
                asymmetric::Algorithm::Ed25519 => &rcgen::PKCS_ED25519,
                _ => &rcgen::PKCS_ECDSA_P256_SHA256,
            };
            rcgen::KeyPair::generate_for(fresh).unwrap().public_key_pem().into_bytes()
        }
    }
}

/// With a shared secret, or Ed25519, a base has one signature only: ours is the RFC's.
#[test]
fn where_there_is_one_signature_we_make_it() {
    let vectors = vectors();
    for section in ["B.2.5", "B.2.6"] {
        let mut signatures = vectors["signatures"].as_array().unwrap().iter();
        let signature = signatures.find(|signature| signature["section"] == section).unwrap();
        let example = example(&vectors, signature);
        let algorithm = algorithm(signature);
        let claims = lenient(algorithm).claims(example.message().headers()).unwrap();
        let signer = Signer::new(algorithm, &pair(text(&signature["key"])).0).unwrap();
        let own = signer.sign(|sink| claims.feed(&example.message(), sink)).unwrap();
        assert_eq!(&**own, claims.signature(), "{section}");
    }
}

/// What the examples leave open, the default requirement refuses.
#[test]
fn examples_that_cover_too_little_are_refused_by_default() {
    let vectors = vectors();
    let mut verdicts = Vec::new();
    for signature in vectors["signatures"].as_array().unwrap() {
        let example = example(&vectors, signature);
        let scheme = HttpSignatures::new(algorithm(signature));
        let key = Verifier::new(scheme.algorithm, &pair(text(&signature["key"])).1);
        let verdict = verify(&scheme, &key, &example.message(), &example.body());
        verdicts.push((text(&signature["section"]), verdict));
    }
    let lacks = |word: &str| Err(Fault::NotCovered(word.into()));
    let expected = [
        ("B.2.1", lacks("method")),
        ("B.2.2", lacks("method")),
        ("B.2.3", Ok(true)),
        ("B.2.4", lacks("method")),
        ("B.2.5", lacks("method")),
        ("B.2.6", lacks("target")),
        ("3.2", lacks("target")),
        ("4.3", lacks("target")),
        ("2.4", lacks("target")),
        ("2.4", Ok(true)),
    ];
    assert_eq!(verdicts, expected);
}
