//! Connections that are used again and again while the service answers in every way that HTTP has,
//! and while it fails in every way: each request has one answer, its own; no change arrives twice;
//! and nothing is left of any of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::kit::get;
use crate::support::answer::Answer;
use crate::support::certificates::authority;
use crate::support::client::{Client, Ended};
use crate::support::gateway::Gateway;
use crate::support::request::{Request, chunked};
use crate::support::setup::{Setup, route, v1};
use crate::support::upstream::{Recorded, Step, Upstream, answer, ok, own_target};
use crate::support::wait_until;

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const INTERIM: &[u8] =
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
/// An answer that nobody asked for, right behind another.
const SMUGGLED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
/// So long that nothing runs into them but what waits for a wake-up that never comes.
const LIMITS: &str = "queue = 1000\nqueue_for = \"15s\"\ndeadlines.response = \"15s\"\n";
const MOMENT: Duration = Duration::from_millis(2);

/// A number below `most` as good as drawn, the same in every run.
fn drawn(seed: usize, most: usize) -> usize {
    let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    usize::try_from(mixed >> 33).unwrap() % most
}

fn number(target: &str) -> usize {
    target.rsplit('/').next().unwrap().parse().unwrap()
}

/// Every way in which an answer is whole. Those at the end take the end of a connection for theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    AtOnce,
    HeadFirst,
    ByteByByte,
    Chunks,
    LateChunks,
    Trailers,
    Interim,
    NoContent,
    NotModified,
    Empty,
    Long,
    Last,
    ToTheEnd,
}

const WHOLE: [Whole; 13] = [
    Whole::AtOnce,
    Whole::HeadFirst,
    Whole::ByteByByte,
    Whole::Chunks,
    Whole::LateChunks,
    Whole::Trailers,
    Whole::Interim,
    Whole::NoContent,
    Whole::NotModified,
    Whole::Empty,
    Whole::Long,
    Whole::Last,
    Whole::ToTheEnd,
];

impl Whole {
    /// Behind TLS none ends with its connection, which the service here closes without a goodbye.
    fn of(n: usize, tls: bool) -> Self {
        WHOLE[drawn(n, WHOLE.len() - usize::from(tls))]
    }

    fn outcome(self, target: &str) -> (u16, Vec<u8>) {
        match self {
            Self::NoContent => (204, Vec::new()),
            Self::NotModified => (304, Vec::new()),
            Self::Empty => (200, Vec::new()),
            Self::Long => (200, target.repeat(40_000).into_bytes()),
            _ => (200, target.as_bytes().to_vec()),
        }
    }

    fn steps(self, target: &str) -> Vec<Step> {
        let (_, body) = self.outcome(target);
        let all = ok(&body);
        let pieces = chunked(&body, 4);
        match self {
            Self::AtOnce | Self::Empty | Self::Long => vec![Step::Send(all)],
            Self::HeadFirst => {
                let (head, rest) = all.split_at(all.len() - body.len());
                vec![Step::Send(head.into()), Step::Pause(MOMENT), Step::Send(rest.into())]
            }
            Self::ByteByByte => vec![Step::Drip(all, MOMENT / 10)],
            Self::Chunks => vec![Step::Send([CHUNKED, &pieces].concat())],
            Self::LateChunks => {
                let (most, end) = pieces.split_at(pieces.len() - 5);
                let late = |bytes: &[u8]| [Step::Pause(MOMENT), Step::Send(bytes.into())];
                [[Step::Send(CHUNKED.into()), Step::Pause(MOMENT)], late(most), late(end)].concat()
            }
            Self::Trailers => {
                let most = &pieces[..pieces.len() - 2];
                vec![Step::Send([CHUNKED, most, b"X-Sum: 7\r\n\r\n"].concat())]
            }
            Self::Interim => {
                vec![Step::Send(INTERIM.into()), Step::Pause(MOMENT), Step::Send(all)]
            }
            Self::NoContent => vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".into())],
            Self::NotModified => vec![Step::Send(b"HTTP/1.1 304 Not Modified\r\n\r\n".into())],
            Self::Last => {
                let all = answer("200 OK", &[("Connection", "close")], &body);
                vec![Step::Send(all), Step::Close]
            }
            Self::ToTheEnd => {
                vec![Step::Send([b"HTTP/1.1 200 OK\r\n\r\n", &*body].concat()), Step::Close]
            }
        }
    }
}

/// Every way in which an answer fails, or the connection after it.
fn broken(n: usize, target: &str) -> Vec<Step> {
    let all = ok(target.as_bytes());
    let part = |bytes: &[u8]| Step::Send(bytes.into());
    let most = part(&all[..all.len() - 3]);
    match drawn(n + 1, 12) {
        0 => vec![Step::Close],
        1 => vec![Step::Reset],
        2 => vec![part(&all[..20]), Step::Close],
        3 => vec![most, Step::Close],
        4 => vec![most, Step::Pause(MOMENT), Step::Reset],
        5 => vec![part(CHUNKED), part(b"2\r\nab"), Step::Close],
        6 => vec![part(b"\0\x01 what?\r\n\r\n"), Step::Close],
        7 => vec![part(&all), Step::Close],
        8 => vec![part(&all), Step::Reset],
        9 => vec![part(&[&all, SMUGGLED].concat())],
        10 => vec![part(&all), Step::HalfClose],
        _ => vec![part(&all), Step::Pause(MOMENT), part(b"\r\nmore"), Step::Close],
    }
}

/// A gate before a service, and what has come there.
struct Scene {
    gateway: Gateway,
    service: Upstream,
    tls: bool,
    /// How often a head of each method and target came.
    heads: Arc<Mutex<HashMap<(String, String), usize>>>,
}

impl Scene {
    /// With a service that fails one request in three, or none.
    fn new(tls: bool, fails: bool) -> Self {
        let service = match tls {
            true => Upstream::start_tls(&authority().api),
            false => Upstream::start(),
        };
        service.answer_with(move |request| answers(request, tls, fails));
        let heads: Arc<Mutex<HashMap<_, usize>>> = Arc::default();
        let own = Arc::clone(&heads);
        service.at_head(move |head| {
            let key = (head.method.clone(), head.target.clone());
            *own.lock().unwrap().entry(key).or_default() += 1;
            let early = || answer("413 Content Too Large", &[], head.target.as_bytes());
            match drawn(number(&head.target) + 2, 20) {
                0 if fails => Some(vec![Step::Send(early()), Step::Close]),
                1 if fails => Some(vec![Step::Close]),
                2 if fails => Some(vec![Step::Reset]),
                _ => None,
            }
        });
        let mut setup = Setup::new().with("workers", "1");
        setup.upstreams.push(table(&service, tls, &[LIMITS, "connections = 6\n"].concat()));
        let to = "upstream = \"many\"";
        setup.routes.push(route("many", "/v2/many/*", "countersign-v1", to));
        Self { gateway: Gateway::with(setup), service, tls, heads }
    }

    /// A read, a change with a body in one piece or in many, or a HEAD.
    fn request(&self, n: usize) -> Request {
        let target = format!("/v2/many/{n}");
        let request = match drawn(n + 3, 8) {
            0..3 => Request::get(&target),
            3 => Request::new("HEAD", &target),
            4 => Request::post(&target, &vec![b'x'; 200_000]),
            5 => Request::post(&target, &vec![b'x'; 3_000]).chunks(500),
            _ => Request::post(&target, b"{\"amount\":100}"),
        };
        v1().sign(request, self.gateway.now())
    }

    fn wanted(&self, request: &Request) -> (u16, Vec<u8>) {
        match request.method.as_str() {
            "HEAD" => (200, Vec::new()),
            _ => Whole::of(number(&request.target), self.tls).outcome(&request.target),
        }
    }

    fn count(&self, request: &Request) -> usize {
        let key = (request.method.clone(), request.target.clone());
        self.heads.lock().unwrap().get(&key).copied().unwrap_or(0)
    }

    /// Loads configurations that replace the upstream, one after another.
    fn reload_often(&self) {
        let mut setup = self.gateway.setup.clone();
        for connections in (4..16).map(|n| format!("connections = {n}\n")) {
            setup.upstreams[0] = table(&self.service, self.tls, &[LIMITS, &*connections].concat());
            setup.write(self.gateway.folder.path(), "http://127.0.0.1:1");
            self.gateway.reload().unwrap();
            thread::sleep(30 * MOMENT);
        }
    }

    /// Nothing is under way, and no connection is counted that does not stand.
    fn comes_to_rest(&self) {
        let gauge = |name: &str| self.gateway.metric(name, &["upstream=\"many\""]);
        wait_until("all requests to end", || {
            gauge("countersign_upstream_requests_in_flight") == 0.0
        });
        self.service.close_all();
        wait_until("no connection to stand", || gauge("countersign_upstream_connections") == 0.0);
    }
}

/// The table of an upstream of one address, behind TLS or in clear.
fn table(service: &Upstream, tls: bool, more: &str) -> String {
    let (scheme, trust) = if tls { ("https", "ca = \"ca.pem\"\n") } else { ("http", "") };
    let port = service.address.port();
    format!("[upstreams.many]\nurl = \"{scheme}://localhost:{port}\"\n{trust}{more}\n")
}

fn answers(request: &Recorded, tls: bool, fails: bool) -> Vec<Step> {
    let (n, target) = (number(&request.target), &*request.target);
    if fails && drawn(n + 4, 3) == 0 {
        return broken(n, target);
    }
    match request.method.as_str() {
        "HEAD" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n".into())],
        _ => Whole::of(n, tls).steps(target),
    }
}

/// The next answer, taken only after a while by one client in four.
fn next(client: &mut Client, request: &Request) -> Result<(u16, Vec<u8>), Ended> {
    if drawn(number(&request.target) + 5, 4) == 0 {
        thread::sleep(5 * MOMENT);
    }
    client.try_answer(&request.method).map(|answer| (answer.status, answer.body))
}

/// A service that does nothing wrong: every request arrives once and is answered by its own answer,
/// be they sent one by one, in pieces, many ahead, or as streams of HTTP/2.
#[test]
fn every_whole_answer_reaches_whoever_asked() {
    for tls in [false, true] {
        let scene = Scene::new(tls, false);
        let good = |request: &Request, got: (u16, Vec<u8>)| {
            let wanted = scene.wanted(request);
            assert!(got == wanted, "{request:?}: {} {}", got.0, String::from_utf8_lossy(&got.1));
            assert_eq!(scene.count(request), 1, "{request:?}");
        };
        let ahead = |first: usize, count: usize, pieces: usize| {
            let mut client = scene.gateway.client();
            for batch in 0..60 / count {
                let numbers = (0..count).map(|n| first + batch * count + n);
                let requests: Vec<_> = numbers.map(|n| scene.request(n)).collect();
                let bytes: Vec<u8> = requests.iter().flat_map(Request::h1).collect();
                for piece in bytes.chunks(bytes.len() / pieces + 1) {
                    client.send(piece);
                }
                for request in &requests {
                    good(request, next(&mut client, request).unwrap());
                }
            }
        };
        thread::scope(|scope| {
            let ahead = &ahead;
            for (at, (count, pieces)) in
                [(1, 1), (1, 1), (1, 9), (6, 1), (20, 3)].iter().enumerate()
            {
                scope.spawn(move || ahead(at * 1000, *count, *pieces));
            }
            let streams = scene.gateway.http2();
            for batch in 0..4 {
                let numbers = (0..15).map(|n| 9000 + batch * 15 + n);
                let requests: Vec<_> = numbers.map(|n| scene.request(n)).collect();
                for (request, answer) in requests.iter().zip(streams.ask_all(&requests)) {
                    let answer = answer.unwrap();
                    good(request, (answer.status, answer.body));
                }
            }
        });
        scene.comes_to_rest();
    }
}

/// What came of a request to a service that fails.
#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    refused: usize,
    cut: usize,
}

impl Tally {
    /// Whatever comes, it is an answer to this request and to no other, or its part.
    fn add(&mut self, scene: &Scene, request: &Request, got: Result<Answer, Ended>) {
        let answer = match got {
            Ok(answer) => answer,
            Err(Ended::Silent) => panic!("{request:?} is not answered"),
            Err(Ended::Closed | Ended::Cut) => return self.cut += 1,
        };
        if answer.value("content-type") == Some("application/problem+json") {
            self.refused += 1;
            if request.method == "HEAD" {
                return assert_eq!(answer.status, 502, "{request:?}");
            }
            let refusal = answer.refusal();
            let told = (&*refusal.code, &*refusal.forwarded);
            return assert_eq!(told, ("upstream_broke", "maybe"), "{request:?}");
        }
        let own = request.target.as_bytes();
        let body = if request.method == "HEAD" { &[][..] } else { own };
        let good = [(200, body.to_vec()), (413, body.to_vec()), scene.wanted(request)];
        assert!(good.contains(&(answer.status, answer.body)), "{request:?}: {}", answer.status);
        self.whole += 1;
    }
}

/// A service that fails in every way, clients that go away in the middle, and reloads: a change
/// arrives once at most and a read twice, no answer is anybody else's, and nobody waits for what
/// cannot come.
#[test]
fn whatever_fails_every_request_has_an_answer_of_its_own() {
    for tls in [false, true] {
        let scene = Scene::new(tls, true);
        let one_by_one = |first: usize| {
            let mut tally = Tally::default();
            let mut client = scene.gateway.client();
            for n in first..first + 120 {
                let request = scene.request(n);
                if drawn(n + 6, 10) == 0 {
                    leave(&mut scene.gateway.client(), &request, n);
                    continue;
                }
                client.send(request.h1());
                let got = client.try_answer(&request.method);
                let goes_on = got.as_ref().is_ok_and(|one| one.value("connection").is_none());
                tally.add(&scene, &request, got);
                if !goes_on {
                    client = scene.gateway.client();
                }
            }
            tally
        };
        let streams = |first: usize| {
            let mut tally = Tally::default();
            let streams = scene.gateway.http2();
            for batch in 0..8 {
                let numbers = (0..15).map(|n| first + batch * 15 + n);
                let requests: Vec<_> = numbers.map(|n| scene.request(n)).collect();
                for (request, got) in requests.iter().zip(streams.ask_all(&requests)) {
                    tally.add(&scene, request, got.map_err(|_| Ended::Cut));
                }
            }
            tally
        };
        let tallies: Vec<Tally> = thread::scope(|scope| {
            let (one_by_one, streams) = (&one_by_one, &streams);
            let clients = (0..4).map(|at| scope.spawn(move || one_by_one(at * 1000)));
            let clients: Vec<_> = clients.chain([scope.spawn(|| streams(9000))]).collect();
            scene.reload_often();
            clients.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for Tally { whole, refused, cut } in &tallies {
            assert!(*whole > 40 && *refused > 5 && *cut > 0, "{tallies:?}");
        }
        for ((method, target), count) in &*scene.heads.lock().unwrap() {
            let most = if method == "POST" { 1 } else { 2 };
            assert!(*count <= most, "{method} {target} came {count} times");
        }
        scene.comes_to_rest();
    }
}

/// Goes away in the middle of a request, behind it, or in the middle of its answer.
fn leave(client: &mut Client, request: &Request, n: usize) {
    let bytes = request.h1();
    match drawn(n + 7, 3) {
        0 => drop(client.send(&bytes[..bytes.len() - 1])),
        1 => drop(client.send(bytes)),
        _ => {
            client.send(bytes);
            let _ = client.more();
        }
    }
}

/// A service behind TLS is told the end of each connection: of those that nobody used for long, and
/// of all of an upstream that no route leads to any more, be they in use or not.
#[test]
fn the_end_of_a_connection_is_told() {
    for removed in [false, true] {
        let [idle, to] = ["deadlines.idle = \"1s\"", "upstream = \"many\""];
        let service = Upstream::start_tls(&authority().api);
        service.answer_with(|request| match request.target.ends_with("/hold") {
            true => vec![Step::Send(CHUNKED.into()), Step::Hold, Step::Send(b"0\r\n\r\n".into())],
            false => own_target(request),
        });
        let mut setup = Setup::new().with("workers", "1");
        setup.upstreams.push(table(&service, true, if removed { "" } else { idle }));
        setup.routes.push(route("many", "/v2/many/*", "countersign-v1", to));
        let mut gateway = Gateway::with(setup);
        let requests: Vec<_> = (0..20).map(|n| get(&gateway, n)).collect();
        assert!(gateway.http2().ask_all(&requests).iter().all(Result::is_ok));
        if removed {
            let mut client = gateway.client();
            client.send(v1().sign(Request::get("/v2/many/hold"), gateway.now()).h1());
            client.more().unwrap();
            let forget = |setup: &mut Setup| (setup.upstreams.clear(), setup.routes.pop());
            gateway.change(|setup| drop(forget(setup))).unwrap();
            service.wait_open(1);
            service.release();
            assert_eq!(client.answer().status, 200);
        }
        service.wait_open(0);
        assert_eq!(service.ended_in_order(), service.connections(), "{removed}");
    }
}

/// A service may answer before it has read a request, and go on reading: whoever was told that it
/// took the request must find that it did. The request is longer than what a socket takes at once.
#[test]
fn a_request_leaves_whole_although_its_answer_came_early() {
    for tls in [false, true] {
        let service = match tls {
            true => Upstream::start_tls(&authority().api),
            false => Upstream::start(),
        };
        let mut setup = Setup::new().with("listener.limits.unverified", "\"1GiB\"");
        setup.upstreams.push(table(&service, tls, ""));
        let to = "upstream = \"many\"\nbody = \"32MiB\"";
        setup.routes.push(route("many", "/v2/many/*", "countersign-v1", to));
        let gateway = Gateway::with(setup);
        // A known address may send as much.
        assert_eq!(gateway.ask(&get(&gateway, 0)).status, 200);
        let early = answer("202 Accepted", &[], b"taken");
        service.at_head(move |_| Some(vec![Step::Send(early.clone()), Step::Pause(50 * MOMENT)]));
        service.answer_with(|_| Vec::new());
        let long = Request::post("/v2/many/1", &vec![b'x'; 24 << 20]);
        let answer = gateway.ask(&v1().sign(long.clone(), gateway.now()));
        assert_eq!((answer.status, answer.text().as_str()), (202, "taken"));
        service.wait_for(2);
        assert!(service.last().body == long.body);
    }
}
