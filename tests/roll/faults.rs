//! A proxy that loses requests and answers in front of a real gate, and the reference client behind
//! it: every payment ends in success, and the service sees each sealed message once (I1, I3).

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use countersign::client::roll::{Partner, Plain, Wallet};
use countersign::client::{Client, Options, Protocol};
use countersign::config::scheme::builtin;
use countersign::secret::{NamedSecrets, Secret};
use http::{HeaderMap, Method};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::kit::{Site, material};
use crate::support::certificates::authority;
use crate::support::client::Client as Wire;
use crate::support::request::HOST;
use crate::support::setup::v1;
use crate::support::tls;

/// What the proxy does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Deliver,
    /// The connection breaks before the gate has seen anything.
    LoseRequest,
    /// The gate has answered, and the answer is lost.
    LoseAnswer,
    /// A part of the answer arrives.
    Truncate,
    /// Somebody on the way sends the request once more.
    Replay,
    /// An answer in clear that says that the payment failed; the gate has seen nothing.
    Forge,
}

const FATES: [Fate; 10] = [
    Fate::Deliver,
    Fate::Deliver,
    Fate::Deliver,
    Fate::Deliver,
    Fate::LoseRequest,
    Fate::LoseRequest,
    Fate::LoseAnswer,
    Fate::LoseAnswer,
    Fate::Truncate,
    Fate::Replay,
];

/// A proxy that ends TLS, so that it knows where a message begins and ends.
struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    gate: SocketAddr,
    tls: Arc<ServerConfig>,
    /// The state of a generator of fates (xorshift), the same in every run.
    state: AtomicU64,
    forging: bool,
    met: Mutex<HashSet<Fate>>,
    replays_passed: AtomicUsize,
}

impl Proxy {
    fn start(gate: SocketAddr, seed: u64, forging: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            gate,
            tls: tls::server(&authority().api),
            state: AtomicU64::new(seed),
            forging,
            met: Mutex::default(),
            replays_passed: AtomicUsize::new(0),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let own = Arc::clone(&own);
                // A connection that breaks is what this is for.
                thread::spawn(move || drop(own.serve(stream)));
            }
        });
        Self { address, shared }
    }
}

impl Shared {
    fn fate(&self) -> Fate {
        let next = |mut state: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^ (state << 17)
        };
        let state = self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |s| Some(next(s)));
        let state = usize::try_from(next(state.unwrap()) >> 33).unwrap();
        let fate = FATES[state % FATES.len()];
        if self.forging && fate == Fate::LoseRequest { Fate::Forge } else { fate }
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let session = ServerConnection::new(Arc::clone(&self.tls)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        let request = read_request(&mut stream)?;
        let fate = self.fate();
        self.met.lock().unwrap().insert(fate);
        if fate == Fate::LoseRequest {
            return Ok(());
        }
        if fate == Fate::Forge {
            let forged = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n\
                          {\"paid\":\"never\"}";
            stream.write_all(forged.as_bytes())?;
            return stream.flush();
        }
        let answer = self.forward(&request);
        if fate == Fate::Replay && self.forward(&request).starts_with(b"HTTP/1.1 2") {
            self.replays_passed.fetch_add(1, Ordering::SeqCst);
        }
        let part = match fate {
            Fate::LoseAnswer => return Ok(()),
            Fate::Truncate => &answer[..answer.len() * 2 / 3],
            _ => &answer[..],
        };
        stream.write_all(part)?;
        stream.flush()?;
        if fate != Fate::Truncate {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        Ok(())
    }

    /// The gate's answer as bytes.
    fn forward(&self, request: &[u8]) -> Vec<u8> {
        let mut wire = Wire::dial(self.gate, HOST, &["http/1.1"]).unwrap();
        wire.send(request);
        let answer = wire.answer();
        let mut bytes = format!("HTTP/1.1 {} Told\r\n", answer.status).into_bytes();
        for (name, value) in &answer.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(answer.body);
        bytes
    }
}

/// A request with the names of its keys and its random bytes beside it, for the service to record.
fn read_request(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend(&piece[..count]);
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let value = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let mut found = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.to_owned())
        };
        let length = value("content-length").map_or(0, |length| length.parse().unwrap());
        if bytes.len() < end + 4 + length {
            continue;
        }
        let body = &bytes[end + 4..];
        let p = match value("x-seal-proof") {
            Some(proof) => BASE64_URL_SAFE_NO_PAD.decode(proof).unwrap()[..16].to_vec(),
            None => body[..16].to_vec(),
        };
        let kid = value("x-seal-kid").unwrap();
        let line = format!("\r\nX-Attempt: {kid} {}", BASE64_URL_SAFE_NO_PAD.encode(p));
        return Ok([&bytes[..end], line.as_bytes(), &bytes[end..]].concat());
    }
}

/// One worker pays so many times, by sealed bodies and now and then asks without a body.
fn work(site: &Site, proxy: SocketAddr, authority: &Path, worker: usize, payments: usize) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::trusting(authority).unwrap();
    let options = Options {
        protocol: Protocol::Http1,
        connect: Some(proxy),
        deadline: Duration::from_secs(20),
        ..Options::default()
    };
    let scheme = builtin("countersign-v1").unwrap();
    let secret = Secret::new(v1().secret).unwrap();
    let key = scheme.signing_key(&secret, NamedSecrets::default()).unwrap();
    let partner = Partner {
        client: &client,
        options: &options,
        scheme: &scheme,
        key: &key,
        key_id: "pk_live_globex",
        clock: site.gateway.clock(),
        attempts: NonZeroU32::new(40).unwrap(),
    };
    let mut wallet = Wallet::new(1, material(1).anchors[0].keys.clone());
    let mut resyncs = 0;
    for number in 0..payments {
        let order = format!("{worker}-{number}");
        let asks = number % 5 == 4;
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", order.parse().unwrap());
        let plain = Plain {
            method: if asks { Method::GET } else { Method::POST },
            url: format!("https://{HOST}/v2/payments/{order}").parse().unwrap(),
            headers,
            body: (!asks).then(|| Bytes::from(format!("{{\"order\":\"{order}\"}}"))),
        };
        let answer = runtime.block_on(partner.send(&mut wallet, &plain));
        let answer = answer.unwrap_or_else(|fault| panic!("{order}: {fault:?}"));
        assert!(answer.sealed, "{order}: {answer:?}");
        assert_eq!(answer.answer.status(), 200, "{order}");
        assert_eq!(answer.answer.body(), &Bytes::from_static(b"{\"ok\":true}"));
        resyncs += usize::from(answer.resynced);
        if worker == 0 {
            site.gateway.advance(2);
        }
    }
    resyncs
}

fn pays_through_faults(preset: &str, seed: u64, forging: bool) -> usize {
    let site = Site::start(preset);
    let proxy = Proxy::start(site.gateway.address, seed, forging);
    let authority = site.gateway.folder.path().join("ca.pem");
    let (workers, payments) = (4, 40);
    let resyncs: usize = thread::scope(|scope| {
        let run = |worker| {
            let (site, proxy, authority) = (&site, proxy.address, authority.as_path());
            scope.spawn(move || work(site, proxy, authority, worker, payments))
        };
        let workers: Vec<_> = (0..workers).map(run).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    // The service saw every payment, and every sealed message once.
    let (mut attempts, mut orders) = (HashSet::new(), HashSet::new());
    let requests = site.gateway.upstream.all();
    for request in &requests {
        let attempt = request.value("x-attempt");
        assert!(attempt.starts_with("rk1_"), "{attempt}");
        assert!(attempts.insert(attempt.clone()), "seen twice: {attempt}");
        orders.insert(request.value("idempotency-key"));
    }
    assert_eq!(orders.len(), workers * payments);
    assert!(requests.len() > orders.len(), "some answers were lost");
    assert_eq!(proxy.shared.replays_passed.load(Ordering::SeqCst), 0);
    let met = proxy.shared.met.lock().unwrap().clone();
    let all: HashSet<Fate> = match forging {
        false => FATES.into_iter().collect(),
        true => FATES.into_iter().map(forged).collect(),
    };
    assert_eq!(met, all);
    resyncs
}

fn forged(fate: Fate) -> Fate {
    if fate == Fate::LoseRequest { Fate::Forge } else { fate }
}

#[test]
fn every_payment_ends_in_success_whatever_is_lost() {
    let resyncs = pays_through_faults("standard", 0x9e37_79b9_7f4a_7c15, false);
    assert_eq!(resyncs, 0, "losses alone never cost a resync");
}

#[test]
fn the_same_under_strict_keys_with_one_resync_at_most() {
    // Three lost answers in a row use a strict set up, which one session call mends.
    pays_through_faults("strict", 0x1234_5678_9abc_def1, false);
}

#[test]
fn answers_in_clear_are_believed_by_nobody() {
    pays_through_faults("standard", 0x0dd5_eed5_0f5e_ed77, true);
}

/// Bytes are cut off anywhere, in the handshake too, by a proxy that understands nothing.
#[test]
fn connections_may_break_anywhere() {
    let site = Site::start("standard");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, gate) = (listener.local_addr().unwrap(), site.gateway.address);
    thread::spawn(move || {
        for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
            let Ok(upstream) = TcpStream::connect(gate) else { return };
            // Every third connection is whole; the others end after ever more bytes.
            let most = if number % 3 == 2 { usize::MAX } else { number * 97 % 7000 };
            let (from, to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            thread::spawn(move || pump(from, to, most));
            thread::spawn(move || pump(upstream, client, most));
        }
    });
    let authority = site.gateway.folder.path().join("ca.pem");
    work(&site, address, &authority, 1, 40);
    let bodies: HashSet<_> = site.gateway.upstream.all().iter().map(|r| r.target.clone()).collect();
    assert_eq!(bodies.len(), 40);
}

/// Copies at most so many bytes, then breaks both ways.
fn pump(mut from: TcpStream, mut to: TcpStream, most: usize) {
    let (mut left, mut piece) = (most, [0; 512]);
    while let Ok(count) = from.read(&mut piece) {
        let now = count.min(left);
        left -= now;
        if count == 0 || to.write_all(&piece[..now]).is_err() || left == 0 {
            break;
        }
    }
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}
