//! A member of an update that may be emptied: left out it stays, `null` empties it (RFC 7396).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// What marks such a member in its schema.
const CLEARABLE: &str = "x-countersign-clearable";

/// Whether a schema is that of such a member.
pub fn is_clearable(schema: &Value) -> bool {
    schema.get(CLEARABLE).is_some_and(|mark| *mark == true)
}

/// What an update says of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clearable<T> {
    /// Nothing.
    #[default]
    Stays,
    /// That it is empty from now on.
    Cleared,
    /// Its value from now on.
    Becomes(T),
}

impl<T> Clearable<T> {
    /// Whether the member stays: then it is not written.
    pub(super) fn stays(&self) -> bool {
        matches!(self, Self::Stays)
    }

    /// What stands there from now on, in the place of what stood there.
    pub(super) fn over<U>(self, before: Option<U>, value: impl FnOnce(T) -> U) -> Option<U> {
        match self {
            Self::Stays => before,
            Self::Cleared => None,
            Self::Becomes(new) => Some(value(new)),
        }
    }
}

impl<T: Serialize> Serialize for Clearable<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Becomes(value) => value.serialize(serializer),
            Self::Stays | Self::Cleared => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Clearable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Cleared, Self::Becomes))
    }
}

impl<T: JsonSchema> JsonSchema for Clearable<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Clearable_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Option::<T>::json_schema(generator);
        schema.insert(CLEARABLE.to_owned(), true.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Update {
        #[serde(default, skip_serializing_if = "Clearable::stays")]
        limit: Clearable<u64>,
    }

    #[test]
    fn left_out_it_stays_and_null_empties_it() {
        for (text, after) in
            [("{}", Some(7)), (r#"{"limit":null}"#, None), (r#"{"limit":9}"#, Some(9))]
        {
            let update: Update = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&update).unwrap(), text);
            assert_eq!(update.limit.over(Some(7), |limit| limit), after, "{text}");
        }
        assert!(serde_json::from_str::<Update>(r#"{"limit":"x"}"#).is_err());
    }

    #[test]
    fn its_schema_says_so() {
        let schema = schemars::schema_for!(Update).to_value();
        assert!(is_clearable(&schema["properties"]["limit"]) && !is_clearable(&schema));
        assert_eq!(schema["required"], Value::Null);
    }
}
