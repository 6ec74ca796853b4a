//! `--seal`: the body goes out in an envelope, and an answer that came in one is opened.

use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use countersign::envelope::{CannotOpen, Envelope, Fixed, Message, Opened, Prepared};
use countersign::recipe::Subject;
use countersign::secret::{NamedSecrets, Secret};
use http::Response;
use http::header::CONTENT_TYPE;

use super::Failure;
use super::envelope::Source;

/// In which envelope.
#[derive(Debug, Args)]
#[command(next_help_heading = "How the body is sealed")]
pub(crate) struct SealingArguments {
    /// Seal the body in this envelope; `countersign envelope list` shows the names. `send` opens
    /// the answer too
    #[arg(long, value_name = "ENVELOPE")]
    seal: Option<String>,

    #[command(flatten)]
    source: Source,
}

/// An envelope, ready for the keys of a credential.
pub(crate) struct Sealing {
    envelope: Arc<Envelope>,
    prepared: Prepared,
}

impl SealingArguments {
    /// The envelope that is named, if one is.
    pub(crate) fn prepare(
        &self,
        secret: &Secret,
        values: &NamedSecrets,
    ) -> Result<Option<Sealing>, Failure> {
        let Some(name) = &self.seal else { return Ok(None) };
        let envelope = self.source.find(name)?;
        let prepared = envelope.prepare(Some(secret.expose()), values).map_err(|_| {
            let needs = envelope.needs().join(", ");
            Failure::failed(format_args!("the secrets do not fit {name}: it needs {needs}"))
        })?;
        Ok(Some(Sealing { envelope, prepared }))
    }
}

impl Sealing {
    /// The name of the envelope.
    pub(crate) fn name(&self) -> &str {
        self.envelope.name()
    }

    /// What a sealed message is.
    pub(crate) fn content_type(&self) -> String {
        String::from_utf8_lossy(self.envelope.sealed_content_type().as_bytes()).into_owned()
    }

    /// Seals a body.
    pub(crate) fn seal(&self, text: &[u8]) -> Result<Message, Failure> {
        let sealed = self.envelope.seal(&self.prepared, text, &Fixed::default(), None);
        let sealed = sealed.map_err(|_| {
            let problem = format!("{} cannot seal this body", self.name());
            Failure::failed(problem)
        })?;
        if !sealed.query.is_empty() {
            let problem =
                format!("{} seals into the query, which this command does not", self.name());
            return Err(Failure::failed(problem));
        }
        Ok(sealed)
    }

    /// What an answer holds; nothing where it is a refusal of the gate, or has no body.
    pub(crate) fn open(&self, answer: &Response<Bytes>) -> Result<Option<Opened>, CannotOpen> {
        let refusal = answer.headers().get(CONTENT_TYPE);
        let refusal = refusal.is_some_and(|value| value == "application/problem+json");
        if refusal || answer.body().is_empty() {
            return Ok(None);
        }
        let (body, values) = ([answer.body().clone()], NamedSecrets::default());
        let subject = Subject {
            method: "POST",
            scheme: "https",
            authority: "",
            target: "/",
            headers: answer.headers(),
            body: &body,
            status: None,
            public_url: None,
            secret: None,
            values: &values,
        };
        self.envelope.open(&self.prepared, &subject).map(Some)
    }
}
