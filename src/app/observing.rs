//! Routes that only watch what they should refuse: said loudly, and counted down.

use serde_json::json;

use crate::gateway::admission::WATCHABLE;
use crate::telemetry::Level;

use super::assembly::Parts;

impl Parts {
    /// Warns of routes that only watch, as configuration that begins to be in force has them, and
    /// shows their series.
    pub(super) fn tell_observing(&self) {
        let (admission, now) = (self.admission.load(), self.clock.now());
        for route in admission.routes.iter() {
            let Some(observe) = &route.spec.observe else { continue };
            self.metrics.observed.begin(&route.spec.name, &WATCHABLE);
            let fields = json!({
                "route": &*route.spec.name,
                "until": observe.until.secs(),
                "days_left": observe.days_left(now),
                "merchants": observe.merchants,
            });
            match observe.lasts(now) {
                true => self.log.event(Level::Warn, "refusals_only_observed", fields),
                false => self.log.event(Level::Info, "observing_is_over", fields),
            }
        }
    }

    /// Brings the days that are left up to date.
    pub(super) fn refresh_observing(&self) {
        let (admission, now) = (self.admission.load(), self.clock.now());
        let days = admission.routes.iter().filter_map(|route| {
            let observe = route.spec.observe.as_ref()?;
            Some((&*route.spec.name, observe.days_left(now)))
        });
        self.metrics.observed.set_days_left(days);
    }
}
