use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::io::{AsyncWriteExt as _, BufStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A server that answers by path, well or badly, and counts.
#[derive(Default)]
struct Server {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Server {
    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut stream = BufStream::new(stream);
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|bytes| *bytes > 0)?;
            let path = line.split(' ').nth(1).unwrap().to_owned();
            let (mut host, mut length) = (String::new(), 0);
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line).await.ok()?;
                let field = line.to_lowercase();
                if let Some(value) = field.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if let Some(value) = field.strip_prefix("host:") {
                    host = value.trim().to_owned();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            self.requests.fetch_add(1, Ordering::SeqCst);
            let whole = |head: &str, body: String| {
                format!("HTTP/1.1 {head}content-length: {}\r\n\r\n{body}", body.len())
            };
            let answer = match path.as_str() {
                "/hang" => std::future::pending().await,
                "/close" => return None,
                "/redirect" => whole("302 Found\r\nlocation: /elsewhere\r\n", String::new()),
                "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc".into(),
                "/slow-end" => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc".into(),
                "/told-long" => "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n".into(),
                "/long" => format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1001)),
                "/nonsense" => "220 mail ready\r\n".into(),
                "/once" => whole("200 OK\r\n", "then closed".into()),
                _ => whole("200 OK\r\n", format!("{number} {host} {length}")),
            };
            stream.write_all(answer.as_bytes()).await.ok()?;
            stream.flush().await.ok()?;
            match path.as_str() {
                "/slow-end" | "/told-long" => std::future::pending().await,
                "/cut" | "/long" | "/nonsense" | "/once" => return None,
                _ => {}
            }
        }
    }

    fn counted(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

/// Starts a server on loopback, with TLS where a certificate is given.
async fn start(tls: Option<TlsAcceptor>) -> (SocketAddr, Arc<Server>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Server::default());
    let own = Arc::clone(&server);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, tls) = (Arc::clone(&own), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => server.serve(stream).await,
                    Some(tls) => server.serve(tls.accept(stream).await.ok()?).await,
                }
            });
        }
    });
    (address, server)
}

fn certificate(name: &str) -> (TlsAcceptor, CertificateDer<'static>) {
    let made = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), made.cert.der().clone())
}

fn caller(networks: &[&str], authorities: Option<Vec<CertificateDer<'static>>>) -> Caller {
    let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
    // None believed: a system without certificate authorities is no concern of these tests.
    let authorities = Some(authorities.unwrap_or_default());
    Caller::new(&Reach { networks, authorities }).unwrap()
}

async fn call(caller: &Caller, url: &str) -> Result<Response<Bytes>, CallFault> {
    let request = Request::post(url).body(Bytes::from_static(b"body")).unwrap();
    caller.call(request, LONG, 1000).await
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_named() {
    let (address, server) = start(None).await;
    let (port, nobody) = (address.port(), caller(&[], None));
    let elsewhere = caller(&["10.0.0.0/8"], None);
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
        for url in [format!("https://{host}:{port}/"), format!("http://{host}:{port}/")] {
            for caller in [&nobody, &elsewhere] {
                assert_eq!(
                    call(caller, &url).await.unwrap_err(),
                    CallFault::AddressRefused,
                    "{url}"
                );
            }
        }
    }
    let metadata = call(&elsewhere, "http://169.254.169.254/latest/meta-data").await;
    assert_eq!(metadata.unwrap_err(), CallFault::AddressRefused);
    assert_eq!(server.counted(), (0, 0));
}

#[tokio::test]
async fn a_network_allows_an_address() {
    let (address, _) = start(None).await;
    let caller = caller(&["127.0.0.0/8"], None);
    let answer = call(&caller, &format!("http://{address}/a?b")).await.unwrap();
    assert_eq!(answer.body(), &format!("0 {address} 4"));
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", address.port());
    assert_eq!(call(&caller, &mapped).await.unwrap().status(), 200);
}

#[tokio::test]
async fn plain_http_goes_to_named_networks_only() {
    let caller = caller(&["10.0.0.0/8"], None);
    // A public address, which would do with TLS. Nothing is sent to it: it is refused before.
    let refused = call(&caller, "http://8.8.8.8/").await.unwrap_err();
    assert_eq!(refused, CallFault::AddressRefused);
    let reach = |networks: &[&str]| Reach {
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        authorities: None,
    };
    let callable = |url: &str, reach: &Reach| is_callable(&url.parse().unwrap(), reach);
    let (none, some) = (reach(&[]), reach(&["10.0.0.0/8"]));
    assert!(callable("https://shop.example/x", &none) && callable("http://10.0.0.1:80/", &some));
    assert!(!callable("http://10.0.0.1/", &none));
    for url in ["https://user@shop.example/", "https://u:p@shop.example/", "ftp://shop.example/"] {
        assert!(!callable(url, &some), "{url}");
    }
    assert!(!callable("/path", &some) && !callable("shop.example:443", &some));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (address, server) = start(None).await;
    let caller = caller(&["127.0.0.0/8"], None);
    let answer = call(&caller, &format!("http://{address}/redirect")).await.unwrap();
    assert_eq!((answer.status().as_u16(), server.counted()), (302, (1, 1)));
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let (address, server) = start(None).await;
    let caller = caller(&["127.0.0.0/8"], None);
    for path in ["hang", "slow-end"] {
        let request = Request::get(format!("http://{address}/{path}")).body(Bytes::new()).unwrap();
        let begun = Instant::now();
        let fault = caller.call(request, Duration::from_millis(300), 1000).await.unwrap_err();
        assert_eq!(fault, CallFault::TimedOut, "{path}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    // What was given up is no connection for the next call.
    assert!(call(&caller, &format!("http://{address}/")).await.unwrap().body().starts_with(b"2 "));
    assert_eq!(server.counted(), (3, 3));
}

#[tokio::test]
async fn what_may_have_arrived_is_not_sent_again() {
    let (address, server) = start(None).await;
    let caller = caller(&["127.0.0.0/8"], None);
    call(&caller, &format!("http://{address}/")).await.unwrap();
    for (path, sent) in [("close", 2), ("cut", 3), ("nonsense", 4)] {
        let fault = call(&caller, &format!("http://{address}/{path}")).await.unwrap_err();
        assert_eq!((fault, server.counted().1), (CallFault::Broke, sent), "{path}");
    }
}

#[tokio::test]
async fn long_answers_are_not_read_to_their_end() {
    let (address, _) = start(None).await;
    let caller = caller(&["127.0.0.0/8"], None);
    for path in ["told-long", "long"] {
        let fault = call(&caller, &format!("http://{address}/{path}")).await.unwrap_err();
        assert_eq!(fault, CallFault::TooLong, "{path}");
    }
}

#[tokio::test]
async fn connections_are_used_again_over_tls() {
    let (tls, authority) = certificate("localhost");
    let (address, server) = start(Some(tls)).await;
    let caller = caller(&["127.0.0.0/8"], Some(vec![authority]));
    let url = format!("https://localhost:{}/", address.port());
    for _ in 0..3 {
        let answer = call(&caller, &url).await.unwrap();
        assert_eq!(answer.body(), &format!("0 localhost:{} 4", address.port()));
    }
    assert_eq!(server.counted(), (1, 3));
}

#[tokio::test]
async fn a_connection_that_ended_meanwhile_costs_no_call() {
    let (address, server) = start(None).await;
    let caller = caller(&["127.0.0.0/8"], None);
    for times in 1..=5 {
        let answer = call(&caller, &format!("http://{address}/once")).await.unwrap();
        assert_eq!((answer.status().as_u16(), server.counted().1), (200, times));
        // The end of the connection has to arrive: without that the next call may break off.
        while server.counted().0 < times {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn certificates_that_nobody_vouches_for_are_refused() {
    let (tls, authority) = certificate("localhost");
    let (address, server) = start(Some(tls)).await;
    let strange = caller(&["127.0.0.0/8"], Some(vec![certificate("localhost").1]));
    let other_name = caller(&["127.0.0.0/8"], Some(vec![authority]));
    let port = address.port();
    for (caller, host) in [(&strange, "localhost"), (&other_name, "127.0.0.1")] {
        let fault = call(caller, &format!("https://{host}:{port}/")).await.unwrap_err();
        assert_eq!(fault, CallFault::Tls, "{host}");
    }
    assert_eq!(server.counted().1, 0);
    let (plain, _) = start(None).await;
    let fault = call(&other_name, &format!("https://localhost:{}/", plain.port())).await;
    assert_eq!(fault.unwrap_err(), CallFault::Tls);
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let caller = caller(&["127.0.0.0/8"], None);
    let fault = call(&caller, &format!("http://{address}/")).await.unwrap_err();
    assert_eq!(fault, CallFault::Unreachable);
    // No name has a part as long as this: nobody has to be asked.
    let nowhere = format!("https://{}.invalid/", "x".repeat(64));
    let fault = call(&caller, &nowhere).await.unwrap_err();
    assert_eq!(fault, CallFault::NoAddress);
}

#[tokio::test]
async fn a_connection_has_to_stand_within_half_of_the_deadline() {
    // It takes connections, and never speaks TLS.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let caller = caller(&["127.0.0.0/8"], None);
    let request = Request::get(format!("https://{address}/")).body(Bytes::new()).unwrap();
    let begun = Instant::now();
    let fault = caller.call(request, Duration::from_secs(2), 1000).await.unwrap_err();
    assert_eq!(fault, CallFault::Unreachable);
    assert!(begun.elapsed() < Duration::from_millis(1900), "{:?}", begun.elapsed());
}

#[test]
fn an_authority_that_is_none_is_refused() {
    let authorities = Some(vec![CertificateDer::from(vec![1, 2, 3])]);
    let refused = Caller::new(&Reach { networks: Vec::new(), authorities });
    assert!(matches!(refused, Err(OutboundFault::Authority(_))));
}
