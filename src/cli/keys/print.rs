//! Outcomes of verbs: tables for people, JSON and comma-separated values for programs.

use std::io::Write;

use anstyle::Style;
use countersign::administration::{Outcome, Verb};
use serde_json::{Map, Value};

use super::handover::Handed;
use super::member;
use crate::cli::Failure;
use crate::cli::table::{Cell, render};

const BOLD: Style = Style::new().bold();

/// Prints JSON; with the secret, where it is to be shown and not in a file.
pub(super) fn json(
    out: &mut impl Write,
    outcome: &Outcome,
    handed: Option<&Handed>,
) -> Result<(), Failure> {
    if let (Some(Handed::Print), Some(_)) = (handed, &outcome.secret) {
        let text = outcome.disclose().map_err(|fault| Failure::because("the outcome", &fault))?;
        out.write_all(&text)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{:#}", outcome.value)?;
    Ok(())
}

/// Prints comma-separated values (RFC 4180), the names of the columns first.
pub(super) fn csv(out: &mut impl Write, verb: &Verb, value: &Value) -> Result<(), Failure> {
    write!(out, "{}\r\n", verb.columns.join(","))?;
    for item in member(value, "items").as_array().into_iter().flatten() {
        let cells = verb.columns.iter().map(|column| quoted(&text(member(item, column))));
        write!(out, "{}\r\n", cells.collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}

/// A value as a cell. What a spreadsheet would take for a formula is made text.
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Prints for people: a list as a table, one thing line by line, and tables of what is in it.
pub(super) fn people(
    out: &mut impl Write,
    verb: &Verb,
    outcome: &Outcome,
    handed: Option<&Handed>,
) -> Result<(), Failure> {
    let Some(members) = outcome.value.as_object() else {
        writeln!(out, "{}", text(&outcome.value))?;
        return Ok(());
    };
    if let Some(items) = members.get("items").and_then(Value::as_array) {
        write!(out, "{}", table(items, verb.columns))?;
        if items.is_empty() {
            writeln!(out, "none")?;
        }
        if let Some(next) = members.get("next").and_then(Value::as_str) {
            writeln!(out, "\nThere are more: --after {next}")?;
        }
        return Ok(());
    }
    write!(out, "{}", render(&lines(members)))?;
    for (name, value) in members {
        let Some(items) = value.as_array().filter(|items| items.iter().all(Value::is_object))
        else {
            continue;
        };
        if !items.is_empty() {
            writeln!(out, "\n{BOLD}{name}{BOLD:#}")?;
            write!(out, "{}", table(items, columns_of(name)))?;
        }
    }
    match (handed, &outcome.secret) {
        (Some(Handed::Written(path)), _) => {
            writeln!(out, "\nThe secret is in {}. It is not shown again.", path.display())?;
        }
        (Some(Handed::Print), Some(secret)) => {
            writeln!(out, "\nThe secret, which is not shown again:\n")?;
            out.write_all(secret.expose().as_bytes())?;
            writeln!(out)?;
        }
        (Some(Handed::Print), None) if verb.discloses => {
            writeln!(out, "\nThe secret was shown before, and is shown once.")?;
        }
        _ => {}
    }
    Ok(())
}

/// What people read of a table inside another outcome.
fn columns_of(name: &str) -> &'static [&'static str] {
    match name {
        "attempts" => &["work", "at", "outcome", "status", "took_millis", "attempt"],
        "due" => &["work", "at"],
        "headers" => &["name", "bytes", "value"],
        _ => VERSION_COLUMNS,
    }
}

/// What people read of versions inside another outcome.
const VERSION_COLUMNS: &[&str] =
    &["kind", "version", "state", "until", "check_value", "origin", "created_at", "reason"];

/// What people want to see first.
const FIRST: &[&str] =
    &["key_id", "merchant", "policy", "token", "epoch", "kind", "version", "state", "name"];

/// A line a member, without what is absent, empty, or a table of its own.
fn lines(members: &Map<String, Value>) -> Vec<Vec<Cell>> {
    let shown = members.iter().filter(|(name, value)| {
        let inner = value.as_array().is_some_and(|items| items.iter().any(Value::is_object));
        !inner && *name != "secret" && !text(value).is_empty()
    });
    let mut shown: Vec<_> = shown.collect();
    let place = |name: &str| FIRST.iter().position(|first| *first == name);
    shown.sort_by_key(|(name, _)| place(name).unwrap_or(FIRST.len()));
    shown
        .into_iter()
        .map(|(name, value)| vec![Cell::styled(name, BOLD), Cell::plain(text(value))])
        .collect()
}

/// A table of some columns; those that are empty in every line are left out.
fn table(items: &[Value], columns: &[&str]) -> String {
    let filled = |column: &&&str| items.iter().any(|item| !text(member(item, column)).is_empty());
    let columns: Vec<&str> = columns.iter().filter(filled).copied().collect();
    let mut lines = Vec::new();
    if !items.is_empty() {
        lines.push(columns.iter().map(|name| Cell::styled(*name, BOLD)).collect());
    }
    for item in items {
        lines.push(columns.iter().map(|name| Cell::plain(text(member(item, name)))).collect());
    }
    render(&lines)
}

/// A value on one line.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        // Names may hold anything, and this goes to a terminal.
        Value::String(text) => text.replace(char::is_control, "\u{fffd}"),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if !items.iter().any(Value::is_object) => {
            items.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        Value::Object(members) if members.is_empty() => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_quoted_and_no_formula() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,b \"c\""), "\"a,b \"\"c\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
    }

    #[test]
    fn values_are_one_line() {
        assert_eq!(text(&json!(["a", 1, true])), "a, 1, yes");
        assert_eq!(text(&json!({ "a": 1 })), "{\"a\":1}");
        assert_eq!(text(&json!("a\u{1b}[31mb")), "a\u{fffd}[31mb");
        assert_eq!(text(&json!(null)), "");
    }
}
