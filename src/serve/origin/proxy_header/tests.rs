//! A header as it is read: its cases one by one, and properties over whatever can come in.

use std::future::poll_fn;
use std::io::Write as _;
use std::task::Poll;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;

fn text(line: &str) -> Option<Option<String>> {
    text_client(line).map(|client| client.map(|address| address.to_string()))
}

#[test]
fn lines_of_version_1() {
    let client = |address: &str| Some(Some(address.to_owned()));
    assert_eq!(text("PROXY TCP4 203.0.113.7 10.0.0.1 4711 443"), client("203.0.113.7:4711"));
    assert_eq!(text("PROXY TCP6 2001:db8::7 ::1 0 443"), client("[2001:db8::7]:0"));
    assert_eq!(text("PROXY UNKNOWN"), Some(None));
    assert_eq!(text("PROXY UNKNOWN ffff:f ffff:f 65535 65535"), Some(None));
    for bad in [
        "",
        "PROXY",
        "PROXY UNKNOWNS",
        "PROXY UDP4 203.0.113.7 10.0.0.1 4711 443",
        "PROXY TCP4 203.0.113.7 10.0.0.1 4711",
        "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443 1",
        "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443 ",
        "PROXY TCP4  203.0.113.7 10.0.0.1 4711 443",
        "PROXY TCP4 203.0.113.07 10.0.0.1 4711 443",
        "PROXY TCP4 203.0.113.7 10.0.0.1 +4711 443",
        "PROXY TCP4 203.0.113.7 10.0.0.1 04711 443",
        "PROXY TCP4 203.0.113.7 10.0.0.1 65536 443",
        "PROXY TCP4 203.0.113.7 2001:db8::1 4711 443",
        "PROXY TCP4 2001:db8::7 2001:db8::1 4711 443",
        "PROXY TCP4 0.0.0.0 10.0.0.1 4711 443",
        "PROXY TCP6 203.0.113.7 10.0.0.1 4711 443",
        "PROXY TCP6 ff02::1 ::1 4711 443",
        "PROXY tcp4 203.0.113.7 10.0.0.1 4711 443",
    ] {
        assert_eq!(text(bad), None, "{bad}");
    }
}

#[test]
fn headers_of_version_2() {
    let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 187];
    let with_more = [&v4[..], &[4, 0, 1, 0]].concat();
    let client = binary_client(0x21, 0x11, &with_more).unwrap().unwrap();
    assert_eq!(client.to_string(), "203.0.113.7:4711");
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    v6[15] = 7;
    let client = binary_client(0x21, 0x21, &v6).unwrap().unwrap();
    assert_eq!(client.to_string(), "[2001:db8::7]:0");
    for (command, family) in [(0x20, 0), (0x20, 0x11), (0x20, 0xff), (0x21, 0)] {
        assert_eq!(binary_client(command, family, &v4), Some(None), "{command} {family}");
    }
    // Another version, another command, datagrams, sockets of the file system.
    let odd = [(0x11, 0x11), (0x22, 0x11), (0x21, 0x12), (0x21, 0x31), (0x21, 0x13)];
    for (command, family) in odd {
        assert_eq!(binary_client(command, family, &v4), None, "{command} {family}");
    }
    assert_eq!(binary_client(0x21, 0x11, &v4[..11]), None);
    assert_eq!(binary_client(0x21, 0x21, &v6[..35]), None);
    assert_eq!(binary_client(0x21, 0x11, &[0; 12]), None, "nobody has this address");
}

/// The socket of a connection over which these bytes came, and its other end.
async fn connection(sent: &[u8]) -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    client.write_all(sent).unwrap();
    (tcp, client)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

/// What comes of these bytes and an end, and what is left in the socket.
fn outcome(sent: &[u8]) -> (Result<Option<SocketAddr>, HeaderFault>, Vec<u8>) {
    block_on(async {
        let (mut tcp, client) = connection(sent).await;
        drop(client);
        let read = read(&mut tcp).await;
        let mut left = Vec::new();
        tcp.read_to_end(&mut left).await.unwrap();
        (read, left)
    })
}

/// An address that somebody can have, with a port.
fn address() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits)));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits)));
    let ip = prop_oneof![v4, v6].prop_filter("somebody's", |ip| is_client(*ip));
    (ip, any::<u16>()).prop_map(SocketAddr::from)
}

/// A header of version 1 as a balancer makes it.
fn line(client: SocketAddr, port: u16) -> Vec<u8> {
    let (family, target) = if client.is_ipv4() { ("TCP4", "10.0.0.1") } else { ("TCP6", "::1") };
    format!("PROXY {family} {} {target} {} {port}\r\n", client.ip(), client.port()).into_bytes()
}

/// A header of version 2, with more behind the addresses.
fn binary(client: SocketAddr, more: &[u8]) -> Vec<u8> {
    let (family, addresses) = match client.ip() {
        IpAddr::V4(ip) => (0x11, [ip.octets(), [10, 0, 0, 1]].concat()),
        IpAddr::V6(ip) => (0x21, [ip.octets(), [0xfd; 16]].concat()),
    };
    let ports = [client.port().to_be_bytes(), [1, 187]].concat();
    let length = u16::try_from(addresses.len() + ports.len() + more.len()).unwrap();
    let fixed = [0x21, family, length.to_be_bytes()[0], length.to_be_bytes()[1]];
    [&SIGNATURE[..], &fixed, &addresses, &ports, more].concat()
}

/// Any header that a balancer makes, and the client that it names.
fn header() -> impl Strategy<Value = (Vec<u8>, Option<SocketAddr>)> {
    let longest = HEADER_BYTES_MAX - FIXED_BYTES - 36;
    let more = prop_oneof![vec(any::<u8>(), 0..64), vec(any::<u8>(), longest)];
    prop_oneof![
        (address(), any::<u16>()).prop_map(|(client, port)| (line(client, port), Some(client))),
        (address(), more).prop_map(|(client, more)| (binary(client, &more), Some(client))),
        "[ -~]{0,89}".prop_map(|text| (format!("PROXY UNKNOWN {text}\r\n").into_bytes(), None)),
        vec(any::<u8>(), 0..300).prop_map(|more| {
            let length = u16::try_from(more.len()).unwrap().to_be_bytes();
            ([&SIGNATURE[..], &[0x20, 0], &length, &more].concat(), None)
        }),
    ]
}

/// Bytes that have something of a header: its beginning, or all of it with some bytes changed.
fn altered() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || vec(any::<u8>(), 0..200);
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    prop_oneof![
        bytes(),
        bytes().prop_map(|rest| [&WORD[..], &rest].concat()),
        "PROXY [A-Z0-9]{0,8}[ -~]{0,120}(\r\n)?.{0,20}".prop_map(String::into_bytes),
        (any::<[u8; 4]>(), vec(any::<u8>(), 0..6000)).prop_map(|(fixed, rest)| [
            &SIGNATURE[..],
            &fixed,
            &rest
        ]
        .concat()),
        (header(), changes).prop_map(|((mut header, _), changes)| {
            for (place, byte) in changes {
                let place = place.index(header.len());
                header[place] = byte;
            }
            header
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// What we would write is read as it was meant, and not one byte more.
    #[test]
    fn a_header_is_read_back((header, client) in header(), rest in vec(any::<u8>(), 0..200)) {
        let (read, left) = outcome(&[&header[..], &rest].concat());
        prop_assert_eq!(read, Ok(client));
        prop_assert_eq!(left, rest);
    }

    /// A header that ends early is none; while it may go on, it is waited for.
    #[test]
    fn a_part_of_a_header_is_none(
        (header, client) in header(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (begun, rest) = header.split_at(cut.index(header.len()));
        let fault = if begun.is_empty() { HeaderFault::Closed } else { HeaderFault::Broken };
        prop_assert_eq!(outcome(begun).0, Err(fault));
        let (early, read) = block_on(async {
            let (mut tcp, mut sender) = connection(begun).await;
            if !begun.is_empty() {
                tcp.readable().await.unwrap();
            }
            let mut reading = Box::pin(read(&mut tcp));
            let early = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await;
            sender.write_all(rest).unwrap();
            (early, reading.await)
        });
        prop_assert!(early.is_pending(), "{early:?}");
        prop_assert_eq!(read, Ok(client));
    }

    /// Whatever comes in: no panic, nothing beyond the longest header is taken, what is left is
    /// what came last, and what is taken for a header has the form of one.
    #[test]
    fn nothing_is_taken_beyond_a_header(sent in altered()) {
        let (read, left) = outcome(&sent);
        prop_assert!(sent.ends_with(&left));
        let taken = &sent[..sent.len() - left.len()];
        let is_line = !taken.starts_with(&SIGNATURE);
        let most = if is_line { LINE_BYTES_MAX } else { HEADER_BYTES_MAX };
        prop_assert!(taken.len() <= most, "{} bytes", taken.len());
        let Ok(client) = read else { return Ok(()) };
        prop_assert!(client.is_none_or(|client| is_client(client.ip())));
        match is_line {
            true => {
                prop_assert!(taken.starts_with(WORD) && taken.ends_with(b"\r\n"));
                prop_assert!(!taken[..taken.len() - 2].contains(&b'\n'));
            }
            false => {
                let length = usize::from(u16::from_be_bytes([taken[14], taken[15]]));
                prop_assert_eq!(taken.len(), FIXED_BYTES + length);
            }
        }
    }
}
