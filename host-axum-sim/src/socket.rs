//! The WebSocket of a watcher.
//!
//! A message goes out in fragments: the buffer that a connection keeps is as large as the largest frame that it sent, for as long
//! as it lives.

use axum::body::Body;
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request};
use axum::response::Response;
use booking_core::wire::watch::PROTOCOL;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, coding::CloseCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::outbox::{Piece, TooSlow};

/// The longest message that a watcher may send, in bytes.
const MAX_MESSAGE: usize = 1024;

/// How many bytes are read of a connection at a time.
const READ: usize = 4096;

/// A request for a WebSocket.
pub(crate) struct Upgrade {
    response: Response,
    connection: OnUpgrade,
}

/// The WebSocket.
pub(crate) struct Socket(WebSocketStream<TokioIo<Upgraded>>);

/// What a watcher says.
pub(crate) enum Heard {
    /// A message.
    Said(Bytes),
    /// It is still there.
    Signed,
    /// It goes.
    Goodbye,
}

/// Why something could not be sent.
pub(crate) enum Unsent {
    /// The watcher is gone.
    Gone,
    /// There was too much on its way to all, and this was the slowest.
    CutOff,
}

impl From<tungstenite::Error> for Unsent {
    fn from(_: tungstenite::Error) -> Self {
        Self::Gone
    }
}

impl From<TooSlow> for Unsent {
    fn from(_: TooSlow) -> Self {
        Self::CutOff
    }
}

impl Upgrade {
    /// What a request asks for, if it is a WebSocket over a connection that can become one.
    pub(crate) fn of(parts: &mut Parts) -> Option<Self> {
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        let mut response = create_response_with_body(&request, Body::empty).ok()?;
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        Some(Self { response, connection: parts.extensions.remove()? })
    }

    /// The answer to the request, after which the WebSocket is served.
    pub(crate) fn serve<F: Future<Output = ()> + Send>(
        self,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> Response {
        tokio::spawn(async move {
            // A connection that ends before has no watcher.
            if let Ok(connection) = self.connection.await {
                let config = WebSocketConfig::default()
                    .read_buffer_size(READ)
                    .write_buffer_size(0)
                    .max_message_size(Some(MAX_MESSAGE))
                    .max_frame_size(Some(MAX_MESSAGE));
                let socket =
                    WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await;
                serve(Socket(socket)).await;
            }
        });
        self.response
    }
}

impl Socket {
    /// Sends a text.
    pub(crate) async fn say(&mut self, text: impl Iterator<Item = Piece>) -> Result<(), Unsent> {
        let mut kind = Data::Text;
        for piece in text {
            let (piece, is_last) = piece?;
            let frame = Frame::message(piece, OpCode::Data(kind), is_last);
            self.0.feed(Message::Frame(frame)).await?;
            kind = Data::Continue;
        }
        Ok(self.0.flush().await?)
    }

    /// Asks the watcher whether it is there.
    pub(crate) async fn ping(&mut self) -> Result<(), Unsent> {
        Ok(self.0.send(Message::Ping(Bytes::new())).await?)
    }

    /// Says goodbye.
    pub(crate) async fn close(&mut self, code: CloseCode, mut reason: String) {
        // A close frame has room for 123 bytes.
        let end = (0..=120).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
        let _gone_anyway = self.0.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    }

    /// What the watcher says next; `None` when it is gone. What is owed to it of the protocol goes out meanwhile: the answer to a
    /// ping, and to a goodbye.
    pub(crate) async fn hear(&mut self) -> Option<Heard> {
        Some(match self.0.next().await?.ok()? {
            Message::Text(text) => Heard::Said(text.into()),
            Message::Binary(bytes) => Heard::Said(bytes),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Heard::Signed,
            Message::Close(_) => Heard::Goodbye,
        })
    }
}
