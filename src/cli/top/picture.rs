//! What happened between two readings, and how things stand at the second.

use std::collections::BTreeMap;

use serde::Serialize;

use super::reading::Reading;

/// Numbers by name; those that are 0 are left out.
type ByName = BTreeMap<String, f64>;

/// What a gate does.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    /// Seconds between the readings.
    seconds: f64,
    /// Why it is not ready.
    not_ready: Vec<String>,
    requests_per_second: f64,
    forwarded_per_second: f64,
    /// By code, a second.
    refused_per_second: ByName,
    /// Milliseconds to the head of the answer, by quantile; nothing without requests.
    latency_ms: Option<BTreeMap<&'static str, f64>>,
    /// By protocol.
    connections: ByName,
    /// By name.
    upstreams: BTreeMap<String, UpstreamPicture>,
    replay: Filled,
    body_bytes: f64,
    inbox: InboxPicture,
}

#[derive(Debug, Serialize)]
struct UpstreamPicture {
    connections: f64,
    opened_per_second: f64,
    retries_per_second: f64,
}

#[derive(Debug, Serialize)]
struct Filled {
    entries: f64,
    entries_max: f64,
}

#[derive(Debug, Serialize)]
struct InboxPicture {
    /// By outcome, a second.
    taken_per_second: ByName,
    /// By state.
    deliveries: ByName,
    /// By reason: what waits for an operator.
    stuck: ByName,
    oldest_open_seconds: f64,
}

/// A line of the picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// Whether it is to be seen at once.
    pub(super) alarm: bool,
}

/// Two readings, for what grew.
struct Growth<'r> {
    before: &'r Reading,
    after: &'r Reading,
    seconds: f64,
}

impl Growth<'_> {
    /// How much the series of a name grew a second, by a label. A gate that began anew counts from
    /// nothing.
    fn by_label(&self, name: &str, label: &str) -> ByName {
        let before = self.before.by_label(name, label);
        let after = self.after.by_label(name, label).into_iter();
        let grown = after.map(|(key, now)| {
            let then = before.get(&key).copied().filter(|then| *then <= now).unwrap_or(0.0);
            (key, (now - then) / self.seconds)
        });
        grown.filter(|(_, rate)| *rate > 0.0).collect()
    }

    /// A quantile of what a histogram took in between, as `histogram_quantile` reckons it: within a
    /// bucket evenly spread, beyond the last bound that bound.
    fn quantile(&self, name: &str, part: f64) -> Option<f64> {
        let before = self.before.buckets(name);
        let grown = self.after.buckets(name).into_iter().map(|(bound, now)| {
            let then = before.iter().find(|(own, _)| own.total_cmp(&bound).is_eq());
            let then = then.map_or(0.0, |(_, then)| *then);
            (bound, if then <= now { now - then } else { now })
        });
        let buckets: Vec<(f64, f64)> = grown.collect();
        let (_, total) = *buckets.last().filter(|(_, total)| *total > 0.0)?;
        let rank = part * total;
        let (mut below, mut counted) = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= rank {
                let share = (rank - counted) / (count - counted).max(f64::MIN_POSITIVE);
                return Some(if bound.is_finite() {
                    below + (bound - below) * share
                } else {
                    below
                });
            }
            (below, counted) = (bound, count);
        }
        None
    }
}

impl Picture {
    /// What is between two readings.
    pub(super) fn between(before: &Reading, after: &Reading) -> Self {
        let seconds = (after.at - before.at).as_secs_f64().max(0.001);
        let growth = Growth { before, after, seconds };
        let mut refused = growth.by_label("requests_total", "code");
        // A sum of no floats is -0.0, and would be shown so.
        let requests = refused.values().sum::<f64>() + 0.0;
        let forwarded = refused.remove("forwarded").unwrap_or(0.0);
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];
        let latency = quantiles.map(|(name, part)| {
            growth.quantile("request_seconds", part).map(|seconds| (name, seconds * 1000.0))
        });
        let now = |name: &str, label: &str| -> ByName {
            let all = after.by_label(name, label).into_iter();
            all.filter(|(_, value)| *value > 0.0).collect()
        };
        let oldest = after.by_label("webhook_oldest_open_seconds", "destination");
        Self {
            seconds,
            not_ready: now("not_ready", "reason").into_keys().collect(),
            requests_per_second: requests,
            forwarded_per_second: forwarded,
            refused_per_second: refused,
            latency_ms: latency.into_iter().collect(),
            connections: now("connections_open", "protocol"),
            upstreams: upstreams(&growth),
            replay: Filled {
                entries: after.sum("replay_entries"),
                entries_max: after.sum("replay_entries_max"),
            },
            body_bytes: after.sum("body_bytes"),
            inbox: InboxPicture {
                taken_per_second: growth.by_label("webhooks_total", "outcome"),
                deliveries: now("webhook_deliveries", "state"),
                stuck: now("webhook_stuck", "reason"),
                oldest_open_seconds: oldest.into_values().fold(0.0, f64::max),
            },
        }
    }

    /// The picture for people.
    pub(super) fn lines(&self) -> Vec<Line> {
        let line = |text: String| Line { text, alarm: false };
        let mut lines = vec![match self.not_ready.is_empty() {
            true => line("ready".to_owned()),
            false => {
                Line { text: format!("NOT READY: {}", self.not_ready.join(", ")), alarm: true }
            }
        }];
        let latency = self.latency_ms.iter().flatten();
        let latency: String = latency.map(|(name, ms)| format!("  {name} {ms:.2} ms")).collect();
        lines.push(line(format!(
            "requests {:.1}/s, forwarded {:.1}/s{latency}",
            self.requests_per_second, self.forwarded_per_second
        )));
        lines.push(line(format!("connections{}", listed(&self.connections, ""))));
        lines.push(line("refused".to_owned()));
        let mut refused: Vec<_> = self.refused_per_second.iter().collect();
        refused.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        lines.extend(refused.iter().map(|(code, rate)| line(format!("{rate:>12.1}/s  {code}"))));
        lines.push(line("upstreams".to_owned()));
        for (name, upstream) in &self.upstreams {
            let UpstreamPicture { connections, opened_per_second, retries_per_second } = upstream;
            lines.push(line(format!(
                "{connections:>12} open  {name}  (opened {opened_per_second:.1}/s, again \
                 {retries_per_second:.1}/s)"
            )));
        }
        let Filled { entries, entries_max } = self.replay;
        let full = 100.0 * entries / entries_max.max(1.0);
        let text = format!("replay memory {full:.1} % of {entries_max} entries");
        lines.push(Line { text, alarm: full > 80.0 });
        lines.push(line(format!("bodies in memory {:.1} MiB", self.body_bytes / 1_048_576.0)));
        let inbox = &self.inbox;
        lines.push(line(format!(
            "webhooks{}; kept{}; oldest {} s",
            listed(&inbox.taken_per_second, "/s"),
            listed(&inbox.deliveries, ""),
            inbox.oldest_open_seconds
        )));
        if !inbox.stuck.is_empty() {
            let text = format!("webhooks that wait for an operator{}", listed(&inbox.stuck, ""));
            lines.push(Line { text, alarm: true });
        }
        lines
    }
}

fn upstreams(growth: &Growth<'_>) -> BTreeMap<String, UpstreamPicture> {
    let opened = growth.by_label("upstream_connections_opened_total", "upstream");
    let retries = growth.by_label("upstream_retries_total", "upstream");
    let open = growth.after.by_label("upstream_connections", "upstream").into_iter();
    let picture = |(name, connections): (String, f64)| {
        let rate = |of: &ByName| of.get(&name).copied().unwrap_or(0.0);
        let (opened_per_second, retries_per_second) = (rate(&opened), rate(&retries));
        (name, UpstreamPicture { connections, opened_per_second, retries_per_second })
    };
    open.map(picture).collect()
}

/// Numbers in one line; `none` where there are none.
fn listed(numbers: &ByName, unit: &str) -> String {
    if numbers.is_empty() {
        return " none".to_owned();
    }
    let one = |(name, number): (&String, &f64)| match unit {
        "" => format!("  {name} {number}"),
        _ => format!("  {name} {number:.1}{unit}"),
    };
    numbers.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn two(before: &str, after: &str) -> Picture {
        let before = Reading::parse(before);
        let mut after = Reading::parse(after);
        after.at = before.at + Duration::from_secs(2);
        Picture::between(&before, &after)
    }

    #[test]
    fn what_grew_is_told_by_the_second() {
        let picture = two(
            "countersign_requests_total{route=\"a\",code=\"forwarded\"} 100\n\
             countersign_requests_total{route=\"a\",code=\"busy\"} 7\n",
            "countersign_requests_total{route=\"a\",code=\"forwarded\"} 110\n\
             countersign_requests_total{route=\"b\",code=\"forwarded\"} 2\n\
             countersign_requests_total{route=\"a\",code=\"busy\"} 7\n\
             countersign_requests_total{route=\"a\",code=\"replayed\"} 4\n",
        );
        assert!((picture.forwarded_per_second - 6.0).abs() < 1e-9);
        assert!((picture.requests_per_second - 8.0).abs() < 1e-9);
        assert_eq!(picture.refused_per_second, ByName::from([("replayed".to_owned(), 2.0)]));
    }

    #[test]
    fn a_gate_that_nobody_asked_anything_has_no_sign() {
        let lines = two("", "").lines();
        assert!(lines.iter().all(|line| !line.text.contains("-0")), "no line has a -0");
    }

    #[test]
    fn a_gate_that_began_anew_counts_from_nothing() {
        let name = "countersign_requests_total{code=\"forwarded\"}";
        let picture = two(&format!("{name} 100\n"), &format!("{name} 6\n"));
        assert!((picture.forwarded_per_second - 3.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_of_what_came_in_between() {
        let bucket = |le: &str, count: u32| {
            format!("countersign_request_seconds_bucket{{le=\"{le}\"}} {count}\n")
        };
        let text = |counts: [u32; 3]| {
            ["0.001", "0.01", "+Inf"].iter().zip(counts).map(|(le, n)| bucket(le, n)).collect()
        };
        let (before, after): (String, String) = (text([50, 50, 50]), text([60, 68, 70]));
        let latency = two(&before, &after).latency_ms.unwrap();
        assert!((latency["p50"] - 1.0).abs() < 1e-9, "{latency:?}");
        assert!((latency["p90"] - 10.0).abs() < 1e-9, "{latency:?}");
        assert!((latency["p99"] - 10.0).abs() < 1e-9, "beyond the last bound: {latency:?}");
        assert!(two(&before, &before).latency_ms.is_none(), "nothing came");
    }

    #[test]
    fn what_needs_somebody_is_an_alarm() {
        let picture = two(
            "",
            "countersign_not_ready{reason=\"mark_overdue\"} 1\n\
             countersign_not_ready{reason=\"draining\"} 0\n\
             countersign_replay_entries 90\ncountersign_replay_entries_max 100\n\
             countersign_webhook_stuck{name=\"shop\",reason=\"dead\"} 3\n",
        );
        let alarms = picture.lines().into_iter().filter(|line| line.alarm).map(|line| line.text);
        let alarms: Vec<String> = alarms.collect();
        assert_eq!(alarms.len(), 3, "{alarms:?}");
        assert_eq!(alarms[0], "NOT READY: mark_overdue");
    }
}
