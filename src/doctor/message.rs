//! Other texts that somebody may have joined of the same parts.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use super::mistake::Mistake;

/// A part of the signed text, as far as joining goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Whether the scheme itself put it there: a delimiter or a label.
    pub fixed: bool,
}

/// Parts whose order is tried; more than these make too many orders.
const ORDERED_PARTS_MAX: usize = 6;
const DELIMITERS: [&[u8]; 11] =
    [b"\n", b".", b":", b"|", b"&", b";", b",", b" ", b"-", b"", b"\r\n"];

/// What the parts may have been joined to, the likely ones first.
pub(super) fn variants<'a>(
    parts: &'a [Part<'a>],
) -> impl Iterator<Item = (Mistake, Vec<&'a [u8]>)> + 'a {
    let values = || parts.iter().filter(|part| !part.fixed);
    let bytes = |parts: &[&Part<'a>]| parts.iter().map(|part| part.bytes).collect::<Vec<_>>();
    let all: Vec<&Part<'a>> = parts.iter().collect();
    let newline = {
        let mut joined = bytes(&all);
        joined.push(b"\n");
        (Mistake::MessageNewline, joined)
    };
    let delimiters = DELIMITERS.iter().map(move |delimiter| {
        let mut joined: Vec<&'a [u8]> = Vec::new();
        for (index, part) in values().enumerate() {
            if index > 0 {
                joined.push(delimiter);
            }
            joined.push(part.bytes);
        }
        (Mistake::Delimiter, joined)
    });
    let places: Vec<usize> =
        parts.iter().enumerate().filter(|(_, part)| !part.fixed).map(|(at, _)| at).collect();
    let ordered = places.len() <= ORDERED_PARTS_MAX;
    let swaps = pairs(places.clone()).filter(move |_| ordered).map(move |(one, other)| {
        let mut joined = bytes(&all);
        joined.swap(one, other);
        (Mistake::PartsOrder, joined)
    });
    let left_out = places.into_iter().flat_map(move |place| {
        let without = |also: Option<usize>| {
            let kept = parts.iter().enumerate();
            let kept = kept.filter(move |(at, _)| *at != place && Some(*at) != also);
            (Mistake::PartLeftOut, kept.map(|(_, part)| part.bytes).collect())
        };
        let neighbour = if place == 0 { Some(1) } else { place.checked_sub(1) };
        let neighbour = neighbour.filter(|at| parts.get(*at).is_some_and(|part| part.fixed));
        [Some(without(None)), neighbour.map(|at| without(Some(at)))].into_iter().flatten()
    });
    std::iter::once(newline).chain(swaps).chain(delimiters).chain(left_out)
}

/// The parts with the timestamp written in other ways; `seconds` is its text as it was sent.
pub(super) fn times<'a>(
    parts: &'a [Part<'a>],
    seconds: &str,
) -> Vec<(Mistake, Vec<Cow<'a, [u8]>>)> {
    let with = |text: String| {
        let part = |part: &Part<'a>| match part.bytes == seconds.as_bytes() {
            true => Cow::Owned(text.clone().into_bytes()),
            false => Cow::Borrowed(part.bytes),
        };
        parts.iter().map(part).collect::<Vec<_>>()
    };
    let date =
        seconds.parse().ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let dates = date.into_iter().flat_map(|date| {
        let written = [
            date.format(&Rfc3339).ok(),
            date.format(&Rfc2822).ok().map(|text| text.replace("+0000", "GMT")),
        ];
        written.into_iter().flatten()
    });
    let mut all = vec![(Mistake::Milliseconds, with(format!("{seconds}000")))];
    all.extend(dates.map(|text| (Mistake::DateForm, with(text))));
    all
}

fn pairs(places: Vec<usize>) -> impl Iterator<Item = (usize, usize)> {
    let others = places.clone();
    places.into_iter().flat_map(move |one| {
        let after: Vec<usize> = others.iter().copied().filter(|other| *other > one).collect();
        after.into_iter().map(move |other| (one, other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(parts: &[(&str, bool)]) -> Vec<(Mistake, String)> {
        let parts: Vec<Part<'_>> = parts
            .iter()
            .map(|(text, fixed)| Part { bytes: text.as_bytes(), fixed: *fixed })
            .collect();
        let text = |joined: Vec<&[u8]>| String::from_utf8(joined.concat()).unwrap();
        variants(&parts).map(|(mistake, bytes)| (mistake, text(bytes))).collect()
    }

    #[test]
    fn order_delimiters_and_omissions_are_tried() {
        let all = joined(&[("BODY", false), ("17", false)]);
        for expected in [
            (Mistake::MessageNewline, "BODY17\n"),
            (Mistake::PartsOrder, "17BODY"),
            (Mistake::Delimiter, "BODY.17"),
            (Mistake::Delimiter, "BODY\n17"),
            (Mistake::PartLeftOut, "BODY"),
            (Mistake::PartLeftOut, "17"),
        ] {
            assert!(all.contains(&(expected.0, expected.1.to_owned())), "{expected:?}");
        }
        let lines = joined(&[("v1", true), ("A", false), ("\n", true), ("B", false)]);
        for expected in [
            (Mistake::PartLeftOut, "v1A"),
            (Mistake::PartLeftOut, "v1A\n"),
            (Mistake::Delimiter, "AB"),
            (Mistake::PartsOrder, "v1B\nA"),
        ] {
            assert!(lines.contains(&(expected.0, expected.1.to_owned())), "{expected:?}");
        }
    }

    #[test]
    fn the_number_of_variants_is_bounded() {
        let many = vec![("x", false); 200];
        assert!(joined(&many).len() < 500);
    }
}
