//! A delivery as the rows of its tables, and back.

use bytes::{Buf as _, BufMut as _, Bytes};
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use serde::de::DeserializeOwned;

use super::name;
use super::tables::number;
use super::{Attempt, Delivery, NewDelivery, State, Work};

/// What [`delivery`] reads, of `deliveries` as d and `contents` as c.
pub(super) const COLUMNS: &str = "d.sequence, d.id, d.source, d.destination, d.state, \
    d.received_at, d.order_key, d.confirmation, c.method, c.target, c.headers, c.verdict, c.facts";

/// Bytes that a delivery takes beside what it brings: its rows, and those of its indices.
const ROWS_BYTES: usize = 512;

/// A delivery made ready for the writer: nothing of it can fail there but the database.
pub(super) struct Fresh {
    pub(super) id: name::Bytes16,
    pub(super) delivery: NewDelivery,
    pub(super) headers: Vec<u8>,
    pub(super) verdict: String,
    pub(super) facts: String,
    pub(super) bytes: usize,
}

impl Fresh {
    /// None where it cannot be written down.
    pub(super) fn new(id: name::Bytes16, delivery: NewDelivery) -> Option<Self> {
        let headers = packed(&delivery.headers)?;
        let verdict = serde_json::to_string(&delivery.verdict).ok()?;
        let facts = serde_json::to_string(&delivery.facts).ok()?;
        let texts = [&verdict, &facts, &delivery.method, &delivery.target];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        let bytes = ROWS_BYTES + texts + headers.len() + delivery.body.len();
        Some(Self { id, delivery, headers, verdict, facts, bytes })
    }
}

impl State {
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Confirming => 0,
            Self::Delivering => 1,
            Self::Held => 2,
            Self::Delivered => 3,
            Self::Disagreed => 4,
            Self::Dead => 5,
        }
    }

    pub(super) fn read(row: &Row<'_>, column: usize) -> Result<Self> {
        Ok(match row.get(column)? {
            0 => Self::Confirming,
            1 => Self::Delivering,
            2 => Self::Held,
            3 => Self::Delivered,
            4 => Self::Disagreed,
            5 => Self::Dead,
            other => return Err(Error::IntegralValueOutOfRange(column, other)),
        })
    }

    /// Whether it is on its way, and what is younger and about the same waits for it where order
    /// is kept.
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Self::Confirming | Self::Delivering)
    }
}

impl Work {
    pub(super) fn code(self) -> i64 {
        match self {
            Self::Confirm => 0,
            Self::PostBack => 1,
            Self::Deliver => 2,
        }
    }

    pub(super) fn read(row: &Row<'_>, column: usize) -> Result<Self> {
        Ok(match row.get(column)? {
            0 => Self::Confirm,
            1 => Self::PostBack,
            2 => Self::Deliver,
            other => return Err(Error::IntegralValueOutOfRange(column, other)),
        })
    }
}

/// A delivery of a row that has [`COLUMNS`]; its body is the column after them, or is left out.
pub(super) fn delivery(row: &Row<'_>, with_body: bool) -> Result<Delivery> {
    let body = if with_body { row.get::<_, Vec<u8>>(13)? } else { Vec::new() };
    let confirmation: Option<String> = row.get(7)?;
    let headers = unpacked(row.get::<_, Vec<u8>>(10)?.into()).ok_or_else(|| unreadable(10))?;
    Ok(Delivery {
        sequence: row.get(0)?,
        id: name::shown(row.get(1)?),
        source: row.get::<_, String>(2)?.into(),
        destination: row.get::<_, String>(3)?.into(),
        state: State::read(row, 4)?,
        received_millis: number(row.get(5)?),
        method: row.get(8)?,
        target: row.get(9)?,
        headers,
        body: body.into(),
        verdict: json(&row.get::<_, String>(11)?, 11)?,
        facts: json(&row.get::<_, String>(12)?, 12)?,
        confirmation: confirmation.map(|text| json(&text, 7)).transpose()?,
        order_key: row.get(6)?,
    })
}

/// An attempt of a row with work, id, at, took, outcome, status.
pub(super) fn attempt(row: &Row<'_>) -> Result<(Work, Attempt)> {
    let attempt = Attempt {
        id: row.get(1)?,
        at_millis: number(row.get(2)?),
        took_millis: number(row.get(3)?),
        outcome: row.get(4)?,
        status: row.get(5)?,
    };
    Ok((Work::read(row, 0)?, attempt))
}

fn json<T: DeserializeOwned>(text: &str, column: usize) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|fault| Error::FromSqlConversionFailure(column, Type::Text, Box::new(fault)))
}

fn unreadable(column: usize) -> Error {
    let fault = std::io::Error::from(std::io::ErrorKind::InvalidData);
    Error::FromSqlConversionFailure(column, Type::Blob, Box::new(fault))
}

/// Header fields, each name and value with its length before it. None: one is longer than that.
fn packed(headers: &[(String, Bytes)]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            all.put_u32(u32::try_from(part.len()).ok()?);
            all.put_slice(part);
        }
    }
    Some(all)
}

fn unpacked(mut all: Bytes) -> Option<Vec<(String, Bytes)>> {
    let mut part = || {
        if all.is_empty() {
            return Some(None);
        }
        let length = usize::try_from(all.try_get_u32().ok()?).ok()?;
        (length <= all.len()).then(|| Some(all.split_to(length)))
    };
    let mut headers = Vec::new();
    while let Some(name) = part()? {
        headers.push((String::from_utf8(name.to_vec()).ok()?, part()??));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_packed_so_is_not_unpacked() {
        let whole = packed(&[("a".into(), "bc".into()), ("d".into(), Bytes::new())]).unwrap();
        let mut good = Vec::new();
        for end in 0..=whole.len() {
            if let Some(headers) = unpacked(Bytes::copy_from_slice(&whole[..end])) {
                good.push((end, headers.len()));
            }
        }
        assert_eq!(good, [(0, 0), (11, 1), (whole.len(), 2)]);
    }

    proptest! {
        #[test]
        fn headers_come_back_as_they_were(
            headers in proptest::collection::vec(
                ("[a-zA-Z-]{1,20}", proptest::collection::vec(any::<u8>(), 0..40)), 0..10)
        ) {
            let headers: Vec<(String, Bytes)> =
                headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            prop_assert_eq!(unpacked(packed(&headers).unwrap().into()), Some(headers));
        }
    }
}
