//! Connections from addresses of this machine, with bytes before TLS.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::request::HOST;
use crate::support::tls;

/// The address that tests list as a balancer or a proxy.
pub(crate) const LISTED: [u8; 4] = [127, 0, 0, 9];
/// The same as configuration writes it.
pub(crate) const LISTED_TEXT: &str = "\"127.0.0.9\"";

/// A connection from an address of this machine.
pub(crate) fn tcp(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let socket: TcpStream = socket.into();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// An HTTP/1.1 client from an address, whose connection begins with these bytes.
pub(crate) fn try_client(source: [u8; 4], gateway: &Gateway, first: &[u8]) -> Option<Client> {
    let mut socket = tcp(source, gateway.address);
    socket.write_all(first).ok()?;
    Client::over(socket, HOST, tls::client(&["http/1.1"], rustls::ALL_VERSIONS)).ok()
}

/// The same, which must get through.
pub(crate) fn client(source: [u8; 4], gateway: &Gateway, first: &[u8]) -> Client {
    try_client(source, gateway, first).expect("handshake")
}

/// The same over HTTP/2.
pub(crate) fn http2(source: [u8; 4], gateway: &Gateway, first: &[u8]) -> Http2 {
    let mut socket = tcp(source, gateway.address);
    socket.write_all(first).unwrap();
    Http2::over(socket, HOST)
}
