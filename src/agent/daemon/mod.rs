//! What the daemons share: signals, logins, quotas, work that may block.

pub(crate) mod limits;
pub(crate) mod login;
pub(crate) mod usage;

use crate::mail::verdict::Why;
use std::{io, sync::Arc};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

/// Reads settings anew; the error is for the log.
pub type Reload<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// Does blocking work on a thread where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Why> {
    tokio::task::spawn_blocking(work).await.map_err(|fault| {
        tracing::error!(%fault, "a fault in the program");
        Why::new(3, 0, "a fault in the program")
    })
}

/// Hears signals: a hang-up takes new settings, a wish to terminate switches `end`. It never returns and must live as long as
/// the daemon.
pub(crate) fn heed<T: Send + 'static>(
    end: watch::Sender<bool>,
    reload: Reload<T>,
    take: impl Fn(T) + Send + 'static,
) -> io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let reload = Arc::new(reload);
    Ok(async move {
        // Reading may take its time (a command that tells a password), in which we can be told to end.
        let mut reading = JoinSet::new();
        let mut again = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => again = true,
                Some(read) = reading.join_next() => match read {
                    Ok(Ok(settings)) => {
                        take(settings);
                        tracing::info!("reloaded");
                    }
                    Ok(Err(fault)) => tracing::error!(fault, "not reloaded; the old configuration stays"),
                    Err(fault) => tracing::error!(%fault, "not reloaded; a fault in the program"),
                }
            }
            if again && reading.is_empty() {
                again = false;
                let reload = Arc::clone(&reload);
                reading.spawn_blocking(move || reload());
            }
        }
        tracing::info!("ending");
        let _ = end.send(true);
        // The listeners hear of it through `end`.
        std::future::pending::<()>().await;
    })
}
