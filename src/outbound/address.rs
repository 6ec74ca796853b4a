//! Which addresses are of the public internet (IANA registries of special-purpose addresses, RFC
//! 6890, and what was added to them since).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// IPv4 networks that are not of the public internet.
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    // Between a provider and its customers (RFC 6598).
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // Link-local, and where clouds tell machines their secrets.
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    // Relays of 6to4, given up (RFC 7526).
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    // Benchmarks (RFC 2544).
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Multicast, and what stands beside it for ever: some machines take it for themselves.
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v4([255, 255, 255, 255], 32),
];

/// The part of IPv6 that is given out for the public internet (RFC 4291, section 2.4). Loopback,
/// mapped and compatible addresses, unique local, link-local and multicast ones lie outside.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Networks in [`GLOBAL_V6`] that are not of the public internet.
const NOT_PUBLIC_V6: [Ipv6Net; 3] = [
    // For protocols (RFC 2928): benchmarks, ORCHID, anycast. Nobody's service is there.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    // Documentation, old and new.
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// IPv4 behind NAT64 (RFC 6052, section 2.1).
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
/// IPv4 behind 6to4 (RFC 3056).
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
/// IPv4 behind Teredo (RFC 4380).
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32);

const fn v4(octets: [u8; 4], bits: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(parts: [u16; 8], bits: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = parts;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits)
}

/// Whether an address is of the public internet, and leads to nothing else.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether one of some networks holds an address. An IPv4 address in the clothes of an IPv6 one
/// counts as what it is.
pub(super) fn is_among(address: IpAddr, networks: &[IpNet]) -> bool {
    let own = address.to_canonical();
    networks.iter().any(|network| network.contains(&address) || network.contains(&own))
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [.., c, d, e, f] = address.octets();
    let last = Ipv4Addr::from([c, d, e, f]);
    if NAT64.contains(&address) {
        return is_public_v4(last);
    }
    let [_, _, a, b, c, d, ..] = address.octets();
    if SIX_TO_FOUR.contains(&address) {
        return is_public_v4(Ipv4Addr::from([a, b, c, d]));
    }
    if TEREDO.contains(&address) {
        let [.., a, b, c, d, _, _, _, _, _, _, _, _] = address.octets();
        let server = Ipv4Addr::from([a, b, c, d]);
        // The client's address stands there with every bit turned.
        let client = Ipv4Addr::from_bits(!last.to_bits());
        return is_public_v4(server) && is_public_v4(client);
    }
    GLOBAL_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn what_is_not_of_the_internet_is_known() {
        let refused = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 \
            127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 \
            192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 198.51.100.7 \
            203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
            :: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 ::8.8.8.8 fc00::1 fd00:ec2::254 \
            fe80::1 febf::1 fec0::1 ff02::1 100::1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 \
            64:ff9b:1::8.8.8.8 2001:db8::1 3fff::1 2001:2::1 2001:10::1 2001:20::1 5f00::1 \
            2002:a00:1::1 2002:7f00:1::1 2002:a9fe:a9fe::1 2001:0:a00:1:0:0:f7f7:f7f7 \
            2001:0:808:808:0:0:80ff:fffe 2001:0:808:808:0:0:f5ff:fffe";
        for text in refused.split_whitespace() {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn what_is_of_the_internet_passes() {
        let passed = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 \
            126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 \
            192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 \
            2606:4700::1111 2a00:1450::1 2001:4860::8888 64:ff9b::8.8.8.8 2002:808:808::1 \
            2001:0:808:808:0:0:f7f7:f7f7";
        for text in passed.split_whitespace() {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn a_network_holds_an_address_however_it_is_written() {
        let networks = ["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let among = |text: &str| is_among(text.parse().unwrap(), &networks);
        assert!(among("10.1.2.3") && among("::ffff:10.1.2.3") && among("fd12::1"));
        assert!(!among("10.2.0.1") && !among("::ffff:10.2.0.1") && !among("::1"));
        assert!(!is_among("10.1.2.3".parse().unwrap(), &[]));
    }
}
