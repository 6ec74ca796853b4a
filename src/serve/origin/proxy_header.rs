//! The PROXY header that a balancer sends before anything else, in its versions 1 (text) and 2
//! (binary), as HAProxy's proxy-protocol.txt states them.
//!
//! Not one byte beyond the header is taken from the socket: what follows is the client's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::limit::KIB;

/// Begins version 2 (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Begins version 1 (section 2.1).
const WORD: &[u8; 6] = b"PROXY ";
/// The longest line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;
/// The longest header of version 2, with all that is beside the addresses and is not read.
const HEADER_BYTES_MAX: usize = 4 * KIB;
/// What stands before the addresses in version 2.
const FIXED_BYTES: usize = SIGNATURE.len() + 4;

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// The connection ended before its first byte.
    Closed,
    /// It is no header, or none of a TCP connection between IP addresses.
    Broken,
}

/// Whether bytes begin as a header does, where none may stand.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(WORD) || bytes.starts_with(&SIGNATURE)
}

/// Reads a header and tells whose the connection is; nothing where the balancer speaks for itself
/// (`LOCAL`) or does not know (`UNKNOWN`, `UNSPEC`). The caller sets the deadline.
///
/// # Errors
/// When what comes is no header; the connection is of no use then.
pub async fn read(tcp: &mut TcpStream) -> Result<Option<SocketAddr>, HeaderFault> {
    // No header of either version is shorter.
    let mut begin = [0; SIGNATURE.len()];
    let first = tcp.read(&mut begin).await.unwrap_or_default();
    if first == 0 {
        return Err(HeaderFault::Closed);
    }
    let broken = |_: io::Error| HeaderFault::Broken;
    // What cannot become a header is not waited for.
    let begun = begin.get(..first).unwrap_or_default();
    if !WORD.starts_with(begun) && !begins(begun) && !SIGNATURE.starts_with(begun) {
        return Err(HeaderFault::Broken);
    }
    tcp.read_exact(begin.get_mut(first..).unwrap_or_default()).await.map_err(broken)?;
    if begin == SIGNATURE {
        return read_binary(tcp).await;
    }
    if !begin.starts_with(WORD) {
        return Err(HeaderFault::Broken);
    }
    let line = read_line(tcp, &begin).await.map_err(broken)?;
    let text = line.as_deref().and_then(|line| std::str::from_utf8(line).ok());
    text.and_then(text_client).ok_or(HeaderFault::Broken)
}

/// The rest of a line that begins so, without its end; none where it has no end in time.
async fn read_line(tcp: &mut TcpStream, begin: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut line = begin.to_vec();
    while line.len() < LINE_BYTES_MAX {
        // Looked at before it is taken, so that the client's first bytes stay in the socket.
        let mut ahead = [0; LINE_BYTES_MAX];
        let room = ahead.get_mut(line.len()..).unwrap_or_default();
        let seen = tcp.peek(room).await?;
        let seen = room.get(..seen).unwrap_or_default();
        let end = seen.iter().position(|byte| *byte == b'\n');
        let mut piece = vec![0; end.map_or(seen.len(), |end| end + 1)];
        if piece.is_empty() {
            return Ok(None);
        }
        tcp.read_exact(&mut piece).await?;
        line.extend(piece);
        if end.is_some() {
            return Ok(line.strip_suffix(b"\r\n").map(<[u8]>::to_vec));
        }
    }
    Ok(None)
}

/// Whose the connection is by a line of version 1, without its end.
fn text_client(line: &str) -> Option<Option<SocketAddr>> {
    let rest = line.strip_prefix("PROXY ")?;
    // What follows is to be ignored.
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = rest.split(' ');
    let (family, source, target) = (words.next()?, words.next()?, words.next()?);
    let (source_port, target_port) = (words.next()?, words.next()?);
    let (source, target): (IpAddr, IpAddr) = match family {
        "TCP4" => {
            (source.parse::<Ipv4Addr>().ok()?.into(), target.parse::<Ipv4Addr>().ok()?.into())
        }
        "TCP6" => {
            (source.parse::<Ipv6Addr>().ok()?.into(), target.parse::<Ipv6Addr>().ok()?.into())
        }
        _ => return None,
    };
    let (port, _) = (port(source_port)?, port(target_port)?);
    let ends = words.next().is_none() && is_client(source) && target.is_ipv4() == source.is_ipv4();
    ends.then_some(Some(SocketAddr::new(source, port)))
}

/// Decimal digits without leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| plain)
}

async fn read_binary(tcp: &mut TcpStream) -> Result<Option<SocketAddr>, HeaderFault> {
    let broken = |_: io::Error| HeaderFault::Broken;
    let mut fixed = [0; 4];
    tcp.read_exact(&mut fixed).await.map_err(broken)?;
    let [command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > HEADER_BYTES_MAX - FIXED_BYTES {
        return Err(HeaderFault::Broken);
    }
    let mut rest = vec![0; length];
    tcp.read_exact(&mut rest).await.map_err(broken)?;
    binary_client(command, family, &rest).ok_or(HeaderFault::Broken)
}

/// Whose the connection is by version 2: version and command, family and transport, and what
/// follows the length. Addresses come first; the rest is not read.
fn binary_client(command: u8, family: u8, rest: &[u8]) -> Option<Option<SocketAddr>> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    const UNSPEC: u8 = 0x00;
    const TCP_OVER_IPV4: u8 = 0x11;
    const TCP_OVER_IPV6: u8 = 0x21;
    let (source, ports): (IpAddr, &[u8]) = match (command, family) {
        (LOCAL, _) | (PROXY, UNSPEC) => return Some(None),
        (PROXY, TCP_OVER_IPV4) => {
            let (addresses, ports) = rest.split_first_chunk::<8>()?;
            (addresses.first_chunk::<4>().copied()?.into(), ports)
        }
        (PROXY, TCP_OVER_IPV6) => {
            let (addresses, ports) = rest.split_first_chunk::<32>()?;
            (addresses.first_chunk::<16>().copied()?.into(), ports)
        }
        _ => return None,
    };
    let port = u16::from_be_bytes(*ports.first_chunk::<4>()?.first_chunk::<2>()?);
    is_client(source).then_some(Some(SocketAddr::new(source, port)))
}

/// Whether somebody can have this address who opened a connection.
fn is_client(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::from(Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests;
