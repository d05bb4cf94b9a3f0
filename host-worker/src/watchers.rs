//! Those who watch a map over WebSockets. They sleep with the object: while nothing changes, nothing runs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use booking_core::map::{Delta, News};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Kind, answer, watch};
use booking_hosting::auth::protocols;
use booking_workers::clock::{now, pause};
use js_sys::{Date, Object as JsObject};
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::{
    Headers, Request, Response, State, WebSocket, WebSocketIncomingMessage, WebSocketPair, WebSocketRequestResponsePair,
};

use crate::errors::Result;
use crate::inside;
use crate::later::meanwhile;
use crate::map::Map;

/// How long changes are gathered before they are sent together.
const GATHER: Millis = Millis(25);

/// How many changes of seats go into one message, unless one change has more.
const BATCH: usize = 256;

/// How often a watcher gets a snapshot at most.
const ASK_EVERY: Millis = Millis(200);

/// For how long a watcher may say nothing. The next change after that finds it gone.
const SILENT_FOR: Millis = Millis::from_mins(2);

/// The longest message that a watcher may send, in bytes.
const MAX_MESSAGE: usize = 1024;

/// How long it takes an object to let a watcher in.
const LETS_IN: Duration = Duration::from_millis(3);

/// How many may watch a map at a time.
const MAX_WATCHERS: usize = 10_000;

/// Why a watcher is sent away: the codes of RFC 6455 and of IANA's registry.
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;
const AGAIN: u16 = 1013;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = JsObject)]
    type Answering;

    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    fn auto_response_timestamp(this: &Answering, socket: &JsValue) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(extends = JsObject)]
    type Sleeping;

    #[wasm_bindgen(method, catch, js_name = serializeAttachment)]
    fn attach(this: &Sleeping, text: &str) -> std::result::Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = deserializeAttachment)]
    fn attached(this: &Sleeping) -> std::result::Result<JsValue, JsValue>;
}

/// What is kept with a socket while the object sleeps, as a text of two numbers.
#[derive(Clone, Copy)]
struct Seen {
    /// When it last said something that had to be understood, in milliseconds.
    heard: u64,
    /// When it last got a snapshot.
    shown: u64,
}

impl Seen {
    fn keep(self, socket: &WebSocket) -> worker::Result<()> {
        let socket: &Sleeping = socket.as_ref().unchecked_ref();
        Ok(socket.attach(&format!("{} {}", self.heard, self.shown))?)
    }

    fn of(socket: &WebSocket) -> Option<Self> {
        let socket: &Sleeping = socket.as_ref().unchecked_ref();
        let text = socket.attached().ok()?.as_string()?;
        let (heard, shown) = text.split_once(' ')?;
        Some(Self { heard: heard.parse().ok()?, shown: shown.parse().ok()? })
    }
}

/// The changes that watchers get next. A crash that loses them ends the sockets as well, and the watchers connect again.
#[derive(Default)]
pub(crate) struct Watchers {
    deltas: RefCell<Vec<Delta>>,
    gathers: Cell<bool>,
    /// The spread that this last sent to all of them.
    spread: Cell<Millis>,
}

impl Watchers {
    /// Watchers that ask whether anybody is there are answered while the object sleeps.
    pub(crate) fn new(state: &State) -> Self {
        if let Ok(pair) = WebSocketRequestResponsePair::new(watch::PING, watch::PONG) {
            state.set_websocket_auto_response(&pair);
        }
        Self::default()
    }

    /// A request for a WebSocket.
    pub(crate) fn join(&self, map: &Map, request: &Request) -> worker::Result<Response> {
        let header = |name: &str| request.headers().get(name).ok().flatten().unwrap_or_default();
        let is_offered = protocols(&header("Sec-WebSocket-Protocol")).any(|protocol| protocol == watch::PROTOCOL);
        if !header("Upgrade").eq_ignore_ascii_case("websocket") || !is_offered {
            return inside::respond(answer::refusal(&watch::no_socket()));
        }
        let watchers = map.state.get_websockets().len();
        if watchers >= MAX_WATCHERS {
            return inside::respond(answer::refusal(&Kind::Overloaded.into()));
        }
        let Ok(snapshot) = map.snapshot(watch::spread(watchers, LETS_IN)) else {
            return inside::respond(answer::refusal(&Kind::StorageUnavailable.into()));
        };
        // What came before the snapshot is in it, and is not told again.
        self.tell(&map.state);
        let WebSocketPair { client, server } = WebSocketPair::new()?;
        map.state.accept_web_socket(&server);
        let at = now().as_millis();
        Seen { heard: at, shown: at }.keep(&server)?;
        server.send_with_str(&*snapshot)?;
        let headers = Headers::new();
        headers.set("Sec-WebSocket-Protocol", watch::PROTOCOL)?;
        Ok(Response::from_websocket(client)?.with_headers(headers))
    }

    /// A change of the map, that has been kept.
    pub(crate) fn hear(self: &Rc<Self>, map: &Rc<Map>, news: News) {
        if map.state.get_websockets().is_empty() {
            return;
        }
        match news {
            News::Changed(delta) => {
                self.deltas.borrow_mut().push(delta);
                if self.deltas.borrow().iter().map(|delta| delta.seats.len()).sum::<usize>() >= BATCH {
                    self.tell(&map.state);
                } else if !self.gathers.replace(true) {
                    let (watchers, later) = (Rc::clone(self), Rc::clone(map));
                    meanwhile(&map.state, async move {
                        pause(GATHER).await;
                        watchers.gathers.set(false);
                        watchers.tell(&later.state);
                    });
                }
            }
            News::Republished { .. } => {
                self.tell(&map.state);
                let sockets = map.state.get_websockets();
                if let Ok(snapshot) = map.snapshot(watch::spread(sockets.len(), LETS_IN)) {
                    for socket in sockets {
                        let _gone = socket.send_with_str(&*snapshot);
                    }
                }
            }
        }
    }

    /// Sends everybody what has changed.
    fn tell(&self, state: &State) {
        let deltas = self.deltas.take();
        if deltas.is_empty() {
            return;
        }
        let (sockets, at) = (state.get_websockets(), now());
        let spread = watch::spread(sockets.len(), LETS_IN);
        let is_new = self.spread.replace(spread) != spread;
        let text = watch::deltas(&deltas, is_new.then_some(spread));
        for socket in sockets {
            if is_silent(state, &socket, at) {
                send_away(&socket, AGAIN, "said nothing for two minutes: connect again");
            } else if socket.send_with_str(&text).is_err() {
                send_away(&socket, AGAIN, "connect again");
            }
        }
    }
}

fn send_away(socket: &WebSocket, code: u16, why: &str) {
    // A close frame has room for 123 bytes.
    let end = (0..=120.min(why.len())).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0);
    let _gone_anyway = socket.close(Some(code), why.get(..end));
}

/// Whether nothing was heard of a watcher for too long.
fn is_silent(state: &State, socket: &WebSocket, at: Timestamp) -> bool {
    let Some(Seen { heard, .. }) = Seen::of(socket) else { return false };
    if heard + SILENT_FOR.0 >= at.as_millis() {
        return false;
    }
    let answering: &Answering = state.as_raw().unchecked_ref();
    let pinged = answering.auto_response_timestamp(socket.as_ref()).ok().and_then(|at| at.dyn_into::<Date>().ok());
    let pinged = pinged.map(|at| worker::Date::from(at).as_millis()).unwrap_or_default();
    pinged + SILENT_FOR.0 < at.as_millis()
}

/// A watcher said something.
pub(crate) async fn said(map: &Map, socket: &WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
    let bytes = match message {
        WebSocketIncomingMessage::String(text) => text.into_bytes(),
        WebSocketIncomingMessage::Binary(bytes) => bytes,
    };
    if bytes.len() > MAX_MESSAGE {
        send_away(socket, TOO_BIG, "a message may have 1024 bytes");
        return Ok(());
    }
    let ask = match watch::parse(&bytes) {
        Ok(ask) => ask,
        Err(refusal) => {
            send_away(socket, POLICY, &refusal.message);
            return Ok(());
        }
    };
    let at = now().as_millis();
    let shown = Seen::of(socket).map_or(0, |seen| seen.shown);
    match ask {
        watch::Ask::Ping => {
            Seen { heard: at, shown }.keep(socket)?;
            socket.send_with_str(watch::PONG)?;
        }
        watch::Ask::Snapshot => {
            // Who asks again and again waits in between; what happens meanwhile is in the snapshot.
            let next = shown.saturating_add(ASK_EVERY.0);
            Seen { heard: at, shown: next.max(at) }.keep(socket)?;
            if next > at {
                pause(Millis(next - at)).await;
            }
            let watchers = map.state.get_websockets().len();
            socket.send_with_str(&*map.snapshot(watch::spread(watchers, LETS_IN))?)?;
        }
    }
    Ok(())
}
