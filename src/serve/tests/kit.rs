//! A server on a thread of its own, and clients that can misbehave.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use http::{HeaderValue, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus::Registry;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::*;
use crate::limit::ConnectionLimits;

pub(super) const NOW: u64 = 1_790_000_000_000;
pub(super) const LONG: Duration = Duration::from_secs(20);
pub(super) type Client = TlsStream<tokio::net::TcpStream>;
pub(super) type H2 = SendRequest<Empty<Bytes>>;

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Answers by path.
pub(super) struct Script;

/// A body of `left` pieces of 16 KiB; `None`: one piece, then nothing for ever.
pub(super) struct Pieces(Option<usize>, bool);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let piece = |size| Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; size])))));
        match &mut this.0 {
            Some(0) => Poll::Ready(None),
            Some(left) => {
                *left -= 1;
                piece(16 * 1024)
            }
            None if this.1 => Poll::Pending,
            None => {
                this.1 = true;
                piece(10)
            }
        }
    }
    fn is_end_stream(&self) -> bool {
        self.0 == Some(0)
    }
}

impl Handler for Script {
    type Body = http_body_util::Either<http_body_util::Full<Bytes>, Pieces>;

    async fn handle(
        &self,
        head: Box<Parts>,
        body: Arriving,
        peer: &Rc<Peer>,
    ) -> Response<Self::Body> {
        let text = |text: String| http_body_util::Either::Left(text.into());
        let path = head.uri.path().to_owned();
        let mut answer = Response::new(match path.as_str() {
            "/big" => http_body_util::Either::Right(Pieces(Some(1024), false)),
            "/endless" => http_body_util::Either::Right(Pieces(None, false)),
            "/names" => {
                let names: Vec<_> = peer.names.iter().collect();
                text(format!("{:?} {}", peer.server_name.as_deref(), names.join(",")))
            }
            long if long.starts_with("/bytes/") => {
                let bytes = long.trim_start_matches("/bytes/").parse().unwrap();
                text("b".repeat(bytes))
            }
            "/slow" => {
                tokio::time::sleep(ms(300)).await;
                text("slow".into())
            }
            "/echo" => {
                let body = body.collect().await.map(|b| b.to_bytes().len());
                text(format!("{body:?}"))
            }
            "/panic" => panic!("a handler that fails"),
            _ => text("ok".into()),
        });
        if path == "/refuse" {
            *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
            answer.headers_mut().insert("connection", HeaderValue::from_static("close"));
        }
        answer
    }
}

/// One certificate with its key in files.
pub(super) struct Pair {
    pub(super) files: CertificateFiles,
    pub(super) der: CertificateDer<'static>,
}

pub(super) fn pair(dir: &TempDir, file: &str, names: &[&str], key: &KeyPair) -> Pair {
    let params = |p: CertificateParams| p;
    dated_pair(dir, file, names, key, params)
}

pub(super) fn dated_pair(
    dir: &TempDir,
    file: &str,
    names: &[&str],
    key: &KeyPair,
    change: impl FnOnce(CertificateParams) -> CertificateParams,
) -> Pair {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = change(CertificateParams::new(names).unwrap()).self_signed(key).unwrap();
    let files = CertificateFiles {
        chain: dir.path().join(format!("{file}.pem")),
        key: dir.path().join(format!("{file}.key")),
    };
    std::fs::write(&files.chain, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    Pair { files, der: certificate.der().clone() }
}

pub(super) fn ecdsa() -> KeyPair {
    KeyPair::generate().unwrap()
}

pub(super) fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

pub(super) fn settings() -> Settings {
    Settings {
        deadlines: ConnectionDeadlines {
            handshake: ms(400),
            head: ms(400),
            idle: LONG,
            stall: LONG,
            drain: LONG,
        },
        pace: MinimumPace { bytes_per_second: NonZeroU32::MIN, grace: LONG },
        head: HeadLimits::default(),
        http2: Http2Limits::default(),
        requests_max: NonZeroUsize::MAX,
        origins: Origins::default(),
    }
}

pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<Tls>,
    pub(super) drain: Drain,
    pub(super) connections: Arc<Connections>,
    pub(super) dir: TempDir,
    pub(super) first: CertificateDer<'static>,
    registry: Registry,
    thread: JoinHandle<io::Result<usize>>,
}

impl Served {
    pub(super) fn start(settings: Settings) -> Self {
        Self::start_with(settings, ConnectionLimits::default(), |dir| {
            vec![pair(dir, "first", &["gate.example"], &ecdsa())]
        })
    }

    pub(super) fn start_with(
        settings: Settings,
        limits: ConnectionLimits,
        pairs: impl FnOnce(&TempDir) -> Vec<Pair>,
    ) -> Self {
        Self::start_late(settings, limits, pairs, |_, _| {})
    }

    /// Does something between listening and accepting.
    pub(super) fn start_late(
        settings: Settings,
        limits: ConnectionLimits,
        pairs: impl FnOnce(&TempDir) -> Vec<Pair>,
        meanwhile: impl FnOnce(SocketAddr, &Drain),
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let pairs = pairs(&dir);
        let files: Vec<_> = pairs.iter().map(|pair| pair.files.clone()).collect();
        let tls = Arc::new(Tls::load(&files, NOW).unwrap());
        let registry = Registry::new();
        let metrics = ConnectionMetrics::new(&registry).unwrap();
        let drain = Drain::new();
        let connections = Connections::new(limits);
        let localhost = "127.0.0.1:0".parse().unwrap();
        let listener = bind(localhost, NonZeroUsize::MIN).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        meanwhile(address, &drain);
        let thread = std::thread::spawn({
            let (tls, drain, connections) = (tls.clone(), drain.clone(), connections.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(Default::default())
                    .unwrap();
                let settings = Arc::new(ArcSwap::from_pointee(settings));
                let handler = Rc::new(Script);
                let door = Door { tls, connections, settings, metrics, handler, drain };
                runtime.block_on(async {
                    // As on a core.
                    tokio::task::spawn_local(crate::batch::send());
                    run(listener, door).await
                })
            }
        });
        let first = pairs.first().unwrap().der.clone();
        Self { address, tls, drain, connections, dir, first, registry, thread }
    }

    /// Waits for the end; how many connections were cut.
    pub(super) async fn ended(self) -> usize {
        let join = tokio::task::spawn_blocking(move || self.thread.join().unwrap().unwrap());
        timeout(LONG, join).await.unwrap().unwrap()
    }

    pub(super) async fn tcp(&self) -> tokio::net::TcpStream {
        tokio::net::TcpStream::connect(self.address).await.unwrap()
    }

    pub(super) async fn h1(&self) -> Client {
        let root = self.first.clone();
        self.tls_client("gate.example", &[root], |c| c.alpn_protocols = vec![b"http/1.1".into()])
            .await
            .unwrap()
    }

    pub(super) async fn h2(&self, change: impl FnOnce(&mut H2Builder)) -> H2 {
        let root = self.first.clone();
        let alpn = |config: &mut ClientConfig| config.alpn_protocols = vec![b"h2".into()];
        let tls = self.tls_client("gate.example", &[root], alpn).await.unwrap();
        let mut builder = H2Builder::new(TokioExecutor::new());
        change(&mut builder);
        let (sender, connection) = builder.handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(super) async fn tls_client(
        &self,
        name: &str,
        roots: &[CertificateDer<'static>],
        change: impl FnOnce(&mut ClientConfig),
    ) -> io::Result<Client> {
        self.connect(name, client_config(roots, change)).await
    }

    pub(super) async fn connect(
        &self,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Client> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(config).connect(name, self.tcp().await).await
    }

    /// The value of a counter or gauge with this one label value (or none).
    pub(super) fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == format!("countersign_{name}")).unwrap();
        let wanted = family
            .get_metric()
            .iter()
            .find(|m| label.is_empty() || m.get_label().iter().any(|pair| pair.value() == label));
        let metric = wanted.unwrap();
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }

    pub(super) async fn metric_becomes(&self, name: &str, label: &str, value: f64) {
        let begun = Instant::now();
        while self.metric(name, label) != value {
            assert!(begun.elapsed() < LONG, "{name} {label} is {}", self.metric(name, label));
            tokio::time::sleep(ms(10)).await;
        }
    }
}

pub(super) type H2Builder = hyper::client::conn::http2::Builder<TokioExecutor>;

pub(super) fn client_config(
    roots: &[CertificateDer<'static>],
    change: impl FnOnce(&mut ClientConfig),
) -> Arc<ClientConfig> {
    let mut store = RootCertStore::empty();
    roots.iter().for_each(|root| store.add(root.clone()).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    change(&mut config);
    Arc::new(config)
}

pub(super) fn get(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("https://gate.example{path}");
    Request::get(uri).body(Empty::new()).unwrap()
}

pub(super) async fn body_of(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Sends a GET and reads its answer (with a Content-Length).
pub(super) async fn ask(client: &mut Client, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: gate.example\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    answer(client).await
}

pub(super) async fn answer(client: &mut Client) -> String {
    let mut text = Vec::new();
    loop {
        text.push(timeout(LONG, client.read_u8()).await.unwrap().unwrap());
        if let Some(head) = text.strip_suffix(b"\r\n\r\n") {
            let head = String::from_utf8(head.to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            client.read_exact(&mut body).await.unwrap();
            return head + "\n\n" + &String::from_utf8(body).unwrap();
        }
    }
}

/// Reads until the server closes; asserts that this takes at least `from`. What was read.
pub(super) async fn closes_after(client: &mut (impl AsyncRead + Unpin), from: Duration) -> Vec<u8> {
    let begun = Instant::now();
    let mut read = Vec::new();
    let _ = timeout(LONG, client.read_to_end(&mut read)).await.expect("the server never closed");
    assert!(begun.elapsed() >= from, "closed after {:?} already", begun.elapsed());
    assert!(begun.elapsed() < from + ms(5000), "closed only after {:?}", begun.elapsed());
    read
}
