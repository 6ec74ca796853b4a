//! What `sign` and `send` have in common: a request, and the headers that sign it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use countersign::client::roll::Plain;
use countersign::clock::Timestamp;
use countersign::crypto::{hex, random};
use countersign::scheme::{Outgoing, Scheme, VerifyingKey};
use countersign::secret::NamedSecrets;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};

use super::Failure;
use super::expected::Expected;
use super::scheme_source::SchemeSource;
use super::sealing::{Sealing, SealingArguments};
use super::secret_source::{SecretSource, secret_in};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request to be signed, and by whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who signs")]
pub(crate) struct SigningArguments {
    /// Public key id of the credential
    #[arg(long, value_name = "ID")]
    key_id: String,

    #[command(flatten)]
    secret: SecretSource,

    #[command(flatten)]
    scheme: SchemeSource,

    /// File with a value that the scheme reads beside the secret; may be repeated
    #[arg(long = "value", value_name = "NAME=FILE", value_parser = named_file)]
    values: Vec<(String, PathBuf)>,

    /// Unix seconds to sign instead of now
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<u64>,

    #[command(flatten)]
    message: MessageArguments,

    #[command(flatten)]
    sealing: SealingArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is signed")]
struct MessageArguments {
    /// Where the request goes: https://host[:port]/path?query
    #[arg(long)]
    url: String,

    /// Method [default: POST with a body, otherwise GET]
    #[arg(long, short = 'X')]
    method: Option<Method>,

    /// Body
    #[arg(long, short, value_name = "TEXT", conflicts_with = "data_file")]
    data: Option<String>,

    /// Body from a file, byte for byte; - is standard input
    #[arg(long, value_name = "FILE")]
    data_file: Option<PathBuf>,

    /// Content-Type [default: application/json with a body, otherwise none]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// A further header, which is sent but not signed; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Where a body came from, and its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// No body.
    None,
    /// From the command line or standard input.
    Text(Vec<u8>),
    /// From a file.
    File { path: PathBuf, bytes: Vec<u8> },
}

impl Body {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Text(bytes) | Self::File { bytes, .. } => bytes,
        }
    }

    /// The same with a number in its place; what is not text has no such place.
    fn numbered(&self, number: Option<u64>) -> Self {
        match std::str::from_utf8(self.bytes()).map(|text| numbered(text, number)) {
            Ok(Cow::Owned(text)) => Self::Text(text.into_bytes()),
            Ok(Cow::Borrowed(_)) | Err(_) => self.clone(),
        }
    }
}

/// A signed request.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) scheme: String,
    pub(crate) method: Method,
    pub(crate) url: Uri,
    /// Empty: none is sent.
    pub(crate) content_type: String,
    /// Headers that are sent and not signed.
    pub(crate) extra: Vec<(String, String)>,
    /// Headers that carry key id, time and signature.
    pub(crate) credentials: Vec<(String, String)>,
    pub(crate) body: Body,
}

impl Signed {
    /// Everything that must be sent as it is, in order.
    pub(crate) fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let content_type = Some(("Content-Type", self.content_type.as_str()));
        let listed = self.extra.iter().chain(&self.credentials);
        content_type
            .filter(|(_, value)| !value.is_empty())
            .into_iter()
            .chain(listed.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// The request as the client sends it.
    pub(crate) fn to_request(&self) -> Result<Request<Bytes>, http::Error> {
        let builder = Request::builder().method(&self.method).uri(&self.url);
        let builder = self.all_headers().fold(builder, |to, (name, value)| to.header(name, value));
        builder.body(Bytes::copy_from_slice(self.body.bytes()))
    }
}

/// A request that is sealed before it is signed, and by whom.
pub(crate) struct Unsigned {
    pub(crate) plain: Plain,
    pub(crate) scheme: Arc<Scheme>,
    pub(crate) key: VerifyingKey,
}

impl SigningArguments {
    /// The key id.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The request as it is, for whoever seals it first. A body has an `Idempotency-Key`, which
    /// stays the same when it is sealed anew.
    pub(crate) fn plain(
        &self,
        secret: impl FnOnce() -> Option<OsString>,
    ) -> Result<Unsigned, Failure> {
        let message = &self.message;
        let url = url(&message.url).map_err(Failure::usage)?;
        let secret = self.secret.read(&self.key_id, secret)?;
        let mut values = NamedSecrets::default();
        for (name, path) in &self.values {
            values.insert(name, secret_in(path)?);
        }
        let scheme = self.scheme.find()?;
        let key = scheme.signing_key(&secret, values).map_err(Failure::failed)?;
        message.extra_headers(&scheme).map_err(Failure::usage)?;
        let mut headers: HeaderMap = message.headers.iter().cloned().collect();
        let body = match message.body()? {
            Body::None => None,
            body => Some(Bytes::copy_from_slice(body.bytes())),
        };
        if body.is_some() && !headers.contains_key(IDEMPOTENCY_KEY) {
            let random = random::<32>().map_err(Failure::failed)?;
            let value = HeaderValue::from_bytes(&hex(&random)).map_err(Failure::failed)?;
            headers.insert(IDEMPOTENCY_KEY, value);
        }
        let usual = if body.is_some() { Method::POST } else { Method::GET };
        let method = message.method.clone().unwrap_or(usual);
        Ok(Unsigned { plain: Plain { method, url, headers, body }, scheme, key })
    }

    /// Signs the request, and says what is known of its answer.
    pub(crate) fn sign(
        &self,
        now: Timestamp,
        secret: impl FnOnce() -> Option<OsString>,
    ) -> Result<(Signed, Expected), Failure> {
        let ready = self.ready(secret)?;
        Ok((ready.sign(now, None)?, ready.expected()))
    }

    /// Reads everything that signing takes, so that it can be done many times.
    pub(crate) fn ready(
        &self,
        secret: impl FnOnce() -> Option<OsString>,
    ) -> Result<Ready<'_>, Failure> {
        // Before anything is read: a URL that was mistyped needs no secret to be told.
        drop(url(&numbered(&self.message.url, Some(1))).map_err(Failure::usage)?);
        let secret = self.secret.read(&self.key_id, secret)?;
        let mut values = NamedSecrets::default();
        for (name, path) in &self.values {
            values.insert(name, secret_in(path)?);
        }
        let body = self.message.body()?;
        let sealing = self.sealing.prepare(&secret, &values)?;
        let scheme = self.scheme.find()?;
        let extra = self.message.extra_headers(&scheme).map_err(Failure::usage)?;
        let key = scheme.signing_key(&secret, values).map_err(Failure::failed)?;
        Ok(Ready { arguments: self, body, sealing, scheme, extra, key })
    }
}

/// What stands for the number of a request, where many are made of one.
const NUMBER: &str = "{n}";

/// Everything that signing takes.
pub(crate) struct Ready<'a> {
    arguments: &'a SigningArguments,
    body: Body,
    sealing: Option<Sealing>,
    scheme: Arc<Scheme>,
    extra: Vec<(String, String)>,
    key: VerifyingKey,
}

impl Ready<'_> {
    /// Signs the request. Where it has a `number`, that takes the place of `{n}` in URL and body.
    pub(crate) fn sign(&self, now: Timestamp, number: Option<u64>) -> Result<Signed, Failure> {
        let Self { arguments, scheme, .. } = self;
        let message = &arguments.message;
        let url = url(&numbered(&message.url, number)).map_err(Failure::usage)?;
        let mut body = self.body.numbered(number);
        let mut sent: HeaderMap = message.headers.iter().cloned().collect();
        let mut json = "application/json".to_owned();
        let mut extra = self.extra.clone();
        if let Some(sealing) = self.sealing.as_ref().filter(|_| !matches!(body, Body::None)) {
            let mut sealed = sealing.seal(body.bytes())?;
            json = sealing.content_type();
            body = Body::Text(std::mem::take(&mut *sealed.body));
            extra.extend(sealed.headers.iter().map(|(name, value)| shown(name, value)));
            sent.extend(sealed.headers);
        }
        let has_body = !matches!(body, Body::None);
        let (method, content_type) =
            if has_body { (Method::POST, json.as_str()) } else { (Method::GET, "") };
        let method = message.method.clone().unwrap_or(method);
        let content_type = message.content_type.as_deref().unwrap_or(content_type).to_owned();
        HeaderValue::from_str(&content_type)
            .map_err(|_| Failure::usage("--content-type: a header cannot hold this text"))?;
        let outgoing = Outgoing {
            key_id: &arguments.key_id,
            timestamp: arguments.timestamp.map_or(now, Timestamp::from_secs),
            method: &method,
            authority: url.authority().map_or("", |authority| authority.as_str()),
            target: url.path_and_query().map_or("/", |target| target.as_str()),
            content_type: &content_type,
            headers: &sent,
            body: body.bytes(),
        };
        let headers = scheme.sign(&self.key, &outgoing).map_err(Failure::failed)?;
        let credentials = headers.iter().map(|(name, value)| shown(name, value)).collect();
        let scheme = scheme.name().to_owned();
        Ok(Signed { scheme, method, url, content_type, extra, credentials, body })
    }

    /// What is known of answers.
    fn expected(self) -> Expected {
        let Self { arguments, sealing, scheme, key, .. } = self;
        Expected { scheme, key, sealing, key_id: arguments.key_id.clone() }
    }
}

/// A text in which a number has its place.
fn numbered(text: &str, number: Option<u64>) -> Cow<'_, str> {
    match number {
        Some(number) if text.contains(NUMBER) => text.replace(NUMBER, &number.to_string()).into(),
        _ => text.into(),
    }
}

impl MessageArguments {
    fn body(&self) -> Result<Body, Failure> {
        if let Some(text) = &self.data {
            return Ok(Body::Text(text.clone().into_bytes()));
        }
        let Some(path) = &self.data_file else { return Ok(Body::None) };
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            return match std::io::stdin().lock().read_to_end(&mut bytes) {
                Ok(_) => Ok(Body::Text(bytes)),
                Err(e) => Err(Failure::failed(format_args!("standard input: {e}"))),
            };
        }
        match std::fs::read(path) {
            Ok(bytes) => Ok(Body::File { path: path.clone(), bytes }),
            Err(e) => Err(Failure::failed(format_args!("{}: {e}", path.display()))),
        }
    }

    /// The further headers, as long as they do not take the place of those that are made here.
    fn extra_headers(&self, scheme: &Scheme) -> Result<Vec<(String, String)>, String> {
        for (name, _) in &self.headers {
            if *name == CONTENT_TYPE {
                return Err("give the content type with --content-type".to_owned());
            }
            if *name == HOST || scheme.credential_headers().contains(name) {
                return Err(format!("--header {name}: this header is made from the request"));
            }
        }
        Ok(self.headers.iter().map(|(name, value)| shown(name, value)).collect())
    }
}

/// A header as people know it: those of the schemes in upper case.
fn shown(name: &HeaderName, value: &HeaderValue) -> (String, String) {
    let name = match name.as_str().strip_prefix("x-") {
        Some(_) => name.as_str().to_ascii_uppercase(),
        None => name.as_str().to_owned(),
    };
    (name, String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// `NAME=FILE`.
fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("a value is NAME=FILE")?;
    Ok((name.to_owned(), PathBuf::from(path)))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME: VALUE")?;
    let name = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
    let value =
        HeaderValue::from_str(value.trim()).map_err(|_| "a header cannot hold this value")?;
    Ok((name, value))
}

/// A URL that is sent exactly as it is signed.
fn url(text: &str) -> Result<Uri, String> {
    let bad = |why: &str| format!("{text}: {why}");
    if text.contains('#') {
        return Err(bad("a fragment (#…) is never sent; leave it out"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad("write white space and other than ASCII characters as %XX"));
    }
    let url: Uri = text.parse().map_err(|e| bad(&format!("not a URL: {e}")))?;
    let (Some("https"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(bad("a URL is https://host[:port]/path?query"));
    };
    if authority.as_str().contains('@') {
        return Err(bad("a URL here has no user name"));
    }
    // Clients leave the usual port out of `Host`, and the signature covers `Host` as it is sent.
    let authority = authority.as_str().strip_suffix(":443").unwrap_or(authority.as_str());
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("https://{authority}{slash}{target}")
        .parse()
        .map_err(|e| bad(&format!("not a URL: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_sent_as_they_are_signed() {
        assert_eq!(url("https://h:443/a?b=%20").unwrap().to_string(), "https://h/a?b=%20");
        assert_eq!(url("https://[::1]:8443").unwrap().to_string(), "https://[::1]:8443/");
        assert_eq!(url("https://h?x").unwrap().path_and_query().unwrap().as_str(), "/?x");
        for bad in
            ["http://h/", "/v1", "h", "https://u@h/", "https://h/#f", "https://h/ü", "https://"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_takes_its_place_in_text_only() {
        let body = Body::Text(b"{\"order\":\"{n}\",\"n\":{n}}".to_vec());
        assert_eq!(body.numbered(Some(12)).bytes(), b"{\"order\":\"12\",\"n\":12}");
        assert_eq!(body.numbered(None).bytes(), body.bytes());
        let other = Body::Text(b"\xff{n}".to_vec());
        assert_eq!(other.numbered(Some(1)).bytes(), other.bytes());
        assert_eq!(numbered("https://h/{n}?a={n}", Some(3)), "https://h/3?a=3");
    }

    #[test]
    fn headers_are_parsed() {
        let (name, value) = header("X-Trace:  a:b ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-trace", "a:b"));
        assert!(header("no colon").is_err() && header("b d: x").is_err());
    }
}
