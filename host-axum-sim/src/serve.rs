//! Connections: how many, for how long, and how they end.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method};
use booking_core::wire::{IDEMPOTENCY_KEY, Kind, answer};
use booking_hosting::callers::network;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::crowd::Crowd;
use crate::host::Host;
use crate::looks::Looks;
use crate::metrics::Metrics;
use crate::page::{PageSettings, page, page_alone};
use crate::plans::Plans;
use crate::routes::{App, RouteSettings, nowhere, routes};

/// How a server deals with connections.
#[derive(Clone)]
pub struct ServeSettings {
    /// How requests are let in.
    pub routes: RouteSettings,
    /// How many connections there may be at a time. Further ones are answered `Overloaded` and closed.
    pub connections: usize,
    /// How many connections one address may have of these, if that is limited: an address of IPv4, or 64 leading bits of one of IPv6.
    /// Never this machine's own. Further ones are answered `Overloaded` and closed.
    pub connections_per_address: Option<usize>,
    /// How long the head of a request may take to arrive, a connection may be idle, and a client may take nothing of what
    /// is sent to it.
    pub head_within: Duration,
    /// How long requests under way may take to end once the server is to stop.
    pub stop_within: Duration,
    /// Origins whose pages may ask, beside the server's own; none by default.
    pub cors_origins: Vec<HeaderValue>,
    /// The page at `/`, if there is to be one. No token is needed for it. A crowd can be let in where it is a demo's, and
    /// shows a map.
    pub page: Option<PageSettings>,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            routes: RouteSettings::default(),
            connections: 4_096,
            connections_per_address: None,
            head_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(35),
            cors_origins: Vec::new(),
            page: Some(PageSettings::default()),
        }
    }
}

/// How long those who watch may take to be told that the server stops.
const WATCHERS_GO: Duration = Duration::from_secs(1);

/// How many connections beyond the limit the server refuses with an answer at a time; it closes further ones without one.
const GOODBYES: usize = 64;

/// Serves the whole service until `stop` is done; then takes no more connections, and ends when the requests under way
/// have been answered, or [`ServeSettings::stop_within`] has passed.
///
/// # Errors
/// When the listener fails in a way that does not pass.
pub async fn serve(
    listener: TcpListener,
    host: Host,
    settings: ServeSettings,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let metrics = Arc::new(Metrics::default());
    let app = App {
        host: host.clone(),
        settings: Arc::new(settings.routes.clone()),
        metrics: Arc::clone(&metrics),
        plans: Plans::default(),
        looks: Looks::default(),
        refusals: crate::refusals::Refusals::default(),
        made: crate::invitations::Made::default(),
    };
    let crowd = settings.page.as_ref().and_then(|page| page.map.clone().filter(|_| page.demo));
    let crowd = crowd.map(|map| Crowd::new(app.clone(), map));
    let mut router = routes(app.clone()).merge(Router::new().fallback(nowhere).with_state(app));
    if let Some(settings) = &settings.page {
        router = router.merge(page(settings.clone()));
    }
    if let Some(crowd) = &crowd {
        router = router.merge(crowd.routes());
    }
    let router = with_cors(router, settings.cors_origins.clone());
    let when_stopping = || {
        host.send_watchers_away();
        if let Some(crowd) = &crowd {
            crowd.send_home();
        }
    };
    connections(listener, router, &settings, metrics, stop, when_stopping).await?;
    // Watchers have connections of their own. The server says on each that it stops, and waits for that here.
    let all_told = async {
        while host.watchers() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _late = tokio::time::timeout(WATCHERS_GO, all_told).await;
    Ok(())
}

/// Serves the page alone, for an API that is elsewhere. Connections and the end are as [`serve`]'s by default.
///
/// # Errors
/// When the listener cannot be used any more.
pub async fn serve_page(
    listener: TcpListener,
    settings: PageSettings,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let metrics = Arc::new(Metrics::default());
    connections(listener, page_alone(settings), &ServeSettings::default(), metrics, stop, || ()).await
}

/// Serves these routes on as many connections as the settings allow, until `stop` is done; `when_stopping` is called then.
async fn connections(
    listener: TcpListener,
    router: Router,
    settings: &ServeSettings,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
    when_stopping: impl FnOnce(),
) -> io::Result<()> {
    let (places, goodbyes) = (Arc::new(Semaphore::new(settings.connections)), Arc::new(Semaphore::new(GOODBYES)));
    let shares = Shares::new(settings.connections_per_address);
    let (stopping, stops) = watch::channel(());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(settings.head_within);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_passing(&error) => continue,
            Err(error) => {
                // Out of file descriptors, most likely: some will be given back.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let share = shares.take(address.ip());
        let place = share.and_then(|share| Some((Arc::clone(&places).try_acquire_owned().ok()?, share)));
        let Some(place) = place else {
            metrics.turned_away.inc();
            if let Ok(turn) = Arc::clone(&goodbyes).try_acquire_owned() {
                tokio::spawn(async move {
                    let _gone = tokio::time::timeout(Duration::from_secs(1), turn_away(stream)).await;
                    drop(turn);
                });
            }
            continue;
        };
        let _as_it_is = stream.set_nodelay(true);
        let (place, share) = place;
        let (routes, share) = (TowerToHyperService::new(router.clone()), Arc::new(share));
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            // A WebSocket keeps its share after its connection has answered the last request.
            request.extensions_mut().insert(Arc::clone(&share));
            routes.call(request)
        });
        // What is sent to a client has to be taken, bit by bit.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(settings.head_within));
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service).with_upgrades();
        let (metrics, mut stops) = (Arc::clone(&metrics), stops.clone());
        tokio::spawn(async move {
            metrics.connections.inc();
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                _ = stops.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
            metrics.connections.dec();
            drop(place);
        });
    }
    drop(listener);
    drop(stopping);
    when_stopping();
    // Every connection gives its place back when it has ended.
    let all = u32::try_from(settings.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(settings.stop_within, places.acquire_many(all)).await.is_err() {
        tracing::warn!("some requests were still under way");
    }
    Ok(())
}

/// How many connections each address has open, where that is limited.
#[derive(Clone)]
struct Shares {
    most: Option<usize>,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// One of the connections of an address, while it is open.
pub(crate) struct Share(Option<(Shares, IpAddr)>);

impl Shares {
    fn new(most: Option<usize>) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// Takes a connection of this address; `None` where it has as many as it may.
    fn take(&self, address: IpAddr) -> Option<Share> {
        let Some(most) = self.most.filter(|_| !address.to_canonical().is_loopback()) else { return Some(Share(None)) };
        let network = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this = taken.entry(network).or_default();
        if *of_this >= most {
            return None;
        }
        *of_this += 1;
        Some(Share(Some((self.clone(), network))))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((shares, network)) = self.0.take() else { return };
        let mut taken = shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_this) = taken.get_mut(&network) {
            *of_this -= 1;
            if *of_this == 0 {
                taken.remove(&network);
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Tells a connection for which there is no place to try again.
async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    let answer = answer::refusal(&Kind::Overloaded.into());
    let response = format!(
        "HTTP/1.1 {} Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{}",
        answer.status,
        answer.body.len(),
        answer.body
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    // What it has sent is read, or the answer is lost with it.
    let mut sink = [0; 1024];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut sink) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lets pages of these origins ask; without any, nothing is said of origins at all.
fn with_cors(router: Router, origins: Vec<HeaderValue>) -> Router {
    if origins.is_empty() {
        return router;
    }
    let every_origin = origins.iter().any(|origin| origin == "*");
    let origins = if every_origin { AllowOrigin::from(Any) } else { AllowOrigin::list(origins) };
    let asks_with = [AUTHORIZATION, CONTENT_TYPE, HeaderName::from_bytes(IDEMPOTENCY_KEY.as_bytes()).expect("a name")];
    let cors = CorsLayer::new().allow_origin(origins).allow_methods([Method::GET, Method::POST]);
    router.layer(cors.allow_headers(asks_with).expose_headers([RETRY_AFTER]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_this_machine_has_no_limit() {
        let shares = Shares::new(Some(2));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (first, _second) = (shares.take(ip("192.0.2.1")).unwrap(), shares.take(ip("::ffff:192.0.2.1")).unwrap());
        assert!(shares.take(ip("192.0.2.1")).is_none() && shares.take(ip("192.0.2.2")).is_some());
        drop(first);
        let _again = shares.take(ip("192.0.2.1")).unwrap();
        assert!(shares.take(ip("192.0.2.1")).is_none());
        let household = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|address| shares.take(ip(address)));
        assert_eq!(household.map(|share| share.is_some()), [true, true, false]);
        let here: Vec<_> = (0..9).flat_map(|_| [shares.take(ip("127.0.0.1")), shares.take(ip("::1"))]).collect();
        assert!(here.iter().all(Option::is_some));
        drop((here, _second, _again));
        assert!(shares.taken.lock().unwrap().is_empty(), "nothing is kept of who has gone");
        let unlimited = Shares::new(None);
        assert!((0..9).all(|_| unlimited.take(ip("192.0.2.1")).is_some()));
    }
}
