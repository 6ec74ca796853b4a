//! `countersign provider show`: what is known of a provider's webhooks, and a table to paste.

use std::io::Write;

use clap::Args;
use countersign::config::scheme::builtin;
use countersign::inbox::profile::{AnswerText, CallText};
use countersign::scheme::one_line;
use serde_json::{Value, json};

use super::Provider;
use crate::cli::Failure;
use crate::cli::table::{Cell, render};

/// Which provider.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Its name
    name: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let provider = Provider::find(&arguments.name)?;
    let mut out = anstream::stdout().lock();
    if arguments.json {
        writeln!(out, "{:#}", to_json(&provider))?;
        return Ok(());
    }
    writeln!(out, "{}: {}\n", provider.name, provider.profile.about)?;
    writeln!(out, "{}", render(&facts(&provider)))?;
    for (method, pieces) in provider.scheme.pieces() {
        let of = if method == "*" { String::new() } else { format!(" of a {method}") };
        writeln!(out, "What is signed{of}, in this order:")?;
        let lines: Vec<Vec<Cell>> = pieces
            .iter()
            .map(|(text, about)| vec![Cell::plain(format!("  {text}")), Cell::plain(about)])
            .collect();
        writeln!(out, "{}", render(&lines))?;
    }
    for open in provider.scheme.left_open() {
        writeln!(out, "Open: {open}")?;
    }
    for exception in &provider.compiled.exceptions {
        writeln!(out, "Exception of the identity: {exception}")?;
    }
    if provider.compiled.id_is_unsigned {
        writeln!(out, "The id that a message states is not signed: it is noted, and no more")?;
    }
    let table = table(&provider);
    writeln!(out, "\nTo paste into the configuration:\n\n{table}\n\n{DESTINATION}")?;
    Ok(())
}

/// Everything about it, a line each.
fn facts(provider: &Provider) -> Vec<Vec<Cell>> {
    let Provider { profile, scheme, compiled, .. } = provider;
    let mut lines = Vec::new();
    let mut add = |what: &str, text: String| {
        lines.push(vec![Cell::plain(format!("  {what}")), Cell::plain(one_line(&text))]);
    };
    if let Some(secret_is) = &profile.secret_is {
        add("secret", secret_is.clone());
    }
    for name in &needed(provider) {
        add("needs the value", name.clone());
    }
    for name in spare(provider) {
        add("needs, where it is confirmed,", name);
    }
    add("scheme", format!("{}, strength {}", scheme.name(), scheme.strength()));
    add("methods", methods(profile.methods.as_deref(), "POST"));
    if let Some(probes) = &profile.probes {
        add("answered 200, not looked at", probes.join(", "));
    }
    if profile.unsigned.is_some() {
        add("without a signature", "taken, and confirmed before it is delivered".to_owned());
    }
    add("a repeated message is known by", identity(provider));
    for (name, text) in &profile.facts {
        add(&format!("fact {name}"), text.clone());
    }
    for check in &profile.shape {
        add("must hold", check.name.clone());
    }
    add("confirmed", confirmed(provider));
    if let Some(confirm) = &profile.confirm {
        add("how the provider is asked", call(&confirm.call));
        for [left, right] in &confirm.require {
            add("the answer is believed where", format!("{left} is {right}"));
        }
        for (name, text) in &confirm.facts {
            add(&format!("compared {name}"), text.clone());
        }
    }
    if let Some(post_back) = &profile.post_back {
        add("posted back", call(&post_back.call));
    }
    for (name, text) in &profile.answers {
        add(&format!("answer when {name}"), answer(text));
    }
    if profile.answers.is_empty() {
        let status = compiled.answers.stored.status.as_u16();
        let body = scheme.definition().respond.as_ref().map(|respond| respond.body.clone());
        let body = body.filter(|body| !body.is_empty());
        add(
            "answer when stored",
            body.map_or(status.to_string(), |body| format!("{status} {body}")),
        );
    }
    lines
}

fn methods(stated: Option<&[String]>, default: &str) -> String {
    stated.map_or_else(|| default.to_owned(), |all| all.join(", "))
}

/// The values beside the secret.
fn needed(provider: &Provider) -> Vec<String> {
    let mut names = provider.compiled.value_names.clone();
    names.extend(provider.scheme.value_names().map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

/// The values that only a confirmation reads which is not made unless it is asked for.
fn spare(provider: &Provider) -> Vec<String> {
    let needed = needed(provider);
    let whole = provider.profile.compile(&provider.scheme, &builtin);
    let names = whole.map(|whole| whole.value_names).unwrap_or_default();
    names.into_iter().filter(|name| !needed.contains(name)).collect()
}

fn identity(provider: &Provider) -> String {
    let nonce = provider.scheme.coverage().nonce.is_signed();
    match provider.profile.identity.as_deref() {
        Some(all) if !all.is_empty() => all.join(", "),
        None if nonce && provider.profile.unsigned.is_none() => {
            "the nonce, which is signed".to_owned()
        }
        _ => "all that is signed".to_owned(),
    }
}

fn confirmed(provider: &Provider) -> String {
    let text = match (provider.must_confirm(), provider.profile.confirm.is_some()) {
        (true, true) => "always, by asking the provider",
        (true, false) => "always: say how your own service is asked, order = { … }",
        (false, true) => "where the source says confirm = true",
        (false, false) => "no: the signature proves the whole message",
    };
    text.to_owned()
}

fn call(call: &CallText) -> String {
    let default = if call.body.is_some() { "POST" } else { "GET" };
    format!("{} {}", call.method.as_deref().unwrap_or(default), call.url)
}

fn answer(answer: &AnswerText) -> String {
    let status = answer.status.map(|status| status.to_string());
    let parts = [status.as_deref(), answer.body.as_deref(), answer.location.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A source with everything that has to be stated.
fn table(provider: &Provider) -> String {
    let name = &provider.name;
    let secret = provider.profile.secret_is.as_deref().unwrap_or("its secret");
    let mut lines = vec![
        format!("[sources.{name}]"),
        format!("provider = \"{name}\""),
        format!("path = \"/webhooks/{name}\""),
        format!("secrets = [{{ file = \"secrets/{name}\" }}]  # {}", one_line(secret)),
    ];
    let values = needed(provider);
    if !values.is_empty() {
        let values =
            values.iter().map(|one| format!("{one} = {{ file = \"secrets/{name}-{one}\" }}"));
        let values: Vec<String> = values.collect();
        lines.push(format!("values = {{ {} }}", values.join(", ")));
    }
    if provider.scheme.reads_public_url() {
        let url = format!("https://pay.example.com/webhooks/{name}");
        lines.push(format!("public_url = \"{url}\"  # as it stands at the provider"));
    }
    if provider.must_confirm() && provider.profile.confirm.is_none() {
        lines.extend(order(provider));
    }
    lines.insert(3, "destination = \"shop\"".to_owned());
    lines.join("\n")
}

/// How one's own service could be asked what was ordered: by what messages say of it.
fn order(provider: &Provider) -> Option<String> {
    let says = |name: &&str| provider.profile.facts.iter().any(|(own, _)| own == name);
    let by = ["order", "transaction", "id"].into_iter().find(says)?;
    let mut compared: Vec<&str> =
        ["amount", "currency", "state"].into_iter().filter(says).collect();
    if compared.is_empty() {
        compared.push(by);
    }
    let compared: Vec<String> =
        compared.iter().map(|name| format!("{name} = \"{{json:{name}}}\"")).collect();
    Some(format!(
        "order = {{ url = \"https://shop.example.com/payments/{{{by} | urlencode}}\", answer = {{ \
         facts = {{ {} }} }} }}  # your own service",
        compared.join(", ")
    ))
}

/// A destination for it.
const DESTINATION: &str = "[destinations.shop]\n\
    url = \"https://shop.example.com/webhooks\"\n\
    secrets = [{ file = \"secrets/shop.whsec\" }]  # whsec_ and the base64 of 32 random bytes";

fn to_json(provider: &Provider) -> Value {
    let Provider { name, profile, scheme, compiled } = provider;
    let pieces = scheme.pieces().into_iter().map(|(method, pieces)| {
        let pieces: Vec<_> =
            pieces.iter().map(|(text, about)| json!({ "text": text, "about": about })).collect();
        json!({ "method": method, "pieces": pieces })
    });
    let facts = profile.facts.iter().map(|(name, text)| (name.clone(), json!(text)));
    let answers = profile.answers.iter().map(|(name, text)| (name.clone(), json!(answer(text))));
    json!({
        "name": name,
        "about": profile.about,
        "secret_is": profile.secret_is,
        "scheme": scheme.name(),
        "strength": scheme.strength().as_str(),
        "open": scheme.left_open(),
        "message": pieces.collect::<Vec<_>>(),
        "values": needed(provider),
        "methods": methods(profile.methods.as_deref(), "POST"),
        "probes": profile.probes,
        "unsigned": profile.unsigned.is_some(),
        "identity": profile.identity,
        "exceptions": compiled.exceptions,
        "id_is_unsigned": compiled.id_is_unsigned,
        "facts": facts.collect::<serde_json::Map<_, _>>(),
        "shape": profile.shape.iter().map(|check| &check.name).collect::<Vec<_>>(),
        "confirmed": confirmed(provider),
        "confirm": profile.confirm.as_ref().map(|one| call(&one.call)),
        "post_back": profile.post_back.as_ref().map(|one| call(&one.call)),
        "answers": answers.collect::<serde_json::Map<_, _>>(),
        "table": table(provider),
        "destination": DESTINATION,
    })
}
