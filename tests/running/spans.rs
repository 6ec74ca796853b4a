//! `[otlp]`: spans of requests at a collector that writes everything down and does not always
//! behave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::certificates::authority;
use crate::support::frames::RST_STREAM;
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::upstream::{Recorded, Step, Upstream, answer, ok};
use crate::support::wait_until;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
/// What the collector is to get in a header, and nobody else anywhere.
const TOKEN: &str = "Bearer collector-token-marker";

fn collector() -> Upstream {
    let collector = Upstream::start_tls(&authority().api);
    collector.answer(&ok(b"{}"));
    collector
}

/// A gate that exports the spans of every request, at once.
fn setup(collector: &Upstream) -> Setup {
    let mut setup = Setup::new()
        .with("otlp.endpoint", &format!("\"https://localhost:{}\"", collector.address.port()))
        .with("otlp.networks", "[\"127.0.0.0/8\", \"::1/128\"]")
        .with("otlp.ca", "\"ca.pem\"")
        .with("otlp.headers.Authorization", "{ list = \"secrets.txt\", id = \"collector\" }")
        .with("otlp.sample", "1")
        .with("otlp.interval", "\"10ms\"");
    setup.named_secret("collector", TOKEN);
    setup
}

fn post(gateway: &Gateway, target: &str) -> Request {
    v1().sign(Request::post(target, b"{\"card\":\"body-marker\"}"), gateway.now())
}

/// In a caller's trace, with these flags.
fn traced(request: Request, flags: &str) -> Request {
    request.header("traceparent", format!("00-{TRACE}-{CALLER}-{flags}"))
}

fn forged(gateway: &Gateway) -> Request {
    post(gateway, "/v2/forged").set("X-SIGNATURE", "0".repeat(64))
}

/// One exported span.
#[derive(Clone, Debug)]
struct Span(Value);

impl Span {
    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    /// An attribute, whose type must be that of the protocol.
    fn attribute(&self, name: &str) -> Option<String> {
        let all = self.0["attributes"].as_array().unwrap();
        let mut of_name = all.iter().filter(|one| one["key"] == name);
        let value = &of_name.next()?["value"];
        assert!(of_name.next().is_none(), "{name} once in {self:?}");
        let value = value.get("stringValue").or(value.get("intValue")).unwrap();
        Some(value.as_str().unwrap_or_else(|| panic!("{name} in {self:?}")).to_owned())
    }

    fn is(&self, name: &str, expected: &str) {
        assert_eq!(self.attribute(name).as_deref(), Some(expected), "{name} in {self:?}");
    }

    fn lacks(&self, name: &str) {
        assert_eq!(self.attribute(name), None, "{name} in {self:?}");
    }

    fn times(&self) -> (u64, u64) {
        let time = |key| self.text(key).parse::<u64>().unwrap();
        (time("startTimeUnixNano"), time("endTimeUnixNano"))
    }

    fn is_error(&self) -> bool {
        self.0["status"].get("code").is_some_and(|code| *code == 2)
    }
}

fn spans_of(call: &Recorded) -> Vec<Span> {
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let resources = body["resourceSpans"].as_array().unwrap();
    let scopes = resources.iter().flat_map(|one| one["scopeSpans"].as_array().unwrap());
    scopes.flat_map(|one| one["spans"].as_array().unwrap().clone()).map(Span).collect()
}

fn calls(collector: &Upstream) -> Vec<Recorded> {
    let all = std::sync::Mutex::new(Vec::new());
    collector.count_of(|one| {
        all.lock().unwrap().push(one.clone());
        true
    });
    all.into_inner().unwrap()
}

/// All spans that came, each once: what was offered again is the same.
fn spans(collector: &Upstream) -> Vec<Span> {
    let all = calls(collector).into_iter().flat_map(|call| spans_of(&call));
    let by_id: BTreeMap<String, Span> =
        all.map(|span| (span.text("spanId").to_owned(), span)).collect();
    by_id.into_values().collect()
}

/// Waits for the spans of a request, by its id: its own, and that of its way to the service.
fn spans_of_request(collector: &Upstream, id: &str) -> (Span, Option<Span>) {
    let is_own = |one: &&Span| one.attribute("countersign.request_id").as_deref() == Some(id);
    let own = |all: &[Span]| all.iter().find(is_own).cloned();
    wait_until("the spans of a request", || own(&spans(collector)).is_some());
    let all = spans(collector);
    let server = own(&all).unwrap();
    let parent = server.text("spanId");
    let client = all.iter().find(|one| one.text("parentSpanId") == parent).cloned();
    (server, client)
}

fn id_of(answer: &crate::support::answer::Answer) -> String {
    answer.value("x-countersign-request-id").unwrap().to_owned()
}

fn counted(gateway: &Gateway, outcome: &str) -> f64 {
    let label = format!("outcome=\"{outcome}\"");
    gateway.metric("countersign_spans_total", &[&label])
}

fn events(gateway: &Gateway, name: &str) -> usize {
    gateway.log().matches(&format!("\"event\":\"{name}\"")).count()
}

#[test]
fn a_request_has_a_span_and_its_way_to_the_service_another() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector).with("otlp.service", "\"pay-gate\""));
    let request = post(&gateway, "/v2/path-marker?token=query-marker");
    let request = request.header("X-Api-Key", "header-marker");
    for (over_http2, protocol) in [(false, "1.1"), (true, "2")] {
        let request = v1().sign(request.clone().without("X-NONCE"), gateway.now());
        let answer = if over_http2 { gateway.ask_h2(&request) } else { gateway.ask(&request) };
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = id_of(&answer);
        let (server, client) = spans_of_request(&collector, &id);
        let client = client.unwrap();
        let passed_on = gateway.upstream.last().value("traceparent");
        assert_eq!(passed_on, format!("00-{id}-{}-01", client.text("spanId")));
        for span in [&server, &client] {
            assert_eq!(span.text("traceId"), id, "a new trace is named by the request");
            span.is("http.request.method", "POST");
            span.is("http.response.status_code", "200");
            span.lacks("error.type");
            assert!(!span.is_error());
        }
        assert_eq!((server.text("name"), client.text("name")), ("POST v1", "POST"));
        assert_eq!((&server.0["kind"], &client.0["kind"]), (&2.into(), &3.into()));
        assert!(server.0.get("parentSpanId").is_none());
        for (name, value) in [
            ("http.route", "v1"),
            ("url.scheme", "https"),
            ("network.protocol.version", protocol),
            ("countersign.credential", "pk_live_globex"),
            ("countersign.merchant", "globex"),
            ("countersign.environment", "live"),
        ] {
            server.is(name, value);
        }
        for stage in ["head", "body", "verify", "decide"] {
            let micros = server.attribute(&format!("countersign.{stage}_us"));
            assert!(micros.is_some_and(|text| text.parse::<u64>().is_ok()), "{stage}");
        }
        client.is("peer.service", "service");
        let (outer, inner) = (server.times(), client.times());
        assert!(
            outer.0 <= inner.0 && inner.0 < inner.1 && inner.1 <= outer.1,
            "{outer:?} {inner:?}"
        );
    }
    let mut all = String::new();
    for call in calls(&collector) {
        assert_eq!((call.method.as_str(), call.target.as_str()), ("POST", "/v1/traces"));
        assert_eq!(call.value("content-type"), "application/json");
        assert_eq!(call.value("authorization"), TOKEN);
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        let resource = &body["resourceSpans"][0]["resource"]["attributes"][0];
        assert_eq!(resource["key"], "service.name");
        assert_eq!(resource["value"]["stringValue"], "pay-gate");
        all.push_str(&String::from_utf8(call.body).unwrap());
    }
    let signature = request.value("X-SIGNATURE");
    for marker in ["-marker", "globex-live", signature.as_str(), "127.0.0.1"] {
        assert!(!all.contains(marker), "{marker} in {all}");
    }
    wait_until("the count", || counted(&gateway, "exported") == 4.0);
    assert!(!gateway.log().contains("token-marker"));
}

#[test]
fn whether_a_trace_is_recorded_is_the_callers_choice() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector).with("otlp.sample", "0"));
    let ask = |request: Request| {
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        (id_of(&answer), gateway.upstream.last().value("traceparent"))
    };
    let (id, passed_on) = ask(post(&gateway, "/v2/a"));
    assert_eq!(passed_on, format!("00-{id}-{}-00", &id[16..]), "the service is told");
    let (_, passed_on) = ask(traced(post(&gateway, "/v2/a"), "00"));
    assert!(passed_on.starts_with(&format!("00-{TRACE}-")) && passed_on.ends_with("-00"));
    let (id, passed_on) = ask(traced(post(&gateway, "/v2/a"), "01"));
    let (server, client) = spans_of_request(&collector, &id);
    let client = client.unwrap();
    assert_eq!(passed_on, format!("00-{TRACE}-{}-01", client.text("spanId")));
    assert_eq!(server.text("parentSpanId"), CALLER);
    assert_eq!((server.text("traceId"), client.text("traceId")), (TRACE, TRACE));
    // Those before it would have come before.
    assert_eq!(spans(&collector).len(), 2);
}

#[test]
fn a_share_of_the_traces_that_begin_here_is_recorded_and_the_service_is_told() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector).with("otlp.sample", "0.25"));
    let mut sampled = BTreeSet::new();
    let mut client = gateway.client();
    for _ in 0..200 {
        let answer = client.ask(&post(&gateway, "/v2/a"));
        if gateway.upstream.last().value("traceparent").ends_with("-01") {
            sampled.insert(id_of(&answer));
        }
    }
    assert!((20..=85).contains(&sampled.len()), "{} of 200 at a quarter", sampled.len());
    let exported = || -> BTreeSet<String> {
        spans(&collector).iter().map(|span| span.text("traceId").to_owned()).collect()
    };
    wait_until("them all", || exported().len() >= sampled.len());
    assert_eq!(exported(), sampled);
}

#[test]
fn a_route_that_begins_traces_of_its_own_has_spans_in_these() {
    let collector = collector();
    let rule = "request_headers.remove = [\"traceparent\"]";
    let setup = setup(&collector).route("own", "/own/*", "countersign-v1", rule);
    let gateway = Gateway::with(setup);
    let answer = gateway.ask(&traced(post(&gateway, "/own/a"), "00"));
    let id = id_of(&answer);
    let (server, client) = spans_of_request(&collector, &id);
    assert_eq!((server.text("traceId"), client.unwrap().text("traceId")), (&*id, &*id));
    assert!(server.0.get("parentSpanId").is_none());
}

#[test]
fn failures_say_what_they_are() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector));
    gateway.upstream.answer_with(|request| match request.target.as_str() {
        "/v2/missing" => vec![Step::Send(answer("404 Not Found", &[], b"{}"))],
        "/v2/broken" => vec![Step::Send(answer("500 Internal Server Error", &[], b"{}"))],
        _ => vec![Step::Close],
    });
    // The path, then the error of the gate's span and of the service's, and which is one.
    for (path, own, service, is_error) in [
        ("/v2/missing", None, Some("404"), [false, true]),
        ("/v2/broken", Some("500"), Some("500"), [true, true]),
        ("/v2/cut", Some("upstream_broke"), Some("upstream_broke"), [true, true]),
    ] {
        let answer = gateway.ask(&post(&gateway, path));
        let (server, client) = spans_of_request(&collector, &id_of(&answer));
        let client = client.unwrap();
        assert_eq!(server.attribute("error.type").as_deref(), own, "{path}");
        assert_eq!(client.attribute("error.type").as_deref(), service, "{path}");
        assert_eq!([server.is_error(), client.is_error()], is_error, "{path}");
        server.is("http.response.status_code", &answer.status.to_string());
        assert_eq!(client.attribute("http.response.status_code").is_some(), path != "/v2/cut");
    }
    let answer = gateway.ask(&traced(forged(&gateway), "01"));
    let (server, client) = spans_of_request(&collector, &id_of(&answer));
    assert!(client.is_none() && !server.is_error(), "a refusal is no error of the gate");
    assert_eq!((server.text("traceId"), server.text("parentSpanId")), (TRACE, CALLER));
    server.is("error.type", "invalid_signature");
    server.is("http.response.status_code", "401");
    server.is("countersign.credential", "pk_live_globex");
    server.lacks("countersign.merchant");
    // One that no route and no standard method knows: no word of it goes on.
    let strange = Request::new("STEAL-marker", "/nowhere-marker");
    let answer = gateway.ask(&strange);
    let (server, _) = spans_of_request(&collector, &id_of(&answer));
    assert_eq!(server.text("name"), "_OTHER");
    server.lacks("http.route");
    server.is("error.type", "no_route");
}

#[test]
fn a_client_that_leaves_has_the_span_that_its_service_was_told_of() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector));
    gateway.upstream.answer_with(|_| vec![Step::Hold]);
    let mut frames = gateway.frames();
    frames.request(1, &post(&gateway, "/v2/a"));
    gateway.upstream.wait_for(1);
    frames.send(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let seen = gateway.upstream.last();
    let (id, passed_on) = (seen.value("x-countersign-request-id"), seen.value("traceparent"));
    let (server, client) = spans_of_request(&collector, &id);
    let client = client.unwrap();
    assert!(passed_on.contains(client.text("spanId")));
    for span in [server, client] {
        span.is("error.type", "client_gone");
        span.lacks("http.response.status_code");
        assert!(span.is_error());
    }
}

#[test]
fn whoever_proves_nothing_cannot_have_everything_exported() {
    let collector = collector();
    let setup = setup(&collector).with("otlp.unverified", "{ per_second = 1, burst = 3 }");
    let gateway = Gateway::with(setup);
    let mut client = gateway.client();
    for _ in 0..60 {
        assert_eq!(client.ask(&traced(forged(&gateway), "01")).status, 401);
    }
    wait_until("all of them to be counted", || {
        counted(&gateway, "exported") + counted(&gateway, "dropped_rate") == 60.0
    });
    assert!(counted(&gateway, "exported") >= 3.0, "a few are");
    assert!(counted(&gateway, "dropped_rate") >= 20.0, "most are not");
    for _ in 0..10 {
        assert_eq!(client.ask(&traced(post(&gateway, "/v2/a"), "01")).status, 200);
    }
    wait_until("all good ones", || {
        counted(&gateway, "exported") + counted(&gateway, "dropped_rate") == 80.0
    });
    assert_eq!(events(&gateway, "span_export_failing"), 0, "that is no fault of the collector");
}

#[test]
fn a_collector_that_cannot_now_is_asked_again() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector).with("otlp.deadline", "\"1500ms\""));
    collector.answer_with(|request| match request.number {
        1 => {
            let busy = answer("503 Service Unavailable", &[("Retry-After", "1")], b"later");
            vec![Step::Send(busy)]
        }
        2 => vec![Step::Hold],
        _ => vec![Step::Send(ok(b"{\"partialSuccess\":{}}"))],
    });
    gateway.accepts(&post(&gateway, "/v2/a"));
    wait_until("the spans", || counted(&gateway, "exported") == 2.0);
    let bodies: Vec<Vec<u8>> = calls(&collector).into_iter().map(|call| call.body).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the very same");
    wait_until("it to be told", || events(&gateway, "span_export_failing") == 1);
    assert_eq!(events(&gateway, "span_export_recovered"), 0, "not yet: it took three calls");
    gateway.accepts(&post(&gateway, "/v2/a"));
    wait_until("the end", || events(&gateway, "span_export_recovered") == 1);
    assert_eq!(events(&gateway, "span_export_failing"), 1);
    assert_eq!(counted(&gateway, "failed") + counted(&gateway, "refused"), 0.0);
    collector.release();
}

#[test]
fn what_a_collector_refuses_or_does_not_understand_is_counted_and_not_sent_again() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector));
    let partial =
        b"{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"told-marker\"}}";
    let partial = ok(partial);
    collector.answer_with(move |request| {
        let bytes = match request.number {
            1 => answer("401 Unauthorized", &[], TOKEN.as_bytes()),
            2 => partial.clone(),
            3 => answer("200 OK", &[("Content-Type", "text/html")], b"<html>welcome"),
            4 => answer("302 Found", &[("Location", "/elsewhere")], b""),
            5 => ok(&vec![b' '; 65 * 1024]),
            _ => ok(b""),
        };
        vec![Step::Send(bytes)]
    });
    // So far refused, exported and failed.
    for sums in
        [[2.0, 0.0, 0.0], [3.0, 1.0, 0.0], [3.0, 1.0, 2.0], [5.0, 1.0, 2.0], [5.0, 1.0, 4.0]]
    {
        gateway.accepts(&post(&gateway, "/v2/a"));
        let now = || ["refused", "exported", "failed"].map(|outcome| counted(&gateway, outcome));
        wait_until(&format!("{sums:?}"), || now() == sums);
    }
    assert_eq!(events(&gateway, "span_export_failing"), 1, "once for all of it");
    gateway.accepts(&post(&gateway, "/v2/a"));
    wait_until("the end", || events(&gateway, "span_export_recovered") == 1);
    assert_eq!(collector.count(), 6);
    assert!(gateway.log().contains("\"cause\":\"status\",\"status\":401"), "{}", gateway.log());
    assert!(!gateway.log().contains("-marker"), "nothing that a collector says is logged");
}

#[test]
fn a_slow_collector_costs_spans_and_no_request() {
    let collector = collector();
    let setup = setup(&collector).with("otlp.queue", "4").with("otlp.batch", "2");
    let gateway = Gateway::with(setup);
    collector.answer_with(|_| vec![Step::Hold, Step::Send(ok(b"{}"))]);
    gateway.accepts(&post(&gateway, "/v2/a"));
    collector.wait_for(1);
    for _ in 0..20 {
        gateway.accepts(&post(&gateway, "/v2/a"));
    }
    assert_eq!(counted(&gateway, "dropped_full"), 2.0 * 16.0, "four wait");
    collector.release();
    wait_until("the rest", || counted(&gateway, "exported") == 2.0 * 5.0);
    wait_until("the cause", || gateway.log().contains("\"cause\":\"queue_full\""));
}

#[test]
fn the_last_spans_leave_before_the_gate_ends() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector).with("otlp.interval", "\"1m\""));
    for _ in 0..5 {
        gateway.accepts(&post(&gateway, "/v2/a"));
    }
    gateway.stop();
    assert_eq!(spans(&collector).len(), 10);
    assert_eq!(collector.count(), 1, "together");
}

#[test]
fn a_collector_that_hangs_does_not_keep_the_gate_from_ending() {
    let collector = collector();
    collector.answer_with(|_| vec![Step::Hold]);
    let setup = setup(&collector).with("otlp.deadline", "\"1m\"").deadline("drain", 1000);
    let gateway = Gateway::with(setup);
    gateway.accepts(&post(&gateway, "/v2/a"));
    collector.wait_for(1);
    let begun = Instant::now();
    gateway.stop();
    // It hangs for a minute.
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_reload_names_another_collector_and_other_headers() {
    let (first, second) = (collector(), collector());
    let mut gateway = Gateway::with(setup(&first));
    gateway.accepts(&post(&gateway, "/v2/a"));
    first.wait_for(1);
    let port = second.address.port();
    let changed = gateway.change(|setup| {
        setup.set("otlp.endpoint", &format!("\"https://localhost:{port}/own/path?team=a\""));
        setup.named_secret("collector", "Bearer another");
        setup.set("otlp.sample", "0");
    });
    assert_eq!(changed, Ok(()));
    gateway.accepts(&post(&gateway, "/v2/a"));
    let answer = gateway.ask(&traced(post(&gateway, "/v2/a"), "01"));
    spans_of_request(&second, &id_of(&answer));
    let call = second.last();
    assert_eq!(call.target, "/own/path?team=a");
    assert_eq!(call.value("authorization"), "Bearer another");
    assert_eq!((first.count(), second.count()), (1, 1), "no other was sampled");
    let refused = gateway.change(|setup| setup.set("otlp.queue", "10000")).unwrap_err();
    assert!(refused.contains("need a restart: otlp.queue"), "{refused}");
}

/// Nothing is exported before it can be, and the gate begins all the same.
#[test]
fn a_collector_that_is_not_there_is_told_of_once() {
    let collector = collector();
    let gateway = Gateway::with(setup(&collector).with("otlp.retry_for", "\"1s\""));
    collector.answer_with(|_| vec![Step::Close]);
    gateway.accepts(&post(&gateway, "/v2/a"));
    wait_until("giving up", || counted(&gateway, "failed") == 2.0);
    gateway.accepts(&post(&gateway, "/v2/a"));
    wait_until("giving up again", || counted(&gateway, "failed") == 4.0);
    wait_until("the cause", || gateway.log().contains("\"cause\":\"broke\""));
    assert_eq!(events(&gateway, "span_export_failing"), 1);
}
