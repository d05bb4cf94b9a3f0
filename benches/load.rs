//! A load generator: a number of clients, each with a connection of its own and one request at a time, for a length of time.
//!
//! It runs on the machine of the server it measures, so it does as little as it can: it writes bytes that were made
//! before, and looks only for the status and the length of what comes back.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// How long it took.
    pub took: Duration,
    /// How many requests were answered 2xx, and not 202.
    pub good: u64,
    /// How many were answered otherwise.
    pub other: u64,
    /// How many were not answered at all: the server closed the connection instead, and the client made a new one.
    pub cut: u64,
    /// One of the answers that were not 2xx, so that a person can see why.
    pub refusal: Option<String>,
    /// How long each took, in microseconds, sorted.
    pub micros: Vec<u32>,
}

impl Loaded {
    /// Good answers a second.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        let millis = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX).max(1);
        self.good.saturating_mul(1_000) / millis
    }

    /// Answers a second, of any kind.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let millis = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX).max(1);
        asked(self).saturating_mul(1_000) / millis
    }

    /// How long the slowest of the fastest `percent` percent took, in microseconds.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> u32 {
        let at = self.micros.len().saturating_sub(1) * percent / 100;
        self.micros.get(at).copied().unwrap_or_default()
    }
}

/// Makes the bytes of the n-th request.
pub trait Make: Fn(u64, &mut Vec<u8>) + Clone + Send + 'static {}

impl<F: Fn(u64, &mut Vec<u8>) + Clone + Send + 'static> Make for F {}

/// Puts this load on a server: for so long, or until `most` are asked. Requests are numbered from `first`, across all
/// clients.
///
/// # Errors
/// When a connection fails.
pub fn load(
    address: SocketAddr,
    clients: usize,
    lasts: Duration,
    first: u64,
    most: Option<u64>,
    make: impl Make,
) -> io::Result<Loaded> {
    // One thread: the other core is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let next = std::sync::Arc::new(AtomicU64::new(first));
        let end = most.map_or(u64::MAX, |most| first.saturating_add(most));
        let start = Instant::now();
        let clients: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(client(address, start + lasts, next.clone(), end, make.clone())))
            .collect();
        gathered(start, clients).await
    })
}

/// What clients that began together did, once all have ended.
///
/// # Errors
/// What one of them says.
pub async fn gathered(start: Instant, clients: Vec<JoinHandle<io::Result<Loaded>>>) -> io::Result<Loaded> {
    let mut all = Loaded::default();
    for client in clients {
        let one = client.await.map_err(io::Error::other)??;
        all.good += one.good;
        all.other += one.other;
        all.cut += one.cut;
        all.refusal = all.refusal.or(one.refusal);
        all.micros.extend(one.micros);
    }
    all.took = start.elapsed();
    all.micros.sort_unstable();
    Ok(all)
}

/// How many were answered in all.
#[must_use]
pub fn asked(loaded: &Loaded) -> u64 {
    loaded.good + loaded.other
}

async fn client(
    address: SocketAddr,
    until: Instant,
    next: std::sync::Arc<AtomicU64>,
    end: u64,
    make: impl Make,
) -> io::Result<Loaded> {
    let mut stream = connected(address).await?;
    let (mut request, mut answer) = (Vec::with_capacity(1024), Vec::with_capacity(4096));
    let mut loaded = Loaded::default();
    loop {
        let begins = Instant::now();
        let number = next.fetch_add(1, Ordering::Relaxed);
        if begins >= until || number >= end {
            return Ok(loaded);
        }
        request.clear();
        make(number, &mut request);
        answer.clear();
        let Some(status) = asked_once(&mut stream, &request, &mut answer).await? else {
            loaded.cut += 1;
            stream = connected(address).await?;
            continue;
        };
        loaded.micros.push(u32::try_from(begins.elapsed().as_micros()).unwrap_or(u32::MAX));
        if is_good(status) {
            loaded.good += 1;
        } else {
            loaded.other += 1;
            loaded.refusal.get_or_insert_with(|| shown(&answer));
        }
    }
}

async fn connected(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An order that the server still works on (202) is no booking yet.
fn is_good(status: u16) -> bool {
    (200..300).contains(&status) && status != 202
}

/// The status line of an answer, and its body; cut where it is too long for a person.
fn shown(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.lines().next().unwrap_or_default();
    format!("{status} {body}").chars().take(300).collect()
}

/// The status; `None` where the server closed the connection without a word: workerd does, when it has not come to a
/// connection for five seconds.
async fn asked_once(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> io::Result<Option<u16>> {
    let is_closed =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
    match stream.write_all(request).await {
        Err(error) if is_closed(&error) => return Ok(None),
        written => written?,
    }
    loop {
        match stream.read_buf(answer).await {
            Ok(0) if answer.is_empty() => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if is_closed(&error) && answer.is_empty() => return Ok(None),
            read => read.map(|_| ())?,
        }
        if let Some(status) = whole(answer) {
            return Ok(Some(status));
        }
    }
}

/// The status of an answer, once all of it is there.
fn whole(answer: &[u8]) -> Option<u16> {
    const LENGTH: &[u8] = b"content-length: ";
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let is_it = |name: &[u8]| name.eq_ignore_ascii_case(LENGTH);
    let at = answer.windows(LENGTH.len()).position(is_it)? + LENGTH.len();
    let digits = |of: &[u8]| {
        let digits = of.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0_usize, |number, digit| number * 10 + usize::from(digit - b'0'))
    };
    let status = u16::try_from(digits(&answer[9..])).unwrap_or_default();
    (answer.len() >= head + 4 + digits(&answer[at..])).then_some(status)
}

/// `GET /Ticket/hall:…/get`
pub fn get_ticket(n: u64, out: &mut Vec<u8>) {
    out.extend(format!("GET /Ticket/hall:{}/get HTTP/1.1\r\nhost: x\r\n\r\n", n % 1_000).bytes());
}

/// `POST /Checkout/process`, each for a ticket of its own, a thousand to a map.
pub fn process(n: u64, out: &mut Vec<u8>) {
    post(
        "/Checkout/process",
        &format!(r#"{{"ticketId":"hall-{}:{n}","userId":"user-{}"}}"#, n / 1_000, n % 5_000),
        out,
    );
}

/// A `POST` of some JSON that says so.
pub fn json(path: &str, body: &str, out: &mut Vec<u8>) {
    let length = body.len();
    out.extend(
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
            .bytes(),
    );
}

/// A `POST` of some JSON.
pub fn post(path: &str, body: &str, out: &mut Vec<u8>) {
    let length = body.len();
    out.extend(format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}").bytes());
}
