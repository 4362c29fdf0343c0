//! Background duties of a server: each on a thread with a runtime and connections of its own, since connections belong
//! to the runtime that opened them.

use super::db::Db;
use super::replica::Place;
use std::future::Future;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, watch};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Connections of one duty: one for its transactions, one to spare while a broken one is being replaced.
const CONNECTIONS: usize = 2;

/// A duty under way. Dropping it asks it to stop, without waiting.
pub struct Duty {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// How a duty learns that it is to stop.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Duty {
    /// Starts `work` on a thread of that name.
    ///
    /// # Errors
    /// When the thread, its runtime or its connections cannot be set up.
    pub fn spawn<F: Future<Output = ()>>(
        name: &'static str,
        place: impl Into<Place>,
        work: impl FnOnce(Db, Stop) -> F + Send + 'static,
    ) -> Result<Duty, Failure> {
        let (stop, asked) = watch::channel(false);
        let place = place.into();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        place.connections(CONNECTIONS)?;
        let run = move || {
            let db = runtime.block_on(async { place.connections(CONNECTIONS) });
            match db {
                Ok(db) => runtime.block_on(work(db, Stop(asked))),
                Err(error) => tracing::error!(duty = name, %error, "the duty has no connections"),
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Duty {
            stop,
            thread: Some(thread),
        })
    }

    /// Asks it to stop and waits until it has finished what it was at.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("a background duty ended in a panic");
            }
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

impl Stop {
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for so long, or until asked to stop.
    pub async fn pause(&mut self, span: Duration) {
        let _ = tokio::time::timeout(span, self.asked()).await;
    }

    /// Waits for so long, or until told that there is work, or asked to stop.
    pub async fn pause_or(&mut self, span: Duration, work: &Notify) {
        tokio::select! {
            () = self.pause(span) => {}
            () = work.notified() => {}
        }
    }

    /// Returns when asked to stop, or when nobody is left who could ask.
    async fn asked(&mut self) {
        let _ = self.0.wait_for(|is_asked| *is_asked).await;
    }
}
