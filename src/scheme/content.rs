//! What a signature covers of one message, as a digest: by it a repeated message is known, whichever
//! secret signed it.

use crate::recipe::Subject;

use super::Scheme;

impl Scheme {
    /// SHA-256 over exactly what the signature of a message covers, without what is secret in it:
    /// the same under every secret of a credential. None where the scheme signs nothing of a
    /// message, or is a protocol.
    pub fn content_digest(&self, _subject: &Subject<'_>) -> Option<[u8; 32]> {
        unimplemented!()
    }
}
