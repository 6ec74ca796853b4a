//! Functions called: values made what a function takes, mapped over, bounded, and wiped.

use std::borrow::Cow;

use crate::recipe::compile::accepted;
use crate::recipe::evaluate::Evaluation;
use crate::recipe::expression::{Call, Expression, Operand, PatternPart};
use crate::recipe::fault::Fault;
use crate::recipe::function::{Argument, Function, PatternPiece, Takes};
use crate::recipe::json::Document;
use crate::recipe::value::{Type, VALUE_BYTES_MAX, Value, wipe_text};

impl Evaluation<'_> {
    /// Puts a value through a function of an expression, or the absence of one where it takes that.
    /// In its place: to move a value that was just written keeps the processor waiting.
    pub(super) fn call<'e>(
        &'e self,
        call: &'e Call,
        expression: &Expression,
        value: &mut Result<Value<'e>, Fault>,
    ) {
        let secret = expression.secret;
        let given = match value {
            Ok(value) => Some(value),
            Err(Fault::Absent(_)) if call.function.absence => None,
            Err(_) => return,
        };
        // A fault of an argument is not one of what the function is called on.
        let made = self.arguments(call, secret).and_then(|arguments| {
            let made = run(call.function, given, &arguments.list, secret);
            let made = made.and_then(|made| bounded(made, secret));
            made.and_then(|made| typed(made, call.kind))
                .map_err(|fault| placed(fault, call, expression))
        });
        if secret {
            value.iter_mut().for_each(Value::wipe);
        }
        *value = made;
    }

    /// What the function `json` makes of a text that is given away, which is not copied then.
    pub(super) fn document(
        text: Vec<u8>,
        call: &Call,
        expression: &Expression,
    ) -> Result<Document, Fault> {
        let document = Document::parse(text).and_then(|document| {
            if document.json().size() <= VALUE_BYTES_MAX {
                return Ok(document);
            }
            document.wipe();
            Err(Fault::too_long())
        });
        document.map_err(|fault| placed(fault, call, expression))
    }

    /// The arguments of a call.
    pub(super) fn arguments<'e>(
        &'e self,
        call: &'e Call,
        secret: bool,
    ) -> Result<Arguments<'e>, Fault> {
        let mut arguments = Arguments { list: Vec::with_capacity(call.operands.len()), secret };
        for operand in &call.operands {
            arguments.list.push(match operand {
                Operand::Text(text) => Argument::Text(text),
                Operand::Number(number) => Argument::Number(*number),
                Operand::Value(expression) => Argument::Value(self.expression(expression)?),
                Operand::Pattern(parts) => Argument::Pattern(self.pattern(parts)?),
                Operand::Regex(regex) => Argument::Regex(regex),
                Operand::Path(path) => Argument::Path(path),
            });
        }
        Ok(arguments)
    }

    fn pattern<'e>(&'e self, parts: &'e [PatternPart]) -> Result<Vec<PatternPiece<'e>>, Fault> {
        let piece = |part: &'e PatternPart| {
            Ok(match part {
                PatternPart::Key => PatternPiece::Key,
                PatternPart::Value => PatternPiece::Value,
                PatternPart::Text(text) => PatternPiece::Text(Cow::Borrowed(text)),
                PatternPart::Hole(expression) => {
                    PatternPiece::Text(self.expression(expression)?.into_text()?)
                }
            })
        };
        parts.iter().map(piece).collect()
    }
}

/// Arguments, wiped afterwards if they are secret.
pub(super) struct Arguments<'e> {
    pub(super) list: Vec<Argument<'e>>,
    secret: bool,
}

impl Drop for Arguments<'_> {
    fn drop(&mut self) {
        if self.secret {
            self.list.iter_mut().for_each(Argument::wipe);
        }
    }
}

/// Calls a function on a value, made first what the function takes.
fn run<'e>(
    function: &Function,
    value: Option<&mut Value<'e>>,
    arguments: &[Argument<'e>],
    secret: bool,
) -> Result<Value<'e>, Fault> {
    let Some(value) = value else { return (function.apply)(None, arguments) };
    match (function.takes, &mut *value) {
        (Takes::Text | Takes::Bytes, Value::List(items)) => {
            map(function, items.iter_mut(), arguments, secret).map(Value::List)
        }
        (Takes::Text | Takes::Bytes, Value::Pairs(pairs)) => {
            let (names, values): (Vec<_>, Vec<_>) = std::mem::take(pairs).into_iter().unzip();
            let mut values = values;
            let values = map(function, values.iter_mut(), arguments, secret)?;
            Ok(Value::Pairs(names.into_iter().zip(values).collect()))
        }
        (takes, value) => {
            // Mostly it is taken as it is.
            if wanted(value.kind(), takes) != Some(value.kind()) {
                *value = fitted(std::mem::replace(value, Value::Body(&[])), takes)?;
            }
            (function.apply)(Some(value), arguments)
        }
    }
}

/// Calls a function that gives text on each of some texts.
fn map<'i, 'e: 'i>(
    function: &Function,
    items: impl ExactSizeIterator<Item = &'i mut Cow<'e, str>>,
    arguments: &[Argument<'e>],
    secret: bool,
) -> Result<Vec<Cow<'e, str>>, Fault> {
    let mut made = Vec::with_capacity(items.len());
    let mut size = 0;
    for item in items {
        let mut one = Value::Text(std::mem::take(item));
        let result = (function.apply)(Some(&one), arguments);
        if secret {
            one.wipe();
        }
        let text = result?.into_text()?;
        size += text.len();
        made.push(text);
        if size > VALUE_BYTES_MAX {
            if secret {
                made.iter_mut().for_each(wipe_text);
            }
            return Err(Fault::too_long());
        }
    }
    Ok(made)
}

/// A value that is no longer than one may be.
fn bounded(mut value: Value<'_>, secret: bool) -> Result<Value<'_>, Fault> {
    if !value.is_too_long() {
        return Ok(value);
    }
    if secret {
        value.wipe();
    }
    Err(Fault::too_long())
}

/// A fault of a function, with its place.
fn placed(fault: Fault, call: &Call, expression: &Expression) -> Fault {
    fault.at(expression.source.origin(), Some(call.function.name))
}

/// A value of the type that was compiled, where a function handed an argument on that has another.
fn typed(value: Value<'_>, kind: Type) -> Result<Value<'_>, Fault> {
    match (kind, value.kind()) {
        (wanted, kind) if wanted == kind => Ok(value),
        // JSON that is a scalar may be text already.
        (Type::Json, Type::Text) => Ok(value),
        (Type::Text, _) => value.into_text().map(Value::Text),
        (Type::Bytes, _) => value.into_bytes().map(Value::Bytes),
        _ => Err(Fault::not_text()),
    }
}

/// The type of value that a function takes for one of another; `None` if none.
fn wanted(kind: Type, takes: Takes) -> Option<Type> {
    match takes {
        Takes::Text => Some(Type::Text),
        Takes::Bytes if kind.is_scalar() => Some(kind),
        Takes::Bytes => Some(Type::Text),
        // A value of JSON type may have become text on the way.
        Takes::Only(types) => accepted(types, kind),
    }
}

/// A value as a function takes it.
fn fitted(value: Value<'_>, takes: Takes) -> Result<Value<'_>, Fault> {
    match (wanted(value.kind(), takes).ok_or_else(Fault::not_text)?, value) {
        (Type::Text, value) => value.into_text().map(Value::Text),
        (Type::Bytes, value) => value.into_bytes().map(Value::Bytes),
        (Type::Pairs, Value::Json(json)) => json.pairs().map(Value::Pairs),
        (Type::List, Value::Json(json)) => json.list().map(Value::List),
        _ => Err(Fault::not_text()),
    }
}
