//! How what is signed comes about, piece by piece, for people who ask.

use crate::recipe::{Evaluation, Fault, Subject};

use super::{Scheme, VerifyingKey};

/// One piece of what is signed.
pub struct Part {
    /// What it is.
    pub piece: Piece,
    /// Its bytes; none where it holds what nobody may see.
    pub bytes: Option<Vec<u8>>,
    /// Its place in the template, in bytes.
    pub span: std::ops::Range<usize>,
}

/// What a piece of what is signed is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text of the scheme.
    Text,
    /// What it reads, as the template names it.
    Reads(Vec<String>),
}

impl Scheme {
    /// The pieces of what a message signs under a key, in their order.
    ///
    /// # Errors
    /// The first piece that cannot be had.
    pub fn parts(&self, subject: &Subject<'_>, key: &VerifyingKey) -> Result<Vec<Part>, Fault> {
        if let Some(protocol) = &self.protocol {
            return protocol.parts(subject);
        }
        let plan = self.plan(subject.method).ok_or_else(Fault::absent)?;
        let evaluation = Evaluation::new(key.subject(subject), &plan.scope);
        let mut parts = Vec::new();
        for part in evaluation.parts(&plan.message) {
            let secret = part.is_secret();
            let mut bytes = Vec::new();
            part.value.as_ref().map_err(Clone::clone)?.feed(&mut |some| {
                if !secret {
                    bytes.extend_from_slice(some);
                }
            })?;
            let piece = match part.piece {
                crate::recipe::Piece::Literal(..) => Piece::Text,
                crate::recipe::Piece::Hole(expression) => {
                    Piece::Reads(expression.origins().iter().map(ToString::to_string).collect())
                }
            };
            let bytes = (!secret).then_some(bytes);
            parts.push(Part { piece, bytes, span: part.piece.span() });
        }
        Ok(parts)
    }

    /// What a message signs under a key, whole, for tests: it may hold the secret.
    ///
    /// # Errors
    /// The first piece that cannot be had.
    pub fn signed_text(
        &self,
        subject: &Subject<'_>,
        key: &VerifyingKey,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, Fault> {
        if let Some(protocol) = &self.protocol {
            let parts = protocol.parts(subject)?.into_iter();
            return Ok(parts.filter_map(|part| part.bytes).flatten().collect::<Vec<u8>>().into());
        }
        let plan = self.plan(subject.method).ok_or_else(Fault::absent)?;
        let evaluation = Evaluation::new(key.subject(subject), &plan.scope);
        evaluation.secret_bytes(&plan.message)
    }
}

/// What is signed for one method, or for all others (`*`): each piece as written, and what it
/// stands for.
pub type Written = (String, Vec<(String, String)>);

impl Scheme {
    /// What is signed, as the scheme is written.
    pub fn pieces(&self) -> Vec<Written> {
        if let Some(protocol) = &self.protocol {
            return protocol.pieces();
        }
        let own = self.plans.iter().map(|(method, plan)| (&**method, plan));
        let all = own.chain(self.rest.iter().map(|plan| ("*", plan)));
        let message = self.definition.message.as_ref();
        let written = |(method, plan): (&str, &super::Plan)| {
            let (text, _) = message.and_then(|one| one.text("", method)).unwrap_or_default();
            let pieces =
                plan.message.pieces().iter().map(|piece| {
                    (one_line(text.get(piece.span()).unwrap_or_default()), about(piece))
                });
            (method.to_owned(), pieces.collect())
        };
        all.map(written).collect()
    }
}

/// Text of a scheme in one line: what would break it is an escape, as in its file.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

fn about(piece: &crate::recipe::Piece) -> String {
    let crate::recipe::Piece::Hole(expression) = piece else { return "this text".to_owned() };
    let names: Vec<String> = expression.origins().iter().map(ToString::to_string).collect();
    match (names.join(", "), expression.is_secret()) {
        (names, true) => format!("made of {names}: holds the secret"),
        (names, false) => format!("made of {names}"),
    }
}
