//! A gate before an authority.

use crate::authority::Acme;
use crate::proof::shown;
use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::request::HOST;
use crate::support::setup::Setup;
use crate::support::wait_until;

/// Configuration with an authority by its directory, and no certificate from files but that of the
/// operations listener.
pub(crate) fn setup(directory: &str, names: &str, challenge: &str) -> Setup {
    let mut setup = Setup::new().without("listener.certificates");
    for (key, value) in [
        ("operations.certificates", r#"[{ chain = "api.pem", key = "api.key" }]"#),
        ("listener.redirect", r#""127.0.0.1:0""#),
        ("listener.acme.directory", &format!("\"{directory}\"")),
        ("listener.acme.ca", r#""ca.pem""#),
        ("listener.acme.networks", r#"["127.0.0.0/8", "::1/128"]"#),
        ("listener.acme.contacts", r#"["mailto:operations@example.com"]"#),
        ("listener.acme.names", names),
        ("listener.acme.challenge", &format!("\"{challenge}\"")),
        ("listener.acme.terms_agreed", "true"),
    ] {
        setup.set(key, value);
    }
    setup
}

/// The usual one: for the name that clients ask for.
pub(crate) fn usual(acme: &Acme) -> Setup {
    setup(&acme.directory(), r#"["api.example.com"]"#, "tls-alpn-01")
}

/// Starts a gate and tells the authority where the names lead.
pub(crate) fn start(acme: &Acme, setup: Setup) -> Gateway {
    let gateway = Gateway::with_state(setup);
    leads_to(acme, &gateway);
    gateway
}

pub(crate) fn leads_to(acme: &Acme, gateway: &Gateway) {
    acme.with(|state| state.gate = Some((gateway.address, gateway.redirects())));
}

pub(crate) fn ready(gateway: &Gateway) -> bool {
    gateway.operation("/readyz").status == 200
}

pub(crate) fn wait_ready(gateway: &Gateway) {
    wait_until("the gate to be ready", || {
        ready(gateway) || {
            assert!(!gateway.log().contains("certificate_failed"), "{}", gateway.log());
            false
        }
    });
}

/// The certificate that a client is shown which believes the authority of this run.
pub(crate) fn served(gateway: &Gateway, name: &str) -> Option<Vec<u8>> {
    let client = Client::dial(gateway.address, name, &["http/1.1"]).ok()?;
    client.stream.conn.peer_certificates().map(|chain| chain[0].to_vec())
}

/// The certificate that any client is shown, whatever it is.
pub(crate) fn shown_to(gateway: &Gateway, name: &str, alpn: &[&str]) -> Option<Vec<u8>> {
    shown(gateway.address, name, alpn).ok().map(|(_, der)| der.to_vec())
}

/// The certificate in force for the usual name.
pub(crate) fn usual_served(gateway: &Gateway) -> Vec<u8> {
    served(gateway, HOST).expect("a certificate that is believed")
}

/// Waits until another certificate is in force than this one.
pub(crate) fn wait_renewed(gateway: &Gateway, before: &[u8]) -> Vec<u8> {
    let mut now = Vec::new();
    wait_until("another certificate", || {
        now = usual_served(gateway);
        now != before
    });
    now
}

/// Waits until so many orders came to nothing for a reason.
pub(crate) fn wait_failed(gateway: &Gateway, reason: &str, count: f64) {
    let label = format!("reason=\"{reason}\"");
    let failed = || gateway.metric("countersign_acme_order_failures_total", &[&label]);
    wait_until(&format!("{count} failures: {reason}"), || failed() >= count);
}

/// When the next order is made, as the gate says.
pub(crate) fn next_order(gateway: &Gateway) -> u64 {
    gateway.metric("countersign_acme_next_order_timestamp_seconds", &[]) as u64
}

/// Waits for a line of the log.
pub(crate) fn wait_logged(gateway: &Gateway, text: &str) {
    wait_until(&format!("{text} in the log"), || gateway.log().contains(text));
}
