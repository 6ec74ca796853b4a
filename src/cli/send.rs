//! `countersign send`: signs a request, sends it over HTTPS, shows the answer; or sends many.

mod load;

use std::ffi::OsString;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use countersign::client::roll::Partner;
use countersign::client::{Client, ClientFault, Options, Protocol, Trust};
use countersign::clock::Clock;
use countersign::scheme::AnswerVerdict;
use http::Response;

use super::failure::chain;
use super::rolling::{KeptWallet, RollingArguments};
use super::secret_source::secret_in;
use super::signing::{Signed, SigningArguments, Unsigned};
use super::{Failure, now};
use load::LoadArguments;

/// What to sign, and how to send it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    signing: SigningArguments,

    #[command(flatten)]
    sending: SendingArguments,

    #[command(flatten)]
    load: LoadArguments,

    #[command(flatten)]
    rolling: RollingArguments,

    /// File with the secret that signs answers, where the scheme has one of its own for them
    #[arg(long, value_name = "FILE", help_heading = "Who signs")]
    answer_secret_file: Option<PathBuf>,

    /// Print the answer as JSON
    #[arg(long, help_heading = "What is printed")]
    json: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How it is sent")]
struct SendingArguments {
    /// PEM file with the certificate authorities to believe [default: those of the system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Connect to this host:port instead of the one in the URL
    #[arg(long, value_name = "ADDRESS")]
    connect: Option<String>,

    /// Use HTTP/1.1 only
    #[arg(long, conflicts_with = "http2")]
    http1: bool,

    /// Use HTTP/2 only
    #[arg(long)]
    http2: bool,

    /// Seconds until the whole answer must be here
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(crate) fn run(
    arguments: &Arguments,
    secret: impl FnOnce() -> Option<OsString>,
) -> Result<(), Failure> {
    let sending = &arguments.sending;
    let options = sending.options()?;
    let trust = sending.ca.clone().map_or(Trust::SystemRoots, Trust::File);
    let client = Client::new(&trust).map_err(|e| Failure::failed(chain(&e)))?;
    if let Some(kept) = arguments.rolling.wallet()? {
        if arguments.load.requests().is_some() {
            return Err(Failure::usage("rolling keys are used up one by one: leave -n out"));
        }
        return rolled(arguments, &client, &options, kept, secret);
    }
    if arguments.load.requests().is_some() {
        let Arguments { signing, load, json, .. } = arguments;
        return load::run(signing, load, (&client, &options), *json, secret);
    }
    let (signed, expected) = arguments.signing.sign(now(), secret)?;
    let own = arguments.answer_secret_file.as_deref().map(secret_in).transpose()?;
    let answer_key = expected.answer_key(own)?;
    let request = signed.to_request().map_err(|e| Failure::because(&signed.url, &e))?;
    let answer = client.send(request.clone(), &options);
    let mut answer = super::runtime()?.block_on(answer).map_err(|fault| told(&signed, &fault))?;
    let signature = answer_key.map(|key| expected.judge(&key, &request, &answer));
    let opened = expected.sealing.as_ref().map(|sealing| sealing.open(&answer));
    let opened = opened.transpose().map(Option::flatten);
    if let Ok(Some(opened)) = &opened {
        *answer.body_mut() = Bytes::copy_from_slice(&opened.text);
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", json(&answer, signature, matches!(opened, Ok(Some(_)))))?;
    } else {
        print(&mut out, &answer)?;
    }
    out.flush()?;
    if let Some(signature) = signature {
        eprintln!("answer signature {}", signature.as_str());
    }
    match opened {
        Ok(Some(_)) => eprintln!("answer opened"),
        Err(_) => eprintln!("answer is not sealed, or does not open"),
        Ok(None) => {}
    }
    let good = signature != Some(AnswerVerdict::Bad) && opened.is_ok();
    if good && answer.status().is_success() { Ok(()) } else { Err(Failure::told()) }
}

/// How often a request is sent for which no answer comes.
const ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

/// The same by rolling keys.
fn rolled(
    arguments: &Arguments,
    client: &Client,
    options: &Options,
    mut kept: KeptWallet,
    secret: impl FnOnce() -> Option<OsString>,
) -> Result<(), Failure> {
    let Unsigned { plain, scheme, key } = arguments.signing.plain(secret)?;
    let clock = Clock::system();
    let partner = Partner {
        client,
        options,
        scheme: &scheme,
        key: &key,
        key_id: arguments.signing.key_id(),
        clock: &clock,
        attempts: ATTEMPTS,
    };
    let answer = super::runtime()?.block_on(partner.send(&mut kept.wallet, &plain));
    // What a lost answer used up counts as well.
    kept.keep()?;
    let answer = answer.map_err(|fault| Failure::because(&plain.url, &fault))?;
    let mut out = std::io::stdout().lock();
    match arguments.json {
        true => writeln!(out, "{}", json(&answer.answer, None, answer.sealed))?,
        false => print(&mut out, &answer.answer)?,
    }
    out.flush()?;
    match (answer.sealed, answer.resynced) {
        (true, false) => eprintln!("answer opened"),
        (true, true) => eprintln!("answer opened, after fresh keys were asked for"),
        (false, _) => eprintln!("answer is not sealed: it proves nothing"),
    }
    let good = answer.sealed && answer.answer.status().is_success();
    if good { Ok(()) } else { Err(Failure::told()) }
}

/// Why there is no answer, and what may help.
fn told(signed: &Signed, fault: &ClientFault) -> Failure {
    let hint = match fault {
        ClientFault::Tls { source, .. } if source.to_string().contains("UnknownIssuer") => {
            "; name the authority that issued its certificate with --ca FILE"
        }
        ClientFault::Connect { .. } => "; is the gate running there?",
        _ => "",
    };
    Failure::failed(format_args!("{}: {}{hint}", signed.url, chain(fault)))
}

impl SendingArguments {
    fn options(&self) -> Result<Options, Failure> {
        let protocol = match (self.http1, self.http2) {
            (true, _) => Protocol::Http1,
            (_, true) => Protocol::Http2,
            _ => Protocol::Any,
        };
        let connect = self.connect.as_deref().map(resolve).transpose()?;
        let deadline = Duration::from_secs(self.timeout);
        Ok(Options { protocol, connect, deadline, ..Options::default() })
    }
}

/// The address of a host:port on the command line.
pub(super) fn resolve(text: &str) -> Result<SocketAddr, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::usage(format_args!("--connect {text}: {why}; an address is host:port"))
    };
    let mut found = text.to_socket_addrs().map_err(|e| wrong(&e))?;
    found.next().ok_or_else(|| wrong(&"no such address"))
}

fn print(out: &mut impl Write, answer: &Response<Bytes>) -> std::io::Result<()> {
    writeln!(out, "{:?} {}", answer.version(), answer.status())?;
    for (name, value) in answer.headers() {
        writeln!(out, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
    }
    writeln!(out)?;
    out.write_all(answer.body())?;
    // A prompt should not stand behind the body.
    if answer.body().last().is_some_and(|last| *last != b'\n') {
        writeln!(out)?;
    }
    Ok(())
}

/// The answer for programs. A body that is not text is given as base64, under another name.
fn json(
    answer: &Response<Bytes>,
    signature: Option<AnswerVerdict>,
    opened: bool,
) -> serde_json::Value {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()]
    };
    let headers: Vec<_> = answer.headers().iter().map(header).collect();
    let (body, body_base64) = match std::str::from_utf8(answer.body()) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(answer.body()))),
    };
    serde_json::json!({
        "version": format!("{:?}", answer.version()),
        "status": answer.status().as_u16(),
        "headers": headers,
        "body": body,
        "body_base64": body_base64,
        "answer_signature": signature.map(AnswerVerdict::as_str),
        "answer_opened": opened,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_whole() {
        let answer = Response::builder().status(401).header("x-a", "b");
        let answer = answer.body(Bytes::from_static(b"{}")).unwrap();
        let mut out = Vec::new();
        print(&mut out, &answer).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "HTTP/1.1 401 Unauthorized\nx-a: b\n\n{}\n");
        assert_eq!(json(&answer, None, false)["body"], "{}");
    }

    #[test]
    fn a_body_that_is_not_text_is_base64() {
        let answer = Response::new(Bytes::from_static(b"\xff"));
        assert_eq!(json(&answer, None, false)["body_base64"], "/w==");
        assert!(json(&answer, None, false)["body"].is_null());
    }
}
