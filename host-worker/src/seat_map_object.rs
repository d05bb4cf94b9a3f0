//! The object of one seat map, and of those who watch it.

#![allow(missing_docs, reason = "the macro of an object writes methods without any; what is ours is documented")]

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use booking_core::map::News;
use booking_workers::faults;
use booking_workers::log::{Level, say};
use worker::{
    DurableObject, Env, Method, Request, Response, State, WebSocket, WebSocketIncomingMessage, durable_object,
};

use crate::map::Map;
use crate::watchers::{self, Watchers};

/// One seat map, under its key.
///
/// A panic leaves nothing half done behind: all that counts is in storage, and what is in memory only saves asking it.
#[durable_object]
pub struct SeatMapObject {
    map: AssertUnwindSafe<Rc<Map>>,
    watchers: AssertUnwindSafe<Rc<Watchers>>,
}

impl SeatMapObject {
    /// Tells those who watch.
    fn tell(&self) -> impl Fn(News) + use<> {
        let (map, watchers) = (Rc::clone(&self.map), Rc::clone(&self.watchers));
        move |news| watchers.hear(&map, news)
    }
}

impl DurableObject for SeatMapObject {
    fn new(state: State, env: Env) -> Self {
        let watchers = AssertUnwindSafe(Rc::new(Watchers::new(&state)));
        Self { map: AssertUnwindSafe(Rc::new(Map::new(state, env))), watchers }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        // The Worker hands on nothing else with this method.
        if request.method() == Method::Get {
            return self.watchers.join(&self.map, &request);
        }
        faults::may_panic("panic-map", || request.path());
        if faults::is_asked_for("other-build-map", || request.path()) {
            return Response::error("nothing here knows what that is", 404);
        }
        self.map.asked(request, self.tell()).await
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.map.woken(self.tell())
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> worker::Result<()> {
        if let Err(why) = watchers::said(&self.map, &socket, message).await {
            say(Level::Warn, "a watcher could not be answered", &[("why", why.to_string())]);
        }
        Ok(())
    }

    async fn websocket_close(&self, socket: WebSocket, _: usize, _: String, _: bool) -> worker::Result<()> {
        let _gone_anyway = socket.close(Some(1000), Some(""));
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, _: worker::Error) -> worker::Result<()> {
        Ok(())
    }
}
