//! Who is at the other end of a connection, as far as sockets and TLS can tell.

mod certificate;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;
use ipnet::IpNet;

pub use certificate::{Bindings, CertificateName, ClientCertificate};

/// The other end of one client connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// As the socket has it, or as a balancer in front names it for the whole connection.
    pub address: SocketAddr,
    /// The client, an IPv4-mapped address as IPv4: the address that rules apply to. It is that of
    /// `address`, or the one that a trusted proxy names for a request.
    pub ip: IpAddr,
    /// The other end of the socket, an IPv4-mapped address as IPv4: the client, or the balancer or
    /// proxy that names it. Only people who look for a fault need it.
    pub socket: IpAddr,
    /// Whether what a trusted proxy says of the client cannot be read in one way. `ip` is then the
    /// proxy, and the request must be refused.
    pub unclear: bool,
    /// The host that the client named in its handshake (RFC 6066, section 3), in lower case.
    pub server_name: Option<Box<str>>,
    /// The names of the certificate that the client was given: by its server name, or the default.
    pub names: CertNames,
    /// The certificate that the other end of the connection showed, where the listener asks for
    /// one. A trusted proxy is the other end: then it is the proxy's.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// `ip` as the value of a header.
    pub forwarded_for: HeaderValue,
}

/// The names that a certificate stands for: host names in lower case, wildcards, and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertNames(Arc<[Box<str>]>);

/// Some networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

impl Networks {
    /// Whether `ip`, which must be canonical, is in one of them.
    pub fn contain(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// The networks themselves.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl Peer {
    /// Which balancer or proxy the client came through, where one named it.
    pub fn via(&self) -> Option<IpAddr> {
        (self.socket != self.ip).then_some(self.socket)
    }

    /// Whether this connection is for a host (without port, an IPv6 address without brackets): the
    /// certificate stands for it, and it is the one that the client named in its handshake, if any.
    pub fn may_ask_for(&self, host: &str) -> bool {
        let named = self.server_name.as_ref();
        named.is_none_or(|name| name.eq_ignore_ascii_case(host)) && self.names.covers(host)
    }
}

impl CertNames {
    /// These names.
    pub fn new(names: Vec<Box<str>>) -> Self {
        Self(names.into())
    }

    /// The names themselves, for instance `api.example.com`, `*.example.com` or `192.0.2.1`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether `host` (without port, an IPv6 address without brackets) is one of them.
    ///
    /// A wildcard stands for exactly one label (RFC 9525, section 6.3).
    pub fn covers(&self, host: &str) -> bool {
        // Nearly always the name as written; the rest need not be quick.
        self.iter().any(|name| name.eq_ignore_ascii_case(host)) || self.covers_otherwise(host)
    }

    fn covers_otherwise(&self, host: &str) -> bool {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return self.iter().any(|name| name.parse() == Ok(ip));
        }
        let Some((label, parent)) = host.split_once('.') else { return false };
        let wildcards = self.iter().filter_map(|name| name.strip_prefix("*."));
        !label.is_empty() && wildcards.into_iter().any(|own| own.eq_ignore_ascii_case(parent))
    }
}

/// An address as the value of a header.
pub fn as_header(ip: IpAddr) -> HeaderValue {
    let text = HeaderValue::try_from(ip.to_string());
    text.unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// The network that counts as one caller: an IPv4 address, or the /64 of an IPv6 address, of which
/// one household has as many addresses as it likes.
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(server_name: Option<&str>) -> Peer {
        let names = ["localhost", "127.0.0.1", "*.example.com", "2001:db8::1"];
        Peer {
            address: "127.0.0.1:5".parse().unwrap(),
            ip: "127.0.0.1".parse().unwrap(),
            socket: "127.0.0.1".parse().unwrap(),
            unclear: false,
            server_name: server_name.map(Into::into),
            names: CertNames::new(names.map(Into::into).to_vec()),
            certificate: None,
            forwarded_for: HeaderValue::from_static("127.0.0.1"),
        }
    }

    #[test]
    fn the_server_name_decides_where_there_is_one() {
        assert!(peer(Some("a.example.com")).may_ask_for("A.Example.com"));
        assert!(!peer(Some("a.example.com")).may_ask_for("localhost"));
        assert!(!peer(Some("other.test")).may_ask_for("other.test"), "no certificate for it");
    }

    #[test]
    fn without_a_server_name_the_certificate_decides() {
        let peer = peer(None);
        for host in ["127.0.0.1", "b.example.com", "LOCALHOST", "2001:db8:0::1"] {
            assert!(peer.may_ask_for(host), "{host}");
        }
        for host in ["a.b.example.com", "example.com", ".example.com", "other", "::1"] {
            assert!(!peer.may_ask_for(host), "{host}");
        }
    }

    #[test]
    fn one_network_is_one_caller() {
        let net = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(net("::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(net("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
