//! `docs/configuration.md` against the readers: every key of one is a key of the other, and every
//! default that it states is the real one.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::WEBHOOKS;
use super::*;
use crate::config::reader::asked;

struct Row {
    tables: Vec<String>,
    key: String,
    default: Option<String>,
}

/// The rows of all tables below headings that name configuration tables.
fn rows() -> Vec<Row> {
    let text = include_str!("../../../docs/configuration.md");
    let mut rows = Vec::new();
    let mut tables = Vec::new();
    let ticked =
        |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    for line in text.lines() {
        if line.starts_with('#') {
            tables = ticked(line);
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let key = ticked(cells[1]).concat();
            let default = ticked(cells[3]).pop().filter(|_| cells[3].starts_with('`'));
            rows.push(Row { tables: tables.clone(), key, default });
        }
    }
    rows
}

/// Loads a configuration that enters every table, and gives the keys that were asked for.
fn asked_keys() -> BTreeSet<(String, String)> {
    let main = MAIN
        .replace("certificates", "failures = { per_second = 1, burst = 1 }\ncertificates")
        .replace(
            "[upstreams.app]",
            "connections.networks = [{ network = \"::1\", connections = 1 }]\n\
            proxy_protocol = { from = [\"::1\"] }\n\
            deadlines.body_pace = {}\nlimits = {}\nhttp2 = {}\n\
            client_certificates = { ca = \"c\", \
            credentials = { pk_acme = [\"dns:a.example\"] } }\n\
            redirect = \"127.0.0.1:80\"\n\
            acme = { directory = \"https://ca.example/\", names = [\"a.example\"], \
            challenge = \"http-01\", terms_agreed = true, \
            external_account = { id = \"k\", key = { env = \"MAC_KEY\" } } }\n\
            [replay]\n[ledger]\n[log]\n\
            [otlp]\nendpoint = \"https://otlp.example\"\nca = \"ca.pem\"\n\
            headers.X-A = { env = \"ACME_SECRET\" }\n\
            unverified = { per_second = 1, burst = 1 }\n\
            [keys.master.token]\nmodule = \"m\"\ntoken = \"t\"\nkeys = [\"k\"]\n\
            pin_file = \"p\"\n\
            [operations]\ncertificates = [{ chain = \"a\", key = \"b\" }]\n[upstreams.app]",
        )
        .replace(
            "http://127.0.0.1:8080\"",
            "http://127.0.0.1:8080\"\ndeadlines = {}\nejection = {}\nhealth.path=\"/\"",
        )
        .replace("path = ", "unique_order = { field = \"/id\" }\npath = ");
    let merchants = change(MERCHANTS, "scopes", "rate = { per_second = 1, burst = 1 }\nscopes");
    let webhooks = change(WEBHOOKS, "[sources.fiuu.confirm]", EVERY_TABLE).replace(
        "ca = \"ca.pem\"\nsecrets",
        "ca = \"ca.pem\"\n\
                  rate = { per_second = 1, burst = 1 }\nsecrets",
    );
    let folder = sources::folder_with(&format!("{main}{MORE}[inbox]\n{webhooks}"), &merchants);
    // Built-in schemes and profiles are read when the first of them is asked for, by the same
    // readers.
    assert!(crate::config::scheme::builtin("kwikpaisa").is_some());
    assert!(crate::config::provider::builtin("fiuu").is_some());
    let keys = asked::during(|| {
        folder.load().unwrap_or_else(|faults| panic!("{faults}"));
    });
    keys.into_iter().map(|(path, key)| (pattern(&path), key.to_owned())).collect()
}

/// A route with what does not go with the tables of the first one.
const MORE: &str = r#"
[[routes]]
name = "more"
path = "/more/*"
upstream = "app"
observe = { until = "2020-01-01", merchants = ["acme"] }
replace = { from = "/more", to = "/" }
request_headers = { set = { X-A = "1" } }
response_headers = { set = { X-A = "1" } }
"#;

/// A key path with names in capitals and without numbers.
fn pattern(path: &str) -> String {
    let path = path.replace("pk_acme", "KEY_ID").replace("merchants.acme", "merchants.ID");
    let path = path.replace("upstreams.app", "upstreams.NAME").replace("[0]", "[]");
    let path = path.replace("[1]", "[]");
    let path = path.replace("destinations.shop", "destinations.NAME");
    let path = path.replace("otlp.headers.X-A", "otlp.headers.NAME");
    let path = path.replace("sources.fiuu", "sources.NAME");
    match path.rsplit_once('.') {
        Some((values @ "sources.NAME.values", _)) => format!("{values}.NAME"),
        _ => path,
    }
}

/// Enters every table of a source that the smallest one does without.
const EVERY_TABLE: &str = r#"
closed = [{ value = "{form:nbcb | default('')}", one_of = ["", "1", "2"] }]
shape = [{ name = "status", value = "{form:status}", matches = "[0-9]{2}" }]
[sources.fiuu.answers]
stored = { body = "OK" }
duplicate = { body = "OK" }
refused = { status = 400 }
[sources.fiuu.order]
url = "https://shop.example/orders/{order | urlencode}"
ca = "ca.pem"
answer = { facts = { amount = "{json:amount}" } }
[sources.fiuu.confirm.answer]
unknown = [404]
[sources.fiuu.post_back.when]
value = "{form:nbcb | default('')}"
one_of = ["2"]
[sources.fiuu.confirm]"#;

#[test]
fn every_key_has_a_row_and_every_row_a_key() {
    let asked = asked_keys();
    let mut documented = BTreeSet::new();
    for row in rows() {
        for table in &row.tables {
            let table = if table.starts_with('(') { "" } else { table.as_str() };
            documented.insert((table.to_owned(), row.key.clone()));
        }
    }
    let missing: Vec<_> = asked.difference(&documented).collect();
    let extra: Vec<_> = documented.difference(&asked).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "not documented: {missing:?}; no key: {extra:?}"
    );
}

#[test]
fn the_documented_defaults_are_the_real_ones() {
    let order = "unique_order = { field = \"/id\"";
    let front = "proxy_protocol = { from = [\"::1\"]";
    let clients = "client_certificates = { ca = \"c\"";
    let redirect = "redirect = \"127.0.0.1:80\"";
    let listens = format!("{ADDRESS}\n{redirect}\n{front} }}\n{clients} }}\n{ISSUED} }}");
    let plain_main = change(MAIN, ADDRESS, &listens);
    let plain_main = change(&plain_main, "[[routes]]", &format!("{BEHIND}[[routes]]"));
    let main = format!("{plain_main}{order} }}\n{WEBHOOKS}[sources.fiuu.order]\n{ASKED}");
    let plain = sources::folder_with(&main, MERCHANTS).load();
    let (plain, _) = plain.unwrap_or_else(|faults| panic!("{faults}"));
    let mut stated: BTreeMap<String, String> = BTreeMap::new();
    for row in rows() {
        let Some(default) = row.default.filter(|default| !default.contains("limits.body")) else {
            continue;
        };
        for table in row.tables.iter().filter(|table| !table.starts_with("merchants")) {
            *stated.entry(table.clone()).or_default() += &format!("{} = {default}\n", row.key);
        }
    }
    let mut main = plain_main;
    let mut webhooks = format!("{WEBHOOKS}[sources.fiuu.order]\n{ASKED}");
    for (table, lines) in stated {
        if table.starts_with("destinations") || table.starts_with("sources") {
            let header = table.replace("destinations.NAME", "destinations.shop");
            let header = format!("[{}]\n", header.replace("sources.NAME", "sources.fiuu"));
            webhooks = change(&webhooks, &header, &format!("{header}{lines}"));
            continue;
        }
        main = match table.as_str() {
            "listener" => change(&main, ADDRESS, &format!("{ADDRESS}\n{lines}")),
            "listener.proxy_protocol" | "listener.client_certificates" | "listener.acme" => {
                let name = table.strip_prefix("listener.").unwrap();
                let own = [front, clients, ISSUED].into_iter().find(|own| own.starts_with(name));
                let (own, lines) = (own.unwrap(), lines.trim().replace('\n', ", "));
                change(&main, &format!("{own} }}"), &format!("{own}, {lines} }}"))
            }
            "routes[]" => main + &lines,
            "routes[].unique_order" => {
                format!("{main}{order}, {} }}\n", lines.trim().replace('\n', ", "))
            }
            "upstreams.NAME" => {
                change(&main, "[upstreams.app]", &format!("[upstreams.app]\n{lines}"))
            }
            other => {
                let header = other.replace("NAME", "app");
                let own = BEHIND.lines().find(|line| *line == format!("[{header}]"));
                if let Some(own) = own {
                    main = change(&main, own, &format!("{own}\n{lines}"));
                    continue;
                }
                change(&main, "[[routes]]", &format!("[{header}]\n{lines}[[routes]]"))
            }
        };
    }
    let folder = sources::folder_with(&format!("{main}{webhooks}"), MERCHANTS);
    let (full, _) = folder.load().unwrap_or_else(|faults| panic!("{faults}\n{main}{webhooks}"));
    assert_eq!(of_webhooks(&full), of_webhooks(&plain));
    let without_folder = |config: &Config, folder: &str| format!("{config:?}").replace(folder, "");
    let here = |config: &Config| {
        let folder = config.state.parent().unwrap().to_str().unwrap().to_owned();
        without_folder(config, &folder)
    };
    assert_eq!(here(&full), here(&plain));
}

/// What a configuration says of webhooks and its `Debug` does not show.
fn of_webhooks(config: &Config) -> String {
    let [source] = config.sources.as_slice() else { panic!("one source") };
    let to = &source.destination;
    let confirm = source.confirm.as_ref().unwrap();
    let destination = (to.deadline, to.concurrency, to.rate, to.ordered, &to.schedule);
    let times = (confirm.every, confirm.pending_for, source.remember, source.window);
    format!("{destination:?} {times:?} {:?} {:?}", source.hosts, source.body_bytes_max)
}

/// Tables whose absence means something else than an empty one.
const BEHIND: &str = "[upstreams.app.ejection]\n[upstreams.app.health]\npath = \"/\"\n\
    [otlp]\nendpoint = \"https://otlp.example\"\nca = \"ca.pem\"\n";

/// An authority, as little as can be said of it.
const ISSUED: &str = "acme = { directory = \"https://ca.example/\", names = [\"a.example\"], \
    terms_agreed = true, challenge = \"http-01\"";

/// How a merchant's own service is asked.
const ASKED: &str = "url = \"https://shop.example/orders/{order | urlencode}\"\n\
    ca = \"ca.pem\"\nanswer = { facts = { amount = \"{json:amount}\" } }\n";

const ADDRESS: &str = "address = \"127.0.0.1:8443\"";
