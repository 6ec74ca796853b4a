//! Why a call is not carried out: what a verb says, and what is said before one is asked.

use std::time::Duration;

use crate::administration::{self, Problem};

/// Why a call is not carried out.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The verb, or the form of its input.
    Problem(Problem),
    /// Before that.
    Plain(Code, String),
    /// No token, or none that is good.
    Unauthorized(Stranger),
    /// The token is good, and not for this.
    Forbidden(String),
    /// These methods are for this path.
    Method(Vec<&'static str>),
    /// Too many failures from this address.
    Slowed(Duration),
}

/// What is wrong with a token. Only who has it learns that it was good once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// There is none.
    Missing,
    /// It is not of the form.
    Mistyped,
    /// Nobody has it.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl Stranger {
    /// What is wrong and what to do.
    pub(super) fn explanation(self) -> &'static str {
        match self {
            Self::Missing => "send the header \"Authorization: Bearer csa_…\"",
            Self::Mistyped => "the token is mistyped or cut: copy it again, whole",
            Self::Unknown => "no such token",
            Self::Expired => "the token's time is over: make a new one with token create",
            Self::Revoked => "the token was revoked",
        }
    }
}

/// The kinds of refusals that no verb makes. Those of verbs are [`administration::Code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// No token, or none that is good.
    Unauthorized,
    /// The token's role or merchant does not allow it.
    Forbidden,
    /// Nothing answers at the path.
    NoRoute,
    /// Not by this method.
    MethodNotAllowed,
    /// The body did not come in time.
    BodyTooSlow,
    /// The body is longer than 64 KiB.
    BodyTooLarge,
    /// The body is no JSON, or compressed.
    UnsupportedMediaType,
    /// Too many failures from this address.
    RateLimited,
    /// A defect.
    Internal,
    /// Too many calls at once.
    Busy,
}

impl Code {
    /// Every code.
    const ALL: [Self; 10] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::BodyTooSlow,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::Internal,
        Self::Busy,
    ];

    /// The code's text, its HTTP status, and its title.
    const fn entry(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::Unauthorized => ("unauthorized", 401, "A token is needed"),
            Self::Forbidden => ("forbidden", 403, "The token may not do that"),
            Self::NoRoute => ("no_route", 404, "Nothing answers here"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Not by this method"),
            Self::BodyTooSlow => ("body_too_slow", 408, "The body came too slowly"),
            Self::BodyTooLarge => ("body_too_large", 413, "The body is too large"),
            Self::UnsupportedMediaType => ("unsupported_media_type", 415, "The body is no JSON"),
            Self::RateLimited => ("rate_limited", 429, "Too many failures"),
            Self::Internal => ("internal", 500, "Internal error"),
            Self::Busy => ("busy", 503, "Too many calls at once"),
        }
    }

    /// Its text, which never changes.
    pub(super) const fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// The status of the answer.
    pub(super) const fn status(self) -> u16 {
        self.entry().1
    }

    /// What it means, in a line.
    pub(super) const fn title(self) -> &'static str {
        self.entry().2
    }
}

/// Every code that an answer can have: text, status, title.
pub fn codes() -> impl Iterator<Item = (&'static str, u16, &'static str)> {
    use administration::Code as OfVerb;
    let verbs = OfVerb::ALL.map(|code| (code.as_str(), code.status(), code.title()));
    let own = Code::ALL.map(|code| (code.as_str(), code.status(), code.title()));
    own.into_iter().chain(verbs)
}

impl Refusal {
    /// Nothing answers here, or only by these methods.
    pub(super) fn nothing_at(allowed: Option<Vec<&'static str>>) -> Self {
        let detail = || format!("what answers is listed in {}", super::DOCUMENT);
        allowed.map_or_else(|| Self::Plain(Code::NoRoute, detail()), Self::Method)
    }

    /// A member of the input that is not as it should be.
    pub(super) fn input(detail: impl Into<String>) -> Self {
        Self::Problem(Problem::new(administration::Code::InvalidInput, detail))
    }

    /// The code's text, the status, and the title.
    pub(super) fn face(&self) -> (&'static str, u16, &'static str) {
        let code = match self {
            Self::Problem(problem) => {
                let code = problem.code;
                return (code.as_str(), code.status(), code.title());
            }
            Self::Plain(code, _) => *code,
            Self::Unauthorized(_) => Code::Unauthorized,
            Self::Forbidden(_) => Code::Forbidden,
            Self::Method(_) => Code::MethodNotAllowed,
            Self::Slowed(_) => Code::RateLimited,
        };
        code.entry()
    }

    /// What is wrong and what to do, in a sentence without full stop.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Problem(problem) => problem.detail.clone(),
            Self::Plain(_, detail) | Self::Forbidden(detail) => detail.clone(),
            Self::Unauthorized(stranger) => stranger.explanation().to_owned(),
            Self::Method(allowed) => format!("this path takes {}", allowed.join(", ")),
            Self::Slowed(_) => "too many calls without a good token came from here".to_owned(),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<crate::store::StoreFault> for Refusal {
    fn from(fault: crate::store::StoreFault) -> Self {
        Self::Problem(fault.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own_and_an_error_status() {
        let mut texts: Vec<_> = codes().map(|(text, ..)| text).collect();
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), count);
        assert!(codes().all(|(_, status, _)| (400..=599).contains(&status)));
    }
}
