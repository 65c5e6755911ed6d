//! The figures of a run: their names in scenario files, units, and thresholds on them.
//!
//! **Invariants**: a figure has one name, the same in files, reports and the code. A figure that cannot be computed is not a number, and no
//! threshold holds for it; one on how people waited is not judged where nobody had to wait.
//! **Not here**: how they are computed (`oracle`).

use std::time::Duration;

/// What is measured of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Figure {
    /// Work of the bottleneck service that people heard of, over what it could have done from `measured_from` to the end of the arrivals.
    Goodput,
    /// People who do not attack and have finished, over those whom an ideal service would have taken through; not where some go only part of the way.
    Registered,
    /// From the first second with a crowd to the first with 95 % of the bottleneck's capacity; not where there never was demand for it.
    ColdStart,
    /// The longest time from a change of capacity to the first second with 95 % of it, at the service that is the bottleneck then.
    Recovery,
    /// Completed work nobody heard of, over all completed work; not where next to nothing was completed.
    WastedWork,
    /// Of the people who passed the entrance, those who finished: passed the last stage, or one after which not everybody goes on, and went no further.
    FunnelFinished,
    /// Refusals after the entrance: 429 and 503 with neither place nor turn, which are not the service's own.
    FunnelRefusals,
    /// Requests that began at a service over the gateway's limit in force.
    OverLimit,
    /// People served who were overtaken by somebody who joined more than the resolution later.
    Overtaken,
    /// 99th percentile of the number of later joiners served before a person.
    SlipP99,
    /// Of those who came again with their cookie, ticket or identity, the share that kept their place.
    PlaceKept,
    /// Median relative error of the told p50 against the wait that followed.
    EtaErrorP50,
    /// 95th percentile of it.
    EtaErrorP95,
    /// Share of the waits that ended within the told p90.
    EtaCoverage,
    /// 99th percentile of the time from a person's turn to the instant he knew.
    TurnNoticedP99,
    /// Mean requests a person sent.
    RequestsPerPerson,
    /// Requests that reached the services over distinct people and stages.
    Amplification,
    /// Jain's index over the shares served of each tenth of the people by arrival.
    JainDeciles,
    /// Median time to any answer, from the intended instant.
    AnswerP50,
    /// 99th percentile of it.
    AnswerP99,
    /// Requests without any answer while nothing was down, over all.
    Silence,
    /// 99th percentile of how late the harness sent.
    LagP99,
    /// Most memory of the gateway's processes, bytes.
    GatewayMemory,
    /// CPU time of the gateway a request.
    GatewayCpu,
    /// Most memory of the harness's processes, bytes.
    HarnessMemory,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `98.2 %`
    Share,
    /// `1.4 s`
    Time,
    /// `12`
    Count,
    /// `1.02`
    Ratio,
    /// `310 MiB`
    Bytes,
}

/// A bound on a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// On which.
    pub figure: Figure,
    /// From which side.
    pub bound: Bound,
}

/// One side of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At least; shares as fractions, times in seconds.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
}

impl Bound {
    /// Whether `value` keeps to it. No bound holds for what is not a number.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl Figure {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 25] = [
        Self::Goodput,
        Self::Registered,
        Self::ColdStart,
        Self::Recovery,
        Self::WastedWork,
        Self::FunnelFinished,
        Self::FunnelRefusals,
        Self::OverLimit,
        Self::Overtaken,
        Self::SlipP99,
        Self::PlaceKept,
        Self::EtaErrorP50,
        Self::EtaErrorP95,
        Self::EtaCoverage,
        Self::TurnNoticedP99,
        Self::RequestsPerPerson,
        Self::Amplification,
        Self::JainDeciles,
        Self::AnswerP50,
        Self::AnswerP99,
        Self::Silence,
        Self::LagP99,
        Self::GatewayMemory,
        Self::GatewayCpu,
        Self::HarnessMemory,
    ];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput",
            Self::Registered => "registered",
            Self::ColdStart => "cold_start",
            Self::Recovery => "recovery",
            Self::WastedWork => "wasted_work",
            Self::FunnelFinished => "funnel_finished",
            Self::FunnelRefusals => "funnel_refusals",
            Self::OverLimit => "over_limit",
            Self::Overtaken => "overtaken",
            Self::SlipP99 => "slip_p99",
            Self::PlaceKept => "place_kept",
            Self::EtaErrorP50 => "eta_error_p50",
            Self::EtaErrorP95 => "eta_error_p95",
            Self::EtaCoverage => "eta_coverage",
            Self::TurnNoticedP99 => "turn_noticed_p99",
            Self::RequestsPerPerson => "requests_per_person",
            Self::Amplification => "amplification",
            Self::JainDeciles => "jain_deciles",
            Self::AnswerP50 => "answer_p50",
            Self::AnswerP99 => "answer_p99",
            Self::Silence => "silence",
            Self::LagP99 => "lag_p99",
            Self::GatewayMemory => "gateway_memory",
            Self::GatewayCpu => "gateway_cpu",
            Self::HarnessMemory => "harness_memory",
        }
    }

    /// How it is written.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Goodput
            | Self::Registered
            | Self::WastedWork
            | Self::FunnelFinished
            | Self::PlaceKept
            | Self::EtaErrorP50
            | Self::EtaErrorP95
            | Self::EtaCoverage
            | Self::Silence => Unit::Share,
            Self::ColdStart
            | Self::Recovery
            | Self::TurnNoticedP99
            | Self::AnswerP50
            | Self::AnswerP99
            | Self::LagP99
            | Self::GatewayCpu => Unit::Time,
            Self::FunnelRefusals | Self::OverLimit | Self::Overtaken | Self::SlipP99 => Unit::Count,
            Self::RequestsPerPerson | Self::Amplification | Self::JainDeciles => Unit::Ratio,
            Self::GatewayMemory | Self::HarnessMemory => Unit::Bytes,
        }
    }
}

/// At the 99th percentile the harness may send so late at most; beyond it, the run says nothing about the gateway.
pub const LAG_LIMIT: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_figure_has_a_name_of_its_own() {
        let names: HashSet<_> = Figure::ALL.iter().map(|figure| figure.name()).collect();
        assert_eq!(names.len(), Figure::ALL.len());
    }

    #[test]
    fn nothing_holds_for_what_is_not_a_number() {
        assert!(Bound::AtLeast(0.98).holds(0.98) && !Bound::AtLeast(0.98).holds(0.97));
        assert!(Bound::AtMost(2.0).holds(2.0) && !Bound::AtMost(2.0).holds(2.1));
        assert!(!Bound::AtLeast(0.0).holds(f64::NAN) && !Bound::AtMost(1.0).holds(f64::NAN));
    }
}
