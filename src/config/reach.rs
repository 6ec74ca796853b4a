//! `networks` and `ca`: whom the gate's own calls may reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::reader::Table;
use super::upstream;
use super::value;
use crate::outbound::{Caller, OutboundFault, Reach};

/// Callers that were made, so that equal reaches share one with its connections.
#[derive(Default)]
pub(super) struct Callers {
    made: Vec<(Reach, Caller)>,
    /// Every file of certificate authorities that was read.
    pub(super) watched: Vec<PathBuf>,
}

/// Why a literal host can never be reached.
pub(super) struct OutOfReach {
    pub(super) problem: String,
    pub(super) hint: String,
}

impl Callers {
    /// The reach that a table states.
    pub(super) fn reach(&mut self, table: &mut Table<'_>) -> Option<Reach> {
        let networks = table.list("networks", value::network);
        let stated = table.stated("ca");
        let authorities = table.optional("ca", |node| {
            let path = value::path(node)?;
            self.watched.push(path.clone());
            upstream::roots(node, &path)
        });
        (authorities.is_some() == stated).then_some(Reach { networks, authorities })
    }

    /// The caller of a reach; a fault at the table where there can be none.
    pub(super) fn caller(&mut self, table: &Table<'_>, reach: &Reach) -> Option<Caller> {
        if let Some((_, caller)) = self.made.iter().find(|(made, _)| made == reach) {
            return Some(caller.clone());
        }
        match Caller::new(reach) {
            Ok(caller) => {
                self.made.push((reach.clone(), caller.clone()));
                Some(caller)
            }
            Err(fault) => {
                let key = match fault {
                    OutboundFault::Authority(_) => "ca",
                    OutboundFault::NoSystemRoots | OutboundFault::Tls(_) => "",
                };
                table.refuse(key, fault.to_string(), None);
                None
            }
        }
    }
}

/// Whether a URL of a scheme and host can be reached at all. A name is looked at when it is called.
pub(super) fn check(https: bool, host: &str, reach: &Reach) -> Result<(), OutOfReach> {
    if !https && reach.networks.is_empty() {
        return Err(OutOfReach {
            problem: "plain http goes to named networks only, where nobody else listens".to_owned(),
            hint: "use https, or say where it is: networks = [\"10.0.0.0/8\"]".to_owned(),
        });
    }
    let addresses = match host.trim_matches(['[', ']']) {
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        host => host.parse::<IpAddr>().into_iter().collect(),
    };
    let open = |address: &IpAddr| reach.may_call(*address, https);
    let Some(first) = addresses.first().filter(|_| !addresses.iter().any(open)) else {
        return Ok(());
    };
    Err(OutOfReach {
        problem: format!("{host} lies in none of the networks that may be called"),
        hint: format!("networks = [\"{first}\"]"),
    })
}
