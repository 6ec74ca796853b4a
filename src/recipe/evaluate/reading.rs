//! Sources read from the message.

use std::borrow::Cow;

use super::{Evaluation, Kept};
use crate::recipe::expression::{Call, Expression};
use crate::recipe::fault::Fault;
use crate::recipe::json::Json;
use crate::recipe::memo::{self, Memo};
use crate::recipe::path::Path;
use crate::recipe::source::Source;
use crate::recipe::template::Template;
use crate::recipe::value::{Value, lend_pairs};

impl<'s> Evaluation<'s> {
    fn memo(&self) -> &Memo<'s> {
        self.memo.get_or_init(Box::default)
    }

    /// The value of an expression's source.
    pub(super) fn source<'e>(&'e self, expression: &'e Expression) -> Result<Value<'e>, Fault> {
        let subject = &self.subject;
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
            Source::QueryField(name) => {
                Value::from(memo::first(self.memo().query(subject)?, name)?)
            }
            Source::QueryAll(name) => Value::List(memo::all(self.memo().query(subject)?, name)),
            Source::Form(name) => Value::from(memo::first(self.memo().form(subject)?, name)?),
            Source::FormAll(name) => Value::List(memo::all(self.memo().form(subject)?, name)),
            Source::Json(path, _) => member(self.memo().json(subject)?, path, expression)?,
            Source::Xml(name) => Value::from(memo::once(self.memo().xml(subject)?, name)?),
            Source::XmlAll(name) => Value::List(memo::all(self.memo().xml(subject)?, name)),
            Source::QueryFields => Value::Pairs(lend_pairs(self.memo().query(subject)?)),
            Source::FormFields => Value::Pairs(lend_pairs(self.memo().form(subject)?)),
            Source::JsonDocument => Value::Json(self.memo().json(subject)?.lend()),
            Source::XmlElements => {
                let mut children = lend_pairs(self.memo().xml(subject)?);
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
                Kept::Document(document) => member(document.json(), path, expression)?,
                Kept::Value(Value::Json(json)) => member(json, path, expression)?,
                Kept::Value(Value::Pairs(pairs)) => {
                    let name = path.steps().first().map(|step| &*step.name).unwrap_or_default();
                    Value::from(memo::first(pairs, name)?)
                }
                Kept::Value(_) => return Err(Fault::not_text()),
            },
        })
    }

    /// The value of a name; one that is another name for a source is read from there.
    fn lend_name(&self, index: usize) -> Result<Value<'_>, Fault> {
        let alias = self.template(index).and_then(Template::hole);
        match alias.filter(|hole| hole.calls.is_empty()) {
            Some(hole) => self.expression(hole),
            None => self.name(index).map(Kept::lend),
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
        found.lent_text().map(Value::from)
    }
}
