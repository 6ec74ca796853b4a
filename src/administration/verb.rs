//! A verb: what it is called, who may say it, what it takes and gives, and what it does.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::disclosure::Shown;
use super::{Code, Office, Problem};
use crate::store::Actor;
use crate::store::row::Role;

/// One thing that an operator can do.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    /// Its name on the command line, such as `credential rotate`.
    pub name: &'static str,
    /// How the API is asked for it.
    pub method: Method,
    /// Where, such as `/admin/v1/credentials/{key_id}:rotate`. Names in braces are members of the
    /// input; on the command line they are positional, in this order.
    pub path: &'static str,
    /// The least that may ask for it.
    pub role: Role,
    /// What it does, in a sentence without full stop.
    pub summary: &'static str,
    /// Whether people are asked before it is done: it cannot be undone, or stops requests.
    pub drastic: bool,
    /// Whether its outcome may show a secret.
    pub discloses: bool,
    /// The members of a list's items that people read, in this order; empty: all.
    pub columns: &'static [&'static str],
    input: fn() -> Schema,
    output: fn() -> Schema,
    run: fn(&Office, &Actor, Value) -> Result<Outcome, Problem>,
}

/// How the API is asked for a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes something (201), or does something to it (200; its path ends in `:verb`).
    Post,
    /// Changes members of something that is there.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Its name in HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What a verb gives. Implemented by hand, so that a secret is handed on knowingly.
pub trait Output: Serialize + JsonSchema {
    /// The secret that it shows, in its member `secret`.
    fn secret(&self) -> Option<&Shown> {
        None
    }
}

/// What a verb gave.
#[derive(Debug)]
pub struct Outcome {
    /// All of it, a secret being `null`.
    pub value: Value,
    /// The secret that belongs in the member `secret`.
    pub secret: Option<Shown>,
}

impl Outcome {
    /// JSON with the secret in its place: for the one who is to have it, and nobody else.
    ///
    /// # Errors
    /// Never, for what verbs give.
    pub fn disclose(&self) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        // Room for all of it: a buffer that grows would leave a copy behind, unwiped.
        let length = serde_json::to_vec(&self.value)?.len();
        let secret = self.secret.as_ref().map_or(0, |shown| shown.expose().len());
        let mut bytes = Zeroizing::new(Vec::with_capacity(length + 6 * secret + 16));
        serde_json::to_writer(&mut *bytes, &Disclosed(self))?;
        Ok(bytes)
    }
}

/// An outcome as it is written with its secret.
struct Disclosed<'o>(&'o Outcome);

impl Serialize for Disclosed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (Value::Object(members), Some(secret)) = (&self.0.value, &self.0.secret) else {
            return self.0.value.serialize(serializer);
        };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in members {
            match name.as_str() {
                "secret" => map.serialize_entry(name, secret.expose())?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// What a verb does, with its types.
pub type Act<I, O> = fn(&Office, &Actor, I) -> Result<O, Problem>;

/// What makes the schemas of input and output.
type Schemas = (fn() -> Schema, fn() -> Schema);

/// How a verb is asked for: method and path.
pub type Way = (Method, &'static str);

impl Verb {
    /// A verb of a name; see [`verb!`] for the last three.
    pub(super) const fn new(
        name: &'static str,
        (method, path): Way,
        role: Role,
        summary: &'static str,
        (input, output): Schemas,
        run: fn(&Office, &Actor, Value) -> Result<Outcome, Problem>,
    ) -> Self {
        Self {
            name,
            method,
            path,
            role,
            summary,
            drastic: false,
            discloses: false,
            columns: &[],
            input,
            output,
            run,
        }
    }

    pub(super) const fn drastic(self) -> Self {
        Self { drastic: true, ..self }
    }

    pub(super) const fn discloses(self) -> Self {
        Self { discloses: true, ..self }
    }

    pub(super) const fn columns(self, columns: &'static [&'static str]) -> Self {
        Self { columns, ..self }
    }

    /// The names in the path, in their order.
    pub fn path_members(&self) -> impl Iterator<Item = &'static str> {
        let parts = self.path.split('{').skip(1);
        parts.filter_map(|part| part.split_once('}').map(|(name, _)| name))
    }

    /// The JSON Schema (2020-12) of its input: an object, without references.
    pub fn input_schema(&self) -> Schema {
        (self.input)()
    }

    /// The JSON Schema (2020-12) of its output: an object, without references.
    pub fn output_schema(&self) -> Schema {
        (self.output)()
    }

    /// Does it.
    ///
    /// # Errors
    /// See [`Code`]. Nothing was changed.
    pub fn run(&self, office: &Office, actor: &Actor, input: Value) -> Result<Outcome, Problem> {
        (self.run)(office, actor, input)
    }
}

/// The schema of an input.
pub(super) fn input_of<I: JsonSchema, O>(_: Act<I, O>) -> Schema {
    settings().for_deserialize().into_generator().into_root_schema_for::<I>()
}

/// The schema of an output.
pub(super) fn output_of<I, O: JsonSchema>(_: Act<I, O>) -> Schema {
    settings().for_serialize().into_generator().into_root_schema_for::<O>()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    })
}

/// Reads the input, does the verb and writes its output.
pub(super) fn carry_out<I: DeserializeOwned, O: Output>(
    act: Act<I, O>,
    office: &Office,
    actor: &Actor,
    input: Value,
) -> Result<Outcome, Problem> {
    let input = match input {
        Value::Null => Value::Object(Map::new()),
        input => input,
    };
    let input = serde_json::from_value(input)
        .map_err(|fault| Problem::new(Code::InvalidInput, fault.to_string()))?;
    let output = act(office, actor, input)?;
    let secret = output.secret().cloned();
    let value = serde_json::to_value(&output)
        .map_err(|fault| Problem::new(Code::Store, format!("the outcome: {fault}")))?;
    Ok(Outcome { value, secret })
}

/// A verb: its name, method and path, least role, summary, and the function that does it.
macro_rules! verb {
    ($name:literal, $method:ident $path:literal, $role:ident, $summary:literal, $act:path) => {
        $crate::administration::verb::Verb::new(
            $name,
            ($crate::administration::verb::Method::$method, $path),
            $crate::store::row::Role::$role,
            $summary,
            (
                || $crate::administration::verb::input_of($act),
                || $crate::administration::verb::output_of($act),
            ),
            |office, actor, input| {
                $crate::administration::verb::carry_out($act, office, actor, input)
            },
        )
    };
}
pub(super) use verb;
