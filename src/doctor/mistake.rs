//! The mistakes that the doctor knows: a closed list, each with a code, what it is, and a sentence
//! for the developer who made it.

/// Makes everything of one list.
macro_rules! mistakes {
    ($($variant:ident = $code:literal, $about:literal, $hint:literal;)*) => {
        /// Something that people do when a signature does not match.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mistake {
            $(#[doc = $about] $variant,)*
        }

        impl Mistake {
            /// Every mistake.
            pub const ALL: [Self; [$($code),*].len()] = [$(Self::$variant,)*];

            /// Its name in answers, metrics and JSON output.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// A sentence or two for the developer who made it.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)* }
            }
        }
    };
}

mistakes! {
    BodyLeftOut = "body_left_out",
        "The body was not signed.",
        "The body was not part of what you signed.";
    FinalNewline = "final_newline",
        "One of the two has a line break at its end.",
        "You signed the body with a line break at its end and sent it without, or the other way. \
        Sign the bytes that are sent.";
    BodyTrimmed = "body_trimmed",
        "White space around the body was signed or not.",
        "You signed the body without the white space around it. Sign the bytes that are sent.";
    LineEndings = "line_endings",
        "Line feeds against carriage returns with line feeds.",
        "Line breaks in the body are LF on one side and CRLF on the other.";
    ByteOrderMark = "byte_order_mark",
        "A byte order mark in front of one of the two.",
        "A byte order mark (EF BB BF) stands in front of the body that you signed or sent.";
    JsonCompacted = "json_compacted",
        "JSON was signed without its white space.",
        "You signed the JSON without its white space. Serialise once, and sign and send that \
        text.";
    JsonSpaced = "json_spaced",
        "JSON was signed with a space after every comma and colon.",
        "You signed the JSON with spaces after commas and colons. Serialise once, and sign and \
        send that text.";
    JsonIndented = "json_indented",
        "JSON was signed with indentation.",
        "You signed the JSON with indentation. Serialise once, and sign and send that text.";
    JsonSorted = "json_sorted",
        "JSON was signed with its members sorted.",
        "You signed the JSON with its members in another order than you sent them.";
    JsonSlashes = "json_slashes",
        "`/` against `\\/`.",
        "Slashes in the JSON are escaped (\\/) on one side only, as PHP's json_encode does.";
    JsonUnicode = "json_unicode",
        "Characters against `\\u` escapes.",
        "Characters in the JSON are \\u escapes on one side only.";
    JsonTwice = "json_twice",
        "JSON was signed as a string that holds JSON.",
        "You signed a JSON string that holds the JSON: it was serialised twice.";
    EmptyAsJson = "empty_as_json",
        "`{}`, `[]` or `null` was signed where nothing was sent.",
        "You signed {}, [], \"\" or null, and sent no body. Sign nothing for no body.";
    BodyDigested = "body_digested",
        "A digest of the body was signed in place of the body.",
        "You signed a digest of the body. This scheme signs the body itself.";
    BodyBase64 = "body_base64",
        "The body was signed as base64.",
        "You signed the body as base64. This scheme signs the bytes that are sent.";
    FormEncoding = "form_encoding",
        "`+` against `%20`, or a form that was signed decoded.",
        "The form that you signed is encoded in another way than the one you sent (+ against \
        %20, or decoded).";
    CharacterSet = "character_set",
        "Another character set than UTF-8 was signed.",
        "You signed the body in another character set than it was sent in. Use UTF-8 for both.";
    MethodCase = "method_case",
        "The method was signed in lower case.",
        "The method is signed in upper case.";
    QueryLeftOut = "query_left_out",
        "The query was not signed.",
        "You signed the path without its query. The target is signed as it is sent.";
    QuerySorted = "query_sorted",
        "The query was signed in another order.",
        "You signed the query in another order than you sent it.";
    TargetEncoding = "target_encoding",
        "The path was signed decoded, or with other escapes.",
        "You signed the path or query with other escapes than you sent. Sign what is sent, \
        percent-encoding and all.";
    TrailingSlash = "trailing_slash",
        "A slash at the end of the path.",
        "The path that you signed has a slash at its end, and the one that you sent has none, or \
        the other way.";
    TargetForm = "target_form",
        "The whole URL was signed in place of the path, or the path without its prefix.",
        "You signed the whole URL, or only a part of the path. The path is signed as it is sent, \
        from its first slash.";
    HostPort = "host_port",
        "The port of the host was signed or not.",
        "The host is signed exactly as the Host header is sent: with its port where that has \
        one, without where not.";
    ContentType = "content_type",
        "The parameters of the content type were signed or not.",
        "The content type is signed exactly as it is sent, charset and all.";
    Milliseconds = "milliseconds",
        "Milliseconds were signed, or sent.",
        "One of the timestamps, the signed one or the one that was sent, is in milliseconds. \
        This scheme takes seconds in both places.";
    DateForm = "date_form",
        "A date was signed or sent where a number belongs.",
        "One of the timestamps, the signed one or the one that was sent, is a date where the \
        other form belongs.";
    TimeZone = "time_zone",
        "The clock is off by a time zone.",
        "The timestamp is off by whole hours: it was made of local time. Use UTC.";
    PartsOrder = "parts_order",
        "The timestamp is first in the signed text, or last, and should not be.",
        "You joined the right parts in another order.";
    PartLeftOut = "part_left_out",
        "A part of the signed text was left out.",
        "You left out a part of what is signed, or took one twice.";
    Delimiter = "delimiter",
        "The parts were joined with another delimiter, or with none.",
        "You joined the right parts with another delimiter, or with none.";
    MessageNewline = "message_newline",
        "A line break at the end of the signed text.",
        "A line break stood at the end of what you signed, as echo adds it.";
    SecretNewline = "secret_newline",
        "White space or a line break around the secret.",
        "A line break or white space was part of your secret, as an editor or echo adds it.";
    SecretDecoded = "secret_decoded",
        "The secret was decoded from base64 or hexadecimal, and should not be, or the other way.",
        "The secret is used as it is written in one place, and decoded from base64 or \
        hexadecimal in the other.";
    SecretPrefix = "secret_prefix",
        "A prefix of the secret was cut off.",
        "The prefix of the secret is part of the key: do not cut it off, or the other way.";
    SecretCase = "secret_case",
        "The secret was signed with in another letter case.",
        "The letters of your secret were changed in case.";
    SecretDigested = "secret_digested",
        "A digest of the secret was the key.",
        "Your key was a digest of the secret. Use the secret itself.";
    KeyIdAsSecret = "key_id_as_secret",
        "The key id was used as the secret.",
        "You signed with the key id in place of the secret.";
    OtherVersion = "other_version",
        "The secret of another version.",
        "You signed with a secret of this credential that is not yet or no longer in use.";
    Swapped = "swapped",
        "Key and message were swapped.",
        "Key and message are swapped: the secret is the key of the HMAC, not its message.";
    PlainDigest = "plain_digest",
        "A plain digest in place of an HMAC.",
        "You sent a plain digest. This scheme takes an HMAC, with the secret as its key.";
    OtherAlgorithm = "other_algorithm",
        "Another hash function.",
        "You used another hash function than this scheme.";
    OtherEncoding = "other_encoding",
        "Base64 in place of hexadecimal, or the other way.",
        "The signature is sent in another encoding than this scheme's (hexadecimal against \
        base64).";
    EncodedTwice = "encoded_twice",
        "The digits were encoded once more.",
        "The signature was encoded twice, such as base64 of its hexadecimal text.";
    SignatureCase = "signature_case",
        "Upper case where the scheme wants lower case.",
        "This scheme writes the hexadecimal digits in the other letter case.";
    SignaturePrefix = "signature_prefix",
        "A prefix such as `sha256=` that this scheme does not have, or one that is missing.",
        "The signature has a prefix that this scheme does not have, or lacks the one that it \
        has.";
    SignatureLength = "signature_length",
        "Cut to another length.",
        "The signature is too short or too long for this scheme's hash function.";
    Quoted = "quoted",
        "Quotes or white space around a value.",
        "Quotes or white space stand around a value: they were sent along.";
    PercentEncoded = "percent_encoded",
        "A value was percent-encoded.",
        "A value was percent-encoded on its way into a header.";
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
