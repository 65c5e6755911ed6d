//! The service behind the room, which fails in every way: before its effect, after it, and in its answer.

use std::collections::HashMap;

use super::wire::Word;

/// So often of a hundred times: whether the request has its effect, and what is heard of it.
const FATES: [(u32, bool, Word); 12] = [
    (58, true, Word::Status(201)),
    (6, false, Word::Status(503)),
    (4, true, Word::Status(500)),
    (5, false, Word::Status(500)),
    (2, true, Word::Status(504)),
    (5, true, Word::Nothing),
    (4, false, Word::Nothing),
    (4, false, Word::Unsent),
    (4, false, Word::Status(409)),
    (3, false, Word::Status(429)),
    (3, true, Word::Repeat),
    (2, false, Word::Repeat),
];

/// Who is registered. Nothing kills it.
#[derive(Default)]
pub(super) struct Service {
    /// The number with which each came whose registration had its effect.
    registered: HashMap<usize, u64>,
    /// How many it has room for; one more is a fault of the gateway.
    quota: Option<u64>,
}

impl Service {
    pub(super) fn new(quota: Option<u64>) -> Self {
        Self { quota, ..Self::default() }
    }

    /// `who`, with place `number`, sends his registration; `recognised` if the service knows a repetition of it.
    pub(super) fn registers(&mut self, who: usize, number: u64, recognised: bool, rng: &mut fastrand::Rng) -> Word {
        let mut chance = rng.u32(..100);
        let fate = FATES.iter().find(|(share, ..)| {
            let drawn = chance < *share;
            chance = chance.saturating_sub(*share);
            drawn
        });
        let (_, effect, word) = *fate.unwrap();
        let again = self.is_registered(who);
        if effect && !(again && recognised) {
            assert!(!again || self.quota.is_none(), "{who} is registered, and nothing tells the service so");
            self.registered.insert(who, number);
            assert!(self.quota.is_none_or(|quota| self.len() <= quota), "one more than the quota is registered");
        }
        // What the service would not recognise is not sent again.
        if word == Word::Repeat && !recognised { Word::Nothing } else { word }
    }

    pub(super) fn is_registered(&self, who: usize) -> bool {
        self.registered.contains_key(&who)
    }

    /// Whether somebody has registered with place `number`.
    pub(super) fn numbers(&self) -> std::collections::HashSet<u64> {
        self.registered.values().copied().collect()
    }

    pub(super) fn len(&self) -> u64 {
        self.registered.len() as u64
    }
}
