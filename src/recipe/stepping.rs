//! Long bodies taken in step by step, so that others get their turn in between: into the digests
//! that templates make of the body, and through `{body}` into whatever signs.

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::recipe::evaluate::Evaluation;
use crate::recipe::expression::{Call, Expression, Operand, PatternPart};
use crate::recipe::fault::Fault;
use crate::recipe::function::Absorb;
use crate::recipe::scope::NAMES_MAX;
use crate::recipe::source::Source;
use crate::recipe::template::{Piece, Template};
use crate::recipe::value::Value;

/// A digest or MAC of the body.
pub(super) struct BodyDigest<'s> {
    call: &'s Call,
    state: State,
}

enum State {
    Running(Box<dyn Absorb>),
    /// It may be what a signature is to be compared with.
    Done(Zeroizing<Vec<u8>>),
}

/// How far the body has been taken in.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyCursor {
    piece: usize,
    offset: usize,
}

impl BodyCursor {
    /// The next bytes, at most some many; `None` at the end.
    fn next<'b>(&mut self, body: &'b [Bytes], most: usize) -> Option<&'b [u8]> {
        loop {
            let piece = body.get(self.piece)?;
            let rest = piece.get(self.offset..).unwrap_or_default();
            if rest.is_empty() {
                *self = Self { piece: self.piece + 1, offset: 0 };
                continue;
            }
            let chunk = rest.get(..most).unwrap_or(rest);
            self.offset += chunk.len();
            return Some(chunk);
        }
    }

    /// Whether nothing is left.
    fn is_done(&self, body: &[Bytes]) -> bool {
        let mut probe = *self;
        probe.next(body, 0).is_none()
    }
}

/// The digests of the body on their way: see [`Evaluation::begin_digests`].
#[derive(Debug, Default)]
pub struct DigestSteps(BodyCursor);

/// How far a template has been handed on: see [`Evaluation::feed_step`].
#[derive(Debug, Default)]
pub struct FeedSteps {
    piece: usize,
    body: BodyCursor,
}

impl<'s> Evaluation<'s> {
    /// Begins the digests and MACs that templates make of the raw body, through all names that
    /// they use. Each is computed once, by [`Evaluation::digest_step`]; without this they are
    /// computed when they are used, in one go.
    pub fn begin_digests(&mut self, templates: &[&'s Template]) -> DigestSteps {
        if templates.iter().all(|template| template.only_joins()) {
            return DigestSteps::default();
        }
        let mut found = Found { calls: Vec::new(), seen: [false; NAMES_MAX] };
        templates.iter().for_each(|template| found.template(self, template));
        for call in found.calls {
            if self.digests.iter().any(|digest| digest.call.is_same(call)) {
                continue;
            }
            // One whose arguments cannot be had is left to fail where it is used.
            if let Ok(begun) = self.begin(call) {
                self.digests.push(BodyDigest { call, state: State::Running(begun) });
            }
        }
        DigestSteps::default()
    }

    /// Takes in some of the body, at most about this many bytes over all digests, and says whether
    /// more is left.
    pub fn digest_step(&mut self, steps: &mut DigestSteps, most: usize) -> bool {
        let body = self.subject.body;
        let running = |digest: &&mut BodyDigest<'_>| matches!(digest.state, State::Running(_));
        let count = self.digests.iter_mut().filter(running).count();
        if count == 0 {
            return false;
        }
        let mut left = (most / count).max(1);
        while left > 0 {
            let Some(chunk) = steps.0.next(body, left) else { break };
            left -= chunk.len();
            for digest in &mut self.digests {
                if let State::Running(absorb) = &mut digest.state {
                    absorb.update(chunk);
                }
            }
        }
        if !steps.0.is_done(body) {
            return true;
        }
        for digest in &mut self.digests {
            let state = std::mem::replace(&mut digest.state, State::Done(Zeroizing::default()));
            digest.state = match state {
                State::Running(absorb) => State::Done(Zeroizing::new(absorb.finish())),
                done => done,
            };
        }
        false
    }

    /// Hands the bytes of a template on, at most about this many bytes of the raw body in one step,
    /// and says whether more is left.
    ///
    /// # Errors
    /// Why they cannot be had; some may have been handed on by then.
    pub fn feed_step(
        &self,
        template: &Template,
        steps: &mut FeedSteps,
        most: usize,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Fault> {
        let body = self.subject.body;
        let mut left = most.max(1);
        while let Some(piece) = template.pieces.get(steps.piece) {
            if is_body(piece) {
                while let Some(chunk) = steps.body.next(body, left) {
                    sink(chunk);
                    left -= chunk.len();
                    if left == 0 {
                        return Ok(true);
                    }
                }
                steps.body = BodyCursor::default();
            } else {
                self.feed_piece(piece, sink)?;
            }
            steps.piece += 1;
        }
        Ok(false)
    }

    /// The digest or MAC of the body that a call makes: the one that is there, or else computed.
    pub(super) fn body_digest(&self, call: &Call) -> Result<Value<'static>, Fault> {
        let known = self.digests.iter().find(|digest| digest.call.is_same(call));
        if let Some(BodyDigest { state: State::Done(digest), .. }) = known {
            return Ok(Value::from(digest.to_vec()));
        }
        self.absorb(call, |sink| {
            self.subject.body.iter().for_each(|piece| sink(piece));
            Ok(())
        })
    }

    /// What a call makes of bytes that come piece by piece.
    pub(super) fn absorb(
        &self,
        call: &Call,
        feed: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), Fault>,
    ) -> Result<Value<'static>, Fault> {
        let mut absorb = self.begin(call)?;
        feed(&mut |bytes| absorb.update(bytes))?;
        Ok(Value::from(absorb.finish()))
    }

    fn begin(&self, call: &Call) -> Result<Box<dyn Absorb>, Fault> {
        let stream = call.function.stream.ok_or_else(Fault::malformed)?;
        let arguments = self.arguments(call, call.operands.iter().any(Operand::is_secret))?;
        stream(&arguments.list).map_err(|fault| fault.at(None, Some(call.function.name)))
    }
}

fn is_body(piece: &Piece) -> bool {
    let Piece::Hole(expression) = piece else { return false };
    expression.calls.is_empty() && matches!(expression.source, Source::Body)
}

/// The calls that make a digest of the body, found in templates and in the names that they use.
struct Found<'s> {
    calls: Vec<&'s Call>,
    seen: [bool; NAMES_MAX],
}

impl<'s> Found<'s> {
    fn template(&mut self, evaluation: &Evaluation<'s>, template: &'s Template) {
        template.holes().for_each(|hole| self.expression(evaluation, hole));
    }

    fn expression(&mut self, evaluation: &Evaluation<'s>, expression: &'s Expression) {
        match expression.source {
            Source::Body => {
                self.calls.extend(expression.calls.first().filter(|call| call.streams()));
            }
            Source::Named(index) | Source::Member(index, ..) => {
                let Some(seen) = self.seen.get_mut(index) else { return };
                if !std::mem::replace(seen, true)
                    && let Some(template) = evaluation.template(index)
                {
                    self.template(evaluation, template);
                }
            }
            _ => {}
        }
        for operand in expression.calls.iter().flat_map(|call| &call.operands) {
            match operand {
                Operand::Value(inner) => self.expression(evaluation, inner),
                Operand::Pattern(parts) => {
                    for part in parts {
                        if let PatternPart::Hole(inner) = part {
                            self.expression(evaluation, inner);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::recipe::Subject;
    use crate::recipe::scope::Scope;
    use crate::secret::NamedSecrets;

    fn subject<'a>(
        body: &'a [Bytes],
        headers: &'a HeaderMap,
        values: &'a NamedSecrets,
    ) -> Subject<'a> {
        Subject {
            method: "POST",
            scheme: "https",
            authority: "a.example",
            target: "/",
            headers,
            body,
            status: None,
            public_url: None,
            secret: Some(b"key"),
            values,
        }
    }

    #[test]
    fn digests_of_the_body_come_out_the_same_step_by_step() {
        let mut scope = Scope::default();
        let inner = "{body | sha256 | hex}{body | hmac('sha256', @secret) | hex}";
        scope.define("inner", Template::compile(inner, &scope).unwrap()).unwrap();
        let message = "{inner}{body | md5 | hex}{path | append(@inner)}{body | sha256 | base64}";
        let message = Template::compile(message, &scope).unwrap();
        let body = [Bytes::from_static(b"abc"), Bytes::new(), Bytes::from(vec![b'd'; 1000])];
        let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
        let subject = subject(&body, &headers, &values);
        let expected = Evaluation::new(subject, &scope).text(&message).unwrap().into_owned();
        for most in [1, 7, 300, 100_000] {
            let mut evaluation = Evaluation::new(subject, &scope);
            let mut steps = evaluation.begin_digests(&[&message]);
            assert_eq!(evaluation.digests.len(), 3);
            let mut count = 1;
            while evaluation.digest_step(&mut steps, most) {
                count += 1;
            }
            assert_eq!(count, 1003_usize.div_ceil((most / 3).max(1)));
            assert_eq!(evaluation.text(&message).unwrap(), expected);
        }
    }

    #[test]
    fn a_template_without_digests_takes_no_steps() {
        let scope = Scope::default();
        let message = Template::compile("{body}", &scope).unwrap();
        let body = [Bytes::from_static(b"abc")];
        let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
        let mut evaluation = Evaluation::new(subject(&body, &headers, &values), &scope);
        let mut steps = evaluation.begin_digests(&[&message]);
        assert!(!evaluation.digest_step(&mut steps, 1));
    }

    #[test]
    fn the_body_is_handed_on_in_bounded_steps() {
        let scope = Scope::default();
        let message = Template::compile("<{body}|{path}|{body}>", &scope).unwrap();
        let body = [Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defgh")];
        let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
        let evaluation = Evaluation::new(subject(&body, &headers, &values), &scope);
        for most in [1, 2, 3, 8, 100] {
            let (mut fed, mut steps) = (Vec::new(), FeedSteps::default());
            let mut longest = 0;
            loop {
                let before = fed.len();
                let more = evaluation.feed_step(&message, &mut steps, most, &mut |bytes| {
                    fed.extend_from_slice(bytes);
                });
                longest = longest.max(fed.len() - before);
                if !more.unwrap() {
                    break;
                }
            }
            assert_eq!(fed, b"<abcdefgh|/|abcdefgh>");
            assert!(longest <= most + 5, "{longest}");
        }
    }
}
