//! What can be measured of a waiting room, and how it is written.

use serde::{Deserialize, Serialize};

/// What can be measured of a waiting room; [`super::figures`] says of each exactly how.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomFigure {
    /// Error of the p50 that was told, of the wait that followed: median.
    EstimateMedian,
    /// The same, 95th percentile.
    EstimateWorst,
    /// Answers whose p90 held, of all.
    WithinP90,
    /// Seconds from being called to knowing it, of those whose visits are held, 99th percentile.
    NoticeHeld,
    /// The same of those who come as told.
    NoticeTold,
    /// The same as a share of the time after which they had been told to come.
    NoticeShare,
    /// Most questions of one person after his place.
    Polls,
    /// People who had not been served when the run ended.
    Unserved,
    /// Answers that let somebody wait whom somebody behind him had overtaken.
    OutOfOrder,
    /// Answers that contradict what the gateway says of whom it has called.
    Contradicted,
}

impl RoomFigure {
    /// Its name in a table.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::EstimateMedian => "error of the estimated wait, median",
            Self::EstimateWorst => "error of the estimated wait, p95",
            Self::WithinP90 => "called within the p90 told",
            Self::NoticeHeld => "turn noticed, visits held, p99",
            Self::NoticeTold => "turn noticed, come as told, p99",
            Self::NoticeShare => "… of the interval told, p99",
            Self::Polls => "most polls of a person",
            Self::Unserved => "people not served",
            Self::OutOfOrder => "told to wait, out of order",
            Self::Contradicted => "answers against what was called",
        }
    }

    /// `value` in its unit.
    #[must_use]
    pub fn written(self, value: f64) -> String {
        match self {
            Self::EstimateMedian | Self::EstimateWorst | Self::WithinP90 | Self::NoticeShare => {
                format!("{:.1} %", value * 100.0)
            }
            Self::NoticeHeld | Self::NoticeTold => format!("{value:.2} s"),
            Self::Polls | Self::Unserved | Self::OutOfOrder | Self::Contradicted => format!("{value:.0}"),
        }
    }
}
