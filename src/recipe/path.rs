//! Paths into JSON: `a.b.0.c`, members with odd names in double quotes: `a."b.c"`.

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The member's name.
    pub name: Box<str>,
    /// The index, where the name is a number that was not quoted: it then also fits arrays.
    pub index: Option<usize>,
}

/// A path of at least one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Box<[Step]>);

impl Path {
    /// Its steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let step = if let Some(quoted) = rest.strip_prefix('"') {
                let (name, after) = unquote(quoted)?;
                rest = after;
                Step { name: name.into(), index: None }
            } else {
                let (name, _) = rest.split_once('.').unwrap_or((rest, ""));
                rest = rest.get(name.len()..).unwrap_or_default();
                if name.is_empty() {
                    return Err("a path has no empty steps");
                }
                Step { name: name.into(), index: index(name) }
            };
            steps.push(step);
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => return Ok(Self(steps.into())),
                None => return Err("a '.' belongs between two steps"),
            }
        }
    }
}

fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with(['0', '+']);
    name.parse().ok().filter(|_| plain)
}

/// The text up to the closing quote, with `\"` and `\\` resolved, and what follows it.
fn unquote(text: &str) -> Result<(String, &str), &'static str> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((name, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => name.push(c),
                _ => return Err("in double quotes, a backslash stands before '\"' or '\\'"),
            },
            c => name.push(c),
        }
    }
    Err("the closing double quote is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(String, Option<usize>)> {
        let path = Path::parse(text).unwrap();
        path.steps().iter().map(|step| (step.name.to_string(), step.index)).collect()
    }

    #[test]
    fn paths_are_read() {
        assert_eq!(names("a.b.0"), [("a".into(), None), ("b".into(), None), ("0".into(), Some(0))]);
        assert_eq!(names(r#"a."b.c"."0""#)[1..], [("b.c".into(), None), ("0".into(), None)]);
        assert_eq!(names(r#""a\"b\\""#), [("a\"b\\".into(), None)]);
        assert_eq!(names("01"), [("01".into(), None)]);
    }

    #[test]
    fn broken_paths_are_refused() {
        for text in ["", ".", "a.", "a..b", "\"a", "\"a\"b", r#""a\x""#] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }
}
