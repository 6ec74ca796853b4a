//! What it means to list balancers and proxies: who can then be anybody.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::fault::{Note, Weight};
use crate::peer::Networks;
use crate::serve::Origins;

/// The shortest prefix of a network of public addresses that may be somebody's own balancers.
const PUBLIC_IPV4_BITS_MIN: u8 = 16;
/// The same of IPv6: what one customer of a provider is given at most.
const PUBLIC_IPV6_BITS_MIN: u8 = 32;

/// Every note about who stands in front.
pub(in super::super) fn notes(origins: &Origins) -> Vec<Note> {
    let balancers = origins.proxy_protocol.as_ref().map(|protocol| &protocol.from);
    let balancers = balancers.into_iter().flat_map(|from| {
        believed(
            "listener.proxy_protocol.from",
            from,
            "begin every connection by saying whose it is, and are believed",
        )
    });
    let proxies = &origins.trusted_proxies;
    let said = "are believed about whose a request is";
    balancers.chain(believed("listener.trusted_proxies", proxies, said)).collect()
}

fn believed(key: &str, networks: &Networks, said: &str) -> Vec<Note> {
    let all: Vec<String> = networks.iter().map(shown).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let note = |weight, text| Note { weight, key: key.to_owned(), text };
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let believed = note(
        Weight::Information,
        format!(
            "{} {said}: whoever can connect from there can be any client, to rules about \
             addresses, to limits and in the log; signatures hold all the same",
            super::listed(&names)
        ),
    );
    let wide = networks.iter().filter(|network| is_wide(network)).map(|network| {
        let text = format!(
            "{network} is far more than your own machines: everybody there can be any client; \
             name the addresses of the balancers"
        );
        note(Weight::Warning, text)
    });
    std::iter::once(believed).chain(wide).collect()
}

/// A network, or the one address in it.
fn shown(network: &IpNet) -> String {
    match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    }
}

/// Whether a network has addresses of strangers, by its size. Private networks are one's own.
fn is_wide(network: &IpNet) -> bool {
    let private = match (network.network(), network.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            [first, last].iter().all(|ip| ip.is_private() || ip.is_loopback() || is_shared(*ip))
                && network.prefix_len() >= 8
        }
        (IpAddr::V6(first), _) => {
            first.is_unique_local() && network.prefix_len() >= 7 || first.is_loopback()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    };
    let least = match network {
        IpNet::V4(_) => PUBLIC_IPV4_BITS_MIN,
        IpNet::V6(_) => PUBLIC_IPV6_BITS_MIN,
    };
    !private && network.prefix_len() < least
}

/// Addresses that a provider shares out behind his own network (RFC 6598).
fn is_shared(ip: std::net::Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_networks_are_ones_own_and_large_public_ones_are_not() {
        let wide = |text: &str| is_wide(&text.parse().unwrap());
        for own in ["10.0.0.0/8", "172.16.0.0/12", "127.0.0.0/8", "100.64.0.0/10", "fd00::/8"] {
            assert!(!wide(own), "{own}");
        }
        for small in ["203.0.113.7/32", "203.0.0.0/16", "::1/128", "2001:db8::/32", "fe80::/64"] {
            assert!(!wide(small), "{small}");
        }
        for large in ["0.0.0.0/1", "128.0.0.0/1", "203.0.0.0/15", "8.0.0.0/6", "::/1", "2000::/3"] {
            assert!(wide(large), "{large}");
        }
    }
}
