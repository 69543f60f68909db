//! Listeners, limits and the end.

use super::*;
use crate::net::listen::{Place, open};
use std::{
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

const LIMITS: Limits = Limits { total: 4, per_address: 2 };

fn tcp(address: &str) -> Socket {
    open(&Place::Tcp(address.parse().unwrap())).unwrap()
}

fn path(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("posthaste-{}-{count}-{name}", std::process::id()))
}

/// Serves `sockets` and tells who comes; a session ends when its peer or the server does.
struct Server {
    callers: mpsc::Receiver<(Peer, Option<SocketAddr>)>,
    switch: watch::Sender<bool>,
    ended: tokio::task::JoinHandle<usize>,
}

fn start(sockets: Vec<Socket>, limits: Limits, stubborn: bool) -> Server {
    let (say, callers) = mpsc::channel(100);
    let (switch, closing) = Closing::switch();
    let doors = vec![Door { name: "smtp", sockets, refusal: b"421 4.7.0 too many connections\r\n" }];
    let ended = tokio::spawn(serve(doors, limits, closing, move |mut caller| {
        let say = say.clone();
        async move {
            assert_eq!(caller.door, "smtp");
            say.send((caller.peer, caller.local)).await.unwrap();
            let mut octet = [0];
            tokio::select! {
                _ = caller.wire.read(&mut octet) => {}
                () = caller.closing.wanted(), if !stubborn => {}
            }
        }
    }));
    Server { callers, switch, ended }
}

#[tokio::test]
async fn every_address_means_ipv4_too_and_shows_it_unmapped() {
    let socket = tcp("[::]:0");
    let port = socket.address().unwrap().port();
    let mut server = start(vec![socket], LIMITS, false);
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (peer, local) = server.callers.recv().await.unwrap();
    assert_eq!(peer, Peer::Tcp(stream.local_addr().unwrap()));
    assert_eq!(local, Some(stream.peer_addr().unwrap()));
    if let Ok(stream) = TcpStream::connect(("::1", port)).await {
        assert_eq!(server.callers.recv().await.unwrap().0, Peer::Tcp(stream.local_addr().unwrap()));
    }
}

/// A claim that does not hold fails: what should have been said is not waited for in vain.
async fn in_time<T>(deed: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), deed).await.expect("it waits in vain")
}

#[tokio::test]
async fn too_many_from_one_address_are_told_so() {
    in_time(too_many_from_one_address()).await;
}

async fn too_many_from_one_address() {
    let socket = tcp("127.0.0.1:0");
    let address = socket.address().unwrap();
    let mut server = start(vec![socket], LIMITS, false);
    let first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    server.callers.recv().await.unwrap();
    server.callers.recv().await.unwrap();
    let mut said = String::new();
    TcpStream::connect(address).await.unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "421 4.7.0 too many connections\r\n");
    // Another address has its own count.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let _third = socket.connect(address).await.unwrap();
    server.callers.recv().await.unwrap();
    // Who leaves makes room.
    drop(first);
    loop {
        let mut again = TcpStream::connect(address).await.unwrap();
        let mut octet = [0];
        tokio::select! {
            caller = server.callers.recv() => { caller.unwrap(); break; }
            read = again.read(&mut octet) => assert!(matches!(read, Ok(1)), "{read:?}"),
        }
    }
}

#[tokio::test]
async fn too_many_in_all_are_told_so() {
    let socket = tcp("127.0.0.1:0");
    let address = socket.address().unwrap();
    let mut server = start(vec![socket], Limits { total: 1, per_address: 9 }, false);
    let _first = TcpStream::connect(address).await.unwrap();
    server.callers.recv().await.unwrap();
    let mut said = String::new();
    let mut second = TcpStream::connect(address).await.unwrap();
    in_time(second.read_to_string(&mut said)).await.unwrap();
    assert_eq!(said, "421 4.7.0 too many connections\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_sessions_and_drops_those_that_stay() {
    for (stubborn, left) in [(false, 0), (true, 1)] {
        let socket = tcp("127.0.0.1:0");
        let address = socket.address().unwrap();
        let mut server = start(vec![socket], LIMITS, stubborn);
        let _stream = TcpStream::connect(address).await.unwrap();
        server.callers.recv().await.unwrap();
        let began = tokio::time::Instant::now();
        server.switch.send(true).unwrap();
        assert_eq!(server.ended.await.unwrap(), left);
        assert_eq!(began.elapsed() >= DRAIN, stubborn);
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_tells_who_calls() {
    let path = path("mode");
    let place = Place::Unix { path: path.clone(), mode: 0o660, group: None };
    let mut server = start(vec![open(&place).unwrap()], LIMITS, false);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
    let _stream = UnixStream::connect(&path).await.unwrap();
    let (peer, _) = server.callers.recv().await.unwrap();
    let uid = rustix::process::getuid().as_raw();
    assert!(matches!(peer, Peer::Unix { uid: theirs, pid: Some(_), .. } if theirs == uid), "{peer:?}");
    server.switch.send(true).unwrap();
    server.ended.await.unwrap();
    assert!(!path.exists(), "the socket is removed at the end");
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let path = path("dead");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let place = Place::Unix { path: path.clone(), mode: 0o600, group: None };
    let live = open(&place).unwrap();
    let fault = open(&place).unwrap_err().to_string();
    assert!(fault.contains(path.to_str().unwrap()) && fault.contains("another process"), "{fault}");
    drop(live);
    std::fs::write(&path, "no socket").unwrap();
    assert!(open(&place).is_err(), "what is no socket is never removed");
    assert_eq!(std::fs::read(&path).unwrap(), b"no socket");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn one_ipv6_network_is_one_neighbour() {
    let key = |text: &str| neighbourhood(text.parse().unwrap());
    assert_eq!(key("2001:db8:1:2::3"), key("2001:db8:1:2:ffff::"));
    assert_ne!(key("2001:db8:1:2::3"), key("2001:db8:1:3::3"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[test]
fn one_user_of_this_machine_leaves_most_places_to_others() {
    let seats = Seats(Arc::default(), Limits { total: 8, per_address: 1 });
    let sit = |uid| seats.sit(&Peer::Unix { uid, gid: 7, pid: None });
    let first = (sit(1), sit(1));
    assert!(first.0.is_some() && first.1.is_some() && sit(1).is_none());
    assert!(sit(2).is_some());
    let root: Vec<_> = (0..6).map(|_| sit(0)).collect();
    assert!(root.iter().all(Option::is_some) && sit(0).is_none());
    drop(first);
    assert!(sit(1).is_some());
}
