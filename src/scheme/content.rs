//! What a signature covers of one message, as a digest: by it a repeated message is known,
//! whichever secret signed it.

use crate::crypto::DigestInProgress;
use crate::recipe::{Evaluation, Subject};
use crate::secret::NamedSecrets;

use super::{Scheme, Strength};

/// What stands in the place of secrets: good hexadecimal and good base64 text, since schemes decode
/// secrets before they join them.
const BLANK: &[u8; 64] = &[b'0'; 64];

impl Scheme {
    /// SHA-256 over exactly what the signature of a message covers, without what is secret in it:
    /// the same under every secret of a credential. None where the scheme signs nothing of a
    /// message, is a protocol, or cannot make its text of any other secret.
    pub fn content_digest(&self, subject: &Subject<'_>) -> Option<[u8; 32]> {
        if self.strength <= Strength::Token {
            return None;
        }
        let plan = self.plan(subject.method)?;
        // Blank, and not left out: what a hole makes of the secret and something else must still
        // tell messages apart.
        let mut values = NamedSecrets::default();
        self.value_names().for_each(|name| values.insert(name, BLANK.to_vec()));
        let subject = Subject { secret: Some(BLANK), values: &values, ..*subject };
        let mut digest = DigestInProgress::default();
        let message = Evaluation::new(subject, &plan.scope);
        message.feed(&plan.message, &mut |bytes| digest.update(bytes)).ok()?;
        Some(digest.finish())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::config::scheme::{builtin, builtin_schemes};

    /// The digest of a message without head.
    fn digest(scheme: &str, body: &str, secret: &[u8]) -> Option<[u8; 32]> {
        let (headers, mut values) = (HeaderMap::new(), NamedSecrets::default());
        let scheme = builtin(scheme).unwrap();
        scheme.value_names().for_each(|name| values.insert(name, secret.to_vec()));
        scheme.content_digest(&Subject {
            method: "POST",
            scheme: "https",
            authority: "gate.example",
            target: "/webhooks",
            headers: &headers,
            body: &[Bytes::copy_from_slice(body.as_bytes())],
            status: None,
            public_url: None,
            secret: Some(secret),
            values: &values,
        })
    }

    const FIUU: &str = "tranID=7&orderid=ORD1&status=00&domain=shop&amount=10.00&currency=MYR\
                        &paydate=2024-01-01+10%3A00%3A00&appcode=APP1&nbcb=1&skey=";

    #[test]
    fn the_secret_is_no_part_of_it_even_where_it_is_signed() {
        for (scheme, body) in
            [("fiuu", FIUU), ("github", "{}"), ("phonepe-v1", "{\"response\":\"e30=\"}")]
        {
            let one = digest(scheme, body, b"one-secret-of-the-provider");
            assert!(one.is_some(), "{scheme}");
            assert_eq!(one, digest(scheme, body, b"another-secret-of-the-provider"), "{scheme}");
        }
    }

    #[test]
    fn what_is_signed_changes_it_and_nothing_else_does() {
        let one = digest("fiuu", FIUU, b"secret");
        for (signed, other) in
            [("tranID=7", "tranID=8"), ("status=00", "status=11"), ("10.00", "90.00")]
        {
            assert_ne!(one, digest("fiuu", &FIUU.replace(signed, other), b"secret"), "{signed}");
        }
        for (unsigned, other) in [("nbcb=1", "nbcb=2"), ("skey=", "skey=00")] {
            assert_eq!(
                one,
                digest("fiuu", &FIUU.replace(unsigned, other), b"secret"),
                "{unsigned}"
            );
        }
        assert_ne!(digest("github", "{}", b"secret"), digest("github", "{ }", b"secret"));
    }

    #[test]
    fn a_token_says_nothing_of_a_message() {
        assert_eq!(digest("xendit", "{}", b"secret"), None);
    }

    #[test]
    fn every_scheme_that_signs_something_has_one_for_its_own_message() {
        let mut tried = 0;
        for scheme in builtin_schemes() {
            if scheme.strength() <= Strength::Token || scheme.http_signatures().is_some() {
                continue;
            }
            let Some(vector) = &scheme.definition().vector else { continue };
            let found = vector.with_subject(|subject| scheme.content_digest(&subject));
            assert!(found.unwrap().is_some(), "{}", scheme.name());
            tried += 1;
        }
        assert!(tried > 15, "{tried}");
    }
}
