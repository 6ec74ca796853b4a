//! What a signature covers of one message, as a digest: by it a repeated message is known, whichever
//! secret signed it.

use crate::crypto::DigestInProgress;
use crate::recipe::{Evaluation, Subject};
use crate::secret::NamedSecrets;

use super::{Scheme, Strength};

impl Scheme {
    /// SHA-256 over exactly what the signature of a message covers, without what is secret in it:
    /// the same under every secret of a credential. None where the scheme signs nothing of a
    /// message, is a protocol, or cannot make its text without the secret.
    pub fn content_digest(&self, subject: &Subject<'_>) -> Option<[u8; 32]> {
        if self.strength <= Strength::Token {
            return None;
        }
        let plan = self.plan(subject.method)?;
        // Left out of the evaluation and not out of the text: a hole that joins the secret with
        // something else must still tell messages apart.
        let mut blank = NamedSecrets::default();
        self.value_names().for_each(|name| blank.insert(name, Vec::new()));
        let subject = Subject { secret: Some(b""), values: &blank, ..*subject };
        let mut digest = DigestInProgress::default();
        let message = Evaluation::new(subject, &plan.scope);
        message.feed(&plan.message, &mut |bytes| digest.update(bytes)).ok()?;
        Some(digest.finish())
    }
}
