//! Rolling keys whose anchors, roots, epochs and kills the store holds: made beside a running gate,
//! and still what they were after it was restarted.

use countersign::client::roll::Wallet;
use countersign::roll::KeySet;
use countersign::secret::text;
use serde_json::{Value, json};

use crate::kit::{Partner, Site, setup};
use crate::support::gateway::Gateway;
use crate::support::office::{Operator, secret};
use crate::support::signer::Signer;
use crate::support::wait_until;

/// A merchant with an anchor, in a gate that had no store when it started.
struct Stored {
    site: Site,
    operator: Operator,
    signer: Signer,
    anchor: KeySet,
}

impl Stored {
    fn start() -> Self {
        let site = Site::of(Gateway::with_state(setup("standard", "")));
        let operator = Operator::of(&site.gateway);
        operator.merchant("hooli");
        let signer = operator.credential("hooli");
        let anchor = operator
            .says("credential rotate", json!({ "key_id": signer.key_id, "kind": "anchor" }));
        let bytes = text::anchor_bytes(secret(&anchor).as_bytes()).expect("an anchor");
        let anchor = KeySet::from_bytes(&bytes);
        let stored = Self { site, operator, signer, anchor };
        wait_until("the store", || stored.tries().is_ok());
        stored
    }

    fn stranger(&self) -> Partner<'_> {
        let wallet = Wallet::new(1, self.anchor.clone());
        Partner { site: &self.site, signer: self.signer.clone(), wallet }
    }

    fn partner(&self) -> Partner<'_> {
        let mut partner = self.stranger();
        partner.begin();
        partner
    }

    /// Whether a session can be had now.
    fn tries(&self) -> Result<(), String> {
        self.stranger().tries()
    }

    fn says(&self, verb: &str, input: Value) -> Value {
        self.operator.says(verb, input).value
    }

    fn epochs(&self) -> Vec<Value> {
        self.says("epoch list", json!({}))["items"].as_array().expect("items").clone()
    }
}

#[test]
fn an_anchor_brings_its_root_and_keys_roll() {
    let stored = Stored::start();
    let versions = stored.says("secret list", json!({ "key_id": stored.signer.key_id }));
    let versions = versions["items"].as_array().unwrap();
    let root = versions.iter().find(|one| one["kind"] == "root").expect("a root");
    assert_eq!((&root["state"], &root["shown"]), (&json!("active"), &json!(true)));
    let mut partner = stored.partner();
    for generation in 1..5 {
        assert_eq!(partner.generation(), generation);
        partner.pays();
    }
    let audit = || stored.says("audit list", json!({ "object": stored.signer.key_id }));
    wait_until("the session call in the audit log", || {
        audit()["items"].as_array().unwrap().iter().any(|row| row["action"] == "chain.created")
    });
}

#[test]
fn a_restart_supersedes_what_was_issued_before_and_begins_anew() {
    let mut stored = Stored::start();
    let wallet = stored.partner().wallet;
    stored.site.gateway.advance(2);
    stored.site.gateway.restart();
    stored.site.forget_connection();
    let mut partner = stored.stranger();
    partner.wallet = wallet;
    partner.is_refused("key_superseded");
    stored.site.gateway.advance(2);
    partner.begin();
    partner.pays();
}

#[test]
fn kills_reach_a_running_gate_and_outlive_it() {
    let mut stored = Stored::start();
    let (mut killed, mut other) = (stored.partner(), stored.partner());
    let chain = killed.wallet.newest().unwrap().kid.chain.to_string();
    stored.says("chain kill", json!({ "key_id": stored.signer.key_id, "chain": chain }));
    wait_until("the kill", || killed.refusal() == Some("chain_revoked".to_owned()));
    other.pays();
    let wallet = killed.wallet.clone();
    drop((killed, other));
    stored.site.gateway.restart();
    stored.site.forget_connection();
    let mut killed = stored.stranger();
    killed.wallet = wallet;
    killed.is_refused("chain_revoked");
}

#[test]
fn all_chains_of_a_credential_end_with_its_root() {
    let stored = Stored::start();
    let (mut one, mut other) = (stored.partner(), stored.partner());
    stored.site.gateway.advance(2);
    stored.says("chain kill", json!({ "key_id": stored.signer.key_id }));
    wait_until("the kill", || one.refusal() == Some("chain_revoked".to_owned()));
    other.is_refused("chain_revoked");
    stored.site.gateway.advance(2);
    one.begin();
    one.pays();
}

#[test]
fn epochs_come_ahead_of_their_time_and_go_after_it() {
    let stored = Stored::start();
    let day = 86_400;
    wait_until("epochs for two days", || stored.epochs().len() >= 3);
    stored.partner().pays();
    // The end of the first day, the longest that a set is good, and the margin.
    stored.site.gateway.advance(day + 15 * 60 + 301);
    let first = |what: &str| stored.epochs()[0][what].clone();
    wait_until("the end of the first epoch", || !first("destroyed_at").is_null());
    wait_until("another epoch ahead", || stored.epochs().len() >= 4);
    let mut partner = stored.partner();
    assert_eq!(partner.wallet.newest().unwrap().kid.epoch, 2);
    partner.pays();
}

#[test]
fn an_epoch_that_somebody_edited_holds_up_no_revocation() {
    let stored = Stored::start();
    let mut partner = stored.partner();
    wait_until("epochs for two days", || stored.epochs().len() >= 3);
    let database = stored.site.gateway.folder.path().join("state/keys.db");
    let database = rusqlite::Connection::open(database).expect("the store");
    let edited = database.execute("UPDATE epoch SET destroy_at = destroy_at + 1", []);
    assert!(edited.expect("an edit") >= 3);
    drop(database);
    partner.pays();
    let by_key_id = json!({ "key_id": stored.signer.key_id, "reason": "a test" });
    stored.says("credential suspend", by_key_id);
    wait_until("the suspension", || partner.refusal() == Some("invalid_signature".to_owned()));
    wait_until("the log", || stored.site.gateway.log().contains("\"key_refused\""));
}
