//! Secrets on their way in and out: read once, written once and only on purpose, and wiped.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The word in a schema's `format` that marks a secret, as OpenAPI has it.
pub const FORMAT: &str = "password";

/// The text of a secret that an input brings.
#[derive(Clone)]
pub struct Given(Zeroizing<String>);

impl Given {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹secret›")
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl JsonSchema for Given {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": FORMAT, "writeOnly": true })
    }
}

/// The text of a secret that an outcome shows, once. As JSON it is `null`, unless
/// [`super::Outcome::disclose`] writes it.
#[derive(Clone)]
pub struct Shown(Zeroizing<String>);

impl Shown {
    /// Takes the text of a secret.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Takes a secret that is text; none where it is other bytes.
    pub fn of(secret: &Secret) -> Option<Self> {
        let text = std::str::from_utf8(secret.expose()).ok()?;
        Some(Self(Zeroizing::new(text.to_owned())))
    }

    /// Its text, for the one place that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹secret›")
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl JsonSchema for Shown {
    fn schema_name() -> Cow<'static, str> {
        "ShownSecret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": FORMAT, "readOnly": true })
    }
}
