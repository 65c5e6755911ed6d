//! What the gateway says of itself, ten times a second.
//!
//! **Invariants**: a gateway that does not answer says nothing: there is no line of that instant, and nobody is kept waiting.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::Clock;
use crate::fetch;
use crate::ledger::said::{Room, Upstream};
use crate::ledger::{Named, Said};
use crate::visitor::draw::micros;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// A look takes no longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks the gateway at `admin` until dropped, writes what it said into the file at `path`, and keeps the `latest` for whoever looks.
///
/// # Errors
/// It cannot be written.
pub async fn watch(
    admin: SocketAddr,
    clock: Clock,
    path: &Path,
    latest: &RefCell<Option<Said>>,
) -> std::io::Result<()> {
    let file = File::options().create(true).append(true).open(path)?;
    let mut out = BufWriter::new(file);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Ok(Some(said)) = timeout(PATIENCE, look(admin, clock)).await {
            writeln!(out, "{}", serde_json::to_string(&said)?)?;
            out.flush()?;
            latest.replace(Some(said));
        }
    }
}

async fn look(admin: SocketAddr, clock: Clock) -> Option<Said> {
    let asked = clock.now();
    let capacity = document(admin, "capacity").await?;
    let rooms = document(admin, "rooms").await?;
    let at = asked + clock.now().saturating_sub(asked) / 2;
    Some(Said {
        at: micros(at),
        upstreams: by_name(&capacity, "upstreams", upstream),
        rooms: by_name(&rooms, "rooms", room),
    })
}

async fn document(admin: SocketAddr, name: &str) -> Option<Value> {
    let (_, text) = fetch::get(&format!("http://{admin}/v1/{name}")).await.ok()?;
    serde_json::from_slice(&text).ok()
}

fn by_name<T>(document: &Value, list: &str, read: impl Fn(&Value) -> T) -> Named<T> {
    let entries = document.get(list).and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| Some((entry.get("name")?.as_str()?.to_owned(), read(entry)))).collect()
}

fn upstream(entry: &Value) -> Upstream {
    Upstream {
        limit: real(entry, "/limit"),
        in_flight: count(entry, "/in_flight").unwrap_or_default(),
        waiting: count(entry, "/waiting").unwrap_or_default(),
        predicted_wait: real(entry, "/predicted_wait_seconds"),
    }
}

fn room(entry: &Value) -> Room {
    Room {
        issued: count(entry, "/issued").unwrap_or_default(),
        serving: count(entry, "/serving").unwrap_or_default(),
        waiting: count(entry, "/waiting").unwrap_or_default(),
        taken: count(entry, "/quota/done"),
    }
}

fn count(entry: &Value, path: &str) -> Option<u64> {
    entry.pointer(path).and_then(Value::as_u64)
}

fn real(entry: &Value, path: &str) -> f64 {
    entry.pointer(path).and_then(Value::as_f64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_of_the_gateway_are_read() {
        let capacity = json!({"upstreams": [
            {"name": "nik", "limit": 64, "in_flight": 60, "waiting": 5, "predicted_wait_seconds": 1.5}, {"limit": 1}
        ]});
        let upstreams = by_name(&capacity, "upstreams", upstream);
        let nik = Upstream { limit: 64.0, in_flight: 60, waiting: 5, predicted_wait: 1.5 };
        assert_eq!(upstreams, [("nik".to_owned(), nik)].into());
        let rooms = json!({"rooms": [
            {"name": "opening", "issued": 10, "serving": 4, "waiting": 6, "quota": {"done": 3}},
            {"name": "other", "issued": 1, "serving": 1, "waiting": 0, "quota": null},
        ]});
        let rooms = by_name(&rooms, "rooms", room);
        let taken: Vec<_> = rooms.values().map(|room| (room.issued, room.taken)).collect();
        assert_eq!(taken, [(10, Some(3)), (1, None)]);
        assert_eq!(by_name(&json!([]), "rooms", room), Named::default());
    }
}
