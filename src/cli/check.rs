//! `countersign check`: every mistake in a configuration, or what it amounts to.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use countersign::clock::Clock;
use countersign::config::{Colour, Config, Faults, Note};
use countersign::gateway::route::RouteSpec;
use countersign::inbox::source::Source;
use countersign::keyring::{CredentialSpec, Environment};
use countersign::serve::{Expiry, Tls, TlsSources};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::Failure;
use super::table::{Cell, render};

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Configuration file
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let (config, mut notes) = match Config::load(&arguments.config) {
        Ok(loaded) => loaded,
        Err(faults) => return Err(refuse(&faults, arguments.json, &mut out)?),
    };
    let ends = match ends(&config) {
        Ok(ends) => ends,
        Err(faults) if arguments.json => {
            let faults: Vec<_> = faults.iter().map(|fault| json!({ "problem": fault })).collect();
            writeln!(out, "{:#}", json!({ "good": false, "faults": faults }))?;
            return Err(Failure::configuration(""));
        }
        Err(faults) => return Err(Failure::configuration(faults.join("\n"))),
    };
    notes.extend(config.ending_secrets(Clock::system().now()));
    notes.sort_by_key(|note| note.weight);
    if arguments.json {
        writeln!(out, "{:#}", to_json(&config, &ends, &notes))?;
        return Ok(());
    }
    writeln!(out, "{} is good.\n", arguments.config.display())?;
    writeln!(out, "{}", render(&summary(&config, &ends)))?;
    for note in &notes {
        writeln!(out, "{note}")?;
    }
    Ok(())
}

/// Prints the faults where programs read; people find them on standard error.
fn refuse(faults: &Faults, json: bool, out: &mut impl Write) -> Result<Failure, std::io::Error> {
    if json {
        writeln!(out, "{:#}", json!({ "good": false, "faults": faults }))?;
        return Ok(Failure::configuration(""));
    }
    Ok(Failure::configuration(faults.render(colour())))
}

/// How faults are drawn on standard error.
pub(crate) fn colour() -> Colour {
    match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => Colour::Plain,
        _ => Colour::Ansi,
    }
}

/// What is good only for a time.
#[derive(Default)]
struct Ends {
    certificates: Vec<Expiry>,
    /// Lists of revoked certificates.
    lists: Vec<Expiry>,
}

fn ends(config: &Config) -> Result<Ends, Vec<String>> {
    let now = Clock::system().wall_millis();
    let (mut all, mut faults) = (Ends::default(), Vec::new());
    let (own, operations) = (&config.listener.certificates, &config.operations.certificates);
    let aside = TlsSources { files: operations, ..TlsSources::default() };
    let sources = [config.listener.tls_sources(), aside];
    for sources in sources.iter().take(if own == operations { 1 } else { 2 }) {
        match Tls::load_from(sources, now) {
            Ok(tls) => {
                all.certificates.extend(tls.expiries());
                all.lists.extend(tls.lists());
            }
            Err(wrong) => faults.extend(wrong.0.iter().map(ToString::to_string)),
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

fn summary(config: &Config, ends: &Ends) -> Vec<Vec<Cell>> {
    let mut lines = Vec::new();
    let mut add = |what: &str, name: String, more: String| {
        lines.push(vec![Cell::plain(what), Cell::plain(name), Cell::plain(more)]);
    };
    add("listener", config.listener.address.to_string(), format!("{} workers", config.workers));
    add("operations", config.operations.address.to_string(), String::new());
    for (what, all) in [("certificate", &ends.certificates), ("revocation list", &ends.lists)] {
        for expiry in all {
            let more = format!("until {}, {}", date(expiry.seconds), expiry.chain.display());
            add(what, expiry.name.clone(), more);
        }
    }
    if let Some(acme) = &config.listener.acme {
        for name in &acme.names {
            let more = format!("{} with {}", acme.challenge.as_str(), acme.directory);
            add("ordered", name.to_string(), more);
        }
    }
    add("state", config.state.display().to_string(), String::new());
    for upstream in &config.upstreams {
        let scheme = if upstream.tls.is_some() { "https" } else { "http" };
        for url in &upstream.urls {
            add("upstream", upstream.name.to_string(), format!("{scheme}://{url}"));
        }
    }
    for route in &config.routes {
        add("route", route.name.to_string(), describe(route));
    }
    for source in &config.sources {
        add("source", source.name.to_string(), describe_source(source));
    }
    let credentials = credentials(config);
    let count = |environment| credentials.iter().filter(|c| c.environment == environment).count();
    let (test, live) = (count(Environment::Test), count(Environment::Live));
    let merchants =
        format!("{} with {test} test and {live} live credentials", config.merchants.len());
    add("merchants", merchants, String::new());
    lines
}

fn describe(route: &RouteSpec) -> String {
    let open = route.scheme.coverage().unsigned_parts();
    let open = match open.as_slice() {
        [] => "signs everything".to_owned(),
        parts => format!("leaves unsigned: {}", parts.join(", ")),
    };
    let scheme = route.scheme.name();
    let rolling = route.rolling.map(|rolling| format!("; keys roll ({})", rolling.policy.preset));
    let rolling = rolling.unwrap_or_default();
    format!("{} to {}; {scheme} {open}{rolling}", route.path, route.upstream)
}

fn describe_source(source: &Source) -> String {
    let asked = match source.confirm.as_ref().map(|one| (&one.provider, &one.order)) {
        None => "not confirmed",
        Some((Some(_), Some(_))) => "confirmed by provider and order",
        Some((Some(_), None)) => "confirmed by the provider",
        Some((None, _)) => "confirmed by the order",
    };
    let (scheme, strength) = (source.scheme.name(), source.strength);
    format!("{} to {}; {scheme} ({strength}), {asked}", source.path, source.destination.name)
}

fn credentials(config: &Config) -> Vec<&CredentialSpec> {
    config.merchants.iter().flat_map(|merchant| &merchant.credentials).collect()
}

fn to_json(config: &Config, ends: &Ends, notes: &[Note]) -> Value {
    let route = |route: &RouteSpec| {
        json!({
            "name": &*route.name,
            "path": route.path.to_string(),
            "upstream": &*route.upstream,
            "scheme": route.scheme.name(),
            "unsigned": route.scheme.coverage().unsigned_parts(),
            "rolling": route.rolling.map(|rolling| rolling.policy.preset.as_str()),
        })
    };
    let source = |source: &Source| {
        let confirm = source.confirm.as_ref();
        json!({
            "name": &*source.name,
            "path": source.path.to_string(),
            "destination": &*source.destination.name,
            "scheme": source.scheme.name(),
            "strength": source.strength.as_str(),
            "open": source.scheme.left_open(),
            "unsigned": source.unsigned,
            "asks_provider": confirm.is_some_and(|one| one.provider.is_some()),
            "asks_order": confirm.is_some_and(|one| one.order.is_some()),
            "posts_back": source.post_back.is_some(),
            "remember": source.remember.as_secs(),
        })
    };
    let end = |expiry: &Expiry| {
        json!({
            "name": expiry.name,
            "chain": expiry.chain,
            "expires": expiry.seconds,
        })
    };
    json!({
        "good": true,
        "listener": config.listener.address.to_string(),
        "operations": config.operations.address.to_string(),
        "certificates": ends.certificates.iter().map(end).collect::<Vec<_>>(),
        "revocation_lists": ends.lists.iter().map(end).collect::<Vec<_>>(),
        "acme": config.listener.acme.as_ref().map(|acme| json!({
            "directory": acme.directory,
            "names": acme.names,
            "challenge": acme.challenge.as_str(),
        })),
        "routes": config.routes.iter().map(route).collect::<Vec<_>>(),
        "sources": config.sources.iter().map(source).collect::<Vec<_>>(),
        "merchants": config.merchants.len(),
        "credentials": credentials(config).len(),
        "notes": notes,
    })
}

fn date(seconds: i64) -> String {
    let form = format_description!("[year]-[month]-[day]");
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(form).ok()).unwrap_or_else(|| seconds.to_string())
}
