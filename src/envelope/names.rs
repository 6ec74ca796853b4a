//! The names that an envelope's templates read, and those of them that are worked out once for a
//! key: whatever depends on secrets alone, such as a key that takes a second to derive.

use std::borrow::Cow;

use http::HeaderMap;

use super::CannotOpen;
use crate::recipe::origin::Origin;
use crate::recipe::value::{Type, Value};
use crate::recipe::{Evaluation, Given, Mistake, NameFault, Scope, Subject, Template};
use crate::secret::NamedSecrets;

/// How a name comes to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Its template reads the message.
    Template,
    /// It was worked out from the secrets, and stands at this position among what was.
    Settled(usize),
    /// It is handed in.
    Given(Type),
}

/// A name before it is compiled.
pub(super) struct Named<'d> {
    pub(super) name: &'d str,
    /// Empty for a name that is only ever handed in.
    pub(super) text: &'d str,
}

/// A scope with the names that are handed in to it.
#[derive(Default)]
pub(super) struct Names {
    pub(super) scope: Scope,
    settled: Vec<(usize, Given)>,
    given: Vec<(String, Given)>,
}

/// What was worked out for one key, in the order of the names; wiped when dropped.
pub(super) struct Settled(Vec<Value<'static>>);

impl Drop for Settled {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Value::wipe);
    }
}

impl Settled {
    /// The values of all that depends on secrets alone: `names` compiled as templates, each in
    /// `scope`.
    ///
    /// # Errors
    /// When a value is missing or cannot be worked out.
    pub(super) fn work_out<'t>(
        scope: &Scope,
        templates: impl Iterator<Item = &'t Template>,
        secret: Option<&[u8]>,
        values: &NamedSecrets,
    ) -> Result<Self, CannotOpen> {
        let headers = HeaderMap::new();
        let subject = Subject {
            method: "",
            scheme: "https",
            authority: "",
            target: "/",
            headers: &headers,
            body: &[],
            status: None,
            public_url: None,
            secret,
            values,
        };
        let evaluation = Evaluation::new(subject, scope);
        let mut settled = Self(Vec::new());
        for template in templates {
            settled.0.push(evaluation.value(template)?.into_owned());
        }
        Ok(settled)
    }

    /// The value at a position.
    pub(super) fn get(&self, at: usize) -> Option<&Value<'static>> {
        self.0.get(at)
    }

    /// The bytes at a position.
    pub(super) fn bytes(&self, at: usize) -> Result<Cow<'_, [u8]>, CannotOpen> {
        Ok(self.get(at).ok_or(CannotOpen)?.lend().bytes()?)
    }
}

/// Whether something depends on secrets and fixed text alone.
pub(super) fn is_settled(template: &Template) -> bool {
    let fixed = |origin: &Origin| {
        matches!(origin, Origin::Constant | Origin::Secret | Origin::Credential(_))
    };
    template.origins().iter().all(fixed)
}

impl Names {
    /// A scope with all names, each in its way. What is wrong with one is told to `report`; the
    /// name then stands for a text, so that its mistake is not told again wherever it is used.
    pub(super) fn build(
        names: &[Named<'_>],
        way: impl Fn(&str) -> Way,
        mut report: impl FnMut(&str, Mistake),
    ) -> Self {
        let mut built = Self { scope: Scope::default(), settled: Vec::new(), given: Vec::new() };
        for Named { name, text } in names {
            let fault = |fault: NameFault| Mistake::new(0..0, fault.to_string());
            if let Way::Given(kind) = way(name) {
                match Scope::expect(&mut built.scope, name, kind) {
                    Ok(given) => built.given.push(((*name).to_owned(), given)),
                    Err(why) => report(name, fault(why)),
                }
                continue;
            }
            let template = match Template::compile(text, &built.scope) {
                Ok(template) => template,
                Err(mistakes) => {
                    mistakes.into_iter().for_each(|mistake| report(name, mistake));
                    let _taken = Scope::expect(&mut built.scope, name, Type::Text);
                    continue;
                }
            };
            let done = match way(name) {
                Way::Settled(at) => {
                    Scope::expect(&mut built.scope, name, template.kind()).map(|given| {
                        built.settled.push((at, given));
                    })
                }
                _ => built.scope.define(name, template),
            };
            if let Err(why) = done {
                report(name, fault(why));
            }
        }
        built
    }

    /// Adds a name that is handed in; one that is taken stays what it is.
    pub(super) fn announce(&mut self, name: &str, kind: Type) {
        if let Ok(given) = Scope::expect(&mut self.scope, name, kind) {
            self.given.push((name.to_owned(), given));
        }
    }

    /// The names that are handed in.
    pub(super) fn given_names(&self) -> impl Iterator<Item = &str> {
        self.given.iter().map(|(name, _)| name.as_str())
    }

    /// A look at one message, with what was settled before and what is handed in now.
    pub(super) fn look<'s>(
        &'s self,
        subject: Subject<'s>,
        settled: &'s Settled,
        given: impl IntoIterator<Item = (&'s str, Value<'s>)>,
    ) -> Evaluation<'s> {
        let mut evaluation = Evaluation::new(subject, &self.scope);
        for (at, name) in &self.settled {
            if let Some(value) = settled.get(*at) {
                evaluation.give(*name, value.lend());
            }
        }
        for (name, value) in given {
            if let Some((_, name)) = self.given.iter().find(|(own, _)| own == name) {
                evaluation.give(*name, value);
            }
        }
        evaluation
    }
}
