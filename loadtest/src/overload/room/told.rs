//! What somebody who has a place is told of it.
//!
//! **Invariants**: nothing is told that the document does not say; a document that says too little tells nothing.

use std::time::Duration;

use serde::Deserialize;

use super::super::scenario::Seconds;

/// One answer that told somebody where he stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Index into the people.
    pub person: u32,
    /// When he was meant to ask.
    pub intended: Duration,
    /// When he did.
    pub sent: Duration,
    /// When he was told.
    pub ended: Duration,
    /// Whether he asked to be held until his turn.
    pub holds: bool,
    /// What he was told.
    pub told: Told,
}

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// His number, from 0: people are called in this order.
    pub number: u64,
    /// Where he stands.
    pub stand: Stand,
    /// When to ask again.
    pub again: Duration,
}

/// Whether it is his turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stand {
    /// Not yet.
    Waiting {
        /// How long it will take, if that was told.
        range: Option<Range>,
    },
    /// It is.
    Turn,
}

/// The members of the gateway's JSON that are looked at.
#[derive(Deserialize)]
struct Document {
    state: String,
    ticket_number: u64,
    eta_seconds: Option<Range>,
    poll_after_seconds: u64,
}

/// How long it will take.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Range {
    /// As likely earlier as later.
    pub p50: Seconds,
    /// Earlier in nine cases of ten.
    pub p90: Seconds,
}

impl Told {
    /// Reads the state of a place, or a problem with its members; none if it is neither.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let Document { state, ticket_number, eta_seconds, poll_after_seconds } = serde_json::from_slice(text).ok()?;
        let stand = match (state.as_str(), eta_seconds) {
            ("waiting", range) => Stand::Waiting { range },
            ("turn", _) => Stand::Turn,
            _ => return None,
        };
        // The number of a ticket is told counted from one.
        let number = ticket_number.checked_sub(1)?;
        Some(Self { number, stand, again: Duration::from_secs(poll_after_seconds) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_and_a_problem_are_read() {
        let text = br#"{"state":"waiting","room":"room","place":8,"ahead":7,"eta_seconds":{"p50":12,"p90":14},
            "poll_after_seconds":4,"ticket":"x","ticket_number":41,"request_id":"y"}"#;
        let stand = Stand::Waiting { range: Some(Range { p50: 12.0, p90: 14.0 }) };
        assert_eq!(Told::read(text), Some(Told { number: 40, stand, again: Duration::from_secs(4) }));
        let text = br#"{"status":503,"state":"turn","ticket_number":1,"poll_after_seconds":2}"#;
        assert_eq!(Told::read(text).map(|told| (told.number, told.stand)), Some((0, Stand::Turn)));
    }

    #[test]
    fn what_says_too_little_tells_nothing() {
        for text in [
            r#"{"state":"lobby","ticket_number":1,"poll_after_seconds":2}"#,
            r#"{"state":"turn","ticket_number":0,"poll_after_seconds":2}"#,
            r#"{"state":"turn","ticket_number":1}"#,
            "",
        ] {
            assert_eq!(Told::read(text.as_bytes()), None, "{text}");
        }
    }
}
