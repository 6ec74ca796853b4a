//! Functions that put things in order.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::collection::{members, pairs};
use super::input::{every, given};
use super::{Argument, Function, Kind, Parameter, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::json::Json;
use crate::recipe::value::{Type, Value};

pub(super) static TABLE: &[Function] = &[
    Function::same(
        "sort",
        Takes::Only(&[Type::List, Type::Pairs, Type::Json]),
        "In the order of bytes: items; pairs by name and then value; members by name. `'ci'` \
         ignores case, `'name'` leaves equal names in their order, `'value'` goes by value, \
         `'deep'` sorts objects within objects too.",
        |input, arguments| sort(given(input)?, &Order::of(arguments)),
    )
    .with(&[Parameter::any("option", Kind::Choice(&["ci", "name", "value", "deep"]))]),
    Function::same(
        "reverse",
        Takes::Only(&[Type::Text, Type::List, Type::Pairs]),
        "In the opposite order: characters, items or pairs.",
        |input, _| match given(input)? {
            Value::List(items) => Ok(Value::List(items.iter().rev().cloned().collect())),
            Value::Pairs(pairs) => Ok(Value::Pairs(pairs.iter().rev().cloned().collect())),
            other => Ok(Value::from(other.text()?.chars().rev().collect::<String>())),
        },
    ),
];

#[derive(Default)]
struct Order {
    ignores_case: bool,
    by_name: bool,
    by_value: bool,
    deep: bool,
}

impl Order {
    fn of(arguments: &[Argument<'_>]) -> Self {
        let has = |option| every(arguments).any(|other| other == option);
        Self {
            ignores_case: has("ci"),
            by_name: has("name"),
            by_value: has("value"),
            deep: has("deep"),
        }
    }

    /// A text as it is compared.
    fn key<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let changes = self.ignores_case && text.chars().any(|c| c.is_uppercase());
        if changes { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
    }

    /// How two pairs stand to each other, each given as its compared name and value.
    fn compare(&self, a: (&str, &str), b: (&str, &str)) -> Ordering {
        match (self.by_name, self.by_value) {
            (_, true) => a.1.cmp(b.1),
            (true, _) => a.0.cmp(b.0),
            _ => a.cmp(&b),
        }
    }

    /// Sorts with keys that are made once. Equal ones keep their order.
    fn sorted<T: Clone>(&self, things: &[T], key: impl Fn(&T) -> (&str, Cow<'_, str>)) -> Vec<T> {
        let mut keyed: Vec<_> = things
            .iter()
            .map(|thing| {
                let (name, value) = key(thing);
                (self.key(name).into_owned(), self.key(&value).into_owned(), thing)
            })
            .collect();
        keyed.sort_by(|(a, b, _), (c, d, _)| self.compare((a, b), (c, d)));
        keyed.into_iter().map(|(_, _, thing)| thing.clone()).collect()
    }
}

fn sort<'a>(value: &Value<'a>, order: &Order) -> Result<Value<'a>, Fault> {
    match value {
        Value::List(items) => {
            Ok(Value::List(order.sorted(items, |item| (item, Cow::Borrowed("")))))
        }
        Value::Json(json) if order.deep => Ok(Value::Json(json.clone().sorted())),
        Value::Json(_) => {
            let by_value = order.by_value;
            let text =
                |value: &Json<'a>| if by_value { value.flat_text() } else { Cow::Borrowed("") };
            let sorted = order.sorted(members(value)?, |(name, value)| (name, text(value)));
            Ok(Value::Json(Json::Object(sorted)))
        }
        other => {
            let sorted =
                order.sorted(pairs(Some(other))?, |(name, value)| (name, Cow::Borrowed(&**value)));
            Ok(Value::Pairs(sorted))
        }
    }
}
