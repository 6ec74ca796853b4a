//! The metrics of a gate at one moment (Prometheus exposition format 0.0.4).

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Every series, as far as it is the gate's.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    series: BTreeMap<String, Vec<Series>>,
}

/// One series: its labels and its value.
#[derive(Debug)]
pub(super) struct Series {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Series {
    fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

impl Reading {
    /// Reads the text of metrics. Lines that are none are left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut series: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, one)) = line.strip_prefix("countersign_").and_then(parse) {
                series.entry(name.to_owned()).or_default().push(one);
            }
        }
        Self { at: Instant::now(), series }
    }

    /// The sum of all series of a name, which is written without `countersign_`.
    pub(super) fn sum(&self, name: &str) -> f64 {
        // A sum of no floats is -0.0, and would be shown so.
        self.by(name, |_| "").into_values().sum::<f64>() + 0.0
    }

    /// The series of a name, added up by the values of one label.
    pub(super) fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        self.by(name, |series| series.label(label))
    }

    fn by(&self, name: &str, key: impl Fn(&Series) -> &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for series in self.series.get(name).into_iter().flatten() {
            *sums.entry(key(series).to_owned()).or_insert(0.0) += series.value;
        }
        sums
    }

    /// The buckets of a histogram: upper bounds with the count up to each, ascending.
    pub(super) fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let all = self.by_label(&format!("{name}_bucket"), "le");
        let bound = |text: &str| if text == "+Inf" { Ok(f64::INFINITY) } else { text.parse() };
        let pairs = all.into_iter().filter_map(|(le, count)| Some((bound(&le).ok()?, count)));
        let mut buckets: Vec<(f64, f64)> = pairs.collect();
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        buckets
    }
}

/// `name{label="value",…} 1`, without the prefix of the name.
fn parse(line: &str) -> Option<(&str, Series)> {
    let (key, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let (name, labels) = match key.split_once('{') {
        None => (key, Vec::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)?),
    };
    Some((name, Series { labels, value }))
}

fn labels(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (end, '"') => break end,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
        let rest = rest.get(end + 1..)?;
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read_with_their_labels() {
        let reading = Reading::parse(
            "# HELP countersign_a x\n\
             countersign_a{route=\"one\",code=\"busy\"} 2\n\
             countersign_a{route=\"t\\\"w,o=}\\\\\",code=\"busy\"} 3\n\
             countersign_b 7.5\n\
             other_c 1\n\
             countersign_broken{x=\"1} 4\n",
        );
        assert!((reading.sum("a") - 5.0).abs() < 1e-9);
        assert_eq!(reading.by_label("a", "code"), BTreeMap::from([("busy".to_owned(), 5.0)]));
        let routes: Vec<String> = reading.by_label("a", "route").into_keys().collect();
        assert_eq!(routes, ["one", "t\"w,o=}\\"]);
        assert!((reading.sum("b") - 7.5).abs() < 1e-9);
        assert!(reading.sum("c").abs() < 1e-9 && reading.sum("broken").abs() < 1e-9);
    }

    #[test]
    fn buckets_ascend() {
        let reading = Reading::parse(
            "countersign_h_bucket{le=\"0.5\"} 3\ncountersign_h_bucket{le=\"+Inf\"} 4\n\
             countersign_h_bucket{le=\"0.00001\"} 1\n",
        );
        assert_eq!(reading.buckets("h"), [(0.000_01, 1.0), (0.5, 3.0), (f64::INFINITY, 4.0)]);
    }
}
