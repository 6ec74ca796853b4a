//! `answer_secret`: what signs a credential's answers, where its scheme does not sign them with the
//! secret of the request.

use super::{Register, Signing, usable_secret};
use crate::config::reader::Table;
use crate::config::secret_place;
use crate::scheme::{AnswerSecret, VerifyingKey};

/// The key of a credential's answers; none where the scheme needs none of their own.
pub(super) fn key(
    table: &mut Table<'_>,
    key_id: &str,
    signing: Signing<'_>,
    register: &mut Register<'_>,
) -> Option<VerifyingKey> {
    let place = table
        .node("answer_secret")
        .map(|node| format!("answers of {key_id} ({})", table.document().place(node.span().start)));
    let bytes = table
        .table("answer_secret", |table| secret_place::bytes(table, key_id, &mut register.secrets));
    let (reading, values) = signing?;
    let scheme = reading.scheme?;
    let own = scheme.answer_secret() == Some(AnswerSecret::Own);
    let Some(place) = place else {
        if own && register.answering.contains(&scheme) {
            let problem = format!(
                "a route signs answers, and {} signs them with a secret of their own",
                scheme.name()
            );
            let hint = "answer_secret = { file = \"…\" }";
            table.refuse("answer_secret", problem, Some(hint.to_owned()));
        }
        return None;
    };
    if !own {
        let problem = match scheme.answer_secret() {
            None => format!("{} does not sign answers", scheme.name()),
            Some(_) => format!("{} signs answers with the secret of their request", scheme.name()),
        };
        table.refuse("answer_secret", problem, Some("remove the key".to_owned()));
        return None;
    }
    let problem = match usable_secret(bytes.flatten()?, reading) {
        Ok(secret) => match register.secrets.remember(secret.expose(), place) {
            Some(earlier) => format!("it has the same bytes as one of {earlier}"),
            None => match scheme.signing_key(&secret, values.clone()) {
                Ok(key) => return Some(key),
                Err(fault) => format!("{} cannot use it: {fault}", scheme.name()),
            },
        },
        Err(fault) => fault,
    };
    let problem = format!("the answer secret of {key_id} cannot be used: {problem}");
    table.refuse("answer_secret", problem, None);
    None
}
