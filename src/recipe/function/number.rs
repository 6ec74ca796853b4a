//! Functions for numbers, exact on their text: nothing is rounded, and nothing becomes a float.

use super::input::{bytes, number, size, text};
use super::{Function, Kind, Parameter, Takes};
use crate::recipe::fault::Fault;
use crate::recipe::value::Value;

/// The most decimals, and the farthest that a decimal point moves.
const DECIMALS_MAX: usize = 64;
const DECIMALS: Parameter = Parameter::required("decimals", Kind::Number);

pub(super) static TABLE: &[Function] = &[
    Function::text(
        "fixed",
        Takes::Text,
        "A decimal number with exactly so many decimals; refused if other digits than 0 would go.",
        |input, arguments| {
            let decimals = size(arguments, 0, DECIMALS_MAX)?;
            let number = Decimal::of(&text(input)?)?;
            number.fixed(decimals).map(Value::from)
        },
    )
    .with(&[DECIMALS]),
    Function::text(
        "shift",
        Takes::Text,
        "A decimal number with its point so many places to the right, or left: `12.34 | shift(2)` \
         is `1234`.",
        |input, arguments| {
            let places = number(arguments, 0)?;
            let most = i64::try_from(DECIMALS_MAX).unwrap_or(i64::MAX);
            if !(-most..=most).contains(&places) {
                return Err(Fault::too_long());
            }
            Ok(Value::from(Decimal::of(&text(input)?)?.shifted(places).shortest()))
        },
    )
    .with(&[Parameter::required("places", Kind::Number)]),
    Function::text(
        "trim_zeros",
        Takes::Text,
        "A decimal number without zeros at the end of its decimals: `12.30` is `12.3`, `12.00` \
         is `12`.",
        |input, _| Ok(Value::from(Decimal::of(&text(input)?)?.shortest())),
    ),
    Function::text(
        "decimal",
        Takes::Bytes,
        "Up to 8 bytes, the highest first, as a decimal number.",
        |input, _| {
            let bytes = bytes(input)?;
            if bytes.len() > 8 {
                return Err(Fault::too_long());
            }
            let number = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            Ok(Value::from(number.to_string()))
        },
    ),
];

/// A decimal number: its digits and how many of them stand behind the point.
struct Decimal {
    negative: bool,
    whole: String,
    part: String,
}

impl Decimal {
    fn of(text: &str) -> Result<Self, Fault> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, part) = match digits.split_once('.') {
            Some((_, "")) => return Err(Fault::malformed()),
            Some(both) => both,
            None => (digits, ""),
        };
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(part) {
            return Err(Fault::malformed());
        }
        Ok(Self { negative, whole: whole.to_owned(), part: part.to_owned() })
    }

    fn shifted(mut self, places: i64) -> Self {
        for _ in 0..places {
            let first = if self.part.is_empty() { '0' } else { self.part.remove(0) };
            self.whole.push(first);
        }
        for _ in places..0 {
            self.part.insert(0, self.whole.pop().unwrap_or('0'));
        }
        self
    }

    fn fixed(&self, decimals: usize) -> Result<String, Fault> {
        let kept = self.part.get(..decimals).unwrap_or(&self.part);
        let lost = self.part.get(decimals..).unwrap_or_default();
        if lost.bytes().any(|digit| digit != b'0') {
            return Err(Fault::malformed());
        }
        let zeros = "0".repeat(decimals.saturating_sub(kept.len()));
        Ok(self.written(&[kept, &zeros].concat()))
    }

    fn shortest(&self) -> String {
        self.written(self.part.trim_end_matches('0'))
    }

    fn written(&self, part: &str) -> String {
        let sign = if self.negative { "-" } else { "" };
        let whole = self.whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if part.is_empty() { "" } else { "." };
        [sign, whole, point, part].concat()
    }
}
