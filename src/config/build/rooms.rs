//! Waiting rooms beside each other, and what will disappoint: places that do not outlive a restart, a pace that cannot be measured, clients that
//! cannot be told apart.
//!
//! **Not here**: one room's keys (`config::room`), which routes lead into it (`route`).

use std::path::{Component, Path, PathBuf};

use http::Method;

use super::super::draft::{Draft, Route};
use super::super::explain::{Faults, quoted};
use super::super::plan::Pace;
use super::super::room::{Room, state_of};
use super::super::secret::{Source, parent};

/// What is here is gone after a restart of the machine, or some day before (hier(7), file-hierarchy(7)).
const FLEETING: [&str; 4] = ["/tmp", "/dev/shm", "/run", "/var/run"];

/// Records that two rooms share a directory; warns of the rest.
pub(super) fn check(draft: &Draft, directory: &Path, faults: &mut Faults<'_>) {
    let mut earlier: Vec<(PathBuf, &str)> = Vec::new();
    for room in &draft.waiting_rooms {
        let Some(name) = &room.name else { continue };
        let written = written(room, &name.value, directory);
        let state = plain(&written);
        let span = room.state.as_ref().map_or(&name.span, |state| &state.span);
        // Of two rooms with one name something else is said.
        if let Some((_, other)) = earlier.iter().find(|(other, owner)| *other == state && *owner != name.value) {
            let message = format!(
                "two waiting rooms keep their state in one directory: {} and {}",
                quoted(other),
                quoted(&name.value)
            );
            faults.add(span, message, Some("each needs a directory of its own".to_owned()), None);
        }
        if let Some(fleeting) = FLEETING.into_iter().find(|fleeting| written.starts_with(fleeting)) {
            let message = format!(
                "places are kept in {fleeting}, which does not outlive the machine's next restart: write a `state` on a disk, such as \
                 /var/lib/weir"
            );
            faults.warn(span, &message);
        }
        warn_of_key(room, &state, directory, faults);
        let inside = |route: &&Route| route.waiting_room.as_ref().is_some_and(|into| into.value == name.value);
        let routes: Vec<_> = draft.routes.iter().filter(inside).collect();
        warn_of_routes(room, &routes, faults);
        earlier.push((state, &name.value));
    }
}

fn warn_of_key(room: &Room, state: &Path, directory: &Path, faults: &mut Faults<'_>) {
    if let Some(key) = &room.key
        && let Source::File(path) = &key.value
        && plain(parent(&directory.join(path))).starts_with(state)
    {
        faults.warn(
            &key.span,
            "the key is in the directory of the room's state: whoever loses or moves that loses the key as well, and with both \
             every place; keep it elsewhere",
        );
    }
}

fn warn_of_routes(room: &Room, routes: &[&Route], faults: &mut Faults<'_>) {
    if room.pace == Pace::Measured {
        for route in routes.iter().filter(|route| route.queue.length == 0) {
            faults.warn(
                &route.span,
                "nobody ever waits at the gate of this route, so what it can take is not measured and the waiting room calls \
                 too few: give it a `queue.length`, or the room a `pace`",
            );
        }
    }
    let posts = |route: &&Route| {
        route.methods.as_ref().is_some_and(|methods| methods.value.iter().all(|method| method.value == Method::POST))
    };
    if room.identity.is_none() && !routes.is_empty() && routes.iter().all(posts) {
        faults.warn(
            room.span(),
            "only POST leads into this waiting room, and clients that repeat a POST often keep neither cookie nor ticket: each \
             time they would get a new place; write an `identity`, such as \"header:Idempotency-Key\"",
        );
    }
}

/// The directory of its state, as it is written: where a relative path starts is not looked at.
fn written(room: &Room, name: &str, directory: &Path) -> PathBuf {
    directory.join(room.state.as_ref().map_or_else(|| state_of(name).into(), |state| state.value.clone()))
}

/// `path` without the parts that lead nowhere. One that exists is told by its true name, so that no link makes two of it.
fn plain(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.components().filter(|part| *part != Component::CurDir).collect())
}
