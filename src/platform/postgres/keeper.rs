//! The thread that owns the postmaster.
//!
//! A thread of its own and not a task: the kernel ends the child when the *thread* that started it
//! ends, and the threads of the runtime come and go.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::folder::Place;
use super::launch::{self, Standing};
use super::{Condition, Purpose, Settings, StartError, pidfile, process};

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A server that lived this long before it died is started again without delay.
const STEADY: Duration = Duration::from_secs(60);

pub(super) enum Order {
    /// Ends the server if it is ours, then answers.
    Stop(oneshot::Sender<()>),
}

/// The orders to the keeper. Every wait of its is a wait for an order, too.
pub(super) struct Inbox {
    orders: Receiver<Order>,
    order: Option<Order>,
}

impl Inbox {
    /// Waits, unless an order comes or nobody is left to give one.
    pub(super) fn pause(&mut self, time: Duration) -> Result<(), StartError> {
        match self.orders.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => {}
            Ok(order) => self.order = Some(order),
        }
        Err(StartError::Interrupted)
    }
}

type Started = oneshot::Sender<Result<PathBuf, StartError>>;

/// Starts the thread. It answers `started` with the folder of the socket once the server is up.
pub(super) fn spawn(
    settings: Settings,
    orders: Receiver<Order>,
    condition: watch::Sender<Condition>,
    started: Started,
) -> Result<(), StartError> {
    let inbox = Inbox { orders, order: None };
    let keeper = thread::Builder::new().name("postgres-keeper".to_owned());
    let spawned = keeper.spawn(move || run(&settings, inbox, &condition, started));
    spawned.map(drop).map_err(|source| StartError::Spawn {
        program: "the keeper thread".into(),
        source,
    })
}

fn run(settings: &Settings, mut inbox: Inbox, condition: &watch::Sender<Condition>, started: Started) {
    let first = Place::prepare(&settings.folder).and_then(|place| {
        let standing = launch::adopt_or_start(settings, &place, &mut inbox)?;
        Ok((place, standing))
    });
    let (place, standing) = match first {
        Ok(first) => first,
        Err(e) => {
            // Whoever asked may have stopped waiting.
            let _ = started.send(Err(e));
            return;
        }
    };
    report(condition, &standing);
    let _ = started.send(Ok(place.socket_folder.clone()));
    keep(settings, &place, standing, &mut inbox, condition);
    condition.send_replace(Condition::Down);
    if let Some(Order::Stop(answer)) = inbox.order.take() {
        let _ = answer.send(());
    }
}

/// Returns when there is nothing left to keep.
fn keep(
    settings: &Settings,
    place: &Place,
    mut standing: Standing,
    inbox: &mut Inbox,
    condition: &watch::Sender<Condition>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let since = Instant::now();
        if watch_over(&mut standing, place, inbox).is_err() {
            return end(settings.purpose, standing, inbox);
        }
        condition.send_replace(Condition::Down);
        tracing::error!(log = %place.log().display(), "the private PostgreSQL has died and is started again");
        if since.elapsed() > STEADY {
            pause = FIRST_PAUSE;
        }
        match revive(settings, place, &mut pause, inbox) {
            Some(revived) => standing = revived,
            None => return,
        }
        report(condition, &standing);
        tracing::info!("the private PostgreSQL is back");
    }
}

/// Returns `Ok` when the server has died, and an error when an order came first.
fn watch_over(standing: &mut Standing, place: &Place, inbox: &mut Inbox) -> Result<(), StartError> {
    loop {
        let lives = match standing {
            Standing::Own(child) => matches!(child.try_wait(), Ok(None)),
            Standing::Adopted { pid } => pidfile::is_alive(&place.data(), *pid),
        };
        if !lives {
            return Ok(());
        }
        inbox.pause(BETWEEN_LOOKS)?;
    }
}

/// Tries until it works, ever more slowly; `None` when an order came first.
fn revive(settings: &Settings, place: &Place, pause: &mut Duration, inbox: &mut Inbox) -> Option<Standing> {
    loop {
        inbox.pause(*pause).ok()?;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        match launch::adopt_or_start(settings, place, inbox) {
            Ok(standing) => return Some(standing),
            Err(StartError::Interrupted) => return None,
            Err(e) => tracing::error!("{e}"),
        }
    }
}

fn end(purpose: Purpose, standing: Standing, inbox: &Inbox) {
    let is_ordered = inbox.order.is_some();
    match standing {
        Standing::Own(mut child) if is_ordered || purpose == Purpose::Durable => process::stop(&mut child),
        Standing::Own(_) | Standing::Adopted { .. } => {}
    }
}

fn report(condition: &watch::Sender<Condition>, standing: &Standing) {
    condition.send_replace(match standing {
        Standing::Own(child) => Condition::Up {
            ours: true,
            pid: child.id(),
        },
        Standing::Adopted { pid } => Condition::Up {
            ours: false,
            pid: *pid,
        },
    });
}
