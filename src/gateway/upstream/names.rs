//! What the names of an upstream stand for, looked up while it serves.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{Address, Upstream, UpstreamUrl};

/// Addresses of one name.
const FOUND_MAX: usize = 32;
/// How long a name may take to be looked up.
const PATIENCE: Duration = Duration::from_secs(10);

impl Upstream {
    /// Looks every name up, all at a time, and takes over what they stand for now. A name that
    /// cannot be looked up, or stands for nothing, keeps what it stood for.
    pub(super) async fn resolve(&self) {
        let look_up = async |url: &UpstreamUrl| {
            if url.host.parse::<IpAddr>().is_ok() {
                return None;
            }
            let found = timeout(PATIENCE, lookup_host((url.host.as_str(), url.port))).await;
            Some(found.ok().and_then(Result::ok).map(Iterator::collect).unwrap_or_default())
        };
        let found = join_all(self.spec.urls.iter().map(look_up)).await;
        self.settle(&found);
    }

    /// Takes over what each URL stands for; none: not asked, empty: not known. Addresses that stay
    /// keep what is known of them, and their connections.
    pub(crate) fn settle(&self, found: &[Option<Vec<SocketAddr>>]) {
        let known = self.addresses();
        let mut addresses: Vec<Arc<Address>> = Vec::new();
        for (url, found) in self.spec.urls.iter().zip(found) {
            let own = || known.iter().filter(|address| address.url == *url);
            match found {
                Some(found) if !found.is_empty() => {
                    let mut found = found.clone();
                    found.sort();
                    found.dedup();
                    found.truncate(FOUND_MAX);
                    addresses.extend(found.into_iter().filter_map(|found| {
                        let same = own().find(|address| address.found == Some(found));
                        same.map(Arc::clone).or_else(|| Some(own().next()?.at(found)))
                    }));
                }
                Some(_) => {
                    if let Some(address) = own().next() {
                        address.metrics.lookup_failures.inc();
                    }
                    addresses.extend(own().map(Arc::clone));
                }
                None => addresses.extend(own().map(Arc::clone)),
            }
        }
        let same = |(a, b): (&Arc<Address>, &Arc<Address>)| Arc::ptr_eq(a, b);
        if addresses.len() != known.len() || !addresses.iter().zip(known.iter()).all(same) {
            self.addresses.store(Arc::new(addresses));
            self.version.fetch_add(1, Ordering::Release);
        }
    }
}

impl Address {
    /// Another one of the same name, of which nothing is known.
    fn at(&self, found: SocketAddr) -> Arc<Self> {
        let (url, server) = (self.url.clone(), self.server.clone());
        Arc::new(Self::new(url, Some(found), server, self.metrics.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::upstream::{Health, UpstreamSpec};
    use crate::telemetry::GateMetrics;

    fn upstream() -> Upstream {
        let url = |host: &str, port| UpstreamUrl { host: host.into(), port };
        let spec = UpstreamSpec {
            resolve: Some(Duration::from_secs(1)),
            ..UpstreamSpec::new("a".into(), vec![url("a.test", 1), url("127.0.0.1", 9)])
        };
        Upstream::new(spec, GateMetrics::new().unwrap().upstream("a"), None).unwrap()
    }

    fn of(upstream: &Upstream) -> Vec<String> {
        let found = |one: &Arc<Address>| one.found.map_or("name".into(), |f| f.to_string());
        upstream.addresses().iter().map(found).collect()
    }

    fn found(addresses: &[&str]) -> Option<Vec<SocketAddr>> {
        Some(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }

    #[test]
    fn a_name_is_all_that_it_stands_for_and_keeps_it_while_nobody_knows_better() {
        let upstream = upstream();
        assert_eq!(of(&upstream), ["name", "name"]);
        upstream.settle(&[found(&[]), None]);
        assert_eq!((of(&upstream).len(), upstream.version()), (2, 0), "asked for by name");
        upstream.settle(&[found(&["10.0.0.2:1", "10.0.0.1:1", "10.0.0.2:1"]), None]);
        assert_eq!(of(&upstream), ["10.0.0.1:1", "10.0.0.2:1", "name"]);
        assert_eq!(upstream.version(), 1);
        let second = Arc::clone(&upstream.addresses()[1]);
        second.note_check(false, 1, 1);
        upstream.settle(&[found(&["10.0.0.2:1", "10.0.0.1:1"]), None]);
        assert_eq!(upstream.version(), 1, "in another order they are the same");
        upstream.settle(&[found(&["10.0.0.3:1", "10.0.0.2:1"]), None]);
        assert_eq!(of(&upstream), ["10.0.0.2:1", "10.0.0.3:1", "name"]);
        assert!(Arc::ptr_eq(&upstream.addresses()[0], &second), "it keeps what is known of it");
        assert!(!upstream.addresses()[0].is_healthy() && upstream.addresses()[1].is_healthy());
        upstream.settle(&[found(&[]), None]);
        assert_eq!((of(&upstream).len(), upstream.version()), (3, 2));
        assert_eq!(second.metrics.lookup_failures.get(), 2);
        assert_eq!(second.url.to_string(), "a.test:1", "metrics know the name alone");
        let many: Vec<String> = (0..40).map(|n| format!("10.0.1.{n}:1")).collect();
        upstream.settle(&[found(&many.iter().map(String::as_str).collect::<Vec<_>>()), None]);
        assert_eq!(of(&upstream).len(), 33);
    }

    #[test]
    fn a_reload_keeps_what_names_stand_for() {
        let before = upstream();
        before.settle(&[found(&["10.0.0.1:1", "10.0.0.2:1"]), None]);
        let metrics = before.metrics.clone();
        let mut spec = before.spec.clone();
        spec.urls.remove(1);
        let after = Upstream::new(spec.clone(), metrics.clone(), Some(&before)).unwrap();
        assert_eq!(of(&after), ["10.0.0.1:1", "10.0.0.2:1"]);
        spec.health = Some(Health {
            path: "/".parse().unwrap(),
            every: Duration::from_secs(1),
            within: Duration::from_secs(1),
            healthy: 1.try_into().unwrap(),
            unhealthy: 1.try_into().unwrap(),
            statuses: Vec::new(),
        });
        let anew = Upstream::new(spec, metrics, Some(&after)).unwrap();
        assert_eq!(of(&anew), ["name"]);
    }
}
