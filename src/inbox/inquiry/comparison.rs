//! What an answer says of a message. Nothing of an answer is believed before its proof.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::crypto::equal_bytes;
use crate::inbox::message::Fact;
use crate::journal::Facts;
use crate::outbound::retry_after;
use crate::recipe::{Evaluation, Fault, Subject};

use super::{Finding, Inquiry, Means, give};

mod same;

/// The state of a payment that is not settled.
const PENDING: &str = "pending";
/// The state that an answer gives for a payment that is not known there.
const UNKNOWN: &str = "unknown";
/// Differences that are told.
const DIFFERENCES_MAX: usize = 8;
/// Characters of a value that are told.
const SHOWN_CHARS: usize = 64;

impl Inquiry {
    /// What an answer says of a message; the part of [`Inquiry::ask`] that is pure. Every fact that
    /// the inquiry names must be in the answer, and in the message.
    pub fn compare(&self, facts: &Facts, answer: &Response<Bytes>, means: Means<'_>) -> Finding {
        let status = answer.status();
        if self.unknown.contains(&status.as_u16()) {
            return Finding::Unknown;
        }
        if !status.is_success() {
            let wait = retry_after(answer.headers(), means.now);
            return no_answer("status", status, wait.map(|wait| wait.as_secs()));
        }
        let (digits, body) = (status.as_u16().to_string(), [answer.body().clone()]);
        let subject = Subject {
            method: self.call.method.as_str(),
            scheme: "https",
            authority: "",
            target: "/",
            headers: answer.headers(),
            body: if answer.body().is_empty() { &[] } else { &body },
            status: Some(&digits),
            public_url: None,
            secret: Some(means.key.secret().expose()),
            values: means.values,
        };
        let mut said = Evaluation::new(subject, &self.scope);
        give(&mut said, &self.given, facts);
        if let Err(code) = self.proof(&said) {
            return no_answer(code, status, None);
        }
        match self.facts(&said) {
            Ok(found) => finding(facts, &found),
            Err(code) => no_answer(code, status, None),
        }
    }

    /// Whether the answer proves itself. All pairs are looked at, whichever differs.
    fn proof(&self, said: &Evaluation<'_>) -> Result<(), &'static str> {
        let mut holds = true;
        for [left, right] in &self.require {
            let both = (said.secret_bytes(left), said.secret_bytes(right));
            match both {
                (Ok(left), Ok(right)) => holds &= equal_bytes(&left, &right),
                (Err(Fault::Absent(_)), _) | (_, Err(Fault::Absent(_))) => holds = false,
                _ => return Err("unreadable"),
            }
        }
        if holds { Ok(()) } else { Err("unproved") }
    }

    /// What the answer says.
    fn facts(&self, said: &Evaluation<'_>) -> Result<Vec<(Fact, String)>, &'static str> {
        let mut found = Vec::with_capacity(self.facts.len());
        for (fact, template) in &self.facts {
            let text = said.text(template).map_err(|_| "unreadable");
            // One that is not known has nothing else to say.
            if *fact == Fact::State && text.as_deref() == Ok(UNKNOWN) {
                return Ok(vec![(Fact::State, UNKNOWN.to_owned())]);
            }
            found.push((*fact, text.map(Cow::into_owned)));
        }
        found.into_iter().map(|(fact, text)| Ok((fact, text?))).collect()
    }
}

fn finding(facts: &Facts, found: &[(Fact, String)]) -> Finding {
    let state = found.iter().find(|(fact, _)| *fact == Fact::State).map(|(_, state)| state);
    if state.is_some_and(|state| state == UNKNOWN) {
        return Finding::Unknown;
    }
    let (mut differences, mut pending) = (Vec::new(), false);
    for (fact, found) in found {
        let stated = facts.get(fact.as_str()).map(String::as_str);
        let agrees = stated.is_some_and(|stated| match fact {
            Fact::State if stated != found && found == PENDING => {
                pending = true;
                true
            }
            Fact::State => stated == found || stated == PENDING,
            Fact::Amount => same::amount(stated, found),
            Fact::Currency => stated.eq_ignore_ascii_case(found),
            Fact::Date => same::date(stated, found),
            _ => stated == found,
        });
        if !agrees && differences.len() < DIFFERENCES_MAX {
            let stated = stated.map_or_else(|| "nothing".to_owned(), shown);
            let (name, found) = (fact.as_str(), shown(found));
            differences.push(format!("{name}: the message says {stated}, the answer {found}"));
        }
    }
    let state = state.cloned();
    match (differences.is_empty(), pending) {
        (false, _) => Finding::Differs { state, differences },
        (true, true) => Finding::Pending,
        (true, false) => Finding::Agrees { state },
    }
}

fn no_answer(code: &'static str, status: StatusCode, retry_after: Option<u64>) -> Finding {
    Finding::NoAnswer { code, status: Some(status.as_u16()), retry_after }
}

/// A value for people: one line, and not all of a long one.
fn shown(value: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let cut: String = value.chars().take(SHOWN_CHARS).map(plain).collect();
    if value.chars().nth(SHOWN_CHARS).is_some() { format!("{cut}…") } else { cut }
}
