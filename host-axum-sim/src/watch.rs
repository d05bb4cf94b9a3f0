//! Serving one watcher: what it is sent over its WebSocket, and what it may say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use booking_core::map::{Delta, Picture};
use booking_core::wire::{Call, SeatMapCall, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::engine::Shown;
use crate::host::{Host, Reply};
use crate::looks::{LETS_IN, Looks};
use crate::outbox::{Hand, Piece, pieces};
use crate::socket::{Heard, Socket, Unsent};
use crate::subscriptions::Subscription;

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

impl From<Unsent> for End {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Gone => Self::Gone,
            Unsent::CutOff => Self::CutOff,
        }
    }
}

/// Serves one watcher until it goes.
pub(crate) async fn serve(socket: Socket, host: Host, looks: Looks, watched: Subscription) {
    let mut watcher = Watcher { socket, host, looks, watched };
    let Err(end) = watcher.watch().await;
    let Watcher { mut socket, watched, .. } = watcher;
    let is_closed = watched.subscriptions.is_closed();
    // A server that stops waits until all have been told.
    let _place = is_closed.then_some(watched);
    let (code, reason) = match end {
        End::Gone | End::CutOff => return,
        End::Slow if is_closed => (CloseCode::Away, "the server stops: connect again".to_owned()),
        End::Slow => (CloseCode::Again, "too slow: connect again".to_owned()),
        End::Wrong(why) => (CloseCode::Policy, why),
    };
    let _gone_anyway = timeout(SEND_WITHIN, socket.close(code, reason)).await;
}

struct Watcher {
    socket: Socket,
    host: Host,
    looks: Looks,
    watched: Subscription,
}

impl Watcher {
    async fn watch(&mut self) -> Result<Infallible, End> {
        self.begin().await?;
        loop {
            self.next_event().await?;
        }
    }

    async fn say(&mut self, text: String) -> Result<(), End> {
        self.send(pieces(text.into())).await
    }

    async fn send(&mut self, text: impl Iterator<Item = Piece>) -> Result<(), End> {
        timeout(SEND_WITHIN, self.socket.say(text)).await.map_err(|_| End::Slow)?.map_err(End::from)
    }

    /// Shows the map to who has just come, or comes anew.
    async fn begin(&mut self) -> Result<(), End> {
        match self.watched.view.take() {
            Some(view) => self.show(view).await,
            None => Ok(()),
        }
    }

    /// Shows the whole map.
    async fn show(&mut self, view: Arc<Picture>) -> Result<(), End> {
        let spread = watch::spread(self.watched.subscriptions.len(), LETS_IN);
        let snapshot = self.looks.snapshot(&self.watched.map, &view, spread);
        drop(view);
        let snapshot = snapshot.and_then(Hand::send).ok_or(End::CutOff)?;
        self.send(snapshot).await
    }

    /// The next thing that happens: something is said by the watcher, or by the map.
    async fn next_event(&mut self) -> Result<(), End> {
        tokio::select! {
            biased;
            heard = self.socket.hear() => match heard {
                Some(Heard::Said(message)) => self.asked(&message).await,
                Some(Heard::Signed) => Ok(()),
                Some(Heard::Goodbye) => {
                    // The answer to it goes out with the next look at the socket.
                    let _answered = timeout(SEND_WITHIN, self.socket.hear()).await;
                    Err(End::Gone)
                }
                None => Err(End::Gone),
            },
            news = self.watched.news.recv() => match news {
                Some(shown) => self.tell(shown).await,
                None => Err(End::Slow),
            },
            () = tokio::time::sleep(PING_EVERY) => {
                timeout(SEND_WITHIN, self.socket.ping()).await.map_err(|_| End::Slow)?.map_err(End::from)
            }
        }
    }

    /// The watcher asks: whether anybody is there, or, as it saw a gap, to begin anew.
    async fn asked(&mut self, message: &[u8]) -> Result<(), End> {
        match watch::parse(message).map_err(|refusal| End::Wrong(refusal.message.into_owned()))? {
            watch::Ask::Snapshot => {}
            watch::Ask::Ping => return self.say(watch::PONG.to_owned()).await,
        }
        // Who asks again and again waits in between; what happens meanwhile is in the snapshot.
        sleep_until(self.watched.since + ASK_EVERY).await;
        let call = Call::SeatMap(self.watched.map.clone(), SeatMapCall::Watch);
        match self.host.ask(call, None).await {
            Reply::Subscription(again) => {
                self.watched = again;
                self.begin().await
            }
            Reply::Answer(answer) => {
                self.say(answer.body).await?;
                Err(End::Gone)
            }
            Reply::Plan(..) | Reply::Seen(_) | Reply::Bookings(..) => Err(End::Gone),
        }
    }

    /// Sends what has changed, with what changes within a moment.
    async fn tell(&mut self, first: Shown) -> Result<(), End> {
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
                    self.show(view).await?;
                }
            }
            if seats < BATCH {
                next = tokio::select! {
                    biased;
                    shown = self.watched.news.recv() => match shown {
                        Some(shown) => Some(shown),
                        None => return Err(End::Slow),
                    },
                    () = sleep_until(until) => None,
                };
            }
        }
        if deltas.is_empty() { Ok(()) } else { self.say(watch::deltas(deltas.iter().map(Arc::as_ref), None)).await }
    }
}
