//! A scenario as plain data: what the service is, how people come, what befalls it when, and what must hold.
//!
//! **Invariants**: nothing here depends on a machine, a seed or a gateway; the same value is the same experiment. Times are
//! seconds from the start of the run, loads are multiples of the healthy capacity of all working servers together, so that a
//! slower service makes a smaller crowd and not another scenario.
//! **Not here**: the scenarios themselves ([`super::catalogue`]) and what they are run with.

use serde::{Deserialize, Serialize};

use super::room::RoomFigure;
use crate::origin::curve::Curve;

/// Seconds.
pub type Seconds = f64;

/// From a cold start, what is measured begins at the earliest after this, however short the run: three seconds to find the capacity,
/// and two.
const WARM_UP: Seconds = 5.0;

/// One experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// How the command line calls it.
    pub name: String,
    /// What it shows, in a line.
    pub shows: String,
    /// The service, one entry a server.
    pub servers: Vec<Server>,
    /// What the gateway is asked for beside its defaults.
    pub gateway: Gateway,
    /// Who comes.
    pub crowd: Crowd,
    /// What befalls the service.
    pub faults: Vec<Fault>,
    /// What counts as the steady part: goodput, order, fairness and promises are judged there.
    pub measured: Span,
    /// After the last arrival people have this long to be served; then the run ends.
    pub drain: Seconds,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
}

/// A stretch of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// From here,
    pub from: Seconds,
    /// until here.
    pub until: Seconds,
}

/// One server of the service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// What it can do.
    pub capacity: Capacity,
    /// What it does.
    pub answers: Answers,
}

/// Throughput against requests in flight; the work of a request is Gamma(4) with mean 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// Universal Scalability Law.
    Usl {
        /// Time of one request alone.
        base_time: Seconds,
        /// Requests in flight at the peak.
        peak_at: u32,
        /// Contention σ, from 0 to below 1.
        contention: f64,
    },
    /// Linear to the knee, then `capacity / (1 + slope·(n − knee)/knee)`.
    Kink {
        /// Requests a second at the knee.
        capacity: f64,
        /// Requests in flight there.
        knee: u32,
        /// How fast it falls.
        slope: f64,
    },
}

/// What a server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// The work.
    Work,
    /// Nothing but 500, so long after it came: a sink-hole. It has no capacity.
    Fail {
        /// Time to the answer.
        after: Seconds,
    },
}

/// What the gateway is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// Longest predicted wait in line.
    pub queue_wait: Seconds,
    /// At most so many requests of one client in flight and in line; none: no bound.
    pub per_client: Option<PerClient>,
}

/// The share of the line that one client may have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerClient {
    /// In flight.
    pub concurrency: u32,
    /// In line.
    pub waiting: u32,
}

/// Who comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crowd {
    /// Arrivals over time, one phase after the other.
    pub phases: Vec<Phase>,
    /// Each request is waited for this long, drawn evenly; then its connection is cut off.
    pub patience: Span,
    /// What people do who are refused or got no answer.
    pub retry: Retry,
    /// Steps of a registration; with more than one, people keep the gateway's pass from step to step.
    pub steps: u8,
    /// Mean time between two steps, exponential.
    pub think: Seconds,
    /// People who come again and again under a name of their own; none: everybody comes once.
    pub clients: Option<Clients>,
    /// They wait for their turn in a waiting room, for as long as it takes; none: there is no such room.
    pub waits: Option<Waits>,
}

/// How people wait in a waiting room: after each answer they come again when it says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// This share of them has visits held,
    pub holding: f64,
    /// for at most so long.
    pub hold: Seconds,
}

/// A stretch of constant load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// How long.
    pub lasts: Seconds,
    /// People's first requests against the healthy capacity.
    pub load: f64,
}

/// What people do who are refused or got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Go; whoever would have come back is counted among the arrivals.
    Never,
    /// Come when Retry-After says, or after 1–5 s where nothing says, until they give up.
    WhenTold {
        /// Leave for good so long after arriving.
        give_up: Seconds,
    },
    /// Come again all together at the next multiple of `every`.
    Storm {
        /// With this probability each time.
        probability: f64,
        /// At most so often.
        retries: u8,
        /// The beat.
        every: Seconds,
    },
}

/// Named clients, a few of whom are greedy. Each sends at a pace of its own, with gaps of 0.5 to 1.5 of its mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clients {
    /// Those who keep to the common pace.
    pub honest: u32,
    /// Those who do not.
    pub greedy: u32,
    /// How many times as much they send.
    pub factor: f64,
}

/// What befalls the service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: Seconds,
    /// For how long.
    pub lasts: Seconds,
    /// Which server; none: all of them.
    pub server: Option<usize>,
    /// What.
    pub kind: FaultKind,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// This share of the parallelism is left: capacity and optimum both shrink.
    Parallelism(f64),
    /// This share of the speed is left: capacity shrinks, the optimum stays.
    Speed(f64),
    /// It takes requests and does not work on them; then it goes on.
    Stall,
    /// Connections break and are refused, everything in flight is lost; afterwards it is cold: base time times
    /// `1 + 2·exp(−t / warm_up)`.
    Refuse {
        /// Time constant of warming up.
        warm_up: Seconds,
    },
}

/// One thing that must hold, of the median over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// What is measured.
    pub figure: Figure,
    /// What it must be.
    pub bound: Bound,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Shown, not judged.
    Shown,
}

/// What can be measured; [`super::figures`] says of each exactly how.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Work that people heard of, against what the capacity allowed, in the measured span.
    Goodput,
    /// Seconds until the first second with 95 % of the capacity.
    ColdStart,
    /// Seconds from a change of capacity to the first second with this share of the new one; the worst change.
    Recovery {
        /// Share of the capacity in force.
        share: f64,
    },
    /// Work nobody heard of, against all work.
    WastedWork,
    /// Requests started at a server above the limit in force.
    OverLimit,
    /// Change of the requests in flight over the measured span, along the fitted line, against their mean.
    Drift,
    /// People who finished, of those let in.
    Completed,
    /// Refusals of people let in before.
    MidFunnelRefusals,
    /// Jain's index over the answers each honest client got.
    JainClients,
    /// Answers of a greedy client, in answers of an honest one.
    GreedyShare,
    /// Jain's index over the deciles of arrival.
    JainDeciles,
    /// Requests overtaken by later ones, beyond the resolution.
    Overtakes,
    /// By how much the most overtaken request was, in seconds.
    LongestOvertake,
    /// Error of Retry-After, 90th percentile.
    PromiseError,
    /// Error of the predicted wait, 90th percentile.
    WaitError,
    /// Requests at the service for each person it saw.
    Amplification,
    /// What only a waiting room has.
    Room(RoomFigure),
}

impl Capacity {
    /// As a curve.
    #[must_use]
    pub fn curve(self) -> Curve {
        match self {
            Self::Usl { base_time, peak_at, contention } => Curve::usl_of_base_time(base_time, peak_at, contention),
            Self::Kink { capacity, knee, slope } => Curve::kink(capacity, knee, slope),
        }
    }

    /// The same capacity and optimum with a sharp kink.
    #[must_use]
    pub fn kinked(self, slope: f64) -> Self {
        let (Self::Usl { peak_at: knee, .. } | Self::Kink { knee, .. }) = self;
        Self::Kink { capacity: self.curve().capacity(), knee, slope }
    }

    /// `factor` times as slow.
    #[must_use]
    pub fn slower(self, factor: f64) -> Self {
        match self {
            Self::Usl { base_time, peak_at, contention } => {
                Self::Usl { base_time: base_time * factor, peak_at, contention }
            }
            Self::Kink { capacity, knee, slope } => Self::Kink { capacity: capacity / factor, knee, slope },
        }
    }
}

impl Server {
    /// Requests it finishes a second at its best; none if it only fails.
    #[must_use]
    pub fn peak(&self) -> f64 {
        match self.answers {
            Answers::Work => self.capacity.curve().capacity(),
            Answers::Fail { .. } => 0.0,
        }
    }
}

impl Span {
    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(self, at: Seconds) -> bool {
        self.from <= at && at < self.until
    }
}

impl Scenario {
    /// Healthy capacity of all servers together.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        self.servers.iter().map(Server::peak).sum()
    }

    /// When the last phase ends.
    #[must_use]
    pub fn arrivals_end(&self) -> Seconds {
        self.crowd.phases.iter().map(|phase| phase.lasts).sum()
    }

    /// How long a run takes at most.
    #[must_use]
    pub fn lasts(&self) -> Seconds {
        self.arrivals_end() + self.drain
    }

    /// Phases, faults and the measured span `scale` times as long; how people and the service are, and thresholds, stay. So does the
    /// time to warm up before the span, up to [`WARM_UP`], where that leaves half of it.
    #[must_use]
    pub fn scaled(mut self, scale: f64) -> Self {
        for phase in &mut self.crowd.phases {
            phase.lasts *= scale;
        }
        for fault in &mut self.faults {
            fault.at *= scale;
            fault.lasts *= scale;
        }
        let Span { from, until } = self.measured;
        let until = until * scale;
        self.measured = Span { from: (from * scale).max(from.min(WARM_UP)).min(until / 2.0), until };
        self
    }

    /// With every server's capacity exchanged.
    #[must_use]
    pub fn with_capacity(mut self, exchange: impl Fn(Capacity) -> Capacity) -> Self {
        for server in &mut self.servers {
            server.capacity = exchange(server.capacity);
        }
        self
    }
}

impl Bound {
    /// Whether `value` holds it; what is not a number holds nothing.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Shown => true,
        }
    }
}
