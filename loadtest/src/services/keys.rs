//! Who is registered: which keys have had their effect at which stage.
//!
//! **Invariants**: numbers count the effects of one service from 1. The keys outlive the servers, as a database does.
//! **Cost**: a hash lookup an effect; about 20 bytes for each person and stage, which bound it.

use std::collections::HashMap;

use super::draw::mix;
use crate::ledger::Effect;

/// The effects of one service.
#[derive(Debug, Default)]
pub struct Keys {
    /// A 64-bit hash of key and stage; of 10 million, two are the same with a probability of 3 in a million.
    numbers: HashMap<u64, u32>,
    effects: u32,
    idempotent: bool,
}

impl Keys {
    /// Nobody is registered; `idempotent` says whether a key that is known changes nothing.
    #[must_use]
    pub fn new(idempotent: bool) -> Self {
        Self { idempotent, ..Self::default() }
    }

    /// The effect that a request with this hash of its key has now, and the registration number it is answered. Who has no key, 0, is
    /// always somebody else.
    pub fn register(&mut self, stage: u8, key: u64) -> (Effect, u32) {
        let next = self.effects.saturating_add(1);
        let known = if key == 0 { None } else { self.numbers.get(&of(stage, key)) };
        match known {
            Some(number) if self.idempotent => (Effect::Recognised, *number),
            Some(_) => {
                self.effects = next;
                (Effect::Duplicate, next)
            }
            None => {
                self.effects = next;
                if key != 0 {
                    self.numbers.insert(of(stage, key), next);
                }
                (Effect::First, next)
            }
        }
    }
}

fn of(stage: u8, key: u64) -> u64 {
    mix(key ^ mix(stage.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_effect_of_one_key_and_stage_is_a_duplicate() {
        let mut keys = Keys::new(false);
        let effects = [keys.register(0, 7), keys.register(0, 8), keys.register(0, 7), keys.register(1, 7)];
        assert_eq!(effects, [(Effect::First, 1), (Effect::First, 2), (Effect::Duplicate, 3), (Effect::First, 4)]);
    }

    #[test]
    fn an_idempotent_service_recognises_a_key_and_answers_its_number() {
        let mut keys = Keys::new(true);
        let effects = [keys.register(0, 7), keys.register(0, 8), keys.register(0, 7), keys.register(1, 7)];
        assert_eq!(effects, [(Effect::First, 1), (Effect::First, 2), (Effect::Recognised, 1), (Effect::First, 3)]);
        assert_eq!([keys.register(0, 0), keys.register(0, 0)], [(Effect::First, 4), (Effect::First, 5)]);
    }
}
