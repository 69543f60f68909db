//! The control socket: what mail-queue asks.

use super::{Relay, blocking};
use crate::{
    agent::queue::Desk,
    net::{
        accept::{Caller, Closing},
        converse::{Agent, Manners, converse},
        link::Link,
        tls::Role,
    },
    spool::Spool,
    store::Store,
    wire::control::server::{Answer, Question, Server},
};
use std::sync::Arc;

/// The agent of one connection.
struct Control<S: Store, Q: Spool> {
    relay: Arc<Relay<S, Q>>,
    desk: Option<Desk<Q>>,
}

/// One connection, cut off when the daemon goes down.
pub(super) async fn session<S: Store + 'static, Q: Spool + 'static>(relay: Arc<Relay<S, Q>>, caller: Caller) {
    let Caller { wire, mut closing, .. } = caller;
    let mut agent = Control { relay, desk: Some(Desk::new()) };
    let mut session = Server::new();
    let link = Link::Plain(wire);
    tokio::select! {
        _ = converse(&mut session, &mut agent, link, &Role::None, &Manners::SERVER) => {}
        () = Closing::wanted(&mut closing) => {}
    }
}

impl<S: Store + 'static, Q: Spool + 'static> Agent<Server> for Control<S, Q> {
    async fn answer(&mut self, question: Question) -> Option<Answer> {
        let relay = Arc::clone(&self.relay);
        let mut desk = self.desk.take().unwrap_or_default();
        let answered = blocking(move || {
            let answer = desk.answer(&relay.spool, question, relay.clock.now());
            if desk.take_changed() {
                relay.due.notify_one();
            }
            (desk, answer)
        });
        match answered.await {
            Ok((desk, answer)) => {
                self.desk = Some(desk);
                Some(answer)
            }
            Err(_) => None,
        }
    }
}
