//! The table `answer` of a scheme, compiled and checked.

use std::ops::Range;

use http::HeaderName;

use crate::recipe::{Mistake, NameFault, Origin, Piece, Scope, Template, Type};
use crate::scheme::algorithm::{Algorithm, Method};
use crate::scheme::answer::{AnswerHeader, AnswerPlan, AnswerSecret, Handed, Said};
use crate::scheme::definition::{AnswerTable, Definition, SchemeMistake};
use crate::scheme::plan::Plan;

/// Headers that are not known yet when an answer is signed, or that say where it ends.
const UNKNOWN: [&str; 6] = [
    "connection",
    "content-length",
    "date",
    "trailer",
    "transfer-encoding",
    "x-countersign-request-id",
];

/// Compiles the table; none where there is no table.
///
/// # Errors
/// Every mistake in it.
pub(super) fn compile(
    definition: &Definition,
    plans: &[&Plan],
) -> Result<Option<AnswerPlan>, Vec<SchemeMistake>> {
    let Some(table) = &definition.answer else { return Ok(None) };
    let mut check = Check { table, plans, mistakes: Vec::new() };
    let plan = check.plan();
    match plan {
        Some(plan) if check.mistakes.is_empty() => Ok(Some(plan)),
        _ => Err(check.mistakes),
    }
}

struct Check<'d> {
    table: &'d AnswerTable,
    plans: &'d [&'d Plan],
    mistakes: Vec<SchemeMistake>,
}

impl Check<'_> {
    fn plan(&mut self) -> Option<AnswerPlan> {
        let secret = self.secret();
        self.algorithm();
        let headers = self.headers();
        let mut scope = Scope::default();
        let given = handed(&mut scope).ok()?;
        let message = self.message(&scope)?;
        self.reads(&message, &headers);
        if secret == Some(AnswerSecret::Request) {
            self.apart(&message);
        }
        Some(AnswerPlan { scope, given, message, headers, secret: secret? })
    }

    fn secret(&mut self) -> Option<AnswerSecret> {
        match self.table.secret.as_deref() {
            None | Some("request") => Some(AnswerSecret::Request),
            Some("own") => Some(AnswerSecret::Own),
            Some(other) => {
                let problem = format!("expected request or own, found '{other}'");
                self.mistakes.push(SchemeMistake::of("answer.secret", problem));
                None
            }
        }
    }

    /// The gate must be able to sign, with nothing but the credential.
    fn algorithm(&mut self) {
        let problem = if self.plans.iter().any(|plan| !is_keyed(plan)) {
            "answers are signed where `mac` names one HMAC"
        } else if self.plans.iter().any(|plan| plan.places.first().is_none_or(|p| p.slot.is_none()))
        {
            "the key differs from request to request, so there is none for answers"
        } else {
            return;
        };
        self.mistakes.push(SchemeMistake::of("answer", problem));
    }

    fn headers(&mut self) -> Vec<AnswerHeader> {
        let mut scope = Scope::default();
        for (name, _) in Said::NAMES {
            if Scope::expect(&mut scope, name, Type::Text).is_err() {
                return Vec::new();
            }
        }
        let mut headers = Vec::new();
        for (name, text) in &self.table.headers {
            let key = format!("answer.headers.{name}");
            let Some(template) = self.compiled(&key, text, &scope) else { continue };
            let own = HeaderName::from_bytes(name.as_bytes()).ok();
            let own = own.filter(|name| {
                !UNKNOWN.contains(&name.as_str()) && *name != http::header::CONTENT_TYPE
            });
            match (own, parts(&template)) {
                (Some(name), Some((before, said, after))) => {
                    headers.push(AnswerHeader { name, before, said, after });
                }
                (None, _) => {
                    let problem = "no header of this name can be set here";
                    self.mistakes.push(SchemeMistake::of(key, problem));
                }
                (_, None) => {
                    let problem = "a header of an answer is one value and text around it";
                    let hint = "one of {time}, {signature}, {key_id} and {nonce}";
                    self.mistakes.push(SchemeMistake::of(key, problem).hint(hint));
                }
            }
        }
        if !headers.iter().any(|header| header.said == Said::Signature) {
            let hint = "headers = { X-SIGNATURE = \"{signature}\" }";
            let mistake = SchemeMistake::of("answer.headers", "no header carries the signature");
            self.mistakes.push(mistake.hint(hint));
        }
        headers
    }

    fn message(&mut self, scope: &Scope) -> Option<Template> {
        let Some(text) = &self.table.message else {
            let mistake = SchemeMistake::of("answer.message", "the key `message` is missing");
            self.mistakes.push(mistake.hint("what is signed of an answer: \"{body}{time}\""));
            return None;
        };
        let message = self.compiled("answer.message", text, scope)?;
        if message.kind().is_scalar() {
            return Some(message);
        }
        let problem = format!("what is signed is text or bytes, and this is {}", message.kind());
        self.mistakes.push(SchemeMistake::of("answer.message", problem));
        None
    }

    /// Who verifies must know everything that is signed.
    fn reads(&mut self, message: &Template, headers: &[AnswerHeader]) {
        let named = self.plans.iter().all(|plan| plan.key_id.is_some());
        let nonced = self.plans.iter().all(|plan| plan.nonce.is_some());
        let timed = headers.iter().any(|header| header.said == Said::Time);
        for origin in message.origins().iter() {
            let problem = match origin {
                Origin::Secret | Origin::Credential(_) => "the key signs, and is not signed itself",
                Origin::Given(name) if &**name == "key_id" && !named => "there is no key id",
                Origin::Given(name) if &**name == "nonce" && !nonced => "there is no nonce",
                Origin::Given(name) if &**name == "time" && !timed => {
                    "no header of the answer carries {time}"
                }
                Origin::PublicUrl => "an answer is signed without the public address",
                Origin::Headers => "which headers an answer has is not known yet",
                Origin::Header(name) if UNKNOWN.contains(&name.0.as_str()) => {
                    "this header is not known yet when an answer is signed"
                }
                Origin::Header(name) if headers.iter().any(|header| header.name == name.0) => {
                    "this header is set when the answer is signed: say what it carries"
                }
                _ => continue,
            };
            let span = place(message, origin);
            let mistake = SchemeMistake::of("answer.message", problem);
            self.mistakes.push(SchemeMistake { span, ..mistake });
        }
    }

    /// Request and answer must differ from their beginning, or one could be shown as the other.
    fn apart(&mut self, message: &Template) {
        let own = beginning(message);
        let differ = |other: &str| !own.starts_with(other) && !other.starts_with(own);
        if self.plans.iter().all(|plan| differ(beginning(&plan.message))) {
            return;
        }
        let problem = "an answer could pass for a request: one secret signs both, and they do not \
                       begin with texts that tell them apart";
        let hint = "begin `message` and `answer.message` with fixed texts, neither the beginning \
                    of the other; or write secret = \"own\", for credentials with an answer_secret";
        let mistake = SchemeMistake::of("answer.message", problem).hint(hint);
        let span = message.pieces().first().map(Piece::span);
        self.mistakes.push(SchemeMistake { span, ..mistake });
    }

    fn compiled(&mut self, key: &str, text: &str, scope: &Scope) -> Option<Template> {
        let placed = |mistake: Mistake| SchemeMistake {
            key: key.to_owned(),
            span: Some(mistake.span),
            problem: mistake.problem,
            hint: mistake.hint,
        };
        let compiled = Template::compile(text, scope);
        compiled.map_err(|found| self.mistakes.extend(found.into_iter().map(placed))).ok()
    }
}

fn handed(scope: &mut Scope) -> Result<Handed, NameFault> {
    Ok(Handed {
        key_id: Scope::expect(scope, "key_id", Type::Text)?,
        nonce: Scope::expect(scope, "nonce", Type::Text)?,
        time: Scope::expect(scope, "time", Type::Text)?,
    })
}

fn is_keyed(plan: &Plan) -> bool {
    match plan.algorithm {
        Algorithm::Fixed(Method::Public(_)) | Algorithm::Chosen(_) => false,
        Algorithm::Fixed(method) => method.is_keyed(),
    }
}

/// The fixed text that every message begins with.
fn beginning(message: &Template) -> &str {
    match message.pieces().first() {
        Some(Piece::Literal(text, _)) => text,
        _ => "",
    }
}

/// Where a template reads something.
fn place(template: &Template, origin: &Origin) -> Option<Range<usize>> {
    let reads = |piece: &&Piece| match piece {
        Piece::Literal(..) => false,
        Piece::Hole(expression) => expression.origins().contains(origin),
    };
    template.pieces().iter().find(reads).map(Piece::span)
}

/// What a header says, between which texts.
fn parts(template: &Template) -> Option<(Box<str>, Said, Box<str>)> {
    let (before, hole, after) = match template.pieces() {
        [hole] => ("", hole, ""),
        [Piece::Literal(before, _), hole @ Piece::Hole(_)] => (&**before, hole, ""),
        [hole, Piece::Literal(after, _)] => ("", hole, &**after),
        [Piece::Literal(before, _), hole, Piece::Literal(after, _)] => (&**before, hole, &**after),
        _ => return None,
    };
    let Piece::Hole(expression) = hole else { return None };
    let said = Said::NAMES.into_iter().find(|(name, _)| {
        let mut read = expression.origins().iter();
        let first = read.next();
        expression.calls.is_empty()
            && first == Some(&Origin::Given((*name).into()))
            && read.next().is_none()
    });
    Some((before.into(), said?.1, after.into()))
}
