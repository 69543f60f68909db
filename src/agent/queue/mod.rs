//! `mail-queue`: asks the daemon about its spool, and tells it what to do with a message.
//!
//! With the daemon down the spool itself can be looked at, but not changed: only the daemon writes it.

mod desk;
mod print;

pub use desk::Desk;

use crate::{
    net::{
        converse::{Agent, Manners, Trouble, converse},
        dial,
        link::Link,
        tls::Role,
    },
    spool::Look,
    wire::control::{
        Of, Refusal, Request, Response, Row, State,
        client::{Client, End, Shown},
        server::Question,
    },
};
use std::{
    io::{self, Write},
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// How long the daemon may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Every message.
    List,
    /// These messages' entries.
    Show(Vec<String>),
    /// These messages' octets, one behind the other.
    Message(Vec<String>),
    /// Something is done to these messages, or to all for which it makes sense.
    Change(Change, Option<Vec<String>>),
}

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A waiting message is due now.
    Retry,
    /// It waits for a person.
    Hold,
    /// A held message is due now.
    Release,
    /// It goes, without a word to anybody.
    Remove,
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// The daemon's control socket.
    pub socket: PathBuf,
    /// What is wanted.
    pub verb: Verb,
    /// Print JSON, one object a line.
    pub json: bool,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub enum Fault {
    /// The daemon can't be reached, and where it could replace it the spool can't be read; with what to do.
    Down(String),
    /// The socket or the spool is not ours to open.
    Forbidden(String),
    /// The conversation ended before its time.
    Cut(String),
    /// Our own output can't be written.
    Output(io::Error),
}

/// What was not done, and why.
#[derive(Debug, Default)]
pub struct Report {
    /// How many messages were changed.
    pub done: usize,
    /// The refusals, with a line for a person each.
    pub refused: Vec<(Refusal, String)>,
}

impl Change {
    fn request(self, id: String) -> Request {
        let of = Of { id };
        match self {
            Change::Retry => Request::Retry(of),
            Change::Hold => Request::Hold(of),
            Change::Release => Request::Release(of),
            Change::Remove => Request::Remove(of),
        }
    }

    /// True where it makes sense: `--all` passes over the others.
    fn concerns(self, row: &Row) -> bool {
        match self {
            Change::Retry | Change::Hold => row.state == State::Waiting,
            Change::Release => row.state == State::Held,
            Change::Remove => true,
        }
    }
}

/// Does what is ordered and prints to `out`. `open` looks at the spool itself, for when the daemon is down.
pub async fn run<L: Look>(
    order: &Order,
    open: impl Fn() -> io::Result<L>,
    now: SystemTime,
    out: &mut (dyn Write + Send),
) -> Result<Report, Fault> {
    let mut desk =
        Clerk { out, json: order.json, now, report: Report::default(), count: 0, size: 0, fault: None };
    let of = |id: &String| Of { id: id.clone() };
    match &order.verb {
        Verb::List => {
            desk.look(order, open, vec![Request::List]).await?;
            if !order.json {
                let end = print::total(desk.count, desk.size);
                desk.out.write_all(end.as_bytes()).map_err(Fault::Output)?;
            }
        }
        Verb::Show(ids) => {
            desk.look(order, open, ids.iter().map(|id| Request::Show(of(id))).collect()).await?;
        }
        Verb::Message(ids) => {
            desk.look(order, open, ids.iter().map(|id| Request::Read(of(id))).collect()).await?;
        }
        Verb::Change(change, ids) => {
            let ids = match ids {
                Some(ids) => ids.clone(),
                None => all(order, *change).await?,
            };
            let requests = ids.into_iter().map(|id| change.request(id)).collect();
            ask(order, requests, &mut |request, response| desk.take(&request, &response)).await?;
        }
    }
    desk.out.flush().map_err(Fault::Output)?;
    match desk.fault {
        Some(fault) => Err(Fault::Output(fault)),
        None => Ok(desk.report),
    }
}

/// The messages that a change concerns.
async fn all(order: &Order, change: Change) -> Result<Vec<String>, Fault> {
    let mut ids = Vec::new();
    ask(order, vec![Request::List], &mut |_, response| {
        match response {
            Response::Entry(row) if change.concerns(&row) => ids.push(row.id),
            response if response.is_last() => return Shown::Last,
            _ => {}
        }
        Shown::More
    })
    .await?;
    Ok(ids)
}

/// Prints what it is shown.
struct Clerk<'a> {
    out: &'a mut (dyn Write + Send),
    json: bool,
    now: SystemTime,
    report: Report,
    count: usize,
    size: u64,
    fault: Option<io::Error>,
}

impl Clerk<'_> {
    /// Asks the daemon, or looks at the spool where it is down.
    async fn look<L: Look>(
        &mut self,
        order: &Order,
        open: impl Fn() -> io::Result<L>,
        requests: Vec<Request>,
    ) -> Result<(), Fault> {
        let down = match ask(order, requests.clone(), &mut |request, response| self.take(&request, &response))
            .await
        {
            Err(Fault::Down(why)) => why,
            done => return done,
        };
        let spool = open().map_err(|fault| match fault.kind() {
            io::ErrorKind::PermissionDenied => {
                Fault::Forbidden(format!("{down}; and the spool is not yours to read: {fault}"))
            }
            _ => Fault::Down(format!("{down}; and the spool can't be read: {fault}")),
        })?;
        for request in requests {
            self.look_at(&spool, request);
        }
        Ok(())
    }

    /// The daemon's part, played here.
    fn look_at<L: Look>(&mut self, spool: &L, request: Request) {
        let mut desk = Desk::new();
        let mut question = Question::Begin(request.clone());
        let mut lines = Vec::new();
        loop {
            let answer = desk.look(spool, question, "the daemon is down");
            lines.extend(answer.octets);
            let whole =
                lines.iter().rposition(|&octet| octet == b'\n').map_or(0, |end| end.saturating_add(1));
            for line in lines.get(..whole).unwrap_or_default().split(|&octet| octet == b'\n') {
                if let Some(response) = Response::parse(line)
                    && self.take(&request, &response) == Shown::Enough
                {
                    return;
                }
            }
            lines.drain(..whole);
            if !answer.more {
                return;
            }
            question = Question::More;
        }
    }

    fn take(&mut self, request: &Request, response: &Response) -> Shown {
        let printed = match response {
            Response::Entry(row) => {
                self.count = self.count.saturating_add(1);
                self.size = self.size.saturating_add(row.size);
                let text = match (self.json, request) {
                    (true, _) => print::json(row),
                    (false, Request::List) => print::line(row, self.count == 1),
                    (false, _) => print::whole(row, self.now),
                };
                self.out.write_all(text.as_bytes())
            }
            Response::Octets(text) => self.out.write_all(&Response::decode(text).unwrap_or_default()),
            Response::Done => {
                self.report.done = self.report.done.saturating_add(1);
                Ok(())
            }
            Response::Refused { why, text } => {
                self.report.refused.push((*why, print::clean(text)));
                Ok(())
            }
        };
        match printed {
            Err(fault) => {
                self.fault = Some(fault);
                Shown::Enough
            }
            Ok(()) if response.is_last() => Shown::Last,
            Ok(()) => Shown::More,
        }
    }
}

/// Asks the daemon, and shows each line of its answers to `show`.
async fn ask(
    order: &Order,
    requests: Vec<Request>,
    show: &mut (dyn FnMut(Request, Response) -> Shown + Send),
) -> Result<(), Fault> {
    let at = order.socket.display();
    let stream = dial::unix(&order.socket, PATIENCE).await.map_err(|fault| match fault.kind() {
        io::ErrorKind::PermissionDenied => Fault::Forbidden(format!("{at}: {fault}")),
        _ => Fault::Down(format!("{at}: {fault}; is mail-relayd running?")),
    })?;
    let mut client = Client::new(requests);
    let mut reader = Reader { show, trouble: None };
    let _ = converse(&mut client, &mut reader, Link::Plain(stream), &Role::None, &Manners::CLIENT).await;
    let why = match client.end() {
        End::Whole => return Ok(()),
        End::Gone => reader.trouble.unwrap_or_else(|| "the daemon went".to_owned()),
        End::Silent => "the daemon is silent".to_owned(),
        End::Nonsense => "this is no control socket of mail-relayd".to_owned(),
    };
    Err(Fault::Cut(format!("{at}: {why}")))
}

struct Reader<'a> {
    show: &'a mut (dyn FnMut(Request, Response) -> Shown + Send),
    trouble: Option<String>,
}

impl Agent<Client> for Reader<'_> {
    async fn answer(&mut self, (request, response): (Request, Response)) -> Shown {
        (self.show)(request, response)
    }

    fn trouble(&mut self, trouble: &Trouble) {
        self.trouble = Some(trouble.to_string());
    }
}
