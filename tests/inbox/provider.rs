//! Providers, as they sign: an implementation of their own, against which ours is held.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};

use super::support::request::Request;

pub(crate) const STRIPE: &str = "whsec_5f0d2c8ab7e94163bb1d";
pub(crate) const STRIPE_OLD: &str = "whsec_0ld1c2d3e4f5a6b7c8d9";
pub(crate) const KWIK: &str = "sk_live_7c1f0e9ad2b34865";
pub(crate) const PAYKUN: &str = "paykun0secret0123456789abcdef0123";
pub(crate) const FIUU: &str = "fiuu-secret-key-4b1d90e7";
pub(crate) const FIUU_VERIFY: &str = "fiuu-verify-key-a73c52f1";
/// Standard Webhooks: 24 bytes.
pub(crate) const SHOP: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub(crate) fn md5(text: &str) -> String {
    use md5::Digest as _;
    hex(&md5::Md5::digest(text.as_bytes()))
}

pub(crate) fn hmac256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// A message of Stripe, signed at a time with these secrets.
pub(crate) fn stripe(path: &str, body: &str, at: u64, secrets: &[&str]) -> Request {
    let mut header = format!("t={at}");
    for secret in secrets {
        let mac = hmac256(secret.as_bytes(), &[format!("{at}.{body}").as_bytes()]);
        write!(header, ",v1={}", hex(&mac)).unwrap();
    }
    Request::post(path, body.as_bytes())
        .set("Content-Type", "application/json")
        .header("Stripe-Signature", &header)
}

/// What Stripe says of an event.
pub(crate) fn stripe_event(id: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"object\":\"event\",\"type\":\"charge.succeeded\",\"data\":{{\
         \"object\":{{\"id\":\"ch_{id}\",\"amount\":1000,\"currency\":\"myr\"}}}}}}"
    )
}

/// A webhook of KwikPaisa.
pub(crate) fn kwikpaisa(path: &str, body: &str, at: u64) -> Request {
    let at = at.to_string();
    let mac = hmac256(KWIK.as_bytes(), &[body.as_bytes(), at.as_bytes()]);
    Request::post(path, body.as_bytes())
        .set("Content-Type", "application/json")
        .header("X-TIMESTAMP", &at)
        .header("X-SIGNATURE", hex(&mac))
}

pub(crate) fn kwikpaisa_event(order: &str, status: &str) -> String {
    format!(
        "{{\"event\":\"payment.{status}\",\"data\":{{\"order_id\":\"{order}\",\
         \"amount\":\"10.00\",\"currency\":\"INR\",\"status\":\"{status}\"}}}}"
    )
}

/// A webhook of PayKun; signed where it is asked for.
pub(crate) fn paykun(path: &str, payment: &str, flag: &str, signed: bool) -> Request {
    let order = "\"order\":{\"order_id\":\"A17\",\"product_name\":\"tea\",\"gross_amount\":11.50}";
    let status = if flag == "1" { "Success" } else { "Failed" };
    let mut mac = Hmac::<Sha512>::new_from_slice(PAYKUN.as_bytes()).unwrap();
    mac.update(format!("{payment}|merchant0001|{status}|{flag}|A17|tea|11.50|#").as_bytes());
    let signature = match signed {
        true => format!(",\"signature\":\"{}\"", hex(&mac.finalize().into_bytes())),
        false => String::new(),
    };
    let body = format!(
        "{{\"transaction\":{{\"payment_id\":\"{payment}\",\
         \"merchant_id\":\"merchant0001\",\"status\":\"{status}\",\
         \"status_flag\":\"{flag}\",{order}{signature}}}}}"
    );
    Request::post(path, body.as_bytes()).set("Content-Type", "application/json")
}

/// One notification of Fiuu.
#[derive(Clone, Debug)]
pub(crate) struct Fiuu {
    pub(crate) transaction: String,
    pub(crate) order: String,
    pub(crate) status: String,
    pub(crate) domain: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
    pub(crate) paydate: String,
    pub(crate) appcode: String,
    pub(crate) nbcb: Option<&'static str>,
    pub(crate) secret: String,
}

impl Fiuu {
    pub(crate) fn new(transaction: &str, order: &str, status: &str) -> Self {
        Self {
            transaction: transaction.into(),
            order: order.into(),
            status: status.into(),
            domain: "shop_MY".into(),
            amount: "10.00".into(),
            currency: "MYR".into(),
            paydate: "2025-11-24 18:00:00".into(),
            appcode: "AP01".into(),
            nbcb: Some("2"),
            secret: FIUU.into(),
        }
    }

    pub(crate) fn skey(&self) -> String {
        let Self { transaction, order, status, domain, amount, currency, .. } = self;
        let inner = md5(&format!("{transaction}{order}{status}{domain}{amount}{currency}"));
        md5(&format!("{}{domain}{inner}{}{}", self.paydate, self.appcode, self.secret))
    }

    /// The fields in the order in which they are sent.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("tranID", self.transaction.clone()),
            ("orderid", self.order.clone()),
            ("status", self.status.clone()),
            ("domain", self.domain.clone()),
            ("amount", self.amount.clone()),
            ("currency", self.currency.clone()),
            ("paydate", self.paydate.clone()),
            ("appcode", self.appcode.clone()),
            ("channel", "fpx & co".into()),
        ];
        fields.extend(self.nbcb.map(|nbcb| ("nbcb", nbcb.to_owned())));
        fields.push(("skey", self.skey()));
        fields
    }

    pub(crate) fn request(&self, path: &str) -> Request {
        Request::post(path, form(&self.fields()).as_bytes())
            .set("Content-Type", "application/x-www-form-urlencoded")
    }
}

/// Fields as a form (application/x-www-form-urlencoded).
pub(crate) fn form(fields: &[(&str, String)]) -> String {
    let coded = |text: &str| {
        text.bytes().fold(String::new(), |mut all, byte| {
            match byte {
                b' ' => all.push('+'),
                b if b.is_ascii_alphanumeric() || b"-_.*".contains(&b) => all.push(b.into()),
                b => write!(all, "%{b:02X}").unwrap(),
            }
            all
        })
    };
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", coded(name), coded(value))).collect();
    pairs.join("&")
}

/// The fields of a form.
pub(crate) fn unform(text: &str) -> Vec<(String, String)> {
    let plain = |text: &str| {
        let bytes = text.replace('+', " ").into_bytes();
        let (mut all, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            if bytes[at] == b'%' {
                let digits = std::str::from_utf8(&bytes[at + 1..at + 3]).unwrap();
                all.push(u8::from_str_radix(digits, 16).unwrap());
                at += 3;
            } else {
                all.push(bytes[at]);
                at += 1;
            }
        }
        String::from_utf8(all).unwrap()
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        (plain(name), plain(value))
    };
    text.split('&').map(pair).collect()
}

/// The signature of Standard Webhooks 1.0.0, v1.
pub(crate) fn standard(secret: &str, id: &str, at: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mac = hmac256(&key, &[id.as_bytes(), b".", at.as_bytes(), b".", body]);
    format!("v1,{}", STANDARD.encode(mac))
}

/// Runs a script in PHP; what it printed.
pub(crate) fn php(script: &str) -> String {
    let mut command = Command::new("php");
    let output = command.args(["-r", script]).stdin(Stdio::null()).output().expect("php runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
