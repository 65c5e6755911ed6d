//! Which server next: the less busy of two drawn by lot.
//!
//! **Invariants**: no server is named twice; a lone server costs no randomness.
//! **Cost**: two random numbers and two loads; allocates only after a server has failed.
//! **Not here**: health. A server that cannot be reached costs one failed dial and the next is asked.
//!
//! Power of two choices: Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing* (2001).

use std::sync::Arc;

use super::server::ServerState;

/// The servers of an upstream in the order in which one request tries them.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    servers: &'a [Arc<ServerState>],
    left: Option<Vec<usize>>,
    last: Option<usize>,
}

impl<'a> Choice<'a> {
    pub(super) const fn new(servers: &'a [Arc<ServerState>]) -> Self {
        Self { servers, left: None, last: None }
    }

    fn draw(&self, count: usize, server: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        match count {
            0 => None,
            1 => server(0),
            _ => {
                let first = fastrand::usize(..count);
                let second = (first + fastrand::usize(1..count)) % count;
                let (first, second) = (server(first)?, server(second)?);
                Some(if self.load(second) < self.load(first) { second } else { first })
            }
        }
    }

    fn load(&self, index: usize) -> u32 {
        self.servers.get(index).map_or(u32::MAX, |server| server.in_flight())
    }
}

impl Iterator for Choice<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let next = if let Some(failed) = self.last {
            let left = self.left.get_or_insert_with(|| (0..self.servers.len()).collect());
            left.retain(|&index| index != failed);
            let left = self.left.as_deref().unwrap_or_default();
            self.draw(left.len(), |position| left.get(position).copied())
        } else {
            self.draw(self.servers.len(), Some)
        };
        self.last = next;
        next
    }
}
