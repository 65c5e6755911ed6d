//! The waiting room: everyone who does not fit into the line of held requests gets a place, keeps it, and knows when.
//!
//! A crowd of a million needs two counters and signed tickets, not a queue of requests. A join is given a *number*, and its ticket
//! proves it; what is remembered of a person is one word of four bytes, made when he first comes back. Numbers are called in order
//! by a counter, *serving*, that moves at the pace at which the services behind take people; whoever's number has been called
//! may come in, and admission (tokens, permits) decides about his request as about any other. Whoever is called and does not come is
//! made up for; whoever comes late, or whom the upstream failed, comes in at the front.
//!
//! **Invariants**
//! * First come, first served by number; a lobby by the rank that was drawn. A number once given is kept: over refresh, second
//!   tab, restart and `kill -9`.
//! * A ticket that does not verify is as good as none and is never signed anew.
//! * At most `quota` people succeed in a wave, over crashes as well.
//! * While people wait and the services have room, somebody is called.
//!
//! **Cost**: a join one atomic addition and one signature; a poll one verification and a few loads.
//! **Bound**: four bytes a number, and what `identity` remembers; both bounded by the configuration.
//! **Not here**: HTTP but in `page` (`proxy`), permits and tokens (`admission`).

pub mod eta;
pub mod identity;
pub mod journal;
pub mod lottery;
pub mod order;
pub mod pace;
pub mod page;
pub mod quota;
pub mod room;
pub mod ticket;
pub mod wave;
