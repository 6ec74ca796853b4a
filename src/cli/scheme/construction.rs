//! What a signed request may be signed by: what looks like a signature, a time, a nonce and a key
//! id, and the usual ways to join what is signed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::scheme::{Definition, Formula, Scheme, Vector};

/// What was found in a request.
pub(crate) struct Example {
    signatures: Vec<Signature>,
    times: Vec<(String, &'static str)>,
    nonce: Option<String>,
    key_id: Option<String>,
    kind: Kind,
}

struct Signature {
    template: String,
    /// The parameter that holds it, where it is one.
    parameter: Option<String>,
    encode: &'static str,
    /// Its length in bytes.
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
    Other,
}

/// The orders of parts that are tried: body, time, method, target, path, query, key id, nonce,
/// digest of the body, whole URL, secret.
const ORDERS: [&str; 44] = [
    "B", "TB", "BT", "UB", "BU", "TMUB", "TMPB", "MUTB", "MPTB", "MUBT", "MPBT", "MUB", "MPB",
    "NTB", "TNB", "TKB", "KTB", "KTNB", "NKTB", "NMPB", "NPB", "NUB", "MPQTB", "TKQ", "TP", "TU",
    "MUTD", "MPTD", "TMUD", "TMPD", "MUDT", "MPDT", "MPQDT", "MUNTD", "MUTND", "NTD", "D", "DT",
    "KTMWB", "WB", "BW", "BS", "SB", "SBS",
];

const SEPARATORS: [&str; 5] = ["", ".", "\\n", ":", "|"];

/// What may come of a secret before it is a key.
const KEYS: [&str; 4] = [
    "{secret}",
    "{secret | base64_decode}",
    "{secret | unhex}",
    "{secret | re('^(?:whsec_)?(.+)$') | base64_decode}",
];

impl Example {
    /// Looks through a request.
    pub(crate) fn of(message: &Vector) -> Self {
        let mut places = Vec::new();
        for (name, value) in &message.headers {
            if !["host", "content-type", "content-length"].contains(&&*name.to_lowercase()) {
                places.push((format!("header:{name}"), value.clone()));
            }
        }
        let query = message.url.split_once('?').map_or("", |(_, query)| query);
        places.extend(fields(query).map(|(name, value)| (format!("query:{name}"), value)));
        let document = serde_json::from_str::<serde_json::Value>(&message.body);
        let kind = match &document {
            Ok(serde_json::Value::Object(members)) => {
                for (name, value) in members {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    places.push((format!("json:{name}"), text));
                }
                Kind::Json
            }
            _ if message.body.contains('=') && !message.body.contains(['{', '<']) => {
                let more = fields(&message.body);
                places.extend(more.map(|(name, value)| (format!("form:{name}"), value)));
                Kind::Form
            }
            _ => Kind::Other,
        };
        let mut example =
            Self { signatures: Vec::new(), times: Vec::new(), nonce: None, key_id: None, kind };
        places.iter().for_each(|(place, value)| example.look(place, value));
        example
    }

    /// What one value may be.
    fn look(&mut self, place: &str, value: &str) {
        let whole = (format!("{{{place}}}"), value.to_owned());
        let mut parts = vec![whole];
        if let Some((before, after)) = value.split_once('=')
            && before.len() < 24
            && !before.contains(',')
            && !after.trim_end_matches('=').contains('=')
        {
            parts.push((format!("{{{place} | after('{before}=')}}"), after.to_owned()));
        }
        for field in value.split(',') {
            if let Some((name, inner)) = field.trim().split_once('=')
                && value.contains(',')
            {
                parts.push((
                    format!("{{{place} | pairs(',', '=') | get('{name}')}}"),
                    inner.to_owned(),
                ));
            }
        }
        if let Some((before, after)) = value.split_once(' ') {
            parts.push((format!("{{{place} | after('{before} ')}}"), after.to_owned()));
        }
        let parameter = place.split_once(':').filter(|(kind, _)| *kind != "header");
        let name = place.to_lowercase();
        for (template, text) in parts {
            if let Some((encode, bytes)) = digest(&text) {
                let parameter = parameter.map(|(_, name)| name.to_owned());
                self.signatures.push(Signature { template, parameter, encode, bytes });
            } else if let Some(unit) = time(&text) {
                self.times.push((template, unit));
            } else if self.nonce.is_none()
                && (name.contains("nonce") || name.contains("request-id"))
            {
                self.nonce = Some(template);
            } else if self.key_id.is_none()
                && ["key", "client", "merchant", "partner", "access", "account"]
                    .iter()
                    .any(|word| name.contains(word))
            {
                self.key_id = Some(template);
            }
        }
    }

    /// The definition that names and lengths suggest.
    pub(crate) fn guess(&self) -> Definition {
        let signature = self.signatures.first();
        let (encode, bytes) = signature.map_or(("hex", 32), |one| (one.encode, one.bytes));
        let place = signature.map_or("{header:X-SIGNATURE}", |one| &one.template);
        let time = self.times.first();
        let message = match time {
            Some((time, _)) => format!("{time}{{body}}"),
            None => "{body}".to_owned(),
        };
        let mac = format!("hmac-{}", digest_name(bytes));
        self.definition(
            place,
            encode,
            &mac,
            KEYS.first().copied().unwrap_or_default(),
            message,
            time,
        )
    }

    fn definition(
        &self,
        signature: &str,
        encode: &str,
        mac: &str,
        key: &str,
        message: String,
        time: Option<&(String, &'static str)>,
    ) -> Definition {
        let formula = |text: &str| Some(Formula::Always(text.to_owned()));
        Definition {
            key_id: self.key_id.as_deref().and_then(formula),
            time: time.and_then(|(template, _)| formula(template)),
            time_unit: time.map(|(_, unit)| (*unit).to_owned()),
            nonce: self.nonce.as_deref().and_then(formula),
            message: Some(Formula::Always(message)),
            mac: Some(mac.to_owned()),
            key: (key != "{secret}").then(|| Formula::Always(key.to_owned())),
            encode: Some(encode.to_owned()),
            signature: formula(signature),
            ..Definition::default()
        }
    }

    /// The messages that a signature may be of.
    fn messages(&self, signature: &Signature, time: Option<&str>) -> Vec<String> {
        let mut messages = Vec::new();
        for order in ORDERS {
            let part = |letter: char| {
                Some(match letter {
                    'B' => "{body}",
                    'T' => time?,
                    'M' => "{method}",
                    'U' => "{target}",
                    'P' => "{path}",
                    'Q' => "{query}",
                    'K' => self.key_id.as_deref()?,
                    'N' => self.nonce.as_deref()?,
                    'D' => "{body | sha256 | hex}",
                    'W' => "{url}",
                    _ => "{secret}",
                })
            };
            let parts = order.chars().map(part);
            let Some(parts) = parts.collect::<Option<Vec<&str>>>() else { continue };
            let several = parts.len() > 1;
            let separators = SEPARATORS.iter().take(if several { SEPARATORS.len() } else { 1 });
            messages.extend(separators.map(|between| parts.join(&between.replace("\\n", "\n"))));
        }
        messages.extend(self.collections(signature));
        messages
    }

    /// Parameters put in order and joined, as forms and redirects are signed.
    fn collections(&self, signature: &Signature) -> Vec<String> {
        let source = match (self.kind, signature.template.contains("query:")) {
            (_, true) => "params.query",
            (Kind::Form, _) => "params.form",
            (Kind::Json, _) => "params.json",
            (Kind::Other, _) => return Vec::new(),
        };
        let own = signature.parameter.as_ref().map(|name| format!(" | drop('{name}')"));
        let own = own.unwrap_or_default();
        let mut found = Vec::new();
        for empty in ["", " | drop_empty"] {
            for tail in [
                "items('{k}={v}') | join('&')",
                "items('{k}={v}') | join('')",
                "items('{k}{v}') | join('')",
                "values | join('')",
                "values | join('|')",
                "values | join(',')",
            ] {
                let sorted = format!("{{{source}{own}{empty} | sort('name') | {tail}}}");
                found.push(format!("{sorted}{{secret}}"));
                found.push(format!("{sorted}&key={{secret}}"));
                found.push(sorted);
            }
        }
        found
    }
}

/// The first usual construction that gives the signature.
pub(crate) fn find(example: &Example, message: &Vector, secret: Vec<u8>) -> Option<Definition> {
    let message = Vector { secret: String::from_utf8(secret).ok()?, ..message.clone() };
    let times: Vec<Option<&(String, &'static str)>> =
        example.times.iter().map(Some).chain([None]).collect();
    for signature in &example.signatures {
        for time in &times {
            let messages = example.messages(signature, time.map(|(template, _)| template.as_str()));
            for text in messages {
                let digest = digest_name(signature.bytes);
                let plain = text.contains("{secret}").then(|| digest.to_owned());
                for mac in plain.into_iter().chain([format!("hmac-{digest}")]) {
                    for key in KEYS {
                        let (place, encode) = (&signature.template, signature.encode);
                        let found =
                            example.definition(place, encode, &mac, key, text.clone(), *time);
                        if holds(&found, &message) {
                            return Some(found);
                        }
                    }
                }
            }
        }
    }
    None
}

fn holds(definition: &Definition, message: &Vector) -> bool {
    let scheme = Scheme::compile("new", definition);
    scheme.is_ok_and(|scheme| message.verify(&scheme).is_ok())
}

/// Names and values of a query or form, as they stand.
fn fields(text: &str) -> impl Iterator<Item = (String, String)> {
    let field = |field: &str| {
        let (name, value) = field.split_once('=')?;
        Some((name.to_owned(), value.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")))
    };
    text.split('&').filter_map(field)
}

/// How a text that may be a digest is written, and its length in bytes.
fn digest(text: &str) -> Option<(&'static str, usize)> {
    let lengths = [16, 20, 32, 48, 64];
    let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    if hex && text.len().is_multiple_of(2) && lengths.contains(&(text.len() / 2)) {
        let upper = text.bytes().any(|b| b.is_ascii_uppercase());
        return Some((if upper { "hex | upper" } else { "hex" }, text.len() / 2));
    }
    let bytes = |decoded: Result<Vec<u8>, _>| decoded.ok().map(|bytes| bytes.len());
    let good = |length: &usize| lengths.contains(length);
    if let Some(length) = bytes(STANDARD.decode(text)).filter(good) {
        return Some(("base64", length));
    }
    bytes(URL_SAFE_NO_PAD.decode(text)).filter(good).map(|length| ("base64url", length))
}

fn digest_name(bytes: usize) -> &'static str {
    match bytes {
        16 => "md5",
        20 => "sha1",
        48 => "sha384",
        64 => "sha512",
        _ => "sha256",
    }
}

/// The unit of a text that may be a time.
fn time(text: &str) -> Option<&'static str> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.len() {
        10 if digits => Some("s"),
        13 if digits => Some("ms"),
        16 if digits => Some("us"),
        16 if text.ends_with('Z') && text.contains('T') => Some("yyyymmddThhmmssZ"),
        29 if text.ends_with(" GMT") => Some("rfc1123"),
        20..=35 if text.get(10..11) == Some("T") && text.get(4..5) == Some("-") => Some("rfc3339"),
        _ => None,
    }
}
