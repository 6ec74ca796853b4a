//! Whose a connection and a request are: the one place where that is decided.
//!
//! A connection is its socket's, unless a listed balancer says by a PROXY header whose it is. A
//! request is its connection's client's, unless that is a trusted proxy which names another. Rules
//! over addresses, limits, the log and the service behind read the outcome from [`Peer`]; nobody
//! else looks at what claims to say where something comes from.

mod hops;
pub mod proxy_header;

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;

use crate::peer::{Networks, Peer, as_header};

/// Who in front of a listener is believed about where things come from. By default nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Balancers that begin each connection with a PROXY header.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Proxies whose X-Forwarded-For and Forwarded (RFC 7239) are believed.
    pub trusted_proxies: Networks,
}

/// Balancers that speak the PROXY protocol, version 1 or 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Their addresses. From these the header must be there, from all others it must not.
    pub from: Networks,
    /// From accept to the end of the header.
    pub deadline: Duration,
}

impl ProxyProtocol {
    /// The deadline where configuration says nothing.
    pub const DEADLINE: Duration = Duration::from_secs(3);
}

impl Origins {
    /// How long a connection from `ip` may take to say whose it is, where it must say that.
    pub(super) fn header_deadline(&self, ip: IpAddr) -> Option<Duration> {
        let protocol = self.proxy_protocol.as_ref()?;
        protocol.from.contain(ip).then_some(protocol.deadline)
    }

    /// Whether requests of a connection of `ip` may be somebody else's.
    pub(super) fn speaks_for_others(&self, ip: IpAddr) -> bool {
        self.trusted_proxies.contain(ip)
    }

    /// Whose a request is that came on a connection of a trusted proxy.
    pub(super) fn client_of(&self, headers: &HeaderMap, proxy: &Peer) -> Peer {
        match hops::client(headers, &self.trusted_proxies) {
            Ok(None) => proxy.clone(),
            Ok(Some(ip)) => Peer { ip, forwarded_for: as_header(ip), ..proxy.clone() },
            Err(hops::Unclear) => Peer { unclear: true, ..proxy.clone() },
        }
    }
}
