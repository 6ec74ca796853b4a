//! `[log]`: the form of lines, and which requests have one.

use std::time::Duration;

use toml::de::DeValue;

use super::reader::Table;
use super::{Log, value};
use crate::config::node::{Mismatch, Node};
use crate::telemetry::{LogFormat, Sampling};

/// How long a request takes that has a line in any case, where nothing is said.
const SLOW: Duration = Duration::from_secs(1);

pub(super) fn log(table: &mut Table<'_>) -> Log {
    let default = Log::default();
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let format = table.optional("format", value::choice(&formats)).unwrap_or(default.format);
    let access = table.optional("access", value::boolean).unwrap_or(default.access);
    let share = table.optional("sample", share);
    let slow = table.optional("slow", value::duration);
    if share.is_some() && !access {
        table.refuse("sample", "without an access log there is nothing to take a share of", None);
    }
    if slow.is_some() && share.is_none() {
        let problem = "it only says what `log.sample` never leaves out, and that is not set";
        table.refuse("slow", problem, None);
    }
    let slow = slow.unwrap_or(SLOW);
    let sampling = share.flatten().map(|per_million| Sampling { per_million, slow });
    Log { format, access, sampling }
}

/// A share of one, in millionths; none: all of it.
fn share(node: &Node<'_>) -> Result<Option<u32>, Mismatch> {
    let expected = "a share above 0 and up to 1, such as 0.1, in steps of 0.000001";
    let text = match node.value() {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(integer) => integer.as_str(),
        _ => return Err(node.wrong_type(expected)),
    };
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    let per_million = share.and_then(|share| format!("{:.0}", share * 1e6).parse::<u32>().ok());
    match per_million {
        Some(1_000_000) => Ok(None),
        Some(per_million @ 1..) => Ok(Some(per_million)),
        _ => Err(Mismatch::text(expected, text)),
    }
}
