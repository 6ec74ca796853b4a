//! A provider that signs with its private key: OpenSSL signs as Midtrans does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::kit::{Inbox, Plan, listed};
use super::support::pair::Pair;
use super::support::request::Request;
use super::support::setup::rfc3339;
use super::support::signer::hex;

const PATH: &str = "/webhooks/midtrans";

fn inbox(pair: &Pair) -> Inbox {
    let mut plan = Plan::new();
    plan.setup.named_secret("midtrans", &pair.public);
    plan.table(format!(
        "[sources.midtrans]\nprovider = \"midtrans-snap\"\npath = \"{PATH}\"\n\
         destination = \"shop\"\nsecrets = [{}]\n",
        listed("midtrans")
    ))
    .start()
}

/// Method, path, digest of the body as compact JSON, and time, by RSA.
fn signed(pair: &Pair, inbox: &Inbox, number: &str) -> Request {
    let time = rfc3339(inbox.now());
    let inner = "{\"latestTransactionStatus\":\"00\",\"amount\":{\"value\":\"10000.00\"}}";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, inner.as_bytes());
    let message = format!("POST:{PATH}:{}:{time}", hex(digest.as_ref()));
    let signature = STANDARD.encode(pair.signs(&["-sha256"], message.as_bytes()));
    Request::post(PATH, inner.replace(':', ": ").as_bytes())
        .header("X-TIMESTAMP", time)
        .header("X-EXTERNAL-ID", number)
        .header("X-SIGNATURE", signature)
}

#[test]
fn what_midtrans_signed_is_taken_once_and_nothing_else_is() {
    let (pair, stranger) = (Pair::rsa(), Pair::rsa());
    let inbox = inbox(&pair);
    let good = signed(&pair, &inbox, "1");
    let other = String::from_utf8(good.body.clone()).unwrap().replace("10000", "90000");
    let spoilt = [
        good.clone().body(other.as_bytes()),
        good.clone().set("X-TIMESTAMP", rfc3339(inbox.now() + 1)),
        signed(&stranger, &inbox, "1"),
    ];
    for message in spoilt {
        inbox.refuses(&message, 401, "invalid_signature");
    }
    inbox.takes(&good, "");
    assert_eq!(inbox.delivered(1).remove(0).body, good.body);
    // Again, signed anew, and under a number that is not signed: one message.
    inbox.takes(&good, "");
    inbox.takes(&signed(&pair, &inbox, "2"), "");
    inbox.delivers_nothing_more_than(1);
    assert_eq!((inbox.count("\"stored\""), inbox.count("\"duplicate\"")), (1.0, 2.0));
}
