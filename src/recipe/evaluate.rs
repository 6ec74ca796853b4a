//! Templates evaluated over one message. What is parsed or named is worked out when it is first
//! used, once; what holds a secret is wiped.

use std::borrow::Cow;
use std::cell::OnceCell;

use zeroize::Zeroizing;

use crate::recipe::expression::{Call, Expression};
use crate::recipe::fault::Fault;
use crate::recipe::json::Document;
use crate::recipe::memo::{self, Memo};
use crate::recipe::origin::Origin;
use crate::recipe::scope::{Given, Scope};
use crate::recipe::source::Source;
use crate::recipe::stepping::BodyDigest;
use crate::recipe::subject::Subject;
use crate::recipe::template::{Piece, Template};
use crate::recipe::value::{Type, VALUE_BYTES_MAX, Value};

mod reading;

/// One message, and what is known of it so far.
pub struct Evaluation<'s> {
    pub(super) subject: Subject<'s>,
    pub(super) scope: &'s Scope,
    pub(super) digests: Vec<BodyDigest<'s>>,
    /// Made when something is parsed: most messages are only joined.
    memo: OnceCell<Box<Memo<'s>>>,
    /// The values of the scope's names.
    names: Vec<OnceCell<Result<Kept<'s>, Fault>>>,
}

/// The value of a name.
enum Kept<'s> {
    Value(Value<'s>),
    /// JSON that was read on the way.
    Document(Document),
}

impl Kept<'_> {
    fn feed(&self, sink: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        match self {
            Self::Value(value) => value.feed(sink),
            Self::Document(document) => {
                document.json().lent_text().map(|text| sink(text.as_bytes()))
            }
        }
    }

    /// The same value, borrowed from this one.
    fn lend(&self) -> Value<'_> {
        match self {
            Self::Value(value) => value.lend(),
            Self::Document(document) => Value::Json(document.json().lend()),
        }
    }

    fn wipe(self) {
        match self {
            Self::Value(mut value) => value.wipe(),
            Self::Document(document) => document.wipe(),
        }
    }
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
        for (index, cell) in self.names.iter_mut().enumerate() {
            let definition = self.scope.definition(index);
            if definition.is_some_and(|one| one.origins.hold_secret()) {
                cell.take().into_iter().flatten().for_each(Kept::wipe);
            }
        }
    }
}

impl<'s> Evaluation<'s> {
    /// Begins with a message and the names that its templates were compiled with.
    pub fn new(subject: Subject<'s>, scope: &'s Scope) -> Self {
        let names = std::iter::repeat_with(OnceCell::new).take(scope.len()).collect();
        Self { subject, scope, digests: Vec::new(), memo: OnceCell::new(), names }
    }

    /// The message.
    pub fn subject(&self) -> &Subject<'s> {
        &self.subject
    }

    /// Hands a value in that the scope expects. What was worked out from an earlier one stays.
    pub fn give(&mut self, given: Given, value: Value<'s>) {
        if let Some(cell) = self.names.get_mut(given.0) {
            *cell = OnceCell::from(Ok(Kept::Value(value)));
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
        match (&expression.source, &*expression.calls) {
            (Source::Named(index), []) => return self.feed_name(*index, sink),
            (Source::Header(name), []) => {
                let fed = memo::header_bytes(&self.subject, name).map(sink);
                return fed.map_err(|e| e.at(expression.source.origin(), None));
            }
            _ => {}
        }
        let mut value = self.expression(expression)?;
        let fed = value.feed(sink);
        if expression.secret {
            value.wipe();
        }
        fed.map_err(|fault| fault.at(expression.source.origin(), None))
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
    fn name(&self, index: usize) -> Result<&Kept<'s>, Fault> {
        let cell = self.names.get(index).ok_or_else(Fault::absent)?;
        let kept = cell.get_or_init(|| match self.template(index) {
            Some(template) => self.kept(template),
            None => Err(self.absent_name(index)),
        });
        kept.as_ref().map_err(Clone::clone)
    }

    /// The value of a template, to be kept. JSON that is read from what was made on the way, such
    /// as decoded text, keeps that, and is not copied out of it.
    fn kept(&self, template: &'s Template) -> Result<Kept<'s>, Fault> {
        let Some((hole, (last, calls))) = template
            .hole()
            .and_then(|hole| Some((hole, hole.calls.split_last()?)))
            .filter(|(_, (last, _))| last.reads_json())
        else {
            return self.value(template).map(|value| Kept::Value(value.into_owned()));
        };
        let mut value = self.piped(hole, calls);
        let text = match value {
            Ok(Value::Bytes(Cow::Owned(bytes))) => bytes,
            Ok(Value::Text(Cow::Owned(text))) => text.into_bytes(),
            _ => {
                self.call(last, hole, &mut value);
                return value.map(|value| Kept::Value(value.into_owned()));
            }
        };
        Self::document(text, last, hole).map(Kept::Document)
    }

    fn absent_name(&self, index: usize) -> Fault {
        let Some(definition) = self.scope.definition(index) else { return Fault::absent() };
        Fault::absent().at(Some(Origin::Given(definition.name.clone())), None)
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
            fed.map_err(|fault| fault.at(piece.origin(), None))?;
        }
        match template.kind {
            Type::Bytes => Ok(Value::from(bytes)),
            _ => Value::from(bytes).into_text().map(Value::Text),
        }
    }

    pub(super) fn expression<'e>(&'e self, expression: &'e Expression) -> Result<Value<'e>, Fault> {
        self.piped(expression, &expression.calls)
    }

    /// What becomes of the source of an expression in the first of its calls.
    fn piped<'e>(
        &'e self,
        expression: &'e Expression,
        calls: &'e [Call],
    ) -> Result<Value<'e>, Fault> {
        let first = calls.first().filter(|call| call.streams());
        let absorbed = first.and_then(|first| self.absorbed(expression, first));
        let done = usize::from(absorbed.is_some());
        let mut value = absorbed.unwrap_or_else(|| self.source(expression));
        let calls = calls.get(done..).unwrap_or_default();
        if let Err(fault) = value {
            // Absence goes no further where it is taken.
            let taken = calls.first().is_some_and(|call| call.function.absence);
            value = Err(match fault {
                Fault::Absent(_) if taken => fault,
                _ => fault.at(expression.source.origin(), None),
            });
        }
        for call in calls {
            self.call(call, expression, &mut value);
        }
        value
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
}

/// A fault of a template whose only hole gives what is not wanted.
fn placed(fault: Fault, template: &Template) -> Fault {
    fault.at(template.hole().and_then(|hole| hole.source.origin()), None)
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
mod tests;
