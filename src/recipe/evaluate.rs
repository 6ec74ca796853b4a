//! Templates evaluated over one message. What is parsed or named is worked out when it is first
//! used, once; what holds a secret is wiped.

use std::borrow::Cow;
use std::cell::OnceCell;

use zeroize::Zeroizing;

use crate::recipe::expression::{Call, Expression};
use crate::recipe::fault::Fault;
use crate::recipe::json::Json;
use crate::recipe::memo::{self, Memo};
use crate::recipe::origin::Origin;
use crate::recipe::path::Path;
use crate::recipe::scope::{Given, Scope};
use crate::recipe::source::Source;
use crate::recipe::stepping::BodyDigest;
use crate::recipe::subject::Subject;
use crate::recipe::template::{Piece, Pipeline, Template};
use crate::recipe::value::{Type, VALUE_BYTES_MAX, Value, lend_pairs};

/// One message, and what is known of it so far.
pub struct Evaluation<'s> {
    pub(super) subject: Subject<'s>,
    pub(super) scope: &'s Scope,
    pub(super) digests: Vec<BodyDigest<'s>>,
    memo: Memo<'s>,
    /// The values of the scope's names.
    names: Vec<OnceCell<Result<Value<'s>, Fault>>>,
}

/// A piece of a template with what it gives: for people who ask how a message comes about.
pub struct Part<'e> {
    /// The piece: its place, and what it reads.
    pub piece: &'e Piece,
    /// Its value. Whether it may be shown, [`Part::is_secret`] says.
    pub value: Result<Value<'e>, Fault>,
}

impl Part<'_> {
    /// Whether it reads what nobody may see.
    pub fn is_secret(&self) -> bool {
        matches!(self.piece, Piece::Hole(expression) if expression.is_secret())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if self.is_secret() {
            self.value.iter_mut().for_each(Value::wipe);
        }
    }
}

impl Drop for Evaluation<'_> {
    fn drop(&mut self) {
        self.wipe_names();
    }
}

impl<'s> Evaluation<'s> {
    /// Begins with a message and the names that its templates were compiled with.
    pub fn new(subject: Subject<'s>, scope: &'s Scope) -> Self {
        let names = std::iter::repeat_with(OnceCell::new).take(scope.len()).collect();
        Self { subject, scope, digests: Vec::new(), memo: Memo::default(), names }
    }

    /// The message.
    pub fn subject(&self) -> &Subject<'s> {
        &self.subject
    }

    /// Hands a value in that the scope expects. What was worked out from an earlier one stays.
    pub fn give(&mut self, given: Given, value: Value<'s>) {
        if let Some(cell) = self.names.get_mut(given.0) {
            *cell = OnceCell::from(Ok(value));
        }
    }

    /// Goes on with another secret. What depends on the old one is wiped; what was parsed stays.
    pub fn set_secret(
        &mut self,
        secret: Option<&'s [u8]>,
        values: &'s crate::secret::NamedSecrets,
    ) {
        self.wipe_names();
        self.digests.retain(|digest| !digest.is_secret());
        self.subject.secret = secret;
        self.subject.values = values;
    }

    fn wipe_names(&mut self) {
        for (index, cell) in self.names.iter_mut().enumerate() {
            let Some(definition) = self.scope.definition(index) else { continue };
            if definition.templates.is_some() && definition.origins.hold_secret() {
                cell.take().iter_mut().flatten().for_each(Value::wipe);
            }
        }
    }

    /// The value of a template. What [`Template::is_secret`] gives, the caller wipes.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn value<'e>(&'e self, template: &'e Template) -> Result<Value<'e>, Fault> {
        match &*template.pieces {
            [] => Ok(Value::from("")),
            [Piece::Literal(text, _)] => Ok(Value::from(&**text)),
            [Piece::Hole(expression)] => self.expression(expression),
            pieces => self.joined(template, pieces),
        }
    }

    /// The text of a template.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn text<'e>(&'e self, template: &'e Template) -> Result<Cow<'e, str>, Fault> {
        self.value(template)?.into_text().map_err(|fault| placed(fault, template))
    }

    /// The bytes of a template.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub fn bytes<'e>(&'e self, template: &'e Template) -> Result<Cow<'e, [u8]>, Fault> {
        self.value(template)?.into_bytes().map_err(|fault| placed(fault, template))
    }

    /// The bytes of a template that reads a secret: wiped when they are dropped.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub fn secret_bytes(&self, template: &Template) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.bytes(template).map(|bytes| Zeroizing::new(bytes.into_owned()))
    }

    /// Hands the bytes of a template on as they come. Text, headers and the body are not copied.
    ///
    /// # Errors
    /// Why they cannot be had; some may have been handed on by then.
    pub fn feed(&self, template: &Template, sink: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        template.pieces.iter().try_for_each(|piece| self.feed_piece(piece, sink))
    }

    /// The pieces of a template, each with its value.
    pub fn parts<'e>(&'e self, template: &'e Template) -> Vec<Part<'e>> {
        let part = |piece: &'e Piece| Part {
            piece,
            value: match piece {
                Piece::Literal(text, _) => Ok(Value::from(&**text)),
                Piece::Hole(expression) => self.expression(expression),
            },
        };
        template.pieces.iter().map(part).collect()
    }

    /// Calls functions on a value.
    ///
    /// # Errors
    /// Why the result cannot be had.
    pub fn apply<'e>(
        &'e self,
        pipeline: &'e Pipeline,
        value: Value<'e>,
    ) -> Result<Value<'e>, Fault> {
        let secret = pipeline.origins.hold_secret();
        let call = |value, call| self.call(call, value, secret, None);
        pipeline.calls.iter().fold(Ok(value), call)
    }

    pub(super) fn feed_piece(
        &self,
        piece: &Piece,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Fault> {
        match piece {
            Piece::Literal(text, _) => sink(text.as_bytes()),
            Piece::Hole(expression) => self.feed_expression(expression, sink)?,
        }
        Ok(())
    }

    fn feed_expression(
        &self,
        expression: &Expression,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Fault> {
        if let (Source::Named(index), []) = (&expression.source, &*expression.calls) {
            return self.feed_name(*index, sink);
        }
        let mut value = self.expression(expression)?;
        let fed = value.feed(sink);
        if expression.secret {
            value.wipe();
        }
        fed.map_err(|fault| fault.at(expression.source.origin().as_ref(), None))
    }

    /// Hands the bytes of a name on: without keeping them, where it only joins what is there.
    fn feed_name(&self, index: usize, sink: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        let known = self.names.get(index).and_then(OnceCell::get);
        match self.template(index).filter(|template| known.is_none() && template.only_joins()) {
            Some(template) => self.feed(template, sink),
            None => self.name(index)?.feed(sink),
        }
    }

    /// What a name stands for, for this method; `None` where its value is handed in.
    pub(super) fn template(&self, index: usize) -> Option<&'s Template> {
        let templates = self.scope.definition(index)?.templates.as_ref()?;
        templates.get(self.subject.method)
    }

    /// The value of a name, worked out once. A name stands for earlier ones only, so this ends.
    fn name(&self, index: usize) -> Result<&Value<'s>, Fault> {
        let cell = self.names.get(index).ok_or_else(Fault::absent)?;
        let value = cell.get_or_init(|| match self.template(index) {
            Some(template) => self.value(template).map(Value::into_owned),
            None => Err(self.absent_name(index)),
        });
        value.as_ref().map_err(Clone::clone)
    }

    fn absent_name(&self, index: usize) -> Fault {
        let Some(definition) = self.scope.definition(index) else { return Fault::absent() };
        Fault::absent().at(Some(&Origin::Given(definition.name.clone())), None)
    }

    /// The value of several pieces. All are worked out before they are joined, so that what they
    /// are joined in has its size from the start and leaves no copy behind.
    fn joined<'e>(&'e self, template: &Template, pieces: &'e [Piece]) -> Result<Value<'e>, Fault> {
        let mut parts =
            Joining { parts: Vec::with_capacity(pieces.len()), secret: template.is_secret() };
        let mut size = 0;
        for piece in pieces {
            let part = match piece {
                Piece::Literal(text, _) => Value::from(&**text),
                Piece::Hole(expression) => self.expression(expression)?,
            };
            size += part.size();
            parts.parts.push(part);
            if size > VALUE_BYTES_MAX {
                return Err(Fault::too_long());
            }
        }
        let mut bytes = Vec::with_capacity(size);
        for (part, piece) in parts.parts.iter().zip(pieces) {
            let fed = part.feed(&mut |more| bytes.extend_from_slice(more));
            fed.map_err(|fault| fault.at(piece.origin().as_ref(), None))?;
        }
        match template.kind {
            Type::Bytes => Ok(Value::from(bytes)),
            _ => Value::from(bytes).into_text().map(Value::Text),
        }
    }

    pub(super) fn expression<'e>(&'e self, expression: &'e Expression) -> Result<Value<'e>, Fault> {
        let first = expression.calls.first().filter(|_| expression.streams());
        let absorbed = first.and_then(|first| self.absorbed(expression, first));
        let done = usize::from(absorbed.is_some());
        let origin = expression.source.origin();
        let value = absorbed.unwrap_or_else(|| self.source(expression));
        let value = value.map_err(|fault| fault.at(origin.as_ref(), None));
        let secret = expression.secret;
        let call = |value, call| self.call(call, value, secret, origin.as_ref());
        expression.calls.iter().skip(done).fold(value, call)
    }

    /// What the first function of an expression makes of its source without joining that.
    fn absorbed<'e>(
        &'e self,
        expression: &'e Expression,
        first: &'e Call,
    ) -> Option<Result<Value<'e>, Fault>> {
        match expression.source {
            Source::Body => Some(self.body_digest(first)),
            Source::Named(index) if expression_is_scalar(self.scope, index) => {
                Some(self.absorb(first, |sink| self.feed_name(index, sink)))
            }
            _ => None,
        }
    }

    fn source<'e>(&'e self, expression: &'e Expression) -> Result<Value<'e>, Fault> {
        let subject = &self.subject;
        let memo = &self.memo;
        Ok(match &expression.source {
            Source::Literal(text) => Value::from(&**text),
            Source::Method => Value::from(subject.method),
            Source::Scheme => Value::from(subject.scheme),
            Source::Authority => Value::from(subject.authority),
            Source::Host => Value::from(subject.host()),
            Source::Port => Value::from(subject.port().ok_or_else(Fault::absent)?),
            Source::Path => Value::from(subject.path()),
            Source::Segment(index) => Value::from(
                subject.path().split('/').skip(1).nth(*index).ok_or_else(Fault::absent)?,
            ),
            Source::Target => Value::from(subject.target),
            Source::Query => Value::from(subject.query()),
            Source::Url => {
                Value::from([subject.scheme, "://", subject.authority, subject.target].concat())
            }
            Source::PublicUrl => Value::from(subject.public_url.ok_or_else(Fault::absent)?),
            Source::Status => Value::from(subject.status.ok_or_else(Fault::absent)?),
            Source::Body => Value::Body(subject.body),
            Source::Header(name) => Value::from(memo::header(subject, name)?),
            Source::HeaderAll(name) => {
                let values =
                    memo::header_values(subject, name).map(|value| value.map(Cow::Borrowed));
                Value::List(values.collect::<Result<_, _>>()?)
            }
            Source::Cookie(name) => Value::from(memo::cookie(subject, name)?),
            Source::QueryField(name) => Value::from(memo::first(memo.query(subject)?, name)?),
            Source::QueryAll(name) => Value::List(memo::all(memo.query(subject)?, name)),
            Source::Form(name) => Value::from(memo::first(memo.form(subject)?, name)?),
            Source::FormAll(name) => Value::List(memo::all(memo.form(subject)?, name)),
            Source::Json(path, _) => member(memo.json(subject)?, path, expression)?,
            Source::Xml(name) => Value::from(memo::once(memo.xml(subject)?, name)?),
            Source::XmlAll(name) => Value::List(memo::all(memo.xml(subject)?, name)),
            Source::QueryFields => Value::Pairs(lend_pairs(memo.query(subject)?)),
            Source::FormFields => Value::Pairs(lend_pairs(memo.form(subject)?)),
            Source::JsonDocument => Value::Json(memo.json(subject)?.lend()),
            Source::XmlElements => {
                let mut children = lend_pairs(memo.xml(subject)?);
                children.retain(|(path, _)| !path.contains('/'));
                Value::Pairs(children)
            }
            Source::Headers => Value::Pairs(memo::headers(subject)?),
            Source::Secret => Value::from(subject.secret.ok_or_else(Fault::absent)?),
            Source::Credential(name) => {
                Value::from(subject.values.get(name).ok_or_else(Fault::absent)?)
            }
            Source::Named(index) => self.lend_name(*index)?,
            Source::Member(index, path, _) => match self.name(*index)? {
                Value::Json(json) => member(json, path, expression)?,
                Value::Pairs(pairs) => {
                    let name = path.steps().first().map(|step| &*step.name).unwrap_or_default();
                    Value::from(memo::first(pairs, name)?)
                }
                _ => return Err(Fault::not_text()),
            },
        })
    }

    /// The value of a name; one that is another name for a source is read from there.
    fn lend_name(&self, index: usize) -> Result<Value<'_>, Fault> {
        let alias = self.template(index).and_then(Template::hole);
        match alias.filter(|hole| hole.calls.is_empty()) {
            Some(hole) => self.expression(hole),
            None => self.name(index).map(Value::lend),
        }
    }
}

/// A member of JSON. It stays JSON only where that is wanted; else a scalar is its text.
fn member<'e>(
    json: &'e Json<'_>,
    path: &Path,
    expression: &Expression,
) -> Result<Value<'e>, Fault> {
    let found = json.get(path).ok_or_else(Fault::absent)?;
    let wanted = expression.calls.first().is_some_and(Call::wants_json);
    if wanted || found.is_nested() {
        Ok(Value::Json(found.lend()))
    } else {
        found.lend().text().map(Value::Text)
    }
}

/// A fault of a template whose only hole gives what is not wanted.
fn placed(fault: Fault, template: &Template) -> Fault {
    let origin = template.hole().and_then(|hole| hole.source.origin());
    fault.at(origin.as_ref(), None)
}

fn expression_is_scalar(scope: &Scope, index: usize) -> bool {
    scope.definition(index).is_some_and(|definition| definition.kind.is_scalar())
}

/// Values that are about to be joined, wiped afterwards.
struct Joining<'e> {
    parts: Vec<Value<'e>>,
    secret: bool,
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        if self.secret {
            self.parts.iter_mut().for_each(Value::wipe);
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            message.fault("{header:x-b | default('d')}"),
            "header:x-b is there more than once"
        );
        let fault = message.text("{path | after('x')}").unwrap_err();
        let place = Place { origin: Some(Origin::Path), function: Some("after") };
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
        scope
            .define("twice", Template::compile("{digest}{digest | lower}", &scope).unwrap())
            .unwrap();
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
    fn another_secret_changes_what_depends_on_it() {
        let mut scope = Scope::default();
        let key = Template::compile("{secret | sha256}", &scope).unwrap();
        scope.define("key", key).unwrap();
        let template = Template::compile("{key | hex}", &scope).unwrap();
        let message = post(&[]);
        let mut evaluation = Evaluation::new(message.subject(), &scope);
        let first = evaluation.text(&template).unwrap().into_owned();
        evaluation.set_secret(Some(b"OTHER"), &message.values);
        assert_ne!(evaluation.text(&template).unwrap(), first);
        evaluation.set_secret(Some(b"SECRET"), &message.values);
        assert_eq!(evaluation.text(&template).unwrap(), first);
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

    #[test]
    fn rows_of_functions_are_called_on_values() {
        let scope = Scope::default();
        let pipeline = Pipeline::compile("hex | upper", Type::Bytes, &scope).unwrap();
        let message = post(&[]);
        let evaluation = Evaluation::new(message.subject(), &scope);
        let value = evaluation.apply(&pipeline, Value::from(&b"\xab"[..])).unwrap();
        assert_eq!(value.text().unwrap(), "AB");
    }
}
