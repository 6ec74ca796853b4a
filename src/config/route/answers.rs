//! What a route does to answers: its keys `sign_answers`, `seal_answers`, `answer_bytes_max` and
//! `answer_idle`.

use std::time::Duration;

use crate::config::fault::{Note, Weight};
use crate::config::reader::Table;
use crate::config::value;
use crate::gateway::opener::Opener;
use crate::gateway::route::{Answers, RouteSpec};
use crate::limit::MIB;
use crate::scheme::Scheme;

/// Longer answers would keep a core from its other requests while they are signed.
const ANSWER_BYTES_TOP: usize = 16 * MIB;

pub(super) fn answers(
    table: &mut Table<'_>,
    scheme: Option<&Scheme>,
    opener: Option<&Opener>,
    rolls: bool,
) -> Answers {
    let sign = table.optional("sign_answers", value::boolean).unwrap_or(false);
    let seal = table.optional("seal_answers", value::boolean).unwrap_or(false);
    let bytes_max = table.optional("answer_bytes_max", value::size(1..=ANSWER_BYTES_TOP));
    if let Some(scheme) = scheme.filter(|scheme| sign && scheme.answer_secret().is_none()) {
        let problem = format!("{} does not say how answers are signed", scheme.name());
        let hint = "add a table `answer` to the scheme, or take one such as countersign-v1";
        table.refuse("sign_answers", problem, Some(hint.to_owned()));
    }
    match opener.map(Opener::envelope) {
        None if seal => {
            let hint = "name it: envelope = \"…\", and not sealed = \"off\"";
            let problem = "there is no envelope to seal answers in";
            table.refuse("seal_answers", problem, Some(hint.to_owned()));
        }
        Some(envelope) if seal && !envelope.seals_answers() => {
            let problem = format!("{} cannot seal every answer for its caller", envelope.name());
            let hint = "it needs a table `seal` that makes a body, of the whole text, with a key \
                        that the caller has too";
            table.refuse("seal_answers", problem, Some(hint.to_owned()));
        }
        Some(envelope) if seal && !sign && !envelope.authenticates() => {
            let problem = format!("{} does not notice altered bodies", envelope.name());
            let hint = "sign the answers as well: sign_answers = true";
            table.refuse("seal_answers", problem, Some(hint.to_owned()));
        }
        _ => {}
    }
    if bytes_max.is_some() && !sign && !seal && !rolls {
        let problem = "answers are neither signed nor sealed here, so they may be of any length";
        table.refuse("answer_bytes_max", problem, Some("remove the key".to_owned()));
    }
    let default = Answers::default();
    Answers { sign, seal, bytes_max: bytes_max.unwrap_or(default.bytes_max) }
}

/// How long the upstream may be silent in an answer that goes on as it comes.
pub(super) fn idle(table: &mut Table<'_>, answers: &Answers, rolls: bool) -> Option<Duration> {
    let idle = table.optional("answer_idle", value::duration);
    if idle.is_some() && (answers.sign || answers.seal || rolls) {
        let problem = "answers that are signed or sealed are awaited whole, within the time that \
                       the upstream has for one";
        table.refuse("answer_idle", problem, Some("remove the key".to_owned()));
    }
    idle
}

/// What sealing without a signature leaves open.
pub(super) fn unsigned(route: &RouteSpec) -> Note {
    Note {
        weight: Weight::Warning,
        key: format!("routes.{}.seal_answers", route.name),
        text: "answers are sealed and not signed: nothing says which request one belongs to; \
               sign_answers = true does"
            .to_owned(),
    }
}
