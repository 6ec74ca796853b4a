//! A defect of the gate: what a panic on the path of one request does to it and to all others.

use std::time::Duration;

use crate::support::answer::{Answer, Refusal};
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, route, upstream, v1};
use crate::support::upstream::Upstream;
use crate::support::wait_until;

/// More panics than the upstream has connections: none of them keeps one.
const PANICS: usize = 5;

/// A gate with a value in its configuration that no file can put there, for every limit is finite:
/// counting from now to a deadline at the end of time overflows, which panics. Requests to
/// `/v3/*` get there.
fn defective() -> Gateway {
    let service = Upstream::start();
    let mut setup = Setup::new();
    let url = format!("http://localhost:{}", service.address.port());
    setup.upstreams.push(upstream("defective", &url, "connections = 2"));
    let to = "upstream = \"defective\"";
    setup.routes.push(route("defective", "/v3/*", "countersign-v1", to));
    Gateway::altered(setup, service, |config| {
        for spec in &mut config.upstreams {
            if &*spec.name == "defective" {
                spec.deadlines.response = Duration::MAX;
            }
        }
    })
}

fn order(gateway: &Gateway, target: &str, n: usize) -> Request {
    let body = format!("{{\"n\":{n}}}");
    v1().sign(Request::post(target, body.as_bytes()), gateway.now())
}

fn is_internal(answer: &Answer) {
    let expected = Refusal { status: 500, code: "internal".into(), forwarded: "maybe".into() };
    assert_eq!(answer.refusal(), expected);
}

/// Row 97: one request gets 500, its connection goes on, and so does everything else.
#[test]
fn a_panic_costs_one_request_its_answer_and_nothing_else() {
    let gateway = defective();
    let mut client = gateway.client();
    for n in 0..PANICS {
        is_internal(&client.ask(&order(&gateway, "/v3/orders", n)));
        assert_eq!(client.ask(&order(&gateway, "/v2/orders", n)).status, 200);
    }
    let http2 = gateway.http2();
    for n in PANICS..2 * PANICS {
        is_internal(&http2.ask(&order(&gateway, "/v3/orders", n)));
        assert_eq!(http2.ask(&order(&gateway, "/v2/orders", n)).status, 200);
    }
    assert_eq!(gateway.upstream.count(), 2 * PANICS, "only what did not panic was forwarded");
    assert_eq!(gateway.metric("countersign_panics_total", &[]), 2.0 * PANICS as f64);
    assert_eq!(gateway.operation("/readyz").status, 200);
    wait_until("a line of each", || gateway.request_lines().len() == 4 * PANICS);
    let lines = gateway.request_lines();
    assert_eq!(lines.iter().filter(|line| line["code"] == "internal").count(), 2 * PANICS);
}

/// Row 97: what panicked after its claim stays claimed, for nobody knows how far it came.
#[test]
fn what_panicked_does_not_pass_later() {
    let gateway = defective();
    let request = order(&gateway, "/v3/orders", 0);
    is_internal(&gateway.ask(&request));
    gateway.refuses(&request, "replayed");
}
