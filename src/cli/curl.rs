//! A signed request as a curl command line that any POSIX shell takes as it is.

use std::borrow::Cow;

use http::Method;

use super::signing::{Body, Signed};

/// Text as one word of a POSIX shell.
pub(crate) fn quote(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

/// The body can be given to curl neither as text nor as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body from standard input must be text to stand in a curl line; use --data-file FILE")]
pub(crate) struct NotText;

/// The command line that sends a signed request, over several lines.
pub(crate) fn line(request: &Signed) -> Result<String, NotText> {
    let mut words = vec!["curl".to_owned()];
    words.push(match request.method {
        // With `--request HEAD` curl would wait for a body that never comes.
        Method::HEAD => "--head".to_owned(),
        _ => format!("--request {}", quote(request.method.as_str())),
    });
    let url = request.url.to_string();
    if url.contains(['{', '}']) || request.url.path_and_query().is_some_and(has_brackets) {
        words.push("--globoff".to_owned());
    }
    if request.url.path().contains("/.") {
        // Otherwise curl resolves dots, and sends what was not signed.
        words.push("--path-as-is".to_owned());
    }
    for (name, value) in request.all_headers() {
        words.push(format!("--header {}", quote(&format!("{name}: {value}"))));
    }
    if let Some(data) = data(&request.body)? {
        if request.content_type.is_empty() {
            // Or curl adds a type of its own.
            words.push("--header Content-Type:".to_owned());
        }
        words.push(data);
    }
    words.push(quote(&url).into_owned());
    Ok(words.join(" \\\n  "))
}

fn has_brackets(target: &http::uri::PathAndQuery) -> bool {
    target.as_str().contains(['[', ']'])
}

fn data(body: &Body) -> Result<Option<String>, NotText> {
    match body {
        Body::None => Ok(None),
        Body::File { path, .. } => {
            Ok(Some(format!("--data-binary {}", quote(&format!("@{}", path.display())))))
        }
        Body::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| NotText)?;
            if text.contains('\0') {
                return Err(NotText);
            }
            Ok(Some(format!("--data-raw {}", quote(text))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn words_survive_a_shell() {
        let words = [
            "",
            "plain",
            "two words",
            "it's",
            "'",
            "''",
            "$HOME `id` $(id) \"x\" \\",
            "line\nbreak\t!",
            "*?[a]{b,c}~#;&|<>",
            "ü€",
            "-n",
        ];
        for word in words {
            let script = format!("printf '%s' {}", quote(word));
            let out = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
        }
        assert_eq!(quote("pk_test_acme"), "pk_test_acme");
    }

    fn signed(method: Method, url: &str, body: Body) -> Signed {
        let content_type = if matches!(body, Body::None) { "" } else { "application/json" };
        Signed {
            scheme: "kwikpaisa".to_owned(),
            method,
            url: url.parse().unwrap(),
            content_type: content_type.to_owned(),
            extra: vec![],
            credentials: vec![("X-API-KEY".to_owned(), "k".to_owned())],
            body,
        }
    }

    #[test]
    fn a_line_says_everything() {
        let body = Body::Text(b"@it's".to_vec());
        let line = line(&signed(Method::POST, "https://localhost:8443/v1?a=[1]", body)).unwrap();
        let expected = "curl \\\n  --request POST \\\n  --globoff \\\n  \
             --header 'Content-Type: application/json' \\\n  --header 'X-API-KEY: k' \\\n  \
             --data-raw '@it'\\''s' \\\n  'https://localhost:8443/v1?a=[1]'";
        assert_eq!(line, expected);
    }

    #[test]
    fn bodies_that_a_shell_cannot_carry_are_refused() {
        for bytes in [&b"\xff"[..], b"a\0b"] {
            let request = signed(Method::POST, "https://h/", Body::Text(bytes.to_vec()));
            assert_eq!(line(&request).unwrap_err(), NotText);
        }
        let body = Body::File { path: "a b".into(), bytes: b"\xff".to_vec() };
        assert!(line(&signed(Method::PUT, "https://h/", body)).unwrap().contains("'@a b'"));
        assert!(line(&signed(Method::HEAD, "https://h/", Body::None)).unwrap().contains("--head"));
    }
}
