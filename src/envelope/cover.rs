//! What a MAC or digest with a secret in it covers: whether every part of a message that is opened
//! is among what it is made over.
//!
//! Looked at as written, member by member: a MAC over `{box.value}` covers nothing of `{box.iv}`,
//! though both are read from one field.

use std::collections::BTreeSet;

/// The names of an envelope's own, each with its template.
pub(super) type Own<'d> = [(&'d str, &'d str)];

/// Whether everything that `needed` reads from a message is read, as it is, by `over`.
pub(super) fn covers(own: &Own<'_>, over: &[&str], needed: &[&str]) -> bool {
    let over: BTreeSet<&str> = over.iter().flat_map(|text| whole_sources(text)).collect();
    needed.iter().flat_map(|text| sources(text)).all(|source| is_covered(own, &over, source, 0))
}

fn is_covered(own: &Own<'_>, over: &BTreeSet<&str>, source: &str, depth: usize) -> bool {
    if over.contains(source) || is_secret(source) {
        return true;
    }
    let name = source.split('.').next().unwrap_or(source);
    let template = own.iter().find(|(own, _)| *own == name).map(|(_, text)| *text);
    // Names stand for earlier ones only; the bound is for those that are at fault.
    match template {
        Some(text) if depth <= own.len() => {
            over.contains(name)
                || sources(text).into_iter().all(|inner| is_covered(own, over, inner, depth + 1))
        }
        _ => false,
    }
}

fn is_secret(source: &str) -> bool {
    source == "secret" || source.starts_with("cred:")
}

/// The inner texts of the holes of a template.
fn holes(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        if let Some(literal) = after.strip_prefix('{') {
            rest = literal;
            continue;
        }
        let Some((hole, after)) = after.split_once('}') else { break };
        found.push(hole);
        rest = after;
    }
    found
}

/// What a template reads: the source of each hole, and the names among the arguments.
fn sources(template: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for hole in holes(template) {
        found.extend(hole.split('|').next().map(str::trim));
        for (_, after) in
            hole.match_indices('@').filter_map(|(at, _)| hole.split_at_checked(at + 1))
        {
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let end = after.find(|c| !word(c)).unwrap_or(after.len());
            found.extend(after.get(..end));
        }
    }
    found
}

/// Sources that stand in a template with nothing done to them: a MAC over the first ten bytes of
/// something does not cover it.
fn whole_sources(template: &str) -> Vec<&str> {
    holes(template).into_iter().map(str::trim).filter(|hole| !hole.contains('|')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [(&str, &str); 3] = [
        ("box", "{form:request | base64_decode | json}"),
        ("blob", "{json:data | unhex}"),
        ("k", "{cred:key}="),
    ];

    #[test]
    fn every_part_must_be_in_it_as_it_is() {
        let covered = |over: &[&str], needed: &[&str]| covers(&OWN, over, needed);
        let needed = ["{box.value | base64_decode}", "{box.iv | base64_decode}"];
        assert!(covered(&["{box.iv}{box.value}"], &needed));
        assert!(covered(&["{box}"], &needed));
        assert!(covered(&["{form:request}"], &needed));
        assert!(!covered(&["{box.value}"], &needed));
        assert!(!covered(&["{box.iv | take(4)}{box.value}"], &needed));
        assert!(covered(&["{json:data}"], &["{blob | bytes(16)}", "{blob | bytes(0, 16)}"]));
        assert!(!covered(&["{json:other}"], &["{blob | bytes(16)}"]));
        assert!(covered(&["{body}"], &["{body | unhex}", "{k | base64_decode}"]));
        assert!(covered(&["a{form:x}b"], &["{form:x | unhex}", "{cred:iv}", "fixed"]));
        assert!(!covered(&["{form:x}"], &["{form:x | xor(@blob)}"]));
    }
}
