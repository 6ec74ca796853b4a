//! A gate before several addresses, and requests to them.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::support::answer::Answer;
use crate::support::gateway::Gateway;
use crate::support::request::Request;
use crate::support::setup::{Setup, route, v1};
use crate::support::upstream::{Upstream, own_target};

pub(crate) const BODY: &[u8] = b"{\"amount\":100}";

/// Services that answer with the target that they were asked for.
pub(crate) fn services<const N: usize>() -> [Upstream; N] {
    std::array::from_fn(|_| {
        let service = Upstream::start();
        service.answer_with(own_target);
        service
    })
}

/// The table of an upstream with these addresses in plain HTTP.
pub(crate) fn many(name: &str, addresses: &[SocketAddr], more: &str) -> String {
    let urls: Vec<String> = addresses.iter().map(|one| format!("\"http://{one}\"")).collect();
    format!("[upstreams.{name}]\nurls = [{}]\n{more}\n", urls.join(", "))
}

/// A setup of one worker whose `/v2/many/*` goes to these addresses.
pub(crate) fn setup(addresses: &[SocketAddr], more: &str) -> Setup {
    let mut setup = Setup::new().with("workers", "1");
    setup.upstreams.push(many("many", addresses, more));
    let to = "upstream = \"many\"";
    setup.routes.push(route("many", "/v2/many/*", "countersign-v1", to));
    setup
}

pub(crate) fn gate(addresses: &[SocketAddr], more: &str) -> Gateway {
    Gateway::with(setup(addresses, more))
}

pub(crate) fn post(gateway: &Gateway, n: usize) -> Request {
    v1().sign(Request::post(&format!("/v2/many/{n}"), BODY), gateway.now())
}

pub(crate) fn get(gateway: &Gateway, n: usize) -> Request {
    v1().sign(Request::get(&format!("/v2/many/{n}")), gateway.now())
}

/// A port of this machine that nobody listens on.
pub(crate) fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Requests from several clients at a time, each on a connection of its own, and every answer.
pub(crate) fn load(
    gateway: &Gateway,
    clients: usize,
    each: usize,
    request: impl Fn(&Gateway, usize) -> Request + Sync,
) -> Vec<Answer> {
    thread::scope(|scope| {
        let request = &request;
        let client = |c: usize| {
            move || {
                let mut client = gateway.client();
                (0..each).map(|n| client.ask(&request(gateway, c * each + n))).collect::<Vec<_>>()
            }
        };
        let running: Vec<_> = (0..clients).map(|c| scope.spawn(client(c))).collect();
        running.into_iter().flat_map(|one| one.join().unwrap()).collect()
    })
}

/// Whether a value of the metrics is that of one address.
pub(crate) fn of(address: SocketAddr) -> String {
    format!("address=\"{address}\"")
}

/// The bodies of all good answers, and the codes of the rest.
pub(crate) fn sorted(answers: &[Answer]) -> (usize, Vec<(String, String)>) {
    let bad = answers.iter().filter(|answer| answer.status != 200);
    let bad: Vec<_> = bad.map(Answer::refusal).map(|one| (one.code, one.forwarded)).collect();
    (answers.len() - bad.len(), bad)
}
