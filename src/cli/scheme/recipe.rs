//! Recipe files: a documented way of signing with a whole message that must verify, and others that
//! must or must not.

use std::collections::BTreeMap;
use std::path::Path;

use countersign::scheme::Vector;
use serde::Deserialize;

use crate::cli::Failure;

/// A recipe file, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Recipe {
    /// The name of its scheme.
    pub(crate) id: String,
    vector: Message,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Debug, Default, Deserialize)]
struct Message {
    secret: String,
    #[serde(default)]
    credentials: BTreeMap<String, String>,
    method: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

/// The message with some members replaced.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    expect: Expected,
    secret: Option<String>,
    credentials: Option<BTreeMap<String, String>>,
    method: Option<String>,
    url: Option<String>,
    /// Merged with those of the message; null removes one.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    body: Option<String>,
}

/// How a message must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expected {
    Accept,
    Reject,
}

/// A whole message, what it shows, and how it must end.
pub(crate) struct Trial {
    pub(crate) name: String,
    pub(crate) expected: Expected,
    pub(crate) message: Vector,
}

impl Recipe {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let problem = |what: &dyn std::fmt::Display| {
            Failure::failed(format_args!("{}: {what}", path.display()))
        };
        let text = std::fs::read(path).map_err(|e| problem(&e))?;
        serde_json::from_slice(&text).map_err(|e| problem(&e))
    }

    /// Every message of it.
    pub(crate) fn trials(&self) -> Vec<Trial> {
        let whole = &self.vector;
        let first = Trial {
            name: "vector".to_owned(),
            expected: Expected::Accept,
            message: Vector {
                secret: whole.secret.clone(),
                values: whole.credentials.clone().into_iter().collect(),
                method: whole.method.clone(),
                url: whole.url.clone(),
                headers: whole.headers.clone().into_iter().collect(),
                body: whole.body.clone(),
                published: false,
            },
        };
        let others = self.cases.iter().map(|case| case.trial(&first.message));
        let mut trials: Vec<Trial> = others.collect();
        trials.insert(0, first);
        trials
    }
}

impl Case {
    fn trial(&self, whole: &Vector) -> Trial {
        let mut message = whole.clone();
        let replace = |to: &mut String, from: &Option<String>| {
            if let Some(from) = from {
                to.clone_from(from);
            }
        };
        replace(&mut message.secret, &self.secret);
        replace(&mut message.method, &self.method);
        replace(&mut message.url, &self.url);
        replace(&mut message.body, &self.body);
        if let Some(credentials) = &self.credentials {
            message.values = credentials.clone().into_iter().collect();
        }
        for (name, value) in &self.headers {
            message.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
            message.headers.extend(value.clone().map(|value| (name.clone(), value)));
        }
        Trial { name: self.name.clone(), expected: self.expect, message }
    }
}
