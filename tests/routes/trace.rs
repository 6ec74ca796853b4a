//! W3C Trace Context: passed on as it came, or not at all; and the gate's own span where the
//! listener traces.

use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, v1};
use crate::support::upstream::Recorded;
use crate::support::wait_until;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// What the service gets of a request with these fields, over both protocols alike in form.
fn at_service(gateway: &Gateway, fields: &[(&str, &str)]) -> [(String, Recorded); 2] {
    [false, true].map(|over_http2| {
        let request =
            fields.iter().fold(Request::post("/v2/a", b"{}"), |request, (name, value)| {
                request.header(name, value)
            });
        let request = v1().sign(request, gateway.now());
        let answer = if over_http2 { gateway.ask_h2(&request) } else { gateway.ask(&request) };
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = answer.value("x-countersign-request-id").unwrap().to_owned();
        (id, gateway.upstream.last())
    })
}

#[test]
fn what_is_well_formed_goes_on_and_nothing_else() {
    let gateway = Gateway::start();
    for (_, seen) in at_service(&gateway, &[]) {
        assert!(!seen.has("traceparent") && !seen.has("tracestate"), "nothing is made up");
    }
    let good = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    for (_, seen) in at_service(&gateway, &good) {
        assert_eq!(seen.value("traceparent"), PARENT);
        assert_eq!(seen.values("tracestate"), ["a=1", "b=2"]);
    }
    for (_, seen) in at_service(&gateway, &[("traceparent", PARENT), ("tracestate", "A")]) {
        assert_eq!(seen.value("traceparent"), PARENT);
        assert!(!seen.has("tracestate"));
    }
    for bad in [
        &[("tracestate", "a=1")][..],
        &[("traceparent", "00-0-0-00"), ("tracestate", "a=1")],
        &[("traceparent", PARENT), ("traceparent", PARENT), ("tracestate", "a=1")],
    ] {
        for (_, seen) in at_service(&gateway, bad) {
            assert!(!seen.has("traceparent") && !seen.has("tracestate"), "{bad:?}");
        }
    }
    assert!(!gateway.log().contains("trace_id"));
}

#[test]
fn a_listener_that_traces_adds_its_own_span() {
    let gateway = Gateway::with(Setup::new().with("listener.trace", "true"));
    let own = |id: &str| id[16..].to_owned();
    for fields in [&[][..], &[("traceparent", "nonsense"), ("tracestate", "a=1")]] {
        for (id, seen) in at_service(&gateway, fields) {
            assert_eq!(seen.value("traceparent"), format!("00-{id}-{}-01", own(&id)));
            assert!(!seen.has("tracestate"));
        }
    }
    for flags in ["00", "01", "ff"] {
        let sampled = if flags == "00" { "00" } else { "01" };
        let parent = format!("{}{flags}", &PARENT[..53]);
        let fields = [("traceparent", parent.as_str()), ("tracestate", "a=1")];
        for (id, seen) in at_service(&gateway, &fields) {
            let expected = format!("00-{TRACE}-{}-{sampled}", own(&id));
            assert_eq!(seen.value("traceparent"), expected);
            assert_eq!(seen.value("tracestate"), "a=1");
            wait_until("its line", || {
                let lines = gateway.request_lines();
                let line = lines.iter().find(|line| line["request_id"] == *id);
                line.is_some_and(|line| line["trace_id"] == TRACE)
            });
        }
    }
}

#[test]
fn a_route_can_begin_a_trace_of_its_own_for_each_request() {
    let rule = "request_headers.remove = [\"traceparent\", \"tracestate\"]";
    let setup = Setup::new().with("listener.trace", "true");
    let gateway = Gateway::with(setup.route("own", "/own/*", "countersign-v1", rule));
    let request = Request::post("/own/a", b"{}").header("traceparent", PARENT);
    let answer = gateway.ask(&v1().sign(request, gateway.now()));
    let id = answer.value("x-countersign-request-id").unwrap();
    let seen = gateway.upstream.last();
    assert_eq!(seen.value("traceparent"), format!("00-{id}-{}-01", &id[16..]));
}
