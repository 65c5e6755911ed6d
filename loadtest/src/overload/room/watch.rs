//! Whom the gateway says it has called: `serving` of `/v1/rooms`, read fifty times a second.
//!
//! **Cost**: one connection; a small document each time.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use super::super::gateway::{self, ROOM};
use crate::clock::Clock;

/// Between two looks: the gateway calls people ten times a second.
const LOOK: Duration = Duration::from_millis(20);

/// Everybody whose number is below `position` had been called at some instant between `asked` and `read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Before it was said.
    pub asked: Duration,
    /// After it was said.
    pub read: Duration,
    /// What was said.
    pub position: u64,
}

/// Asks the gateway at `admin` until dropped; every answer goes to `serving`.
pub async fn watch(admin: SocketAddr, clock: Clock, serving: &mut Vec<Serving>) -> anyhow::Error {
    let hear = |asked, read, text: &[u8]| {
        serving.push(Serving { asked, read, position: position(text)? });
        Ok(())
    };
    gateway::poll(admin, clock, "/v1/rooms", LOOK, hear).await.context("the waiting room cannot be read")
}

fn position(text: &[u8]) -> anyhow::Result<u64> {
    let document: serde_json::Value = serde_json::from_slice(text)?;
    let rooms = document["rooms"].as_array().context("there are no rooms")?;
    let room = rooms.iter().find(|room| room["name"] == ROOM).context("the room is missing")?;
    room["serving"].as_u64().context("its position is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_the_room_is_found() {
        let text = br#"{"rooms":[{"name":"other","serving":9},{"name":"room","serving":64}]}"#;
        assert_eq!(position(text).expect("it is there"), 64);
        assert!(position(br#"{"rooms":[{"name":"room"}]}"#).is_err() && position(br#"{"rooms":[]}"#).is_err());
    }
}
