//! From an accepted socket to a TLS connection, or a short word to a client that speaks plain HTTP.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::clients;
use super::issued::Proofs;
use super::origin::proxy_header;
use super::pulse::Pulse;
use super::stream::Metered;
use crate::limit::KIB;
use crate::telemetry::connections::HandshakeFault;

/// The first byte of every TLS connection: a record of type `handshake` (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Bytes that are read, and thrown away, from a client that speaks plain HTTP.
const DISCARDED_BYTES_MAX: usize = 64 * KIB;

const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: application/problem+json\r\n\
    Content-Length: 115\r\n\
    Connection: close\r\n\
    \r\n\
    {\"type\":\"about:blank\",\"title\":\"This port speaks TLS: use https\",\"status\":400,\
    \"code\":\"bad_request\",\"forwarded\":\"no\"}";

/// Makes a TLS connection; none where an authority only asked for a proof. The caller sets the
/// deadline.
pub(super) async fn open(
    mut tcp: TcpStream,
    config: Arc<ServerConfig>,
    proofs: &Proofs,
    pulse: Rc<Pulse>,
) -> Result<Option<TlsStream<Metered>>, HandshakeFault> {
    let mut first = [0];
    match tcp.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(HandshakeFault::Closed),
        Ok(_) => {}
    }
    match first {
        [TLS_HANDSHAKE] => {}
        [b'P' | b'\r'] if says_whose_it_is(&tcp).await => return Err(HandshakeFault::ProxyHeader),
        [byte] if byte.is_ascii_alphabetic() => {
            // The client may be gone already; it is counted as what it is either way.
            let _ = answer_plain_http(&mut tcp).await;
            return Err(HandshakeFault::PlainHttp);
        }
        _ => return Err(HandshakeFault::Tls),
    }
    let line = Metered::new(tcp, pulse);
    let accepted = match proofs.are_under_way() {
        false => TlsAcceptor::from(config).accept(line).await.map(Some),
        // Boxed, so that it takes no room in the handshakes of all others.
        true => Box::pin(open_or_prove(line, config, proofs)).await,
    };
    accepted.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            clients::fault_of(&error).map_or(HandshakeFault::Tls, HandshakeFault::Certificate)
        }
        _ => HandshakeFault::Closed,
    })
}

/// Looks at what the client asks for first. Who asked for a proof has it with the handshake, and
/// nothing else is said (RFC 8737, section 3).
async fn open_or_prove(
    line: Metered,
    config: Arc<ServerConfig>,
    proofs: &Proofs,
) -> io::Result<Option<TlsStream<Metered>>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), line).await?;
    let Some(proof) = proofs.answer(&start.client_hello()) else {
        return start.into_stream(config).await.map(Some);
    };
    let mut proved = start.into_stream(proof).await?;
    // The authority has seen what it wanted, and may be gone already.
    let _ = proved.shutdown().await;
    Ok(None)
}

/// Whether a PROXY header stands here: where it may, it is taken before anybody looks.
async fn says_whose_it_is(tcp: &TcpStream) -> bool {
    let mut first = [0; 12];
    let seen = tcp.peek(&mut first).await.unwrap_or_default();
    proxy_header::begins(first.get(..seen).unwrap_or_default())
}

/// Answers, and reads on so that the answer is not lost to a reset.
async fn answer_plain_http(tcp: &mut TcpStream) -> io::Result<()> {
    tcp.write_all(PLAIN_HTTP_ANSWER).await?;
    tcp.shutdown().await?;
    let mut discarded = [0; 512];
    let mut bytes = 0;
    while bytes < DISCARDED_BYTES_MAX {
        match tcp.read(&mut discarded).await? {
            0 => break,
            more => bytes += more,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_states_its_length() {
        let text = std::str::from_utf8(PLAIN_HTTP_ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["code"], "bad_request");
    }
}
