use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Client, ClientFault, Options, Protocol, Trust, TrustFault};

/// A server that says how it was asked, and a client that believes its certificate.
async fn server(alpn: &[&[u8]]) -> (SocketAddr, Client) {
    let made =
        generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let client = Client::trusting(&file).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, from) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request| answer(request, from.ip()));
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let io = TokioIo::new(stream);
                let _ = if http2 {
                    http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
                } else {
                    http1::Builder::new().serve_connection(io, service).await
                };
            });
        }
    });
    (address, client)
}

async fn answer(
    request: Request<Incoming>,
    from: IpAddr,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if head.uri.path() == "/silent" {
        std::future::pending::<()>().await;
    }
    let host = head.headers.get("host").map(|host| host.to_str().unwrap().to_owned());
    let text = format!("{:?} {} {from} {host:?} {}", head.method, head.uri, body.len());
    Ok(Response::new(Full::from(text)))
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

fn to(address: SocketAddr) -> Options {
    Options { connect: Some(address), ..Options::default() }
}

#[tokio::test]
async fn http1_has_a_host_and_a_bare_target() {
    let (address, client) = server(&[b"h2", b"http/1.1"]).await;
    let options = Options { protocol: Protocol::Http1, ..to(address) };
    let request = Request::post("https://localhost:8443/v1/a?b=%20").body("abc".into()).unwrap();
    let answer = client.send(request, &options).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_11);
    let expected = "POST /v1/a?b=%20 127.0.0.1 Some(\"localhost:8443\") 3";
    assert_eq!(answer.body(), expected);
}

#[tokio::test]
async fn http2_has_an_authority() {
    let (address, client) = server(&[b"h2", b"http/1.1"]).await;
    let answer = client.send(get("https://localhost/v1"), &to(address)).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(answer.body(), "GET https://localhost/v1 127.0.0.1 None 0");
}

#[tokio::test]
async fn a_server_without_http2_is_told_from_one_with_it() {
    let (address, client) = server(&[]).await;
    let answer = client.send(get("https://localhost/"), &to(address)).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_11);
    let options = Options { protocol: Protocol::Http2, ..to(address) };
    let fault = client.send(get("https://localhost/"), &options).await.unwrap_err();
    assert!(matches!(fault, ClientFault::NoHttp2(host) if host == "localhost"));
}

#[tokio::test]
async fn a_connection_comes_from_where_it_should() {
    let (address, client) = server(&[b"http/1.1"]).await;
    let options = Options { local: Some(Ipv4Addr::new(127, 0, 0, 2).into()), ..to(address) };
    let answer = client.send(get("https://127.0.0.1/"), &options).await.unwrap();
    assert!(answer.body().starts_with(b"GET / 127.0.0.2 "));
    let options = Options { local: Some(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)), ..to(address) };
    let fault = client.send(get("https://127.0.0.1/"), &options).await.unwrap_err();
    assert!(matches!(fault, ClientFault::Resolve { .. }));
}

#[tokio::test]
async fn strangers_are_not_believed() {
    let (address, _) = server(&[b"h2"]).await;
    let (_, other) = server(&[b"h2"]).await;
    let fault = other.send(get("https://localhost/"), &to(address)).await.unwrap_err();
    assert!(matches!(fault, ClientFault::Tls { .. }), "{fault:?}");
    let (address, client) = server(&[b"h2"]).await;
    let fault = client.send(get("https://example.com/"), &to(address)).await.unwrap_err();
    assert!(matches!(fault, ClientFault::Tls { .. }), "{fault:?}");
}

#[tokio::test]
async fn answers_are_bounded_in_time_and_size() {
    let (address, client) = server(&[b"h2"]).await;
    let options = Options { deadline: Duration::from_millis(50), ..to(address) };
    let fault = client.send(get("https://localhost/silent"), &options).await.unwrap_err();
    assert!(matches!(fault, ClientFault::TimedOut(_)));
    let options = Options { answer_bytes_max: 5, ..to(address) };
    let fault = client.send(get("https://localhost/"), &options).await.unwrap_err();
    assert!(matches!(fault, ClientFault::Answer(_)));
    let fault = client.send(get("http://localhost/"), &to(address)).await.unwrap_err();
    assert!(matches!(fault, ClientFault::Url(_)));
}

#[test]
fn files_without_certificates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.pem");
    std::fs::write(&file, "nothing").unwrap();
    assert!(matches!(Client::trusting(&file).unwrap_err(), TrustFault::Empty(_)));
    let fault = Client::new(&Trust::File("/nowhere.pem".into())).unwrap_err();
    assert!(fault.to_string().starts_with("/nowhere.pem: "));
}
