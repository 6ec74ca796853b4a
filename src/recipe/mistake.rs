//! What is wrong with a template, with its place and, where one can be guessed, a hint.

use std::fmt;
use std::ops::Range;

/// A mistake in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where, in bytes of the template.
    pub span: Range<usize>,
    /// What is wrong.
    pub problem: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Mistake {
    /// A mistake without a hint.
    pub(crate) fn new(span: Range<usize>, problem: impl Into<String>) -> Self {
        Self { span, problem: problem.into(), hint: None }
    }

    /// Adds a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the known name that is nearest to a misspelt one, if one is near.
    pub(crate) fn suggest<'n>(self, name: &str, known: impl IntoIterator<Item = &'n str>) -> Self {
        match nearest(name, known) {
            Some(known) => self.hint(format!("did you mean '{known}'?")),
            None => self,
        }
    }
}

fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(&lower, known), known));
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    near.filter(|(distance, _)| *distance <= allowed).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let suggest = |name| Mistake::new(0..1, "unknown").suggest(name, ["lower", "join", "hex"]);
        assert_eq!(suggest("lwoer").to_string(), "unknown; did you mean 'lower'?");
        assert_eq!(suggest("HEX").hint.unwrap(), "did you mean 'hex'?");
        assert_eq!(suggest("something").hint, None);
    }
}
