//! The engine at work: a store that fails, bodies and heads that do not arrive, an app around it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::routing::get;
use booking_core::effect::Notification;
use booking_core::payment::{AuthorizeAnswer, CaptureAnswer, Payment, PaymentAnswer, VoidAnswer};
use booking_core::time::Millis;
use host_axum_sim::engine::{Engine, Gateway, Settings};
use host_axum_sim::ports::{Notifier, PaymentGateway};
use host_axum_sim::store::{Record, Store};
use host_axum_sim::{Host, Ports, RouteSettings, ServeSettings, router, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// How long a test waits for what must happen. It fails a test that hangs, and none on a slow machine.
const PATIENCE: Duration = Duration::from_secs(300);

fn engine(delay: u64) -> Engine {
    Engine::new(Settings { gateway: Gateway::Mock { delay: Millis(delay) }, ..Settings::default() })
}

async fn ask(app: &Router, method: &str, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
}

/// A disk that can be told to be full, or to fail.
struct Disk {
    says_no: Arc<Mutex<Option<io::ErrorKind>>>,
    /// How many records it has taken.
    taken: Arc<AtomicUsize>,
}

impl Store for Disk {
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        if let Some(kind) = *self.says_no.lock().unwrap() {
            return Err(kind.into());
        }
        self.taken.fetch_add(records.len(), Ordering::Relaxed);
        Ok(())
    }
}

/// A host on such a disk, and what the disk says.
fn on_a_disk(delay: u64) -> (Host, Arc<Mutex<Option<io::ErrorKind>>>, Arc<AtomicUsize>) {
    let (says_no, taken) = (Arc::default(), Arc::default());
    let disk = Disk { says_no: Arc::clone(&says_no), taken: Arc::clone(&taken) };
    (Host::with(engine(delay), Some(Box::new(disk)), Ports::default()), says_no, taken)
}

/// Every request gets the one answer that nothing can be stored.
async fn says_that_it_cannot_store(app: &Router, new: &str) {
    for (method, path, body) in [
        ("POST", format!("/Ticket/{new}/reserve").as_str(), "\"ann\""),
        ("GET", "/Ticket/c/get", ""),
        ("POST", "/Ticket/a/reserve", "\"bob\""),
        ("GET", "/health", ""),
    ] {
        let (status, body) = ask(app, method, path, body).await;
        assert!(status == 503 && body.contains("\"StorageUnavailable\""), "{path}: {status} {body}");
    }
}

#[tokio::test]
async fn when_nothing_can_be_stored_nothing_is_said_but_that() {
    let (host, says_no, _) = on_a_disk(200);
    let app = router(host.clone(), RouteSettings::default());
    assert_eq!(ask(&app, "POST", "/Ticket/a/reserve", "\"ann\"").await.0, 200);
    let order = r#"{"ticketId":"b","userId":"ann"}"#;
    let waits = tokio::spawn({
        let app = app.clone();
        async move { ask(&app, "POST", "/Checkout/process", order).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    *says_no.lock().unwrap() = Some(io::ErrorKind::Other);
    says_that_it_cannot_store(&app, "c").await;
    // A caller that was waiting already gets that answer, too.
    let (status, body) = waits.await.unwrap();
    assert!(status == 503 && body.contains("\"StorageUnavailable\""), "{status} {body}");
    // A disk that has failed is not trusted again.
    *says_no.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_millis(700)).await;
    says_that_it_cannot_store(&app, "c").await;
    tokio::time::timeout(PATIENCE, host.close()).await.expect("and it can be closed");
}

#[tokio::test]
async fn a_disk_that_has_room_again_is_gone_on_with() {
    let (host, says_no, taken) = on_a_disk(20);
    let app = router(host.clone(), RouteSettings::default());
    assert_eq!(ask(&app, "POST", "/Ticket/a/reserve", "\"ann\"").await.0, 200);
    for new in ["c1", "c2"] {
        *says_no.lock().unwrap() = Some(io::ErrorKind::StorageFull);
        says_that_it_cannot_store(&app, new).await;
        *says_no.lock().unwrap() = None;
        let healthy = async {
            while ask(&app, "GET", "/health", "").await.0 != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, healthy).await.expect("it goes on by itself");
        // What was asked for when it was full may have been done: here it was, and nobody was told.
        assert!(ask(&app, "GET", &format!("/Ticket/{new}/get"), "").await.1.contains("\"status\":\"RESERVED\""));
    }
    let (status, body) = ask(&app, "POST", "/Checkout/process", r#"{"ticketId":"d","userId":"ann"}"#).await;
    assert_eq!(status, 200, "{body}");
    assert!(taken.load(Ordering::Relaxed) > 8);
    host.close().await;
    let (status, body) = ask(&app, "GET", "/Ticket/a/get", "").await;
    assert!(status == 503 && body.contains("StorageUnavailable"), "closed is closed: {status} {body}");
    host.close().await;
}

/// A disk that hangs for as long as a test has locked this.
struct Hangs(Arc<Mutex<()>>);

impl Store for Hangs {
    fn write(&mut self, _records: &[Record]) -> io::Result<()> {
        drop(self.0.lock().unwrap());
        Ok(())
    }
}

#[tokio::test]
async fn a_disk_that_hangs_lets_nobody_wait_and_is_gone_on_with() {
    let hangs = Arc::new(Mutex::new(()));
    let host = Host::with(engine(0), Some(Box::new(Hangs(Arc::clone(&hangs)))), Ports::default());
    let app = router(host.clone(), RouteSettings::default());
    assert_eq!(ask(&app, "POST", "/Ticket/a/reserve", "\"ann\"").await.0, 200);
    let (hung, hangs_now) = std::sync::mpsc::channel::<()>();
    let (is_held, held) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _held = hangs.lock().unwrap();
        is_held.send(()).unwrap();
        let _let_go = hangs_now.recv();
    });
    held.recv().unwrap();
    // Nothing is stored, and nothing is healthy.
    let asked = async {
        for (path, body) in
            [("/Ticket/b/reserve", "\"ann\""), ("/Checkout/process", r#"{"ticketId":"d","userId":"ann"}"#)]
        {
            let (status, body) = ask(&app, "POST", path, body).await;
            assert!(status == 503 && body.contains("StorageUnavailable"), "{path}: {status} {body}");
        }
        says_that_it_cannot_store(&app, "c").await;
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("nobody waits for the disk");
    drop(hung);
    holder.join().unwrap();
    let healthy = async {
        while ask(&app, "GET", "/health", "").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, healthy).await.expect("it goes on by itself");
    let (status, body) = ask(&app, "POST", "/Checkout/process", r#"{"ticketId":"e","userId":"ann"}"#).await;
    assert_eq!(status, 200, "{body}");
    host.close().await;
}

/// Those who look at the same time are shown one text. It is never older than the look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_at_a_map_sees_what_was_answered_before_however_many_look() {
    let host = Host::new(engine(0));
    let app = router(host, RouteSettings::default());
    for seat in 0..600 {
        assert_eq!(ask(&app, "POST", &format!("/Ticket/m:{seat}/reserve"), "\"ann\"").await.0, 200);
    }
    let is_done = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (app, is_done) = (app.clone(), Arc::clone(&is_done));
            tokio::spawn(async move {
                while is_done.load(Ordering::Relaxed) == 0 {
                    let (status, body) = ask(&app, "GET", "/SeatMap/m/get", "").await;
                    assert!(status == 200 && body.matches("\"id\"").count() >= 600, "{status}");
                }
            })
        })
        .collect();
    for seat in 600..900 {
        assert_eq!(ask(&app, "POST", &format!("/Ticket/m:{seat}/reserve"), "\"ann\"").await.0, 200);
        let seen = ask(&app, "GET", "/SeatMap/m/get", "").await.1;
        assert!(seen.contains(&format!("{{\"id\":\"m:{seat}\",\"status\":\"RESERVED\"}}")), "seat {seat} is not seen");
    }
    is_done.store(1, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_is_to_stop_does_not_wait_for_a_disk_that_is_full() {
    let (host, says_no, _) = on_a_disk(0);
    let app = router(host.clone(), RouteSettings::default());
    *says_no.lock().unwrap() = Some(io::ErrorKind::StorageFull);
    says_that_it_cannot_store(&app, "a").await;
    tokio::time::timeout(PATIENCE, host.close()).await.expect("it stops");
}

/// A disk whose driver has a bug.
struct Panics;

impl Store for Panics {
    fn write(&mut self, _records: &[Record]) -> io::Result<()> {
        panic!("as is tried here");
    }
}

#[tokio::test]
async fn a_store_that_panics_leaves_nobody_waiting() {
    let host = Host::with(engine(0), Some(Box::new(Panics)), Ports::default());
    let app = router(host.clone(), RouteSettings::default());
    let asked = async { says_that_it_cannot_store(&app, "a").await };
    tokio::time::timeout(PATIENCE, asked).await.expect("everybody is told");
    assert!(!host.is_well());
    tokio::time::timeout(PATIENCE, host.close()).await.expect("and it can be closed");
}

#[tokio::test]
async fn it_lives_in_an_app_of_somebody_elses() {
    let booking = router(Host::new(engine(0)), RouteSettings::default());
    let app = Router::new().route("/", get(|| async { "mine" })).nest("/booking", booking).fallback(|| async { "?" });
    assert_eq!(ask(&app, "GET", "/", "").await, (200, "mine".to_owned()));
    assert_eq!(ask(&app, "GET", "/nowhere", "").await, (200, "?".to_owned()));
    assert_eq!(ask(&app, "POST", "/booking/Ticket/a/reserve", "\"ann\"").await.0, 200);
    assert!(ask(&app, "GET", "/booking/Ticket/a/get", "").await.1.contains("RESERVED"));
    assert!(ask(&app, "GET", "/booking/metrics", "").await.1.contains("booking_tickets"));
    // Or side by side with what is there.
    let app = Router::new()
        .route("/", get(|| async { "mine" }))
        .merge(router(Host::new(engine(0)), RouteSettings::default()));
    assert_eq!(ask(&app, "GET", "/health", "").await.0, 200);
}

async fn server(settings: ServeSettings) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Host::new(engine(0)), settings, std::future::pending()));
    address
}

#[tokio::test]
async fn a_head_or_a_body_that_does_not_arrive_is_not_waited_for_for_ever() {
    let routes = RouteSettings { body_within: Duration::from_millis(200), ..RouteSettings::default() };
    let address =
        server(ServeSettings { head_within: Duration::from_millis(200), routes, ..ServeSettings::default() }).await;
    for (begins, answer) in [
        ("POST /Ticket/a/reserve HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n\"a", Some("did not arrive in time")),
        ("GET /hea", None),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begins.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await;
        let _closed_or_reset = read.expect("it is not waited for for ever");
        let text = String::from_utf8_lossy(&all);
        assert!(answer.is_none_or(|answer| text.contains(answer)), "{text}");
    }
}

/// Sends these bytes, and reads nothing of what comes back.
async fn sends_and_does_not_read(address: std::net::SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _as_much_as_is_taken = tokio::time::timeout(Duration::from_secs(2), stream.write_all(bytes)).await;
    stream
}

#[tokio::test]
async fn a_client_that_does_not_read_takes_little_memory_and_loses_its_place() {
    let settings =
        ServeSettings { connections: 1, head_within: Duration::from_millis(500), ..ServeSettings::default() };
    let address = server(settings).await;
    let before = resident();
    let all = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20_000);
    let deaf = sends_and_does_not_read(address, all.as_bytes()).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 60 << 20, "{grown} bytes");
    let healthy = async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _closed = stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            let mut all = String::new();
            if stream.read_to_string(&mut all).await.is_ok() && all.starts_with("HTTP/1.1 200") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, healthy).await.expect("its place is given to others");
    drop(deaf);
}

/// What this process has in memory, in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A gateway that answers at once, or panics.
struct Bank {
    panics: AtomicBool,
}

#[async_trait::async_trait]
impl PaymentGateway for Bank {
    async fn pay(&self, payment: &Payment) -> PaymentAnswer {
        match payment {
            Payment::Authorize(request) => {
                assert!(!self.panics.swap(false, Ordering::Relaxed), "the first answer is lost in a panic");
                let id = serde_json::from_value(request.key.as_str().into()).unwrap();
                PaymentAnswer::Authorize(AuthorizeAnswer::Authorized(id))
            }
            Payment::Capture(request) => {
                let id = serde_json::from_value(request.key.as_str().into()).unwrap();
                PaymentAnswer::Capture(CaptureAnswer::Captured(id))
            }
            Payment::Void(_) => PaymentAnswer::Void(VoidAnswer::Voided),
        }
    }
}

/// A notifier that takes the messages of bookings, and never says that it has delivered one.
struct Asleep;

#[async_trait::async_trait]
impl Notifier for Asleep {
    async fn deliver(&self, _notification: &Notification) -> bool {
        std::future::pending().await
    }
}

#[tokio::test]
async fn neither_a_notifier_that_sleeps_nor_a_gateway_that_panics_stops_a_booking() {
    let settings = Settings {
        gateway: Gateway::Outside,
        notifier: host_axum_sim::engine::Notifier::Outside,
        ..Settings::default()
    };
    let ports =
        Ports { gateway: Some(Arc::new(Bank { panics: AtomicBool::new(true) })), notifier: Some(Arc::new(Asleep)) };
    let host = Host::with(Engine::new(settings), None, ports);
    let app = router(host, RouteSettings::default());
    let all = async {
        for n in 0..600 {
            let (status, body) =
                ask(&app, "POST", "/Checkout/process", &format!(r#"{{"ticketId":"a:{n}","userId":"ann"}}"#)).await;
            assert_eq!(status, 200, "{body}");
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("nobody waits for the notifier");
}

#[tokio::test]
async fn a_body_may_come_in_pieces() {
    let address = server(ServeSettings::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /Ticket/a/reserve HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in ["3\r\n\"an\r\n", "2\r\nn\"\r\n", "0\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert!(all.starts_with("HTTP/1.1 200") && all.contains("holdId"), "{all}");
}
