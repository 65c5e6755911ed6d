//! How many may be in flight at an upstream: told, or found.

pub mod elastic;
mod evidence;
mod leg;
pub mod meter;
mod safety;

pub use elastic::{Elastic, State};

/// Between what an adaptive limit may move, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer; at least one.
    pub min: u32,
    /// Never more.
    pub max: u32,
    /// Where it begins.
    pub initial: u32,
}

impl Bounds {
    /// What `concurrency = "adaptive"` means.
    pub const ADAPTIVE: Self = Self { min: 2, max: 1000, initial: 16 };

    /// `limit` brought within the bounds.
    #[must_use]
    pub fn clamp(&self, limit: f64) -> u32 {
        let (min, max) = (f64::from(self.min.max(1)), f64::from(self.max.max(1)));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a range of u32")]
        let whole = limit.round().max(min).min(max) as u32;
        whole.max(1)
    }
}

/// What the gate showed at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// Permits in use.
    pub in_flight: u32,
    /// People alive in line.
    pub waiting: usize,
}

/// What the law wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Permits there shall be.
    pub limit: u32,
}
