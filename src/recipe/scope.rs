//! The names that a template may use: values defined before it, values that are handed in, and
//! values of the credential.

use std::sync::Arc;

use crate::recipe::origin::{Origin, Origins};
use crate::recipe::template::Template;
use crate::recipe::value::Type;

/// The most names that one scope may define: evaluations nest no deeper.
pub const NAMES_MAX: usize = 64;

/// One thing for every method, or one for some methods and one for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByMethod<T> {
    methods: Vec<(Box<str>, T)>,
    rest: Option<T>,
}

impl<T> From<T> for ByMethod<T> {
    fn from(all: T) -> Self {
        Self { methods: Vec::new(), rest: Some(all) }
    }
}

impl<T> Default for ByMethod<T> {
    fn default() -> Self {
        Self { methods: Vec::new(), rest: None }
    }
}

impl<T> ByMethod<T> {
    /// Sets it for one method, in capitals as on the wire, or for the rest, written `*`.
    pub fn insert(&mut self, method: &str, one: T) {
        self.methods.retain(|(own, _)| **own != *method);
        match method {
            "*" => self.rest = Some(one),
            method => self.methods.push((method.into(), one)),
        }
    }

    /// The one for a method; `None` where neither it nor the rest has one.
    pub fn get(&self, method: &str) -> Option<&T> {
        let own = self.methods.iter().find(|(own, _)| **own == *method).map(|(_, one)| one);
        own.or(self.rest.as_ref())
    }

    /// All of them, each with its method or `*`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let methods = self.methods.iter().map(|(method, one)| (&**method, one));
        methods.chain(self.rest.iter().map(|one| ("*", one)))
    }
}

/// A name that a scope defines.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Type,
    pub(crate) origins: Origins,
    /// What it stands for; `None` for a value that is handed in.
    pub(crate) templates: Option<ByMethod<Template>>,
}

/// Which values of the credential templates may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// None.
    None,
    /// Any: whether the credential has them shows when it is loaded, from the origins.
    #[default]
    Any,
    /// These.
    Only(Vec<String>),
}

/// The names that templates may use, in the order of their definition.
#[derive(Debug, Default)]
pub struct Scope {
    definitions: Vec<Definition>,
    credentials: Credentials,
}

/// A value that is to be handed in: see [`Scope::expect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given(pub(crate) usize);

/// Why a name cannot be defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It is defined already, or means something else in the language.
    #[error("the name is taken")]
    Taken,
    /// Not of its form.
    #[error("a name has letters, digits and '_', and begins with a letter")]
    Form,
    /// More names than [`NAMES_MAX`].
    #[error("there are more than {NAMES_MAX} names")]
    TooMany,
    /// Its templates for different methods give different types.
    #[error("it must have the same type for all methods")]
    Types,
    /// It has no template at all.
    #[error("it has no template")]
    Empty,
}

impl Scope {
    /// A scope without names.
    pub fn new(credentials: Credentials) -> Self {
        Self { definitions: Vec::new(), credentials }
    }

    /// Defines a name for what later templates may read.
    ///
    /// # Errors
    /// When the name cannot be used, or its templates do not fit together.
    pub fn define(
        &mut self,
        name: &str,
        templates: impl Into<ByMethod<Template>>,
    ) -> Result<(), NameFault> {
        let templates = templates.into();
        let kinds: Vec<Type> = templates.iter().map(|(_, template)| template.kind()).collect();
        let Some((first, others)) = kinds.split_first() else { return Err(NameFault::Empty) };
        let kind = others.iter().copied().try_fold(*first, join).ok_or(NameFault::Types)?;
        let mut origins = Origins::default();
        templates.iter().for_each(|(_, template)| origins.extend(template.origins()));
        self.add(name, kind, origins, Some(templates)).map(|_| ())
    }

    /// Announces a value that is handed in when the message is looked at.
    ///
    /// # Errors
    /// When the name cannot be used.
    pub fn expect(&mut self, name: &str, kind: Type) -> Result<Given, NameFault> {
        let mut origins = Origins::default();
        origins.insert(Origin::Given(name.into()));
        self.add(name, kind, origins, None).map(Given)
    }

    fn add(
        &mut self,
        name: &str,
        kind: Type,
        origins: Origins,
        templates: Option<ByMethod<Template>>,
    ) -> Result<usize, NameFault> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(word) {
            return Err(NameFault::Form);
        }
        if self.find(name).is_some() || crate::recipe::source::is_source(name) {
            return Err(NameFault::Taken);
        }
        if self.definitions.len() >= NAMES_MAX {
            return Err(NameFault::TooMany);
        }
        self.definitions.push(Definition { name: name.into(), kind, origins, templates });
        Ok(self.definitions.len() - 1)
    }

    pub(crate) fn find(&self, name: &str) -> Option<(usize, &Definition)> {
        self.definitions.iter().enumerate().find(|(_, one)| *one.name == *name)
    }

    pub(crate) fn definition(&self, index: usize) -> Option<&Definition> {
        self.definitions.get(index)
    }

    /// All names that are defined.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().map(|one| &*one.name)
    }

    pub(crate) fn len(&self) -> usize {
        self.definitions.len()
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// The type of a name that has one of two types: text is bytes too.
fn join(one: Type, other: Type) -> Option<Type> {
    match (one, other) {
        (Type::Text, Type::Bytes) | (Type::Bytes, Type::Text) => Some(Type::Bytes),
        _ => (one == other).then_some(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_fall_back_to_the_rest() {
        let mut one = ByMethod::default();
        one.insert("GET", 1);
        assert_eq!((one.get("GET"), one.get("POST")), (Some(&1), None));
        one.insert("*", 2);
        assert_eq!((one.get("GET"), one.get("POST")), (Some(&1), Some(&2)));
        one.insert("GET", 3);
        assert_eq!(one.iter().collect::<Vec<_>>(), [("GET", &3), ("*", &2)]);
    }

    #[test]
    fn names_are_free_and_well_formed() {
        let mut scope = Scope::default();
        assert_eq!(scope.expect("body", Type::Text), Err(NameFault::Taken));
        assert_eq!(scope.expect("a-b", Type::Text), Err(NameFault::Form));
        assert!(scope.expect("plain", Type::Bytes).is_ok());
        assert_eq!(scope.expect("plain", Type::Bytes), Err(NameFault::Taken));
        assert_eq!(scope.define("x", ByMethod::default()), Err(NameFault::Empty));
    }
}
