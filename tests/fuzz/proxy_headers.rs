//! PROXY headers, altered: what the gate makes of them, over real sockets, against a second reading
//! of proxy-protocol.txt that has all bytes at hand and knows nothing of sockets.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use countersign::serve::proxy_header;
use regex::Regex;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::rounds;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const WORDS: [&str; 18] = [
    "PROXY ",
    "UNKNOWN",
    "TCP4",
    "TCP6",
    " ",
    "\r\n",
    "\n",
    "0",
    "65536",
    "::ffff:0.0.0.0",
    "::1",
    "224.0.0.1",
    "255.255.255.255",
    "\r\n\r\n\0\r\nQUIT\n",
    "\x20\x00\x00\x00",
    "\x21\x11\x00\x0c",
    "\x21\x21\x00\x24",
    "\x0f\u{7f}",
];

fn whole() -> Vec<Vec<u8>> {
    let binary = |fixed: [u8; 4], rest: &[u8]| [SIGNATURE, &fixed, rest].concat();
    let v6 = [&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0xfd; 20]].concat();
    vec![
        b"PROXY TCP4 203.0.113.7 10.0.0.1 50000 443\r\n\x16\x03\x01".to_vec(),
        b"PROXY TCP6 2001:db8::7 fd00::1 50000 443\r\n\x16\x03\x01".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff:f ffff:f 65535 65535\r\n\x16\x03\x01".to_vec(),
        binary([0x21, 0x11, 0, 12], &[203, 0, 113, 7, 10, 0, 0, 1, 195, 80, 1, 187, 0x16, 3, 1]),
        binary([0x21, 0x11, 0, 15], &[203, 0, 113, 7, 10, 0, 0, 1, 195, 80, 1, 187, 4, 0, 0]),
        binary([0x21, 0x21, 0, 36], &v6),
        binary([0x20, 0, 0, 0], b"\x16\x03\x01"),
    ]
}

/// Whether somebody can have opened a connection from here.
fn possible(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !ip.is_broadcast() && !ip.is_multicast() && ip.octets() != [0; 4],
        IpAddr::V6(ip) => !ip.is_multicast() && ip.segments() != [0; 8],
    }
}

/// What bytes that end here say, and how many of them are the header; nothing where they are none.
fn meaning(bytes: &[u8], line: &Regex) -> Option<(Option<SocketAddr>, usize)> {
    if bytes.starts_with(SIGNATURE) {
        let (&[command, family, high, low], rest) = bytes[12..].split_first_chunk::<4>()?;
        let length = usize::from(high) * 256 + usize::from(low);
        let rest = rest.get(..length).filter(|_| length <= 4080)?;
        let client = match (command, family) {
            (0x20, _) | (0x21, 0) => return Some((None, 16 + length)),
            (0x21, 0x11) if length >= 12 => {
                let ip = Ipv4Addr::from(<[u8; 4]>::try_from(&rest[..4]).unwrap());
                SocketAddr::from((ip, u16::from(rest[8]) << 8 | u16::from(rest[9])))
            }
            (0x21, 0x21) if length >= 36 => {
                let ip = Ipv6Addr::from(<[u8; 16]>::try_from(&rest[..16]).unwrap());
                SocketAddr::from((ip, u16::from(rest[32]) << 8 | u16::from(rest[33])))
            }
            _ => return None,
        };
        return possible(client.ip()).then_some((Some(client), 16 + length));
    }
    let end = bytes.iter().take(107).position(|byte| *byte == b'\n')? + 1;
    let found = line.captures(std::str::from_utf8(&bytes[..end]).ok()?)?;
    let Some(family) = found.get(1) else { return Some((None, end)) };
    let ends = [&found[2], &found[3]].map(|text| match family.as_str() {
        "4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        _ => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
    });
    let [client, _] = [ends[0]?, ends[1]?];
    let (port, _) = (found[4].parse().ok()?, found[5].parse::<u16>().ok()?);
    possible(client).then_some((Some(SocketAddr::new(client, port)), end))
}

#[test]
fn an_altered_proxy_header_is_read_in_one_way() {
    let port = "(0|[1-9][0-9]{0,4})";
    let address = "([0-9A-Fa-f:.]+)";
    let line =
        format!("^PROXY (?:UNKNOWN(?: [^\n]*)?|TCP([46]) {address} {address} {port} {port})\r\n$");
    let line = Regex::new(&line).unwrap();
    let (whole, mut headers) = (whole(), 0);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let listens = listener.local_addr().unwrap();
    rounds::run("PROXY headers", |random| {
        let sent = random.pick(&whole).clone();
        let sent = if random.one_in(20) { sent } else { random.bytes(&sent, &WORDS) };
        let mut client = std::net::TcpStream::connect(listens).unwrap();
        client.write_all(&sent).unwrap();
        drop(client);
        let (read, left) = runtime.block_on(async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let read = proxy_header::read(&mut tcp).await;
            let mut left = Vec::new();
            tcp.read_to_end(&mut left).await.unwrap();
            (read, left)
        });
        let taken = sent.len() - left.len();
        assert!(taken <= 4096 && sent.ends_with(&left), "{taken} of {sent:?}");
        match (meaning(&sent, &line), read) {
            (Some((client, length)), Ok(read)) => {
                assert_eq!((read, taken), (client, length), "{sent:?}");
                headers += 1;
            }
            (None, Err(_)) => {}
            (meant, read) => panic!("{meant:?}, {read:?}: {sent:?}"),
        }
    });
    assert!(headers > 0, "some must be headers");
}
