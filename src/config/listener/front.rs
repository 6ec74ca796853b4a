//! What stands in front of the listener: `proxy_protocol` and `trusted_proxies`, who are believed
//! about where things come from, and `redirect`, for who comes in clear.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::node::{Mismatch, Node};
use crate::config::reader::Table;
use crate::config::value;
use crate::peer::Networks;
use crate::serve::{Origins, ProxyProtocol};

pub(super) fn origins(table: &mut Table<'_>, handshake: Duration) -> Origins {
    let trusted_proxies = table.list("trusted_proxies", proxies).into_iter().collect();
    let proxy_protocol = table.table("proxy_protocol", |table| proxy_protocol(table, handshake));
    Origins { proxy_protocol: proxy_protocol.flatten(), trusted_proxies }
}

/// Where plain HTTP is answered: not where TLS is spoken.
pub(super) fn redirect(table: &mut Table<'_>, tls: Option<SocketAddr>) -> Option<SocketAddr> {
    let redirect = table.optional("redirect", value::socket_address)?;
    if tls.is_some_and(|tls| tls == redirect && tls.port() != 0) {
        let problem = "this is `listener.address`, where TLS is spoken";
        table.refuse("redirect", problem, Some("it is usually port 80".to_owned()));
    }
    Some(redirect)
}

fn proxy_protocol(table: &mut Table<'_>, handshake: Duration) -> Option<ProxyProtocol> {
    let from: Networks = table.list("from", proxies).into_iter().collect();
    match table.node("from").map(|node| node.value().as_array().is_some_and(|all| all.is_empty())) {
        None => table.missing("from"),
        Some(true) => table.refuse("from", "no address is named that sends the header", None),
        Some(false) => {}
    }
    let stated = table.optional("deadline", value::duration);
    if stated.is_some_and(|deadline| deadline > handshake) {
        let problem = "the header is a part of the handshake, whose deadline ends before";
        let hint = "lower it, or raise `listener.deadlines.handshake`".to_owned();
        table.refuse("deadline", problem, Some(hint));
    }
    let deadline = stated.unwrap_or(ProxyProtocol::DEADLINE.min(handshake));
    Some(ProxyProtocol { from, deadline })
}

/// A network of proxies. Everybody is none: whoever reaches the gate could then say any address.
fn proxies(node: &Node<'_>) -> Result<IpNet, Mismatch> {
    let network = value::network(node)?;
    if network.prefix_len() > 0 {
        return Ok(network);
    }
    let mismatch = Mismatch::text("the networks of your own proxies", &network.to_string());
    Err(mismatch.hint("whoever reaches the gate could then say any address"))
}
