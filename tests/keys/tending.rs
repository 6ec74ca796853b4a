//! What time and a first use do to secrets, by a clock that is moved by hand.

use std::time::Duration;

use countersign::administration::tending::{first_use, settle};
use countersign::administration::{Office, verb};
use countersign::clock::{Clock, Hand, Timestamp};
use countersign::config::keys::KeysConfig;
use countersign::custody::Masters;
use countersign::store::Store;
use countersign::store::row::Kind;
use serde_json::{Value, json};

use crate::support::{Place, actor};

const HOUR: Duration = Duration::from_secs(3600);

fn say(office: &Office, name: &str, input: Value) -> Value {
    verb(name).unwrap().run(office, &actor(), input).unwrap().value
}

/// An office with one credential, whose clock stands still, and the key id.
fn begun(place: &Place) -> (Office, Hand, String) {
    let KeysConfig { keys, catalogue } = KeysConfig::load(&place.path("gate.toml")).unwrap();
    // Later than the first rows of the store, which the program wrote.
    let now = Clock::system().now().saturating_add(HOUR);
    let (clock, hand) = Clock::by_hand(Timestamp::from_secs(now.secs()));
    let masters = Masters::open(&keys.master).unwrap();
    let store = Store::open(&keys.store, masters, clock).unwrap();
    let office = Office { store, catalogue, master: keys.master, progress: |_, _| {} };
    say(&office, "merchant create", json!({ "merchant": "acme", "name": "A", "rate": "1/1" }));
    let made = say(
        &office,
        "credential create",
        json!({
            "merchant": "acme", "environment": "test", "name": "Orders",
            "scheme": "countersign-v1",
        }),
    );
    let key_id = made["key_id"].as_str().unwrap().to_owned();
    (office, hand, key_id)
}

fn states(office: &Office, key_id: &str) -> Vec<String> {
    let listed = say(office, "secret list", json!({ "key_id": key_id }));
    let items = listed["items"].as_array().unwrap();
    items.iter().map(|item| item["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn time_alone_moves_versions_on() {
    let place = Place::new();
    let (office, hand, key_id) = begun(&place);
    let input = json!({ "key_id": key_id, "cutover": "2h", "overlap": "3h" });
    say(&office, "credential rotate", input);
    assert!(!settle(&office, &actor(), &key_id).unwrap());
    hand.advance(HOUR * 2);
    assert!(settle(&office, &actor(), &key_id).unwrap());
    assert_eq!(states(&office, &key_id), ["retiring", "active"]);
    hand.advance(HOUR * 3);
    assert!(!settle(&office, &actor(), &key_id).unwrap(), "the last second counts");
    hand.advance(Duration::from_secs(1));
    assert!(settle(&office, &actor(), &key_id).unwrap());
    assert_eq!(states(&office, &key_id), ["revoked", "active"]);
    let log = say(&office, "audit list", json!({ "object": key_id }));
    let newest = &log["items"][0];
    assert_eq!(
        (&newest["action"], &newest["reason"]),
        (&"secret.revoked".into(), &"retired".into())
    );
    assert_eq!(newest["actor_kind"], "system");
}

#[test]
fn a_first_use_makes_a_version_the_active_one_once() {
    let place = Place::new();
    let (office, _hand, key_id) = begun(&place);
    let input = json!({ "key_id": key_id, "cutover": "on_first_use" });
    say(&office, "credential rotate", input);
    for _ in 0..2 {
        first_use(&office, &actor(), (&key_id, &Kind::Signing, 2)).unwrap();
        assert_eq!(states(&office, &key_id), ["retiring", "active"]);
    }
    assert!(first_use(&office, &actor(), (&key_id, &Kind::Signing, 9)).is_err());
}
