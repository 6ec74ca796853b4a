//! What a core sees of the snapshot in force: handles of its own on what a request holds on to, so
//! that cores do not count references in one place.

use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use http::Method;

use crate::gateway::admission::Admission;
use crate::gateway::admission::budget::{Purse, Reservation};
use crate::gateway::route::Route;
use crate::keyring::Keyring;
use crate::local::Local;
use crate::telemetry::RouteMetrics;

/// What a core follows of the keys in force.
pub type Keys = Rc<Local<Keyring, KeysInForce>>;

/// Keys that were in force when a core looked.
pub struct KeysInForce(Arc<Keyring>);

/// A core's handles on one snapshot.
pub struct View {
    shared: Arc<Admission>,
    routes: Vec<Rc<OwnRoute>>,
    keys: Keys,
    purse: Rc<Purse>,
}

/// A route, and a core's handle on how its requests end.
#[derive(Debug)]
pub struct OwnRoute {
    route: Arc<Route>,
    metrics: Rc<RouteMetrics>,
}

impl View {
    /// A core's view of a snapshot. Keys outlive it: a request that takes long must not hold on to
    /// those that were in force when it began.
    pub fn of(shared: &Arc<Admission>, keys: &Keys) -> Self {
        let own = |route: &Arc<Route>| {
            let metrics = Rc::new(route.metrics.clone());
            Rc::new(OwnRoute { route: Arc::clone(route), metrics })
        };
        let routes = shared.routes.iter().map(own).collect();
        let purse = shared.budget.purse();
        Self { shared: Arc::clone(shared), routes, keys: Rc::clone(keys), purse }
    }

    /// A core's handle on the keys of a snapshot, and of those that follow it.
    pub fn keys_of(shared: &Admission) -> Keys {
        Rc::new(Local::new(Arc::clone(&shared.keyring), |keyring| KeysInForce(Arc::clone(keyring))))
    }

    /// The route for a host (without port, any case), method and raw path.
    pub(super) fn route(&self, host: &str, method: &Method, path: &str) -> Option<&Rc<OwnRoute>> {
        self.routes.get(self.shared.routes.position(host, method, path)?)
    }

    /// Opens an account for the body of a request.
    pub(super) fn reserve(&self, ip: IpAddr, trusted: bool) -> Reservation {
        self.purse.open(ip, trusted)
    }

    /// Lets go of keys that are not in force any more, and of memory that no body needs. To be
    /// called once a second.
    pub fn tidy(&self) {
        drop(self.keys.current());
        self.purse.empty();
    }

    /// The keys in force now.
    pub(super) fn keyring(&self) -> Rc<KeysInForce> {
        self.keys.current()
    }
}

impl Deref for KeysInForce {
    type Target = Keyring;

    fn deref(&self) -> &Keyring {
        &self.0
    }
}

impl Deref for View {
    type Target = Admission;

    fn deref(&self) -> &Admission {
        &self.shared
    }
}

impl OwnRoute {
    /// Counts how its requests end.
    pub(super) fn metrics(&self) -> &Rc<RouteMetrics> {
        &self.metrics
    }
}

impl Deref for OwnRoute {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.route
    }
}
