use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::recipe::fault::Place;
use crate::recipe::scope::{ByMethod, Credentials};
use crate::secret::NamedSecrets;

/// A message of a test.
struct Message {
    method: &'static str,
    target: &'static str,
    headers: HeaderMap,
    body: Vec<Bytes>,
    values: NamedSecrets,
}

impl Message {
    fn new(target: &'static str, headers: &[(&str, &str)], body: &[&'static str]) -> Self {
        let header = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let mut values = NamedSecrets::default();
        values.insert("token", b"TOKEN".to_vec());
        Self {
            method: "POST",
            target,
            headers: HeaderMap::from_iter(headers.iter().map(header)),
            body: body.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect(),
            values,
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            method: self.method,
            scheme: "https",
            authority: "api.example:8443",
            target: self.target,
            headers: &self.headers,
            body: &self.body,
            status: None,
            public_url: Some("https://public.example/hook"),
            secret: Some(b"SECRET"),
            values: &self.values,
        }
    }

    /// The text of a template, which must come out the same piece by piece.
    fn text(&self, template: &str) -> Result<String, Fault> {
        self.text_in(&Scope::default(), template)
    }

    fn text_in(&self, scope: &Scope, template: &str) -> Result<String, Fault> {
        let template = Template::compile(template, scope).unwrap();
        let evaluation = Evaluation::new(self.subject(), scope);
        let text = evaluation.text(&template).map(Cow::into_owned);
        let mut fed = Vec::new();
        let result = evaluation.feed(&template, &mut |bytes| fed.extend_from_slice(bytes));
        match &text {
            Ok(text) => assert_eq!(String::from_utf8(fed).unwrap(), *text),
            Err(fault) => assert_eq!(result.unwrap_err(), *fault),
        }
        text
    }

    fn fault(&self, template: &str) -> String {
        self.text(template).unwrap_err().to_string()
    }
}

fn get(target: &'static str, headers: &[(&str, &str)]) -> Message {
    Message::new(target, headers, &[])
}

fn post(body: &[&'static str]) -> Message {
    Message::new("/", &[], body)
}

#[test]
fn heads_are_read_as_sent() {
    let message = get("/v1/a%20b?x=1%202&y=+&x=3", &[("x-a", "1")]);
    let all = "{method} {scheme} {authority} {host} {port} {path} {path:1} {query} {target}";
    let expected = "POST https api.example:8443 api.example 8443 /v1/a%20b a%20b x=1%202&y=+&x=3 \
                    /v1/a%20b?x=1%202&y=+&x=3";
    assert_eq!(message.text(all).unwrap(), expected);
    assert_eq!(message.text("{query:x}|{query:y}").unwrap(), "1 2| ");
    assert_eq!(message.text("{query_all:x | join(',')}").unwrap(), "1 2,3");
    assert_eq!(message.text("{url(public)}").unwrap(), "https://public.example/hook");
    assert_eq!(get("/a", &[]).text("{url}[{query}]").unwrap(), "https://api.example:8443/a[]");
    assert_eq!(message.text("{secret}{cred:token}{'}'}").unwrap(), "SECRETTOKEN}");
}

/// The very bytes of the message, not copies.
#[test]
fn text_headers_and_the_body_are_handed_on_where_they_are() {
    let mut scope = Scope::default();
    scope.define("ts", Template::compile("{header:x-t}", &scope).unwrap()).unwrap();
    let template = Template::compile("{body}{ts}{path}{secret}.", &scope).unwrap();
    let message = Message::new("/p?q", &[("x-t", "17")], &["ab", "c"]);
    let subject = message.subject();
    let mut fed = Vec::new();
    let evaluation = Evaluation::new(subject, &scope);
    evaluation.feed(&template, &mut |bytes| fed.push(bytes.as_ptr())).unwrap();
    let sent = [
        subject.body[0].as_ptr(),
        subject.body[1].as_ptr(),
        subject.headers["x-t"].as_bytes().as_ptr(),
        subject.target.as_ptr(),
        subject.secret.unwrap().as_ptr(),
    ];
    assert_eq!(fed[..5], sent);
}

#[test]
fn headers_stand_once() {
    let message = get("/", &[("x-a", "1"), ("x-b", "1"), ("x-b", "2"), ("x-c", "")]);
    assert_eq!(message.text("{header:X-A}{header:x-c}").unwrap(), "1");
    assert_eq!(message.fault("{header:X-D}"), "header:x-d is absent");
    assert_eq!(message.fault("{header:X-B}"), "header:x-b is there more than once");
    assert_eq!(message.text("{header_all:X-B | join(',')}").unwrap(), "1,2");
    let latin = get("/", &[("x-a", "\u{ff}")]);
    assert_eq!(latin.text("{header:x-a}").unwrap(), "\u{ff}");
    // Clients of HTTP/2 send an authority and no Host.
    assert_eq!(message.text("{header:Host}").unwrap(), "api.example:8443");
    assert_eq!(get("/", &[("host", "h")]).text("{header:host}").unwrap(), "h");
}

#[test]
fn cookies_stand_once() {
    let message = get("/", &[("cookie", "a=1; b=2=3;c"), ("cookie", "d=4; a=5")]);
    assert_eq!(message.text("{cookie:b}{cookie:d}").unwrap(), "2=34");
    assert_eq!(message.fault("{cookie:a}"), "cookie:a is there more than once");
    assert_eq!(message.fault("{cookie:c}"), "cookie:c is absent");
}

#[test]
fn forms_are_read_in_one_piece_or_in_many() {
    for body in [&["a=%C3%A9+1&a=2&b[]=&c"][..], &["a=%C", "3%A9+1&a=", "2&b[]=&c"]] {
        let message = post(body);
        assert_eq!(message.text("{form:a},{form:b[]},{form:c}").unwrap(), "é 1,,");
        assert_eq!(message.text("{form_all:a | join('|')}").unwrap(), "é 1|2");
        assert_eq!(
            message.text("{params.form | drop('c') | items('{k}={v}') | join('&')}").unwrap(),
            "a=é 1&a=2&b[]="
        );
        assert_eq!(message.fault("{form:d}"), "form:d is absent");
    }
    assert_eq!(post(&["a=%ff"]).fault("{form:a}"), "form:a is no text");
}

#[test]
fn json_members_keep_their_text() {
    for body in [
        &[r#"{"a":{"b.c":[1.50,"\u00e9"]},"t":true,"n":null,"o":{"x":1}}"#][..],
        &[r#"{"a":{"b.c":[1.5"#, r#"0,"\u00e9"]},"t":true,"n":null,"o":{"x":1}}"#],
    ] {
        let message = post(body);
        let text = r#"{json:a."b.c".0} {json:a."b.c".1} {json:t}"#;
        assert_eq!(message.text(text).unwrap(), "1.50 é true");
        assert_eq!(message.fault("{json:n}"), "json:n is absent");
        assert_eq!(message.fault("{json:o}"), "json:o is no text");
        assert_eq!(message.fault("{json:a.z}"), "json:a.z is absent");
        assert_eq!(message.text("{json:n | default('-')}").unwrap(), "-");
    }
    assert_eq!(post(&["{"]).fault("{json:a | default('')}"), "json:a is malformed");
    assert_eq!(post(&[]).fault("{json:a}"), "json:a is absent");
    assert_eq!(post(&[r#"{"a":1,"a":2}"#]).fault("{json:a}"), "json:a is there more than once");
}

#[test]
fn xml_elements_stand_once() {
    for body in [
        &["<x><a>1</a><b><c>2</c></b><d/><d/></x>"][..],
        &["<x><a>1</a><b><c>", "2</c></b><d/><d/></x>"],
    ] {
        let message = post(body);
        assert_eq!(message.text("{xml:a}{xml:b/c}").unwrap(), "12");
        assert_eq!(message.fault("{xml:d}"), "xml:d is there more than once");
        assert_eq!(message.text("{params.xml | items('{k}') | join}").unwrap(), "add");
    }
}

#[test]
fn absence_is_passed_on_up_to_who_takes_it() {
    let message = get("/", &[("x-b", "1"), ("x-b", "1")]);
    assert_eq!(message.text("{header:x-a | lower | default('d') | upper}").unwrap(), "D");
    assert_eq!(message.fault("{header:x-b | default('d')}"), "header:x-b is there more than once");
    let fault = message.text("{path | after('x')}").unwrap_err();
    let place = Place { origin: Some(Box::new(Origin::Path)), function: Some("after") };
    assert_eq!(*fault.place(), place);
}

#[test]
fn names_stand_for_templates_by_method() {
    let mut scope = Scope::default();
    let mut digest = ByMethod::default();
    let on_post = "\nDigest:{body | sha256 | base64}";
    digest.insert("POST", Template::compile(on_post, &scope).unwrap());
    digest.insert("PUT", Template::compile("{body}", &scope).unwrap());
    scope.define("digest", digest).unwrap();
    scope.define("twice", Template::compile("{digest}{digest | lower}", &scope).unwrap()).unwrap();
    let mut message = post(&["a", "bc"]);
    let expected = "\nDigest:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    assert_eq!(message.text_in(&scope, "{digest}").unwrap(), expected);
    let twice = [expected, &expected.to_lowercase()].concat();
    assert_eq!(message.text_in(&scope, "{twice}").unwrap(), twice);
    message.method = "GET";
    let fault = message.text_in(&scope, "{digest}").unwrap_err();
    assert_eq!(fault.to_string(), "digest is absent");
}

#[test]
fn names_of_json_and_pairs_have_members() {
    let mut scope = Scope::default();
    let text = "{form:p | base64_decode | json}";
    scope.define("box", Template::compile(text, &scope).unwrap()).unwrap();
    scope.define("all", Template::compile("{params.form}", &scope).unwrap()).unwrap();
    let message = post(&["p=eyJpdiI6IngiLCJuIjpbN119"]);
    assert_eq!(message.text_in(&scope, "{box.iv}{box.n.0}").unwrap(), "x7");
    assert_eq!(message.text_in(&scope, "{all.p | take(2)}").unwrap(), "ey");
    assert!(message.text_in(&scope, "{all.q}").is_err());
}

/// JSON that a name keeps with its text is what the same functions give without a name, and so is
/// what is wrong with it.
#[test]
fn kept_documents_are_what_their_functions_give() {
    let long = format!("[\"{}\"]", "a".repeat(VALUE_BYTES_MAX - 4));
    let cases = [
        (r#"["\/a\/","b"]"#, None),
        (r#"[1,2"#, Some("body | json is malformed")),
        (r#"{"a":1,"a":2}"#, Some("body | json is there more than once")),
        (&long, Some("body | json is too long")),
    ];
    for (body, expected) in cases {
        let mut scope = Scope::default();
        let plain = Template::compile("{body | lower | json}", &scope).unwrap();
        scope.define("kept", plain.clone()).unwrap();
        let kept = Template::compile("{kept}", &scope).unwrap();
        let mut message = post(&[]);
        message.body = vec![Bytes::copy_from_slice(body.as_bytes())];
        let evaluation = Evaluation::new(message.subject(), &scope);
        let (plain, kept) = (evaluation.value(&plain), evaluation.value(&kept));
        assert!(plain == kept, "{expected:?}");
        assert_eq!(kept.err().map(|fault| fault.to_string()).as_deref(), expected);
    }
}

#[test]
fn faults_of_arguments_are_not_those_of_the_value() {
    let mut scope = Scope::default();
    scope.define("j", Template::compile("{params.json}", &scope).unwrap()).unwrap();
    let message = post(&["{\"a\":1}"]);
    for template in ["{path | append(@j.x)}", "{method | default(@j.x)}"] {
        let fault = message.text_in(&scope, template).unwrap_err();
        assert_eq!(fault.to_string(), "a value is absent", "{template}");
    }
}

#[test]
fn values_are_handed_in() {
    let mut scope = Scope::new(Credentials::None);
    let plain = scope.expect("plain", Type::Bytes).unwrap();
    let template = Template::compile("{plain | upper}", &scope).unwrap();
    assert!(template.is_secret());
    let message = post(&[]);
    let evaluation = Evaluation::new(message.subject(), &scope);
    assert!(matches!(evaluation.text(&template), Err(Fault::Absent(_))));
    let mut evaluation = Evaluation::new(message.subject(), &scope);
    evaluation.give(plain, Value::from("text"));
    assert_eq!(evaluation.text(&template).unwrap(), "TEXT");
}

#[test]
fn values_are_bounded() {
    let scope = Scope::default();
    let body = [Bytes::from(vec![b'a'; VALUE_BYTES_MAX + 1])];
    let message = post(&[]);
    let subject = Subject { body: &body, ..message.subject() };
    for text in ["{body}.{path}", "{body | hex}", "{form:a}", "{json:a}"] {
        let template = Template::compile(text, &scope).unwrap();
        let fault = Evaluation::new(subject, &scope).value(&template).unwrap_err();
        assert!(matches!(fault, Fault::TooLong(_)), "{text}: {fault}");
    }
}

#[test]
fn parts_tell_where_a_message_comes_from() {
    let scope = Scope::default();
    let template = Template::compile("a{path}{secret}{header:x}", &scope).unwrap();
    let message = get("/p", &[]);
    let evaluation = Evaluation::new(message.subject(), &scope);
    let parts = evaluation.parts(&template);
    let spans: Vec<_> = parts.iter().map(|part| part.piece.span()).collect();
    assert_eq!(spans, [0..1, 1..7, 7..15, 15..25]);
    let secret: Vec<bool> = parts.iter().map(Part::is_secret).collect();
    assert_eq!(secret, [false, false, true, false]);
    assert_eq!(parts[1].value.as_ref().unwrap().text().unwrap(), "/p");
    assert!(matches!(parts[3].value, Err(Fault::Absent(_))));
}
