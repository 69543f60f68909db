//! What the driver promises to sessions, seen from a peer whose every read and write is written down.

use super::*;
use crate::net::tls::Acceptor;
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{ReadBuf, duplex};

/// A peer that says these things one by one, each when the last was read and something was written since, and notes each write.
#[derive(Default)]
struct Peer {
    says: VecDeque<&'static [u8]>,
    wrote: Vec<Vec<u8>>,
    /// Writes fail from this one on.
    broken_from: Option<usize>,
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(said) = self.says.pop_front() {
            buf.put_slice(said);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken_from.is_some_and(|from| self.wrote.len() >= from) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.wrote.push(buf.to_vec());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Takes lines; each is a command. Notes everything that it is given.
#[derive(Default)]
struct Toy {
    heard: Vec<String>,
    flood: usize,
}

impl Toy {
    fn lines(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Turn<String> {
        let Some(end) = octets.iter().position(|octet| *octet == b'\n') else {
            return Turn { used: 0, step: Step::More };
        };
        let line = String::from_utf8_lossy(&octets[..end]).trim_end().to_owned();
        let step = match line.as_str() {
            "TLS" => Step::StartTls,
            "QUIT" => Step::Close,
            "FLOOD" => Step::Ask("flood".to_owned()),
            _ => Step::Ask(line.clone()),
        };
        if line == "QUIT" {
            out.extend_from_slice(b"bye\n");
        }
        self.heard.push(line);
        Turn { used: end + 1, step }
    }
}

impl Session for Toy {
    type Ask = String;
    type Answer = String;
    type Event = &'static str;

    fn turn(&mut self, input: Input<'_, String, &'static str>, out: &mut Vec<u8>) -> Turn<String> {
        let read = Step::Read(Duration::from_secs(60));
        match input {
            Input::Octets(octets) => return self.lines(octets, out),
            Input::Answer(answer) if answer == "flood" => {
                out.extend_from_slice(&[b'x'; 32 * 1024]);
                self.flood += 1;
                return Turn { used: 0, step: Step::Ask("flood".to_owned()) };
            }
            Input::Answer(answer) => out.extend_from_slice(format!("{answer}\n").as_bytes()),
            Input::Event(event) => self.heard.push(format!("({event})")),
            Input::Secured => self.heard.push("(secured)".to_owned()),
            Input::Deadline | Input::Eof => {
                self.heard.push(if matches!(input, Input::Eof) { "(eof)" } else { "(deadline)" }.to_owned());
                return Turn { used: 0, step: Step::Close };
            }
            Input::Begin => out.extend_from_slice(b"hello\n"),
        }
        Turn { used: 0, step: read }
    }
}

/// Answers with the question; passes events and troubles on.
#[derive(Default)]
struct Echo {
    events: Option<tokio::sync::mpsc::Receiver<&'static str>>,
    asked: usize,
    troubles: Vec<String>,
}

impl Agent<Toy> for Echo {
    async fn answer(&mut self, ask: String) -> String {
        self.asked += 1;
        ask
    }

    async fn event(&mut self) -> &'static str {
        let came = match &mut self.events {
            Some(events) => events.recv().await,
            None => None,
        };
        match came {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    fn trouble(&mut self, trouble: &Trouble) {
        self.troubles.push(trouble.to_string());
    }
}

const BRISK: Manners = Manners { linger: Duration::ZERO, ..Manners::SERVER };

/// Talks with a scripted peer and answers with what it was written.
async fn talk(
    toy: &mut Toy,
    echo: &mut Echo,
    peer: Peer,
    manners: &Manners,
) -> (Vec<String>, Result<(), Trouble>) {
    // The peer must outlive the conversation, so that its notes can be read.
    struct Lent<'a>(&'a mut Peer);
    impl AsyncRead for Lent<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut *self.0).poll_read(cx, buf)
        }
    }
    impl AsyncWrite for Lent<'_> {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut *self.0).poll_write(cx, buf)
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut *self.0).poll_flush(cx)
        }
        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut *self.0).poll_shutdown(cx)
        }
    }
    let mut peer = peer;
    let ended = converse(toy, echo, Link::Plain(Lent(&mut peer)), &Role::None, manners).await;
    let wrote = peer.wrote.iter().map(|octets| String::from_utf8_lossy(octets).into_owned()).collect();
    (wrote, ended)
}

#[tokio::test]
async fn the_replies_to_a_pipelined_group_leave_in_one_write() {
    let (mut toy, mut echo) = (Toy::default(), Echo::default());
    let peer = Peer { says: [b"one\ntwo\nthr".as_slice(), b"ee\nQUIT\nfour\n"].into(), ..Peer::default() };
    let (wrote, ended) = talk(&mut toy, &mut echo, peer, &BRISK).await;
    assert_eq!(wrote, ["hello\n", "one\ntwo\n", "three\nbye\n"]);
    assert_eq!(toy.heard, ["one", "two", "three", "QUIT"]);
    assert!(ended.is_ok());
}

#[tokio::test]
async fn the_end_of_the_peer_is_told_once_and_what_was_said_is_still_sent() {
    let (mut toy, mut echo) = (Toy::default(), Echo::default());
    let peer = Peer { says: [b"one\nhalf".as_slice()].into(), ..Peer::default() };
    let (wrote, ended) = talk(&mut toy, &mut echo, peer, &BRISK).await;
    assert_eq!(wrote, ["hello\n", "one\n"]);
    assert_eq!(toy.heard, ["one", "(eof)"]);
    assert!(ended.is_ok(), "the end is no trouble");
}

#[tokio::test]
async fn only_who_wants_them_hears_the_last_words_of_a_peer_that_reads_no_more() {
    for (last_words, heard) in [(true, vec!["one", "why", "(eof)"]), (false, vec!["one", "(eof)"])] {
        let (mut toy, mut echo) = (Toy::default(), Echo::default());
        let says = [b"one\n".as_slice(), b"why\n"].into();
        let peer = Peer { says, broken_from: Some(1), ..Peer::default() };
        let (_, ended) = talk(&mut toy, &mut echo, peer, &Manners { last_words, ..BRISK }).await;
        assert_eq!(toy.heard, heard);
        assert!(matches!(ended, Err(Trouble::Write(_))));
        assert_eq!(echo.troubles.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_waited_for_and_not_buffered_for() {
    let (mut peer, ours) = duplex(1024);
    let (mut toy, mut echo) = (Toy::default(), Echo::default());
    peer.write_all(b"FLOOD\n").await.unwrap();
    let started = Instant::now();
    let ended = converse(&mut toy, &mut echo, Link::Plain(ours), &Role::None, &BRISK).await;
    assert!(matches!(ended, Err(Trouble::Stalled(_))), "{ended:?}");
    assert!(toy.flood <= 3, "{} x 32 KiB were made for a peer that reads nothing", toy.flood);
    assert_eq!(started.elapsed(), BRISK.write);
    assert_eq!(toy.heard, ["FLOOD", "(eof)"]);
}

#[tokio::test(start_paused = true)]
async fn an_octet_now_and_then_does_not_move_the_deadline() {
    let (mut peer, ours) = duplex(1024);
    let (mut toy, mut echo) = (Toy::default(), Echo::default());
    let started = Instant::now();
    tokio::spawn(async move {
        while peer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
    });
    let ended = converse(&mut toy, &mut echo, Link::Plain(ours), &Role::None, &BRISK).await;
    assert!(ended.is_ok());
    assert_eq!(toy.heard, ["(deadline)"]);
    assert!(started.elapsed() <= Duration::from_secs(61), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_event_reaches_a_session_that_waits() {
    let (mut peer, ours) = duplex(1024);
    let (send, events) = tokio::sync::mpsc::channel(1);
    let (mut toy, mut echo) = (Toy::default(), Echo { events: Some(events), ..Echo::default() });
    let other = tokio::spawn(async move {
        let mut seen = [0; 6];
        peer.read_exact(&mut seen).await.unwrap();
        peer.write_all(b"half ").await.unwrap();
        send.send("shutdown").await.unwrap();
        // The channel is empty again once the session was told.
        send.reserve().await.unwrap();
        peer.write_all(b"a line\nQUIT\n").await.unwrap();
        let mut rest = String::new();
        peer.read_to_string(&mut rest).await.unwrap();
        rest
    });
    converse(&mut toy, &mut echo, Link::Plain(ours), &Role::None, &BRISK).await.unwrap();
    assert_eq!(toy.heard, ["(shutdown)", "half a line", "QUIT"]);
    drop(echo);
    assert_eq!(other.await.unwrap(), "half a line\nbye\n");
}

/// Looks whether the peer spoke first.
#[derive(Default)]
struct Watch(Vec<&'static str>);

impl Session for Watch {
    type Ask = ();
    type Answer = ();
    type Event = ();

    fn turn(&mut self, input: Input<'_, (), ()>, _: &mut Vec<u8>) -> Turn<()> {
        match input {
            Input::Begin => return Turn { used: 0, step: Step::Read(Duration::ZERO) },
            Input::Octets(_) => self.0.push("early"),
            Input::Deadline => self.0.push("quiet"),
            _ => self.0.push("other"),
        }
        Turn { used: 0, step: Step::Close }
    }
}

struct Nobody;

impl Agent<Watch> for Nobody {
    async fn answer(&mut self, _: ()) {}
}

#[tokio::test]
async fn a_look_sees_what_the_kernel_holds_and_waits_for_nothing() {
    for early in [true, false] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        if early {
            io::Write::write_all(&mut peer, b"me first\r\n").unwrap();
        }
        let (ours, _) = listener.accept().await.unwrap();
        let mut watch = Watch::default();
        converse(&mut watch, &mut Nobody, Link::Plain(ours), &Role::None, &BRISK).await.unwrap();
        assert_eq!(watch.0, [if early { "early" } else { "quiet" }]);
    }
}

#[tokio::test]
async fn octets_before_tls_are_thrown_away() {
    let dir = std::env::temp_dir().join(format!("posthaste-converse-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (certificate, key) = crate::net::tls::tests::certify(&dir, "localhost");
    let role = Role::Server(Acceptor::open(&certificate, &key).unwrap());
    let connector = crate::net::tls::Connector::open(&crate::net::tls::Trust::File(certificate)).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let (mut peer, ours) = duplex(64 * 1024);
    let other = tokio::spawn(async move {
        let mut seen = [0; 6];
        peer.read_exact(&mut seen).await.unwrap();
        peer.write_all(b"TLS\nINJECTED\nQUIT\n").await.unwrap();
        // The server answers nothing to TLS here: a handshake is what it waits for. Wait until it has taken all.
        tokio::task::yield_now().await;
        let mut secure = connector.connect("localhost", peer).await.unwrap();
        secure.write_all(b"clean\nQUIT\n").await.unwrap();
        let mut rest = String::new();
        secure.read_to_string(&mut rest).await.unwrap();
        rest
    });
    let (mut toy, mut echo) = (Toy::default(), Echo::default());
    converse(&mut toy, &mut echo, Link::Plain(ours), &role, &Manners::SERVER).await.unwrap();
    assert_eq!(toy.heard, ["TLS", "(secured)", "clean", "QUIT"]);
    assert_eq!(other.await.unwrap(), "clean\nbye\n");
}

#[tokio::test]
async fn tls_that_is_not_there_or_fails_ends_the_session_with_a_reason() {
    let (mut toy, mut echo) = (Toy::default(), Echo::default());
    let peer = Peer { says: [b"TLS\n".as_slice()].into(), ..Peer::default() };
    let (_, ended) = talk(&mut toy, &mut echo, peer, &BRISK).await;
    assert!(matches!(ended, Err(Trouble::Tls(_))));
    assert_eq!(toy.heard, ["TLS", "(eof)"]);
    assert_eq!(echo.troubles, ["TLS: no certificate is configured"]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_an_octet_now_and_then_is_not_waited_for() {
    let (mut peer, ours) = duplex(64);
    let reader = tokio::spawn(async move {
        let mut octet = [0];
        peer.write_all(b"FLOOD\n").await.unwrap();
        while peer.read(&mut octet).await.is_ok_and(|count| count > 0) {
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    });
    let (mut toy, mut echo) = (Toy::default(), Echo::default());
    let begun = Instant::now();
    let ended = converse(&mut toy, &mut echo, Link::Plain(ours), &Role::None, &BRISK).await;
    assert!(matches!(ended, Err(Trouble::Stalled(_))), "{ended:?}");
    // The greeting's six octets took their time, too.
    assert!(begun.elapsed() <= 2 * BRISK.write, "{:?}", begun.elapsed());
    assert_eq!(toy.heard, ["FLOOD", "(eof)"]);
    reader.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stalls_in_the_handshake_is_not_waited_for() {
    let dir = std::env::temp_dir().join(format!("posthaste-stalls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (certificate, key) = crate::net::tls::tests::certify(&dir, "localhost");
    let role = Role::Server(Acceptor::open(&certificate, &key).unwrap());
    std::fs::remove_dir_all(&dir).unwrap();
    let (mut peer, ours) = duplex(64 * 1024);
    // The first octets of a record that never ends; one more now and then.
    let other = tokio::spawn(async move {
        peer.write_all(b"TLS\n").await.unwrap();
        let mut seen = [0; 6];
        peer.read_exact(&mut seen).await.unwrap();
        // What comes before the server goes over to TLS is thrown away.
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.write_all(b"\x16\x03\x01\x20\x00\x01\x00\x1f\xfc").await.unwrap();
        while peer.write_all(b"\0").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let (mut toy, mut echo) = (Toy::default(), Echo::default());
    let begun = Instant::now();
    let ended = converse(&mut toy, &mut echo, Link::Plain(ours), &role, &BRISK).await;
    assert!(matches!(ended, Err(Trouble::Tls(_))), "{ended:?}");
    assert_eq!(begun.elapsed(), BRISK.handshake);
    other.await.unwrap();
}
