//! Why a value cannot be had from a message. It names places, never values.

use std::fmt;

use crate::recipe::origin::Origin;

/// Where an evaluation failed: what was read, and the function that it had come to. Small, because
/// it travels wherever a value might.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// What the failing pipeline reads, where that is one thing.
    pub origin: Option<Box<Origin>>,
    /// The function that failed; none for the source itself.
    pub function: Option<&'static str>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, self.function) {
            (Some(origin), None) => write!(f, "{origin}"),
            (Some(origin), Some(function)) => write!(f, "{origin} | {function}"),
            (None, Some(function)) => f.write_str(function),
            (None, None) => f.write_str("a value"),
        }
    }
}

/// Why a value cannot be had. Functions make it without a place; the evaluation puts it in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is not there.
    #[error("{0} is absent")]
    Absent(Place),
    /// It is there more than once where it must be once.
    #[error("{0} is there more than once")]
    Repeated(Place),
    /// It is not of the form that is wanted.
    #[error("{0} is malformed")]
    Malformed(Place),
    /// It is no UTF-8 text, or no single value.
    #[error("{0} is no text")]
    NotText(Place),
    /// It is longer, or has more items, than a value may.
    #[error("{0} is too long")]
    TooLong(Place),
}

impl Fault {
    /// [`Fault::Absent`], place unknown.
    pub fn absent() -> Self {
        Self::Absent(Place::default())
    }

    /// [`Fault::Repeated`], place unknown.
    pub fn repeated() -> Self {
        Self::Repeated(Place::default())
    }

    /// [`Fault::Malformed`], place unknown.
    pub fn malformed() -> Self {
        Self::Malformed(Place::default())
    }

    /// [`Fault::NotText`], place unknown.
    pub fn not_text() -> Self {
        Self::NotText(Place::default())
    }

    /// [`Fault::TooLong`], place unknown.
    pub fn too_long() -> Self {
        Self::TooLong(Place::default())
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        match self {
            Self::Absent(place)
            | Self::Repeated(place)
            | Self::Malformed(place)
            | Self::NotText(place)
            | Self::TooLong(place) => place,
        }
    }

    /// Puts the place in, where none is known yet.
    pub(crate) fn at(mut self, origin: Option<Origin>, function: Option<&'static str>) -> Self {
        let (Self::Absent(place)
        | Self::Repeated(place)
        | Self::Malformed(place)
        | Self::NotText(place)
        | Self::TooLong(place)) = &mut self;
        if *place == Place::default() {
            *place = Place { origin: origin.map(Box::new), function };
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_places() {
        let fault = Fault::absent().at(Some(Origin::Form("a".into())), Some("after"));
        assert_eq!(fault.to_string(), "form:a | after is absent");
        let again = fault.clone().at(Some(Origin::Body), None);
        assert_eq!(again, fault);
    }
}
