//! Faults that weir commits on purpose, so that whoever judges it can be judged: `loadtest`'s oracle must turn red on each (`make sabotage`).
//!
//! Only a test build has them: feature `sabotage`, never default, and refused where optimisation has switched debug assertions off, so that no
//! release can be made of it. `WEIR_SABOTAGE=NAME` then chooses one; a start says so loudly, and an unknown name does not start.
//!
//! **Invariants**: without the feature, [`is`] is `false` at compile time, and every place that asks it is as if it were not there.
//! **Cost**: none without the feature.
//! **Not here**: what each breaks: one condition, where the rule it breaks is held.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` is for test builds: build it with `--profile sabotage`");

/// A fault. Behind each: what it does, and the invariant of `loadtest` that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One answer in twenty is 200 for a request that was never forwarded: I1, lost.
    DropAfterAccept,
    /// A request that was answered is sent once more, as often as retries are allowed: I2, duplicate.
    DoubleForward,
    /// Eight permits more than the limit: I4, over-admission.
    OverAdmit,
    /// Permits are not counted: I4, over-admission.
    ForgetPermit,
    /// Eight places more than the quota: I5.
    OverQuota,
    /// Last come, first served in line: I6, order.
    Lifo,
    /// One newcomer in four walks past everybody who waits: I6, order.
    LetNewcomersOvertake,
    /// A new place at each visit: I7, place kept.
    RequeueOnRefresh,
    /// Half of the time nobody is let in: I8, work conservation.
    Idle,
    /// One request in a hundred is never answered: I9, silence.
    Swallow,
    /// A ticket that nobody signed is good for the place that was called last: I10, forged.
    AcceptForgedTicket,
    /// The wait told is a quarter of what is expected: the figures `eta_error_p50` and `eta_coverage`.
    EtaLies,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::DropAfterAccept,
        Self::DoubleForward,
        Self::OverAdmit,
        Self::ForgetPermit,
        Self::OverQuota,
        Self::Lifo,
        Self::LetNewcomersOvertake,
        Self::RequeueOnRefresh,
        Self::Idle,
        Self::Swallow,
        Self::AcceptForgedTicket,
        Self::EtaLies,
    ];

    /// Its name in `WEIR_SABOTAGE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropAfterAccept => "drop-after-accept",
            Self::DoubleForward => "double-forward",
            Self::OverAdmit => "over-admit",
            Self::ForgetPermit => "forget-permit",
            Self::OverQuota => "over-quota",
            Self::Lifo => "lifo",
            Self::LetNewcomersOvertake => "let-newcomers-overtake",
            Self::RequeueOnRefresh => "requeue-on-refresh",
            Self::Idle => "idle",
            Self::Swallow => "swallow",
            Self::AcceptForgedTicket => "accept-forged-ticket",
            Self::EtaLies => "eta-lies",
        }
    }
}

/// Whether this process commits `fault`.
#[cfg(not(feature = "sabotage"))]
#[must_use]
pub const fn is(_: Fault) -> bool {
    false
}

/// Whether this process commits `fault`, for one in `of`.
#[must_use]
pub fn is_one_in(of: u32, fault: Fault) -> bool {
    is(fault) && fastrand::u32(..of) == 0
}

/// Never ends for one request in a hundred of [`Fault::Swallow`].
pub async fn swallow() {
    if is_one_in(100, Fault::Swallow) {
        std::future::pending::<()>().await;
    }
}

/// Says what is going to go wrong; nothing in an honest build.
///
/// # Errors
/// `WEIR_SABOTAGE` names no fault.
#[cfg(not(feature = "sabotage"))]
pub const fn announce() -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "sabotage")]
pub use chosen::{announce, is};

#[cfg(feature = "sabotage")]
mod chosen {
    use std::sync::OnceLock;

    use super::Fault;

    const VARIABLE: &str = "WEIR_SABOTAGE";

    fn named() -> Option<String> {
        std::env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned())
    }

    fn fault() -> Option<Fault> {
        static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
        *FAULT.get_or_init(|| {
            let name = named()?;
            Fault::ALL.into_iter().find(|fault| fault.as_str() == name)
        })
    }

    /// Whether this process commits `fault`.
    #[must_use]
    pub fn is(asked: Fault) -> bool {
        fault() == Some(asked)
    }

    /// Says what is going to go wrong.
    pub fn announce() -> Result<(), String> {
        match (named(), fault()) {
            (Some(_), Some(fault)) => {
                tracing::error!(
                    fault = fault.as_str(),
                    "SABOTAGE: this build breaks its promises on purpose; never run it for real"
                );
            }
            (Some(name), None) => {
                let names = Fault::ALL.map(Fault::as_str).join(", ");
                return Err(format!("{VARIABLE}={name} names no fault; there are {names}"));
            }
            (None, _) => tracing::error!("SABOTAGE: a build for tests, with no fault chosen; never run it for real"),
        }
        Ok(())
    }
}
