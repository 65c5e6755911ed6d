//! What must be done now and then, whoever asks for it: on the admin thread, which outlives the workers.
//!
//! **Invariants**: none of them ends while the process runs, and none waits for another. One that panics ends the thread, and its
//! end that of the process (`signals`): limits that stand still and servers that nobody checks are worse than a restart.
//! **Cost**: a look at every upstream each 10 ms where limits are found, at every gate five times a second, at memory four times,
//! at descriptors once; a sweep of client limits each 10 s, on a thread of its own.
//! **Not here**: what each of them does (`admission`, `proxy::capacity`, `upstream`, `memory`, `descriptors`).

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::descriptors::Descriptors;
use super::memory;
use crate::listener::{Connections, Memory, Nudge};
use crate::proxy::capacity;
use crate::proxy::gateway::Gateway;
use crate::proxy::pass::unix_time;
use crate::proxy::room::{self, Doorway};
use crate::upstream::SystemResolver;
use crate::waiting_room::room::Room;

/// How often clients whose bucket is full again are forgotten.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);

/// How often it is looked what each class takes: ten times in the memory of it.
const OBSERVE_PERIOD: Duration = Duration::from_millis(200);

/// How often people are called: a turn is noticed soon after, and a chore that looks at a million numbers has little to do.
const ROOM_PERIOD: Duration = Duration::from_millis(100);

/// A draw that a disk refused is tried again after this.
const DRAW_RETRY: Duration = Duration::from_secs(5);

/// A journal is waited for at most so long.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(1);

/// All of them, for ever.
pub(super) async fn run(
    gateway: Arc<Gateway>,
    connections: Arc<Connections>,
    descriptors: Descriptors,
    memory: Option<Memory>,
    nudge: Nudge,
) {
    let host = async {
        let memory = memory::look(memory, &connections, &gateway, &nudge);
        tokio::join!(memory, descriptors.keep(&gateway, &connections))
    };
    tokio::join!(
        pace(&gateway),
        control(&gateway),
        observe(&gateway),
        rooms(&gateway),
        sweep(&gateway),
        tend(&gateway),
        host
    );
}

/// Serves the lines as tokens of contract rates come.
async fn pace(gateway: &Gateway) {
    let dispatcher = &gateway.gates().dispatcher;
    loop {
        let mut due = dispatcher.due().await;
        while let Some(at) = dispatcher.clock().instant(due) {
            tokio::select! {
                () = sleep_until(at.into()) => break,
                // Another may come earlier than the one slept for.
                other = dispatcher.due() => due = due.min(other),
            }
        }
        dispatcher.look();
    }
}

/// Finds what the servers can do.
async fn control(gateway: &Gateway) {
    if gateway.capacities().is_empty() {
        return;
    }
    let mut ticks = interval(capacity::TICK);
    // A late tick is not made up for: the law measures by the clock.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for capacity in gateway.capacities() {
            capacity.tick(gateway.clock().now(), &gateway.gates().dispatcher);
        }
    }
}

/// Keeps an eye on what each class takes, and what that leaves to newcomers.
async fn observe(gateway: &Gateway) {
    loop {
        sleep(OBSERVE_PERIOD).await;
        let gates = gateway.gates();
        for (upstream, gate) in gateway.upstreams().iter().zip(&gates.upstreams) {
            gate.set_stranded(upstream.stranded(gateway.clock().now()));
        }
        gates.all().for_each(|gate| gate.observe(gateway.clock().now()));
        if let Some(funnel) = &gates.funnel {
            funnel.observe(gateway.clock().now());
            // Whoever waits for the pace was told when the next turn comes at the old one.
            gates.dispatcher.look();
        }
    }
}

/// Calls those who wait.
async fn rooms(gateway: &Arc<Gateway>) {
    let mut tasks = JoinSet::new();
    for doorway in gateway.doorways() {
        tasks.spawn(call(Arc::clone(gateway), Arc::clone(doorway)));
    }
    watch(tasks).await;
}

/// Calls those who wait in one room.
async fn call(gateway: Arc<Gateway>, doorway: Arc<Doorway>) {
    let mut ticks = interval(ROOM_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draws = JoinSet::new();
    loop {
        ticks.tick().await;
        let now = gateway.clock().now();
        let load = room::load(&gateway, &doorway, now);
        for record in doorway.room().tick((now, unix_time()), &load) {
            // A disk that refuses shows in the metrics; people are called all the same, and a restart calls them again.
            drop(timeout(JOURNAL_PATIENCE, record).await);
        }
        doorway.room().announce();
        if draws.is_empty() && doorway.room().is_draw_due() {
            draws.spawn(draw(Arc::clone(doorway.room())));
        } else if let Some(panic) =
            draws.try_join_next().and_then(Result::err).and_then(|error| error.try_into_panic().ok())
        {
            // Without its draw the room calls nobody.
            std::panic::resume_unwind(panic);
        }
    }
}

/// Holds the draws of a room that are due, on a thread where nobody waits: it takes a second for a million people.
async fn draw(room: Arc<Room>) {
    let name = Arc::clone(room.name());
    match tokio::task::spawn_blocking(move || room.hold_draws()).await {
        Ok(Ok(())) => tracing::info!(room = %name, "the lobby is drawn, and its document written"),
        Ok(Err(fault)) => {
            tracing::error!(room = %name, %fault, "the lobby cannot be drawn, or its document not written; tried again");
            sleep(DRAW_RETRY).await;
        }
        Err(ended) => {
            if let Ok(panic) = ended.try_into_panic() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Forgets idle clients; the shards are locked one at a time, on a thread where nobody waits.
async fn sweep(gateway: &Arc<Gateway>) {
    loop {
        sleep(SWEEP_PERIOD).await;
        let swept = Arc::clone(gateway);
        let sweep = move || {
            swept.client_limits().iter().for_each(|limit| limit.sweep(swept.clock().now()));
            swept.gates().funnel.iter().for_each(|funnel| funnel.sweep(swept.clock().now()));
        };
        if tokio::task::spawn_blocking(sweep).await.is_err() {
            tracing::error!("the sweep of client limits panicked");
        }
    }
}

/// Keeps every upstream's names resolved and servers checked.
async fn tend(gateway: &Gateway) {
    let mut tasks = JoinSet::new();
    for upstream in gateway.upstreams() {
        tasks.spawn(Arc::clone(upstream).tend(SystemResolver, gateway.clock().clone()));
    }
    watch(tasks).await;
}

/// Goes on for as long as `tasks`; the panic of one of them is its own.
async fn watch(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
            // As of any other chore: it ends the thread, and that the process.
            std::panic::resume_unwind(panic);
        }
    }
}
