//! `[log]`: the form of lines, and which requests have one.

use std::time::Duration;

use super::reader::Table;
use super::{Log, value};
use crate::telemetry::{LogFormat, Sampling};

/// How long a request takes that has a line in any case, where nothing is said.
const SLOW: Duration = Duration::from_secs(1);

pub(super) fn log(table: &mut Table<'_>) -> Log {
    let default = Log::default();
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let format = table.optional("format", value::choice(&formats)).unwrap_or(default.format);
    let access = table.optional("access", value::boolean).unwrap_or(default.access);
    let share = table.optional("sample", |node| value::share(node, 1));
    let slow = table.optional("slow", value::duration);
    if share.is_some() && !access {
        table.refuse("sample", "without an access log there is nothing to take a share of", None);
    }
    if slow.is_some() && share.is_none() {
        let problem = "it only says what `log.sample` never leaves out, and that is not set";
        table.refuse("slow", problem, None);
    }
    let slow = slow.unwrap_or(SLOW);
    let share = share.filter(|per_million| *per_million < 1_000_000);
    let sampling = share.map(|per_million| Sampling { per_million, slow });
    Log { format, access, sampling }
}
