//! Schemes: the built-in ones, and files of one's own, each with a table a scheme.
//!
//! A mistake inside a template is shown with a caret under the very place.

mod builtin;
mod table;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::Document;
use super::fault::{Fault, Faults};
use super::node::{Mismatch, Node, nearest};
use crate::scheme::{Definition, Scheme};

pub use builtin::{builtin, builtin_names, builtin_schemes};
use table::Placed;

/// Every scheme that a configuration may name.
#[derive(Debug, Default)]
pub(super) struct Schemes {
    own: HashMap<String, Arc<Scheme>>,
    /// Names of schemes at fault: who names one of these is not told that it does not exist.
    broken: Vec<String>,
}

/// Which names schemes of one's own may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// None that a built-in scheme has.
    Own,
    Any,
}

impl Schemes {
    /// Those that are no built-in ones, by name.
    pub(super) fn own(&self) -> impl Iterator<Item = (String, Arc<Scheme>)> {
        self.own.iter().map(|(name, one)| (name.clone(), Arc::clone(one)))
    }

    /// The scheme of a name, or why there is none. Nothing where the scheme itself is at fault,
    /// which was told at its own place.
    pub(super) fn find(&self, node: &Node<'_>) -> Result<Option<Arc<Scheme>>, Mismatch> {
        let expected = "the name of a scheme";
        let text = node.str(expected)?;
        if self.broken.iter().any(|name| name == text) {
            return Ok(None);
        }
        let found = self.own.get(text).cloned().or_else(|| builtin(text));
        found.map(Some).ok_or_else(|| {
            let own = self.own.keys().map(String::as_str);
            let mut names: Vec<&str> = builtin_names().collect();
            names.extend(own);
            Mismatch::text(expected, text).hint(match nearest(text, &names) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "`countersign scheme list` shows the built-in ones; name files with your \
                         own as schemes = [\"…\"]"
                    .to_owned(),
            })
        })
    }

    /// The scheme of a name that stands in no node.
    pub(super) fn named(&self, name: &str) -> Option<Arc<Scheme>> {
        self.own.get(name).cloned().or_else(|| builtin(name))
    }

    /// Reads one more file. In a configuration no scheme may have a built-in's name: who reads that
    /// name must be able to know what it stands for.
    fn read(&mut self, path: &Path, names: Names, faults: &mut Vec<Fault>) {
        let Some(text) = super::text_of(path, faults) else { return };
        let document = Document::parse(path, &text);
        for placed in table::schemes(&document) {
            let taken = names == Names::Own && builtin(&placed.name).is_some();
            if taken || self.own.contains_key(&placed.name) || self.broken.contains(&placed.name) {
                placed.refuse_name(match taken {
                    true => "a built-in scheme has this name: take another",
                    false => "the name is taken by another scheme",
                });
                continue;
            }
            match compile(&placed) {
                Some(scheme) => drop(self.own.insert(placed.name.clone(), Arc::new(scheme))),
                None => self.broken.push(placed.name.clone()),
            }
        }
        faults.extend(document.into_faults());
    }
}

/// The scheme of a table, or its mistakes at their places.
fn compile(placed: &Placed<'_>) -> Option<Scheme> {
    let definition = placed.definition.as_ref()?;
    match Scheme::compile(&placed.name, definition) {
        Ok(scheme) => Some(scheme),
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| placed.report(mistake));
            None
        }
    }
}

/// Every scheme of some files, for configurations.
pub(super) fn read_all(paths: &[PathBuf], faults: &mut Vec<Fault>) -> Schemes {
    let mut schemes = Schemes::default();
    paths.iter().for_each(|path| schemes.read(path, Names::Own, faults));
    schemes
}

/// Every scheme of some files, by name, for tools: a built-in's name may stand for another here.
///
/// # Errors
/// Every mistake in them.
pub fn load_schemes(paths: &[PathBuf]) -> Result<Vec<Arc<Scheme>>, Faults> {
    let (mut faults, mut schemes) = (Vec::new(), Schemes::default());
    paths.iter().for_each(|path| schemes.read(path, Names::Any, &mut faults));
    Faults::collect(faults)?;
    let mut all: Vec<Arc<Scheme>> = schemes.own.into_values().collect();
    all.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(all)
}

/// The definitions in a file that is known to be right, in their order.
fn definitions(name: &str, text: &str) -> Vec<(String, Definition)> {
    let document = Document::parse(Path::new(name), text);
    let all = table::schemes(&document).into_iter();
    all.filter_map(|placed| Some((placed.name, placed.definition?))).collect()
}
