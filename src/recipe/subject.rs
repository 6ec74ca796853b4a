//! What templates read: one message, as it came in or as it goes out.

use bytes::Bytes;
use http::HeaderMap;

use crate::secret::NamedSecrets;

/// A message, byte for byte, with the secrets and settings that belong to it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The method.
    pub method: &'a str,
    /// `https` or `http`.
    pub scheme: &'a str,
    /// Host, with its port where one was sent.
    pub authority: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// The header fields as sent.
    pub headers: &'a HeaderMap,
    /// The body in the pieces in which it came.
    pub body: &'a [Bytes],
    /// The status of a response, three digits; `None` for requests.
    pub status: Option<&'a str>,
    /// What `url(public)` gives, from configuration.
    pub public_url: Option<&'a str>,
    /// The secret; `None` where a message is read before its key is known.
    pub secret: Option<&'a [u8]>,
    /// The named values of the credential.
    pub values: &'a NamedSecrets,
}

impl<'a> Subject<'a> {
    /// The path as sent.
    pub fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The query as sent, without its question mark; empty where there is none.
    pub fn query(&self) -> &'a str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The authority without its port.
    pub fn host(&self) -> &'a str {
        self.split_authority().0
    }

    /// The port, where one was sent.
    pub fn port(&self) -> Option<&'a str> {
        self.split_authority().1
    }

    fn split_authority(&self) -> (&'a str, Option<&'a str>) {
        match self.authority.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (self.authority, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject<'a>(
        authority: &'a str,
        target: &'a str,
        headers: &'a HeaderMap,
        values: &'a NamedSecrets,
    ) -> Subject<'a> {
        Subject {
            method: "GET",
            scheme: "https",
            authority,
            target,
            headers,
            body: &[],
            status: None,
            public_url: None,
            secret: None,
            values,
        }
    }

    #[test]
    fn targets_and_authorities_come_apart() {
        let (headers, values) = (HeaderMap::new(), NamedSecrets::default());
        let one = subject("a.example:8443", "/p?q=1?2", &headers, &values);
        assert_eq!((one.path(), one.query()), ("/p", "q=1?2"));
        assert_eq!((one.host(), one.port()), ("a.example", Some("8443")));
        let two = subject("[::1]", "/p", &headers, &values);
        assert_eq!((two.path(), two.query()), ("/p", ""));
        assert_eq!((two.host(), two.port()), ("[::1]", None));
        assert_eq!(subject("[::1]:1", "/", &headers, &values).port(), Some("1"));
    }
}
