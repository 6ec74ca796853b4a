//! Which values columns have: one for each type that rows are made of.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use ipnet::IpNet;
use rusqlite::types::{Value, ValueRef};

use crate::clock::Timestamp;
use crate::limit::Rate;

use super::record::{Columns, Fields, NotOfItsForm};
use super::row::{Cutover, Kind, MerchantStatus, Role, SecretOrigin, VersionState};

/// A type that takes one column, by two functions.
macro_rules! column {
    ($type:ty, $put:expr, $take:expr) => {
        impl Columns for $type {
            fn names(field: &'static str, into: &mut Vec<&'static str>) {
                into.push(field);
            }

            fn put(&self, into: &mut Vec<Value>) {
                let put: fn(&Self) -> Value = $put;
                into.push(put(self));
            }

            fn take(from: &mut Fields<'_, '_>) -> Result<Self, NotOfItsForm> {
                let take: fn(ValueRef<'_>) -> Option<Self> = $take;
                take(from.next()?).ok_or(NotOfItsForm)
            }
        }
    };
}

/// Words of a closed list, kept as text.
macro_rules! words {
    ($type:ty { $($variant:ident = $word:literal),* $(,)? }) => {
        column!(
            $type,
            |value| Value::Text(match value { $(<$type>::$variant => $word,)* }.to_owned()),
            |value| match text(value)? { $($word => Some(<$type>::$variant),)* _ => None }
        );
    };
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(text) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

fn bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Blob(bytes) => Some(bytes),
        _ => None,
    }
}

/// The greatest number of the database stands for everything above it too.
fn number(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn unsigned(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::Integer(i64::MAX) => Some(u64::MAX),
        ValueRef::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    }
}

fn lines<T: ToString>(all: &[T]) -> Value {
    let all: Vec<String> = all.iter().map(T::to_string).collect();
    Value::Text(serde_json::Value::from(all).to_string())
}

fn of_lines<T: FromStr>(value: ValueRef<'_>) -> Option<Vec<T>> {
    let all: Vec<String> = serde_json::from_str(text(value)?).ok()?;
    all.iter().map(|line| line.parse().ok()).collect()
}

column!(String, |value| Value::Text(value.clone()), |value| text(value).map(str::to_owned));
column!(u64, |value| number(*value), unsigned);
column!(u32, |value| number((*value).into()), |value| unsigned(value)?.try_into().ok());
column!(bool, |value| number((*value).into()), |value| match unsigned(value)? {
    0 => Some(false),
    1 => Some(true),
    _ => None,
});
column!(Timestamp, |value| number(value.secs()), |value| unsigned(value).map(Timestamp::from_secs));
column!(Vec<u8>, |value| Value::Blob(value.clone()), |value| bytes(value).map(<[u8]>::to_vec));
column!([u8; 32], |value| Value::Blob(value.to_vec()), |value| bytes(value)?.try_into().ok());
column!([u8; 8], |value| Value::Blob(value.to_vec()), |value| bytes(value)?.try_into().ok());
column!(IpAddr, |value| Value::Text(value.to_string()), |value| text(value)?.parse().ok());
column!(Kind, |value| Value::Text(value.to_string()), |value| text(value)?.parse().ok());
column!(Vec<IpNet>, |value| lines(value), of_lines);
column!(Vec<String>, |value| lines(value), of_lines);
column!(Vec<u16>, |value| lines(value), of_lines);
column!(serde_json::Value, |value| Value::Text(value.to_string()), |value| serde_json::from_str(
    text(value)?
)
.ok());
column!(Rate, |value| Value::Text(format!("{}/{}", value.per_second, value.burst)), |value| {
    let (per_second, burst) = text(value)?.split_once('/')?;
    let number = |text: &str| text.parse::<NonZeroU32>().ok();
    Some(Rate { per_second: number(per_second)?, burst: number(burst)? })
});
column!(
    Cutover,
    |value| Value::Text(match value {
        Cutover::Now => "now".to_owned(),
        Cutover::OnFirstUse => "on_first_use".to_owned(),
        Cutover::After(secs) => format!("after {secs}"),
    }),
    |value| match text(value)? {
        "now" => Some(Cutover::Now),
        "on_first_use" => Some(Cutover::OnFirstUse),
        other => other.strip_prefix("after ")?.parse().ok().map(Cutover::After),
    }
);

words!(MerchantStatus { Active = "active", Suspended = "suspended", Closed = "closed" });
words!(VersionState {
    Pending = "pending",
    Active = "active",
    Retiring = "retiring",
    Suspended = "suspended",
    Revoked = "revoked",
    Destroyed = "destroyed",
});
words!(SecretOrigin { Generated = "generated", Imported = "imported" });
words!(Role { Auditor = "auditor", Security = "security", Admin = "admin", Owner = "owner" });

impl<T: Columns> Columns for Option<T> {
    fn names(field: &'static str, into: &mut Vec<&'static str>) {
        T::names(field, into);
    }

    fn put(&self, into: &mut Vec<Value>) {
        match self {
            Some(value) => value.put(into),
            None => into.push(Value::Null),
        }
    }

    fn take(from: &mut Fields<'_, '_>) -> Result<Self, NotOfItsForm> {
        if from.is_null() {
            from.next()?;
            return Ok(None);
        }
        T::take(from).map(Some)
    }
}
