//! Secrets that are made fit what reads them: for every built-in scheme and envelope.

use countersign::administration::{Code, Office, Outcome, Problem, verb};
use countersign::config::{envelope, scheme};
use countersign::secret::{NamedSecrets, Secret};
use serde_json::{Map, Value, json};

use crate::support::{Place, actor};

const VALUE: &str = "0123456789abcdef";

fn create(office: &Office, scheme: &str, envelope: Option<&str>) -> Result<Outcome, Problem> {
    let found = scheme::builtin(scheme).unwrap();
    let mut names: Vec<String> = found.value_names().map(str::to_owned).collect();
    names.extend(envelope.iter().flat_map(|name| envelope::builtin(name).unwrap().value_names()));
    let values: Map<String, Value> = names.into_iter().map(|name| (name, json!(VALUE))).collect();
    let input = json!({
        "merchant": "acme",
        "environment": "test",
        "name": scheme,
        "scheme": scheme,
        "envelope": envelope,
        "scopes": ["* /*"],
        "values": values,
    });
    verb("credential create").unwrap().run(office, &actor(), input)
}

fn begun() -> (Place, Office) {
    let place = Place::new();
    let office = place.office();
    let input = json!({ "merchant": "acme", "name": "Acme", "rate": "1/1" });
    verb("merchant create").unwrap().run(&office, &actor(), input).unwrap();
    (place, office)
}

#[test]
fn every_scheme_gets_a_secret_that_it_can_use_or_the_way_to_one_is_told() {
    let (_place, office) = begun();
    let mut made = 0;
    for scheme in scheme::builtin_schemes() {
        match create(&office, scheme.name(), None) {
            Ok(outcome) => {
                made += 1;
                let secret = outcome.secret.unwrap();
                assert!(outcome.value["secret"].is_null(), "only on purpose");
                let bytes = Secret::new(secret.expose().as_bytes().to_vec()).unwrap();
                let mut values = NamedSecrets::default();
                scheme.value_names().for_each(|name| values.insert(name, VALUE.into()));
                assert!(scheme.key(&bytes, values).is_ok(), "{}", scheme.name());
            }
            Err(problem) => {
                assert_eq!(problem.code, Code::Unfit, "{}: {problem}", scheme.name());
                assert!(problem.detail.contains("import the partner's"), "{problem}");
            }
        }
    }
    assert!(made > 60, "{made}");
}

#[test]
fn a_secret_for_an_envelope_has_the_length_of_its_key() {
    let (_place, office) = begun();
    let mut lengths = Vec::new();
    for name in envelope::builtin_names() {
        match create(&office, "countersign-v1", Some(name)) {
            Ok(outcome) => lengths.push(outcome.secret.unwrap().expose().len()),
            Err(problem) => assert_eq!(problem.code, Code::Unfit, "{name}: {problem}"),
        }
    }
    assert!(lengths.contains(&32) && lengths.contains(&16), "{lengths:?}");
}

#[test]
fn an_outcome_is_disclosed_on_purpose() {
    let (_place, office) = begun();
    let outcome = create(&office, "countersign-v1", None).unwrap();
    let secret = outcome.secret.as_ref().unwrap().expose();
    assert!(!format!("{outcome:?}").contains(secret));
    let told: Value = serde_json::from_slice(&outcome.disclose().unwrap()).unwrap();
    assert_eq!(told["secret"], secret);
    assert_eq!(told["key_id"], outcome.value["key_id"]);
}
