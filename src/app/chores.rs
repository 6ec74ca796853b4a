//! What a gate does once a second, and before its metrics are read.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::operations::Obstacle;
use crate::telemetry::Level;
use crate::telemetry::connections::Reason;

use super::assembly::{Parts, lock};

impl Parts {
    /// Once a second: settles the clock, forgets old claims, tells of obstacles.
    pub(super) fn do_chores(&self) {
        self.clock.tick();
        let longest = Duration::from_secs(self.kept.longest_window_seconds.load(Ordering::Relaxed));
        self.kept.memory.sweep(self.clock.now(), longest);
        self.tell_obstacles();
        self.tell_upstreams();
        self.kept.ledger.tell(&self.log);
        self.kept.inbox.tell(&self.log);
        self.tell_refused_connections();
    }

    /// Logs connections that were refused, one line for each reason.
    fn tell_refused_connections(&self) {
        for (reason, refused) in self.connection_metrics.refused_lately() {
            let mut fields = json!({
                "reason": reason.as_str(),
                "count": refused.count,
                "last_peer": refused.last.peer.to_string(),
            });
            if let (Some(via), Some(fields)) = (refused.last.via, fields.as_object_mut()) {
                fields.insert("last_via".into(), json!(via.to_string()));
            }
            let event = match reason {
                Reason::Certificate(_) => "client_certificate_refused",
                Reason::ProxyHeader | Reason::Total | Reason::Address => "connection_refused",
            };
            self.log.event(Level::Warn, event, fields);
        }
    }

    /// Forgets chains of rolling keys that nobody can present any more.
    pub(super) fn sweep_chains(&self) {
        self.kept.roll.chains.sweep(self.clock.now());
    }

    /// Logs what is in the way of readiness, once when it begins and once when it ends. A drain has
    /// an event of its own.
    fn tell_obstacles(&self) {
        let mut obstacles = self.readiness.obstacles();
        obstacles.retain(|obstacle| *obstacle != Obstacle::Draining);
        let mut told = lock(&self.told);
        if *told == obstacles {
            return;
        }
        let names: Vec<_> = obstacles.iter().map(|obstacle| obstacle.as_str()).collect();
        let mut fields = json!({ "obstacles": names });
        if obstacles.contains(&Obstacle::MarkOverdue)
            && let Some(fields) = fields.as_object_mut()
        {
            fields.insert("cause".into(), json!(self.kept.memory.mark_fault()));
        }
        match names.is_empty() {
            true => self.log.event(Level::Info, "ready", json!({})),
            false => self.log.event(Level::Warn, "not_ready", fields),
        }
        *told = obstacles;
    }

    /// Brings the gauges up to date that nobody counts along.
    pub(super) fn refresh_gauges(&self) {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let metrics = &self.metrics;
        let usage = self.kept.memory.usage();
        metrics.replay_entries.set(gauge(usage.entries));
        metrics.replay_capacity.set(gauge(usage.capacity));
        let forgotten = self.kept.memory.forgotten().map_or(0, |stamp| stamp.secs());
        metrics.replay_forgotten.set(i64::try_from(forgotten).unwrap_or(i64::MAX));
        metrics.body_bytes.set(gauge(self.kept.budget.held()));
        self.kept.ledger.refresh_gauges(metrics);
        self.refresh_upstreams();
        self.refresh_acme();
        self.show_certificates();
        self.refresh_observing();
        self.kept.inbox.refresh_gauges(&metrics.inbox, self.clock.now_millis());
        let ahead = i128::from(self.clock.now_millis()) - i128::from(self.clock.wall_millis());
        metrics.clock_offset.set(i64::try_from(ahead).unwrap_or(i64::MAX));
        let obstacles = self.readiness.obstacles();
        for obstacle in Obstacle::ALL {
            let holds = i64::from(obstacles.contains(&obstacle));
            metrics.not_ready.with_label_values(&[obstacle.as_str()]).set(holds);
        }
    }
}
