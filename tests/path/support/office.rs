//! Verbs on the store of a gate under test, as another process would say them.

use std::sync::Arc;

use countersign::administration::{Office, Outcome, Problem, verb};
use countersign::clock::Clock;
use countersign::config::keys::KeysConfig;
use countersign::custody::{MasterSource, Masters};
use countersign::store::{Actor, ActorKind, Store};
use serde_json::Value;

use super::gateway::Gateway;
use super::signer::Signer;

/// An operator at the command line.
pub(crate) struct Operator {
    pub(crate) office: Office,
    actor: Actor,
}

impl Operator {
    /// Opens the store of a gate, or makes it.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self::by(gateway, gateway.clock().clone())
    }

    fn by(gateway: &Gateway, clock: Clock) -> Self {
        let config = KeysConfig::load(&gateway.file()).unwrap_or_else(|faults| panic!("{faults}"));
        let MasterSource::File(file) = &config.keys.master else { panic!("a file") };
        let masters = if file.exists() { Masters::open } else { Masters::create };
        let masters = masters(&config.keys.master).unwrap_or_else(|fault| panic!("{fault}"));
        let store = Store::open(&config.keys.store, masters, clock.clone());
        let store = Arc::new(store.unwrap_or_else(|fault| panic!("{fault}")));
        let catalogue = Arc::new(config.catalogue);
        let actor = Actor {
            kind: ActorKind::CommandLine,
            name: "tester".into(),
            address: None,
            request_id: None,
        };
        let (master, state, progress) = (config.keys.master, config.keys.state, |_, _| {});
        Self {
            office: Office {
                keys: Some(store),
                catalogue,
                master,
                state,
                copies: None,
                clock,
                progress,
            },
            actor,
        }
    }

    pub(crate) fn tries(&self, name: &str, input: Value) -> Result<Outcome, Problem> {
        let verb = verb(name).unwrap_or_else(|| panic!("no verb {name}"));
        verb.run(&self.office, &self.actor, input)
    }

    pub(crate) fn says(&self, name: &str, input: Value) -> Outcome {
        self.tries(name, input).unwrap_or_else(|problem| panic!("{name}: {problem}"))
    }

    /// A merchant that may do a lot.
    pub(crate) fn merchant(&self, id: &str) {
        let input = serde_json::json!({ "merchant": id, "name": id, "rate": "50/20000" });
        self.says("merchant create", input);
    }

    /// A live credential of it, by our own scheme.
    pub(crate) fn credential(&self, merchant: &str) -> Signer {
        let made = self.says(
            "credential create",
            serde_json::json!({
                "merchant": merchant,
                "environment": "live",
                "name": "orders",
                "scheme": "countersign-v1",
            }),
        );
        let key_id = made.value["key_id"].as_str().expect("a key id").to_owned();
        Signer::v1(&key_id, secret(&made))
    }
}

/// The secret that an outcome shows.
pub(crate) fn secret(outcome: &Outcome) -> &str {
    outcome.secret.as_ref().expect("a secret").expose()
}
