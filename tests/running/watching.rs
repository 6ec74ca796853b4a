//! The dashboard and the alerts in `deploy/` ask only for what the gate shows: every name, label
//! and value in them is looked up in the metrics of a running gate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use countersign::gateway::admission::WATCHABLE;
use countersign::telemetry::connections::ConnectionMetrics;
use countersign::telemetry::{GateMetrics, encode};
use regex::Regex;
use serde_json::Value;

use crate::handover::post;
use crate::support::process::{Site, wall_now};
use crate::support::request::Request;
use crate::support::setup::{rfc3339, route};
use crate::support::signer::hmac_hex;
use crate::support::wait_until;
use crate::upgrade::{PROVIDER, site};

/// Labels that Prometheus adds to everything.
const OF_SCRAPES: [&str; 2] = ["job", "instance"];

/// The series of a name: the values of each label.
type Labels = BTreeMap<String, BTreeSet<String>>;

fn deployed(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(path).unwrap()
}

/// Names, labels and values in the text of metrics.
fn known(text: &str) -> BTreeMap<String, Labels> {
    let series = Regex::new(r"^(countersign_\w+)(?:\{(.*)\})? \S+$").unwrap();
    let pair = Regex::new(r#"(\w+)="([^"]*)""#).unwrap();
    let mut known: BTreeMap<String, Labels> = BTreeMap::new();
    for line in text.lines() {
        let Some(found) = series.captures(line) else { continue };
        let labels = known.entry(found[1].to_owned()).or_default();
        for pair in pair.captures_iter(found.get(2).map_or("", |labels| labels.as_str())) {
            labels.entry(pair[1].to_owned()).or_default().insert(pair[2].to_owned());
        }
    }
    known
}

/// Everything that a gate shows which has met everything.
fn shown() -> BTreeMap<String, Labels> {
    let site = site();
    let gate = site.serve();
    gate.wait_ready();
    assert_eq!(gate.ask(&post("/v2/orders")).status, 200);
    let forged = post("/v2/orders").set("X-SIGNATURE", "0".repeat(64));
    assert_eq!(gate.ask(&forged).status, 401);
    let body = b"{\"order\":\"1\"}";
    let hex = hmac_hex(PROVIDER.as_bytes(), body);
    let message = Request::post("/webhooks/github", body);
    let message = message.header("X-Hub-Signature-256", format!("sha256={hex}"));
    assert_eq!(gate.ask(&message).status / 100, 2);
    gate.operation("/admin/v1/merchants");
    let metrics = || gate.operation("/metrics").text();
    wait_until("an attempt", || metrics().contains("countersign_webhook_attempts_total{"));
    wait_until("a mistake", || metrics().contains("countersign_signature_mistakes_total{"));
    wait_until("a call", || metrics().contains("countersign_admin_requests_total{"));
    let mut all = known(&metrics());
    all.extend(of_others());
    all
}

/// What only other gates show, from the registry itself: those that have sources that confirm,
/// routes that only watch, lists of revoked certificates.
fn of_others() -> BTreeMap<String, Labels> {
    let metrics = GateMetrics::new().unwrap();
    for outcome in ["agreed", "disagreed"] {
        metrics.inbox.confirmations.with_label_values(&["shop", outcome]).inc();
    }
    metrics.observed.begin("watched", &WATCHABLE);
    metrics.observed.set_days_left([("watched", 3)]);
    let connections = ConnectionMetrics::new(&metrics.registry).unwrap();
    connections.set_lists([("partners.crl", 1)]);
    let text = String::from_utf8(encode(&metrics.registry).unwrap()).unwrap();
    let mut all = known(&text);
    let names = [
        "countersign_webhook_confirmations_total",
        "countersign_observed_total",
        "countersign_observe_days_left",
        "countersign_crl_expiry_timestamp_seconds",
    ];
    all.retain(|name, _| names.contains(&name.as_str()));
    assert_eq!(all.len(), names.len());
    all
}

/// What is wrong with an expression and the words that show its labels.
fn faults(expression: &str, words: &str, shown: &BTreeMap<String, Labels>) -> Vec<String> {
    let selector = Regex::new(r"(countersign_\w+)(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)""#).unwrap();
    let mut faults = Vec::new();
    let mut labels: BTreeSet<String> = OF_SCRAPES.map(String::from).into();
    for found in selector.captures_iter(expression) {
        let name = &found[1];
        let Some(own) = shown.get(name) else {
            faults.push(format!("no metric {name}"));
            continue;
        };
        labels.extend(own.keys().cloned());
        for found in matcher.captures_iter(found.get(2).map_or("", |inside| inside.as_str())) {
            let (label, relation, value) = (&found[1], &found[2], &found[3]);
            if OF_SCRAPES.contains(&label) {
                continue;
            }
            let pattern = match relation {
                "=~" | "!~" => format!("^(?:{value})$"),
                _ => format!("^{}$", regex::escape(value)),
            };
            let pattern = Regex::new(&pattern).unwrap();
            let values = own.get(label).into_iter().flatten();
            if !values.into_iter().any(|value| pattern.is_match(value)) {
                faults.push(format!("{name} has no {label} like {value}"));
            }
        }
    }
    let grouping = Regex::new(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)").unwrap();
    let grouped = grouping.captures_iter(expression).flat_map(|found| {
        let named: Vec<String> = found[1].split(',').map(|one| one.trim().to_owned()).collect();
        named
    });
    let word = Regex::new(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}").unwrap();
    let told = word.captures_iter(words).map(|found| found[1].to_owned());
    for label in grouped.chain(told).filter(|label| !labels.contains(label)) {
        faults.push(format!("no label {label} in {expression}"));
    }
    faults
}

/// The expressions of the alerts, each with what it tells people. The file is simple YAML: an
/// expression stands behind its key, or indented below it.
fn alerts() -> Vec<(String, String)> {
    let text = deployed("alerts.yml");
    let rules = text.split("- alert: ").skip(1);
    let rule = |rule: &str| {
        let (before, after) = rule.split_once("expr: ").unwrap();
        assert!(!before.trim().contains(char::is_whitespace), "a name in {rule}");
        let inner = |line: &&str| line.starts_with("          ");
        let expression = match after.strip_prefix("|\n") {
            Some(below) => below.lines().take_while(inner).collect::<Vec<_>>().join("\n"),
            None => after.lines().next().unwrap().to_owned(),
        };
        let words = rule.lines().filter(|line| line.trim_start().starts_with("summary:"));
        let words = words.collect::<String>();
        assert!(!expression.is_empty() && !words.is_empty(), "{rule}");
        (expression, words)
    };
    rules.map(rule).collect()
}

/// Every expression of the dashboard with its legend.
fn dashboard() -> Vec<(String, String)> {
    let all: Value = serde_json::from_str(&deployed("grafana/countersign.json")).unwrap();
    let mut found = Vec::new();
    let panels = all["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            let text = |key: &str| target[key].as_str().unwrap().to_owned();
            found.push((text("expr"), text("legendFormat")));
        }
    }
    for annotation in all["annotations"]["list"].as_array().unwrap() {
        found.push((annotation["expr"].as_str().unwrap().to_owned(), String::new()));
    }
    for variable in all["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            found.push((query.to_owned(), String::new()));
        }
    }
    found
}

#[test]
fn dashboard_and_alerts_ask_only_for_what_is_there() {
    let shown = shown();
    let (alerts, dashboard) = (alerts(), dashboard());
    assert!(alerts.len() > 20 && dashboard.len() > 40, "they are read whole");
    let all = alerts.iter().chain(&dashboard);
    let faults: Vec<String> =
        all.flat_map(|(expression, words)| faults(expression, words, &shown)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    // And it would be noticed.
    for (expression, words) in [
        ("countersign_panic_total", ""),
        ("countersign_requests_total{code=\"refused\"}", ""),
        ("countersign_requests_total{codes=\"busy\"}", ""),
        ("sum by (source) (countersign_requests_total)", ""),
        ("countersign_request_seconds", ""),
        ("countersign_panics_total", "{{ $labels.route }}"),
    ] {
        assert!(!self::faults(expression, words, &shown).is_empty(), "{expression}");
    }
}

/// The site of upgrades, with a source whose webhooks are confirmed, and a route that only watches.
fn watched_site() -> Site {
    let mut site = site();
    let listed = |id: &str| format!("{{ list = \"secrets.txt\", id = \"{id}\" }}");
    for id in ["paykun", "paykun-id", "paykun-token"] {
        site.setup.named_secret(id, &format!("of-a-provider-{id}"));
    }
    site.setup.upstreams.push(format!(
        "[sources.paykun]\nprovider = \"paykun\"\npath = \"/webhooks/paykun\"\n\
         destination = \"shop\"\nsecrets = [{}]\n\
         values = {{ merchant_id = {}, access_token = {} }}\nconfirm = true\n",
        listed("paykun"),
        listed("paykun-id"),
        listed("paykun-token")
    ));
    let until = &rfc3339(wall_now() + 3 * 24 * 3600)[..10];
    let observe = format!("observe = {{ until = \"{until}\" }}");
    site.setup.routes.push(route("watched", "/watched/*", "countersign-v1", &observe));
    site.write();
    site
}

/// A rate sees nothing of a first event where its series begins with it. So whatever an alert
/// counts is there before anything has happened, on a gate that is configured for it.
#[test]
fn what_alerts_count_begins_with_zero() {
    let site = watched_site();
    let gate = site.serve();
    gate.wait_ready();
    let fresh = known(&gate.operation("/metrics").text());
    let counted = Regex::new(r"(?:increase|rate)\((countersign_\w+(?:\{[^}]*\})?)\[").unwrap();
    let mut all = 0;
    for (expression, _) in alerts() {
        for found in counted.captures_iter(&expression) {
            let faults = faults(&found[1], "", &fresh);
            assert!(faults.is_empty(), "{expression}: {faults:?}");
            all += 1;
        }
    }
    assert!(all > 15, "{all}");
    let codes = &fresh["countersign_observed_total"]["code"];
    assert_eq!(codes.len(), WATCHABLE.len(), "{codes:?}");
}

/// What the gate was to do to keys by itself and could not is told to somebody.
#[test]
fn whatever_was_not_done_to_keys_has_an_alert() {
    let metrics = GateMetrics::new().unwrap();
    let text = String::from_utf8(encode(&metrics.registry).unwrap()).unwrap();
    let events = &known(&text)["countersign_key_events_total"]["event"];
    let failures: Vec<_> = events.iter().filter(|event| event.contains("_not_")).collect();
    assert!(failures.len() > 1, "{events:?}");
    let alerts = alerts();
    for event in failures {
        let named = format!("countersign_key_events_total{{event=\"{event}\"}}");
        assert!(alerts.iter().any(|(expression, _)| expression.contains(&named)), "{event}");
    }
}

/// No alert is lost because two have one name, or because Prometheus cannot read it.
#[test]
fn prometheus_takes_every_expression() {
    let text = deployed("alerts.yml");
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (n, (expression, _)) in dashboard().into_iter().enumerate() {
        if expression.starts_with("label_values(") {
            continue;
        }
        let expression = expression.replace("$__rate_interval", "5m");
        let quoted = serde_json::to_string(&expression).unwrap();
        writeln!(rules, "      - record: panel_{n}\n        expr: {quoted}").unwrap();
    }
    let of_dashboard = folder.path().join("dashboard.yml");
    fs::write(&of_dashboard, rules).unwrap();
    let alerts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/alerts.yml");
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "rules"]).args([&alerts, &of_dashboard]);
    let output = promtool.output().expect("promtool, of Debian's package prometheus");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
