//! One who watches a map.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use booking_core::wire::watch::{PROTOCOL, TOKEN_PROTOCOL};
use serde_json::Value;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::shop::Shop;

/// How long a watcher waits for what it expects.
const WAITS: Duration = Duration::from_secs(10);

pub(crate) struct Watcher(WebSocket<MaybeTlsStream<TcpStream>>);

impl Watcher {
    /// # Errors
    /// The map cannot be watched.
    pub(crate) fn of(shop: &Shop, map: &str) -> Result<Self, String> {
        // http becomes ws, and https wss.
        let url = format!("ws{}/SeatMap/{map}/watch", shop.url.strip_prefix("http").unwrap_or_default());
        let mut request = url.as_str().into_client_request().map_err(|why| format!("{url}: {why}"))?;
        let mut protocols = PROTOCOL.to_owned();
        if let Some(token) = &shop.token {
            protocols.push_str(&format!(", {TOKEN_PROTOCOL}{token}"));
        }
        let protocols =
            HeaderValue::from_str(&protocols).map_err(|_| "the token cannot stand in a header".to_owned())?;
        request.headers_mut().insert("sec-websocket-protocol", protocols);
        for (name, value) in &shop.headers {
            request.headers_mut().append(name, value.clone());
        }
        let uri = request.uri();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("wss") { 443 } else { 80 });
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let addresses = (host.as_str(), port).to_socket_addrs().map_err(|why| format!("{host}: {why}"))?;
        let mut stream = Err(format!("{host} has no address"));
        for address in addresses {
            stream = TcpStream::connect_timeout(&address, WAITS).map_err(|why| format!("{url}: {why}"));
            if stream.is_ok() {
                break;
            }
        }
        let stream = stream?;
        stream.set_read_timeout(Some(WAITS)).map_err(|why| format!("{url}: {why}"))?;
        let (socket, _) = tungstenite::client_tls(request, stream).map_err(|why| format!("{url}: {why}"))?;
        Ok(Self(socket))
    }

    /// What it hears next.
    ///
    /// # Errors
    /// Nothing came in time, or it was sent away.
    pub(crate) fn hears(&mut self) -> Result<Value, String> {
        let since = Instant::now();
        while since.elapsed() < WAITS {
            match self.0.read() {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).map_err(|why| format!("no JSON: {why}")),
                Ok(Message::Close(why)) => return Err(format!("the watcher was sent away: {why:?}")),
                Ok(_) => {}
                Err(why) => return Err(format!("the watcher heard nothing: {why}")),
            }
        }
        Err("the watcher heard nothing in time".to_owned())
    }

    /// Waits until it hears that a ticket has this status.
    ///
    /// # Errors
    /// It was not told in time.
    pub(crate) fn hears_that(&mut self, ticket: &str, status: &str) -> Result<(), String> {
        let since = Instant::now();
        let is_told = |told: &Value| told["id"] == ticket && told["status"] == status;
        while since.elapsed() < WAITS {
            let told = self.hears()?;
            let deltas = told["deltas"].as_array().into_iter().flatten();
            if deltas.flat_map(|delta| delta["tickets"].as_array().into_iter().flatten()).any(is_told) {
                return Ok(());
            }
        }
        Err(format!("a watcher was not told that {ticket} is {status}"))
    }
}
