//! What changes while a body is on its way: keys count as they are when the body is there.

use std::thread;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{GENEROUS, Setup, credential_with, merchant, rfc3339, v1, version};
use crate::support::signer::Signer;

const BODY: &[u8] = b"{\"amount\":100}";

fn slow() -> Signer {
    Signer::v1("pk_slow", "slow-live-4c1a90e7b35d2f68")
}

/// Sends all of a request but its last bytes, and gives these.
fn begin(gateway: &Gateway, signer: &Signer) -> (Client, Vec<u8>) {
    let request = signer.sign(Request::post("/v2/orders", BODY), gateway.now()).h1();
    let (most, rest) = request.split_at(request.len() - 4);
    let mut client = gateway.client();
    client.send(most);
    thread::sleep(Duration::from_millis(100));
    (client, rest.to_vec())
}

#[test]
fn a_credential_suspended_while_its_body_comes_is_refused() {
    let mut gateway = Gateway::with(Setup::new().partner("slow", &slow(), ""));
    let (mut client, rest) = begin(&gateway, &slow());
    let (mut other, other_rest) = begin(&gateway, &v1());
    let suspended = |setup: &mut Setup| {
        let secret = version("pk_slow", "revoked", "");
        let credential =
            credential_with("slow", &slow(), "environment = \"live\"\nsuspended = true", &[secret]);
        setup.merchants.pop();
        setup.merchants.push(merchant("slow", GENEROUS, &[credential]));
    };
    gateway.change(suspended).unwrap();
    client.send(rest);
    assert_eq!(client.answer().refusal().code, "invalid_signature");
    // Nobody else notices the reload.
    other.send(other_rest);
    assert_eq!(other.answer().status, 200);
    assert_eq!(gateway.upstream.count(), 1);
}

#[test]
fn a_secret_that_ends_while_its_body_comes_is_refused() {
    let secrets = [
        version("pk_slow", "retiring", &rfc3339(crate::support::gateway::START + 10)),
        version("pk_slow.2", "active", ""),
    ];
    let credential = credential_with("slow", &slow(), "environment = \"live\"", &secrets);
    let mut setup = Setup::new().merchant(merchant("slow", GENEROUS, &[credential]), &[&slow()]);
    setup.named_secret("pk_slow.2", "slow-live-next-77d0e1");
    let gateway = Gateway::with(setup);
    let (mut client, rest) = begin(&gateway, &slow());
    gateway.advance(10);
    client.send(rest);
    assert_eq!(client.answer().status, 200, "the last second is included");
    let (mut client, rest) = begin(&gateway, &slow());
    gateway.advance(1);
    client.send(rest);
    assert_eq!(client.answer().refusal().code, "invalid_signature");
}
