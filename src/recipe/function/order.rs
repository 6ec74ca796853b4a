//! Functions that put things in order.

use std::borrow::Cow;

use super::collection::members;
use super::input::{every, given, text};
use super::{Argument, Function, Kind, Parameter, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::json::Json;
use crate::recipe::value::{Type, Value, wipe_text};

pub(super) static TABLE: &[Function] = &[
    Function::same(
        "sort",
        Takes::Only(&[Type::List, Type::Pairs, Type::Json]),
        "In the order of bytes: items; pairs by name and then value; members of JSON by name. \
         `'ci'` compares in lower case, `'name'` leaves pairs of one name in the order sent, \
         `'deep'` sorts the objects within JSON too, as RFC 8785 has it.",
        |input, arguments| sort(given(input)?, &Order::of(arguments)),
    )
    .with(&[Parameter::any("option", Kind::Choice(&["ci", "name", "deep"]))]),
    Function::same(
        "reverse",
        Takes::Only(&[Type::Text, Type::List, Type::Pairs]),
        "In the opposite order: characters, items or pairs.",
        |input, _| match given(input)? {
            Value::List(items) => Ok(Value::List(items.iter().rev().cloned().collect())),
            Value::Pairs(pairs) => Ok(Value::Pairs(pairs.iter().rev().cloned().collect())),
            other => {
                let text = text(Some(other))?;
                let mut reversed = String::with_capacity(text.len());
                reversed.extend(text.chars().rev());
                Ok(Value::from(reversed))
            }
        },
    ),
];

struct Order {
    ignores_case: bool,
    by_name: bool,
    deep: bool,
}

impl Order {
    fn of(arguments: &[Argument<'_>]) -> Self {
        let has = |option| every(arguments).any(|other| other == option);
        Self { ignores_case: has("ci"), by_name: has("name"), deep: has("deep") }
    }

    /// A text as it is compared.
    fn key<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let changes = self.ignores_case && text.chars().any(char::is_uppercase);
        if changes { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
    }

    /// Sorts by name and value, which are made ready once. Equal things keep their order.
    fn sorted<T: Clone>(&self, things: &[T], parts: impl Fn(&T) -> (&str, &str)) -> Vec<T> {
        let mut keyed: Vec<_> = things
            .iter()
            .map(|thing| {
                let (name, value) = parts(thing);
                (self.key(name), self.key(if self.by_name { "" } else { value }), thing)
            })
            .collect();
        keyed.sort_by(|(a, b, _), (c, d, _)| (a, b).cmp(&(c, d)));
        let sorted = keyed.iter().map(|(_, _, thing)| (*thing).clone()).collect();
        for (name, value, _) in &mut keyed {
            wipe_text(name);
            wipe_text(value);
        }
        sorted
    }
}

fn sort<'a>(value: &Value<'a>, order: &Order) -> Result<Value<'a>, Fault> {
    Ok(match value {
        Value::List(items) => Value::List(order.sorted(items, |item| (item, ""))),
        Value::Pairs(pairs) => Value::Pairs(order.sorted(pairs, |(name, value)| (name, value))),
        Value::Json(json) if order.deep => Value::Json(json.clone().sorted()),
        other => {
            let sorted = order.sorted(members(other)?, |(name, _)| (name, ""));
            Value::Json(Json::Object(sorted))
        }
    })
}
