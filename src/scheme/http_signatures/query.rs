//! Parameters of a query as `@query-param` takes them (RFC 9421 section 2.2.8): read as a form, and
//! encoded again in the one way that is signed.

/// The value of the parameter of a name, both percent-encoded; `None` unless it is there exactly
/// once and is UTF-8.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut found = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (own, value) = pair.split_once('=').unwrap_or((pair, ""));
        if recoded(own).as_deref() == Some(name) && found.replace(value).is_some() {
            return None;
        }
    }
    recoded(found?)
}

/// Text of a form, decoded and encoded again.
fn recoded(text: &str) -> Option<String> {
    let bytes = decoded(text.as_bytes());
    std::str::from_utf8(&bytes).ok()?;
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'*' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            byte => {
                encoded.push('%');
                encoded.extend([byte >> 4, byte & 15].map(digit));
            }
        }
    }
    Some(encoded)
}

fn decoded(mut text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        text = rest;
        bytes.push(match (first, rest) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (value(*high), value(*low)) {
                (Some(high), Some(low)) => {
                    text = after;
                    high << 4 | low
                }
                // What is no escape stands for itself.
                _ => b'%',
            },
            (byte, _) => *byte,
        });
    }
    bytes
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 9421 section 2.2.8.
    #[test]
    fn examples_of_the_rfc() {
        let query = "param=value&foo=bar&baz=batman&qux=";
        for (name, value) in [("baz", "batman"), ("qux", ""), ("param", "value")] {
            assert_eq!(parameter(query, name).as_deref(), Some(value));
        }
        let query = "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace\
                     &fa%C3%A7ade%22%3A%20=something";
        for (name, value) in [
            ("var", "this%20is%20a%20big%0Amultiline%20value"),
            ("bar", "with%20plus%20whitespace"),
            ("fa%C3%A7ade%22%3A%20", "something"),
        ] {
            assert_eq!(parameter(query, name).as_deref(), Some(value));
        }
    }

    #[test]
    fn a_parameter_is_there_exactly_once() {
        assert_eq!(parameter("a=1&a=2", "a"), None);
        assert_eq!(parameter("a=1&%61=1", "a"), None);
        assert_eq!(parameter("a=1", "b"), None);
        assert_eq!(parameter("a", "a").as_deref(), Some(""));
        assert_eq!(parameter("a=%ff", "a"), None);
        assert_eq!(parameter("a=100%&b=%4", "a").as_deref(), Some("100%25"));
    }

    proptest::proptest! {
        /// Whatever comes out is the same when it is read again, and safe to sign.
        #[test]
        fn values_are_settled(query in ".{0,60}") {
            if let Some(value) = parameter(&format!("a={}", query.replace('&', "")), "a") {
                proptest::prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
                proptest::prop_assert_eq!(parameter(&format!("a={value}"), "a"), Some(value));
            }
        }
    }
}
