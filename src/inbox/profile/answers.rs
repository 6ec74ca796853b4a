//! What is answered to messages.

use http::{HeaderValue, StatusCode};

use crate::inbox::inquiry::address;
use crate::inbox::message::{Answer, Answers};
use crate::recipe::Scope;

use super::compile::{Compiler, whole};
use super::{AnswerText, ProfileMistake};

/// The media type of a body that says nothing of it.
const PLAIN: &str = "text/plain; charset=utf-8";
const NAMES: [&str; 3] = ["stored", "duplicate", "refused"];

impl Compiler<'_> {
    /// The answers. To a message that was there before the same is said as to one that is new,
    /// where nothing else is stated.
    pub(super) fn answers(&mut self, scope: &Scope) -> Option<Answers> {
        let profile = self.profile;
        for (name, _) in &profile.answers {
            if !NAMES.contains(&name.as_str()) {
                let problem = format!("there is no answer '{name}'");
                let hint = format!("one of {}", NAMES.join(", "));
                self.mistake(ProfileMistake::of(format!("answers.{name}"), problem).hint(hint));
            }
        }
        let stated = |name: &str| {
            profile.answers.iter().find(|(own, _)| own == name).map(|(_, answer)| answer)
        };
        let taken = match stated("stored") {
            Some(stored) => stored.clone(),
            None => self.respond(),
        };
        let duplicate = stated("duplicate").cloned().unwrap_or_else(|| taken.clone());
        let refused = stated("refused").cloned().unwrap_or_default();
        let stored = self.answer("answers.stored", &taken, StatusCode::OK, scope);
        let duplicate_key =
            if stated("duplicate").is_some() { "answers.duplicate" } else { "answers.stored" };
        let duplicate = self.answer(duplicate_key, &duplicate, StatusCode::OK, scope);
        let refused = self.answer("answers.refused", &refused, StatusCode::UNAUTHORIZED, scope);
        let (stored, duplicate, refused) = (stored?, duplicate?, refused?);
        for (key, answer, is_refusal) in [
            ("answers.stored", &stored, false),
            (duplicate_key, &duplicate, false),
            ("answers.refused", &refused, true),
        ] {
            let fits = match is_refusal {
                true => answer.status.is_client_error() || answer.status.is_server_error(),
                false => answer.status.is_success() || answer.status.is_redirection(),
            };
            if !fits {
                let problem = match is_refusal {
                    true => "a message that is not taken is answered with 400 to 599",
                    false => "a message that is taken is answered with 200 to 399",
                };
                self.mistake(ProfileMistake::of(format!("{key}.status"), problem));
            }
        }
        Some(Answers { stored, duplicate, refused })
    }

    /// What the scheme says that acknowledges its messages. Its body is no template.
    fn respond(&self) -> AnswerText {
        let Some(respond) = &self.scheme.definition().respond else {
            return AnswerText::default();
        };
        let body = respond.body.replace('{', "{{").replace('}', "}}");
        AnswerText {
            status: Some(respond.status),
            content_type: Some(respond.content_type.clone()),
            body: Some(body),
            location: None,
        }
    }

    fn answer(
        &mut self,
        key: &str,
        text: &AnswerText,
        status: StatusCode,
        scope: &Scope,
    ) -> Option<Answer> {
        let stated = text.status.map_or(Ok(status), StatusCode::from_u16);
        let stated = stated.ok().filter(|status| status.as_u16() >= 200);
        if stated.is_none() {
            let problem = "a status has three digits and is 200 or more";
            self.mistake(ProfileMistake::of(format!("{key}.status"), problem));
        }
        let full = |text: &&String| !text.is_empty();
        let body = text.body.as_ref().filter(full);
        let body = body.map(|body| self.open_value(&format!("{key}.body"), body, scope));
        let content_type = text.content_type.as_deref().filter(|text| !text.is_empty());
        if content_type.is_some_and(|text| HeaderValue::from_str(text).is_err()) {
            let problem = "a media type is visible ASCII, such as text/plain";
            self.mistake(ProfileMistake::of(format!("{key}.content_type"), problem));
        }
        let content_type = body.is_some().then(|| content_type.unwrap_or(PLAIN).into());
        let location = text.location.as_ref().filter(full);
        let location_key = format!("{key}.location");
        if location.is_none() && stated.is_some_and(|status| status.is_redirection()) {
            let problem = "a browser that is sent elsewhere must be told where";
            let hint = "location = \"https://shop.example/thanks\"";
            self.mistake(ProfileMistake::of(location_key.clone(), problem).hint(hint));
        }
        let location = location.map(|text| {
            let template = self.open_value(&location_key, text, scope)?;
            match address::check(&template, scope, address::Kind::Location) {
                Ok(()) => Some(template),
                Err(wrong) => {
                    self.mistake(wrong.at(&location_key));
                    None
                }
            }
        });
        let (body, location) = (whole(body)?, whole(location)?);
        Some(Answer { status: stated?, content_type, body, location })
    }
}
