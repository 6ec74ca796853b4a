//! The mistakes that the doctor knows: a closed list, each with a code and one sentence.

/// Something that people do when a signature does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mistake {
    /// The body was not signed.
    BodyLeftOut,
    /// One of the two has a line break at its end.
    FinalNewline,
    /// White space around the body was signed or not.
    BodyTrimmed,
    /// Line feeds against carriage returns with line feeds.
    LineEndings,
    /// A byte order mark in front of one of the two.
    ByteOrderMark,
    /// JSON was signed without its white space.
    JsonCompacted,
    /// JSON was signed with a space after every comma and colon.
    JsonSpaced,
    /// JSON was signed with indentation.
    JsonIndented,
    /// JSON was signed with its members sorted.
    JsonSorted,
    /// `/` against `\/`.
    JsonSlashes,
    /// Characters against `\u` escapes.
    JsonUnicode,
    /// JSON was signed as a string that holds JSON.
    JsonTwice,
    /// `{}`, `[]` or `null` was signed where nothing was sent.
    EmptyAsJson,
    /// A digest of the body was signed in place of the body.
    BodyDigested,
    /// The body was signed as base64.
    BodyBase64,
    /// `+` against `%20`, or a form that was signed decoded.
    FormEncoding,
    /// Another character set than UTF-8 was signed.
    CharacterSet,
    /// The method was signed in lower case.
    MethodCase,
    /// The query was not signed.
    QueryLeftOut,
    /// The query was signed in another order.
    QuerySorted,
    /// The path was signed decoded, or with other escapes.
    TargetEncoding,
    /// A slash at the end of the path.
    TrailingSlash,
    /// The whole URL was signed in place of the path, or the path without its prefix.
    TargetForm,
    /// The port of the host was signed or not.
    HostPort,
    /// The parameters of the content type were signed or not.
    ContentType,
    /// Milliseconds were signed, or sent.
    Milliseconds,
    /// A date was signed or sent where a number belongs.
    DateForm,
    /// The clock is off by a time zone.
    TimeZone,
    /// The timestamp is first in the signed text, or last, and should not be.
    PartsOrder,
    /// A part of the signed text was left out.
    PartLeftOut,
    /// The parts were joined with another delimiter, or with none.
    Delimiter,
    /// A line break at the end of the signed text.
    MessageNewline,
    /// White space or a line break around the secret.
    SecretNewline,
    /// The secret was decoded from base64 or hexadecimal, and should not be, or the other way.
    SecretDecoded,
    /// A prefix of the secret was cut off.
    SecretPrefix,
    /// The secret was signed with in another letter case.
    SecretCase,
    /// A digest of the secret was the key.
    SecretDigested,
    /// The key id was used as the secret.
    KeyIdAsSecret,
    /// The secret of another version.
    OtherVersion,
    /// Key and message were swapped.
    Swapped,
    /// A plain digest in place of an HMAC.
    PlainDigest,
    /// Another hash function.
    OtherAlgorithm,
    /// Base64 in place of hexadecimal, or the other way.
    OtherEncoding,
    /// The digits were encoded once more.
    EncodedTwice,
    /// Upper case where the scheme wants lower case.
    SignatureCase,
    /// A prefix such as `sha256=` that this scheme does not have, or one that is missing.
    SignaturePrefix,
    /// Cut to another length.
    SignatureLength,
    /// Quotes or white space around a value.
    Quoted,
    /// A value was percent-encoded.
    PercentEncoded,
}

impl Mistake {
    /// Every mistake.
    pub const ALL: [Self; 49] = [
        Self::BodyLeftOut,
        Self::FinalNewline,
        Self::BodyTrimmed,
        Self::LineEndings,
        Self::ByteOrderMark,
        Self::JsonCompacted,
        Self::JsonSpaced,
        Self::JsonIndented,
        Self::JsonSorted,
        Self::JsonSlashes,
        Self::JsonUnicode,
        Self::JsonTwice,
        Self::EmptyAsJson,
        Self::BodyDigested,
        Self::BodyBase64,
        Self::FormEncoding,
        Self::CharacterSet,
        Self::MethodCase,
        Self::QueryLeftOut,
        Self::QuerySorted,
        Self::TargetEncoding,
        Self::TrailingSlash,
        Self::TargetForm,
        Self::HostPort,
        Self::ContentType,
        Self::Milliseconds,
        Self::DateForm,
        Self::TimeZone,
        Self::PartsOrder,
        Self::PartLeftOut,
        Self::Delimiter,
        Self::MessageNewline,
        Self::SecretNewline,
        Self::SecretDecoded,
        Self::SecretPrefix,
        Self::SecretCase,
        Self::SecretDigested,
        Self::KeyIdAsSecret,
        Self::OtherVersion,
        Self::Swapped,
        Self::PlainDigest,
        Self::OtherAlgorithm,
        Self::OtherEncoding,
        Self::EncodedTwice,
        Self::SignatureCase,
        Self::SignaturePrefix,
        Self::SignatureLength,
        Self::Quoted,
        Self::PercentEncoded,
    ];

    /// Its name in answers, metrics and JSON output.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// One sentence for the developer who made it.
    pub fn hint(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BodyLeftOut => ("body_left_out", "The body was not part of what you signed."),
            Self::FinalNewline => (
                "final_newline",
                "You signed the body with a line break at its end and sent it without, or the \
                 other way. Sign the bytes that are sent.",
            ),
            Self::BodyTrimmed => (
                "body_trimmed",
                "You signed the body without the white space around it. Sign the bytes that are \
                 sent.",
            ),
            Self::LineEndings => (
                "line_endings",
                "Line breaks in the body are LF on one side and CRLF on the other.",
            ),
            Self::ByteOrderMark => (
                "byte_order_mark",
                "A byte order mark (EF BB BF) stands in front of the body that you signed or sent.",
            ),
            Self::JsonCompacted => (
                "json_compacted",
                "You signed the JSON without its white space. Serialise once, and sign and send \
                 that text.",
            ),
            Self::JsonSpaced => (
                "json_spaced",
                "You signed the JSON with spaces after commas and colons. Serialise once, and \
                 sign and send that text.",
            ),
            Self::JsonIndented => (
                "json_indented",
                "You signed the JSON with indentation. Serialise once, and sign and send that text.",
            ),
            Self::JsonSorted => (
                "json_sorted",
                "You signed the JSON with its members in another order than you sent them.",
            ),
            Self::JsonSlashes => (
                "json_slashes",
                "Slashes in the JSON are escaped (\\/) on one side only, as PHP's json_encode does.",
            ),
            Self::JsonUnicode => {
                ("json_unicode", "Characters in the JSON are \\u escapes on one side only.")
            }
            Self::JsonTwice => (
                "json_twice",
                "You signed a JSON string that holds the JSON: it was serialised twice.",
            ),
            Self::EmptyAsJson => (
                "empty_as_json",
                "You signed {}, [], \"\" or null, and sent no body. Sign nothing for no body.",
            ),
            Self::BodyDigested => (
                "body_digested",
                "You signed a digest of the body. This scheme signs the body itself.",
            ),
            Self::BodyBase64 => (
                "body_base64",
                "You signed the body as base64. This scheme signs the bytes that are sent.",
            ),
            Self::FormEncoding => (
                "form_encoding",
                "The form that you signed is encoded in another way than the one you sent (+ \
                 against %20, or decoded).",
            ),
            Self::CharacterSet => (
                "character_set",
                "You signed the body in another character set than it was sent in. Use UTF-8 for \
                 both.",
            ),
            Self::MethodCase => ("method_case", "The method is signed in upper case."),
            Self::QueryLeftOut => (
                "query_left_out",
                "You signed the path without its query. The target is signed as it is sent.",
            ),
            Self::QuerySorted => {
                ("query_sorted", "You signed the query in another order than you sent it.")
            }
            Self::TargetEncoding => (
                "target_encoding",
                "You signed the path or query with other escapes than you sent. Sign what is sent, \
                 percent-encoding and all.",
            ),
            Self::TrailingSlash => (
                "trailing_slash",
                "The path that you signed has a slash at its end, and the one that you sent has \
                 none, or the other way.",
            ),
            Self::TargetForm => (
                "target_form",
                "You signed the whole URL, or only a part of the path. The path is signed as it is \
                 sent, from its first slash.",
            ),
            Self::HostPort => (
                "host_port",
                "The host is signed exactly as the Host header is sent: with its port where that \
                 has one, without where not.",
            ),
            Self::ContentType => (
                "content_type",
                "The content type is signed exactly as it is sent, charset and all.",
            ),
            Self::Milliseconds => (
                "milliseconds",
                "One of the timestamps, the signed one or the one that was sent, is in \
                 milliseconds. This scheme takes seconds in both places.",
            ),
            Self::DateForm => (
                "date_form",
                "One of the timestamps, the signed one or the one that was sent, is a date where \
                 the other form belongs.",
            ),
            Self::TimeZone => (
                "time_zone",
                "The timestamp is off by whole hours: it was made of local time. Use UTC.",
            ),
            Self::PartsOrder => ("parts_order", "You joined the right parts in another order."),
            Self::PartLeftOut => {
                ("part_left_out", "You left out a part of what is signed, or took one twice.")
            }
            Self::Delimiter => {
                ("delimiter", "You joined the right parts with another delimiter, or with none.")
            }
            Self::MessageNewline => (
                "message_newline",
                "A line break stood at the end of what you signed, as echo adds it.",
            ),
            Self::SecretNewline => (
                "secret_newline",
                "A line break or white space was part of your secret, as an editor or echo adds it.",
            ),
            Self::SecretDecoded => (
                "secret_decoded",
                "The secret is used as it is written in one place, and decoded from base64 or \
                 hexadecimal in the other.",
            ),
            Self::SecretPrefix => (
                "secret_prefix",
                "The prefix of the secret is part of the key: do not cut it off, or the other way.",
            ),
            Self::SecretCase => ("secret_case", "The letters of your secret were changed in case."),
            Self::SecretDigested => {
                ("secret_digested", "Your key was a digest of the secret. Use the secret itself.")
            }
            Self::KeyIdAsSecret => {
                ("key_id_as_secret", "You signed with the key id in place of the secret.")
            }
            Self::OtherVersion => (
                "other_version",
                "You signed with a secret of this credential that is not yet or no longer in use.",
            ),
            Self::Swapped => (
                "swapped",
                "Key and message are swapped: the secret is the key of the HMAC, not its message.",
            ),
            Self::PlainDigest => (
                "plain_digest",
                "You sent a plain digest. This scheme takes an HMAC, with the secret as its key.",
            ),
            Self::OtherAlgorithm => {
                ("other_algorithm", "You used another hash function than this scheme.")
            }
            Self::OtherEncoding => (
                "other_encoding",
                "The signature is sent in another encoding than this scheme's (hexadecimal against \
                 base64).",
            ),
            Self::EncodedTwice => (
                "encoded_twice",
                "The signature was encoded twice, such as base64 of its hexadecimal text.",
            ),
            Self::SignatureCase => (
                "signature_case",
                "This scheme writes the hexadecimal digits in the other letter case.",
            ),
            Self::SignaturePrefix => (
                "signature_prefix",
                "The signature has a prefix that this scheme does not have, or lacks the one that \
                 it has.",
            ),
            Self::SignatureLength => (
                "signature_length",
                "The signature is too short or too long for this scheme's hash function.",
            ),
            Self::Quoted => {
                ("quoted", "Quotes or white space stand around a value: they were sent along.")
            }
            Self::PercentEncoded => {
                ("percent_encoded", "A value was percent-encoded on its way into a header.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_different_and_hints_are_sentences() {
        let codes: HashSet<_> = Mistake::ALL.iter().map(|one| one.code()).collect();
        assert_eq!(codes.len(), Mistake::ALL.len());
        for one in Mistake::ALL {
            assert!(one.hint().ends_with('.'), "{one:?}");
            assert!(
                one.code()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{one:?}"
            );
        }
    }
}
