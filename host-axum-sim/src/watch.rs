//! Serving one watcher: what it is sent over its WebSocket, and what it may say.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use booking_core::map::{Delta, Picture};
use booking_core::wire::{Call, SeatMapCall, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::engine::Shown;
use crate::host::{Host, Reply};
use crate::hub::Watched;
use crate::outbox::Outbox;

/// How long changes are gathered before they are sent together.
const GATHER: Duration = Duration::from_millis(25);

/// How many changes of seats go into one message, unless one change has more.
const BATCH: usize = 256;

/// How long a message may take to be sent before the watcher is dropped.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// How often a watcher that says nothing is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// How often a watcher gets a snapshot at most.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// The longest message that a watcher may send, in bytes.
pub(crate) const MAX_MESSAGE: usize = 1024;

/// Why a watcher is no longer served.
enum End {
    /// It went.
    Gone,
    /// It did not keep up.
    Slow,
    /// There was too much on its way to all, and this was the slowest. A goodbye would wait behind what it does not take.
    CutOff,
    /// It said something that it may not.
    Wrong(String),
}

/// Serves one watcher until it goes.
pub(crate) async fn serve(mut socket: WebSocket, host: Host, outbox: Outbox, mut watched: Watched) {
    let end = match begin(&mut socket, &outbox, &mut watched).await {
        Ok(()) => loop {
            match go_on(&mut socket, &host, &outbox, &mut watched).await {
                Ok(()) => {}
                Err(end) => break end,
            }
        },
        Err(end) => end,
    };
    let is_closed = watched.hub.is_closed();
    // A server that stops waits until all have been told.
    let _place = is_closed.then_some(watched);
    let close = match end {
        End::Gone | End::CutOff => None,
        End::Slow if is_closed => Some((close_code::AWAY, "the server stops: connect again".to_owned())),
        End::Slow => Some((close_code::AGAIN, "too slow: connect again".to_owned())),
        End::Wrong(why) => Some((close_code::POLICY, why)),
    };
    if let Some((code, mut reason)) = close {
        // A close frame has room for 123 bytes.
        let end = (0..=120).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
        let frame = CloseFrame { code, reason: reason.into() };
        let _gone_anyway = timeout(SEND_WITHIN, socket.send(Message::Close(Some(frame)))).await;
    }
}

async fn say(socket: &mut WebSocket, text: String) -> Result<(), End> {
    send(socket, Message::text(text)).await
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(SEND_WITHIN, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Slow),
    }
}

/// Shows the map to who has just come, or comes anew.
async fn begin(socket: &mut WebSocket, outbox: &Outbox, watched: &mut Watched) -> Result<(), End> {
    match watched.view.take() {
        Some(view) => show(socket, outbox, view).await,
        None => Ok(()),
    }
}

/// Shows the whole map.
async fn show(socket: &mut WebSocket, outbox: &Outbox, view: Arc<Picture>) -> Result<(), End> {
    let snapshot = watch::snapshot(&view);
    drop(view);
    let on_its_way = outbox.weight(snapshot.len());
    tokio::select! {
        biased;
        said = say(socket, snapshot) => said,
        () = on_its_way.dropped() => Err(End::CutOff),
    }
}

/// The next thing that happens: something is said by the watcher, or by the map.
async fn go_on(socket: &mut WebSocket, host: &Host, outbox: &Outbox, watched: &mut Watched) -> Result<(), End> {
    tokio::select! {
        biased;
        heard = socket.recv() => match heard {
            Some(Ok(Message::Text(text))) => asked(socket, host, outbox, watched, text.as_bytes()).await,
            Some(Ok(Message::Binary(bytes))) => asked(socket, host, outbox, watched, &bytes).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) => {
                // The answer to it goes out with the next look at the socket.
                let _answered = timeout(SEND_WITHIN, socket.recv()).await;
                Err(End::Gone)
            }
            Some(Err(_)) | None => Err(End::Gone),
        },
        news = watched.news.recv() => match news {
            Some(shown) => tell(socket, outbox, watched, shown).await,
            None => Err(End::Slow),
        },
        () = tokio::time::sleep(PING_EVERY) => send(socket, Message::Ping(Vec::new().into())).await,
    }
}

/// A watcher asks: whether anybody is there, or, as it saw a gap, to begin anew.
async fn asked(
    socket: &mut WebSocket,
    host: &Host,
    outbox: &Outbox,
    watched: &mut Watched,
    bytes: &[u8],
) -> Result<(), End> {
    match watch::parse(bytes).map_err(|refusal| End::Wrong(refusal.message.into_owned()))? {
        watch::Ask::Snapshot => {}
        watch::Ask::Ping => return say(socket, watch::PONG.to_owned()).await,
    }
    // Who asks again and again waits in between; what happens meanwhile is in the snapshot.
    sleep_until(watched.since + ASK_EVERY).await;
    let call = Call::SeatMap(watched.map.clone(), SeatMapCall::Watch);
    match host.ask(call, None).await {
        Reply::Watched(again) => {
            *watched = again;
            begin(socket, outbox, watched).await
        }
        Reply::Answer(answer) => {
            say(socket, answer.body).await?;
            Err(End::Gone)
        }
        Reply::Plan(..) | Reply::Seen(_) => Err(End::Gone),
    }
}

/// Sends what has changed, with what changes within a moment.
async fn tell(socket: &mut WebSocket, outbox: &Outbox, watched: &mut Watched, first: Shown) -> Result<(), End> {
    let (mut deltas, mut seats) = (Vec::<Arc<Delta>>::new(), 0);
    let mut next = Some(first);
    let until = Instant::now() + GATHER;
    while let Some(shown) = next.take() {
        match shown {
            Shown::Changed(delta) => {
                seats += delta.seats.len();
                deltas.push(delta);
            }
            Shown::Whole(view) => {
                deltas.clear();
                seats = 0;
                show(socket, outbox, view).await?;
            }
        }
        if seats < BATCH {
            next = tokio::select! {
                biased;
                shown = watched.news.recv() => match shown {
                    Some(shown) => Some(shown),
                    None => return Err(End::Slow),
                },
                () = sleep_until(until) => None,
            };
        }
    }
    if deltas.is_empty() { Ok(()) } else { say(socket, watch::deltas(deltas.iter().map(Arc::as_ref))).await }
}
