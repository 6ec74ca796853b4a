//! Functions called: values made what a function takes, mapped over, bounded, and wiped.

use std::borrow::Cow;

use crate::recipe::compile::accepted;
use crate::recipe::evaluate::Evaluation;
use crate::recipe::expression::{Call, Expression, Operand, PatternPart};
use crate::recipe::fault::Fault;
use crate::recipe::function::{Argument, Function, PatternPiece, Takes};
use crate::recipe::value::{Type, VALUE_BYTES_MAX, Value, wipe_text};

impl Evaluation<'_> {
    /// Calls a function of an expression on a value, or on the absence of one where it takes that.
    pub(super) fn call<'e>(
        &'e self,
        call: &'e Call,
        value: Result<Value<'e>, Fault>,
        expression: &Expression,
    ) -> Result<Value<'e>, Fault> {
        let secret = expression.secret;
        let value = match value {
            Ok(value) => Some(value),
            Err(Fault::Absent(_)) if call.function.absence => None,
            Err(fault) => return Err(fault),
        };
        let mut held = Held { value, arguments: Arguments { list: Vec::new(), secret }, secret };
        held.arguments = self.arguments(call, secret)?;
        let result = held.run(call.function);
        let result = result.and_then(|mut result| {
            if !result.is_too_long() {
                return typed(result, call.kind);
            }
            if secret {
                result.wipe();
            }
            Err(Fault::too_long())
        });
        result.map_err(|fault| fault.at(expression.source.origin(), Some(call.function.name)))
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

/// What a function is called on, wiped afterwards if it is secret.
struct Held<'e> {
    value: Option<Value<'e>>,
    arguments: Arguments<'e>,
    secret: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.secret {
            self.value.iter_mut().for_each(Value::wipe);
        }
    }
}

impl<'e> Held<'e> {
    fn run(&mut self, function: &Function) -> Result<Value<'e>, Fault> {
        let arguments = &*self.arguments.list;
        match (function.takes, &mut self.value) {
            (Takes::Text | Takes::Bytes, Some(Value::List(items))) => {
                map(function, items.iter_mut(), arguments, self.secret).map(Value::List)
            }
            (Takes::Text | Takes::Bytes, Some(Value::Pairs(pairs))) => {
                let (names, values): (Vec<_>, Vec<_>) = std::mem::take(pairs).into_iter().unzip();
                let mut values = values;
                let values = map(function, values.iter_mut(), arguments, self.secret)?;
                Ok(Value::Pairs(names.into_iter().zip(values).collect()))
            }
            (takes, value) => {
                // Mostly it is taken as it is, where it is.
                if let Some(found) =
                    value.take_if(|value| wanted(value.kind(), takes) != Some(value.kind()))
                {
                    *value = Some(fitted(found, takes)?);
                }
                (function.apply)(value.as_ref(), arguments)
            }
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
