//! What came of many requests: how long answers took, by which status and code they ended.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

/// Outcomes counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How long each answer took, in microseconds.
    micros: Vec<u64>,
    statuses: BTreeMap<u16, u64>,
    /// Codes of refusals.
    codes: BTreeMap<String, u64>,
    /// Why there was no answer.
    faults: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn answered(&mut self, answer: &Response<Bytes>, took: Duration) {
        self.micros.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        *self.statuses.entry(answer.status().as_u16()).or_default() += 1;
        if let Some(code) = code_of(answer) {
            *self.codes.entry(code).or_default() += 1;
        }
    }

    pub(super) fn failed(&mut self, why: String) {
        *self.faults.entry(why).or_default() += 1;
    }

    /// Whether every request has an answer, and every answer is a success.
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty() && self.statuses.keys().all(|status| (200..300).contains(status))
    }

    /// Prints all of it for people, or as one JSON object.
    pub(super) fn print(
        &self,
        out: &mut impl Write,
        (connections, took): (u32, Duration),
        json: bool,
    ) -> io::Result<()> {
        let answers = self.micros.len();
        let requests =
            u64::try_from(answers).unwrap_or(u64::MAX) + self.faults.values().sum::<u64>();
        let seconds = took.as_secs_f64();
        let per_second = Duration::from_secs(1).as_nanos() * u128::from(requests);
        let per_second = per_second / took.as_nanos().max(1);
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let latency = [("p50", 500), ("p90", 900), ("p99", 990), ("max", 1000)]
            .map(|(name, part)| (name, millis(quantile(&sorted, part))));
        if json {
            let latency: BTreeMap<_, _> = latency.into_iter().collect();
            let all = json!({
                "requests": requests,
                "connections": connections,
                "seconds": seconds,
                "per_second": u64::try_from(per_second).unwrap_or(u64::MAX),
                "latency_ms": latency,
                "statuses": self.statuses,
                "codes": self.codes,
                "no_answer": self.faults,
            });
            return writeln!(out, "{all}");
        }
        let on = if connections == 1 { "connection" } else { "connections" };
        writeln!(
            out,
            "{requests} requests in {seconds:.2} s, {per_second} a second, on {connections} {on}"
        )?;
        if answers > 0 {
            let shown = latency.map(|(name, millis)| format!("  {name} {millis:.2} ms"));
            writeln!(out, "answers after{}", shown.concat())?;
        }
        for (status, count) in &self.statuses {
            writeln!(out, "{count:>10}  {status}")?;
        }
        for (code, count) in &self.codes {
            writeln!(out, "{count:>10}  {code}")?;
        }
        for (why, count) in &self.faults {
            writeln!(out, "{count:>10}  no answer: {why}")?;
        }
        out.flush()
    }
}

/// The code of a refusal of the gate (RFC 9457, with a member of its own).
fn code_of(answer: &Response<Bytes>) -> Option<String> {
    let kind = answer.headers().get(CONTENT_TYPE)?;
    if !kind.as_bytes().starts_with(b"application/problem+json") {
        return None;
    }
    let problem: Value = serde_json::from_slice(answer.body()).ok()?;
    problem.get("code")?.as_str().map(str::to_owned)
}

/// The nearest rank: the smallest value that `part` of a thousand are not above.
fn quantile(sorted: &[u64], part: usize) -> u64 {
    let rank = (sorted.len() * part).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Response<Bytes> {
        let answer = Response::builder().status(status);
        let answer = answer.header(CONTENT_TYPE, "application/problem+json; charset=utf-8");
        answer.body(Bytes::from_static(body.as_bytes())).unwrap()
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let all: Vec<u64> = (1..=200).collect();
        let of = |part| quantile(&all, part);
        assert_eq!((of(500), of(900), of(990), of(1000)), (100, 180, 198, 200));
        assert_eq!((quantile(&[7], 500), quantile(&[], 500)), (7, 0));
    }

    #[test]
    fn everything_that_came_is_told() {
        let mut tally = Tally::default();
        assert!(tally.is_good());
        for micros in [1000, 2000, 3000] {
            tally.answered(&answer(200, ""), Duration::from_micros(micros));
        }
        assert!(tally.is_good());
        tally.answered(&answer(409, r#"{"code":"replayed"}"#), Duration::from_millis(40));
        tally.failed("cannot connect".to_owned());
        assert!(!tally.is_good());
        let mut out = Vec::new();
        tally.print(&mut out, (2, Duration::from_secs(2)), false).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "5 requests in 2.00 s, 2 a second, on 2 connections\n\
             answers after  p50 2.00 ms  p90 40.00 ms  p99 40.00 ms  max 40.00 ms\n         \
             3  200\n         1  409\n         1  replayed\n         \
             1  no answer: cannot connect\n"
        );
        let mut out = Vec::new();
        tally.print(&mut out, (2, Duration::from_secs(2)), true).unwrap();
        let all: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&all["statuses"]["409"], &all["codes"]["replayed"]), (&json!(1), &json!(1)));
        assert_eq!(all["latency_ms"]["max"], json!(40.0));
    }
}
