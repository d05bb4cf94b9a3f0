//! One place in the crowd, taken by one buyer after another: each picks seats, holds them, hesitates, and pays, walks away
//! or gives them back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use booking_core::dice::Dice;
use booking_core::{CheckoutId, HoldId, TicketId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Crowd, Visit};
use crate::routes::{App, JSON, call};

/// How long a hold lasts, in milliseconds: the seats of those who walk away are soon on sale again.
const HOLD_FOR: u64 = 5_000;

/// Lengths of time, in milliseconds: until the first buyers have come; how long one hesitates; until the next takes the
/// place; until one who found nothing free looks again; until one asks how a long checkout stands.
const ARRIVE: Range<usize> = 0..4_000;
const HESITATE: Range<usize> = 300..2_500;
const NEXT: Range<usize> = 1_000..5_000;
const LOOK_AGAIN: Range<usize> = 300..900;
const ASK_AGAIN: Range<usize> = 500..1_000;

/// How often one whose seats were snatched away tries others.
const TRIES: usize = 4;

/// What of a hundred buyers do who do not pay: walk away, or give their seats back.
const WALK_AWAY: u8 = 10;
const GIVE_BACK: u8 = 10;

/// The card that pays.
const GOOD: &str = "card_success";

/// What the others pay with, and how many of a hundred pay with each. The rest have a good card.
const CARDS: [(&str, usize); 5] =
    [("card_decline", 8), ("card_flaky", 5), ("card_lost", 4), ("card_error", 2), ("card_capture_decline", 3)];

/// How many seats are wanted: mostly two.
const PARTIES: [usize; 8] = [1, 2, 2, 2, 2, 3, 4, 4];

/// A place in the crowd.
pub(super) struct Place {
    crowd: Crowd,
    visit: Arc<Visit>,
    gone_home: watch::Receiver<bool>,
    dice: Dice,
}

/// One buyer, and the seats they hold.
struct Party {
    user: String,
    hold: HoldId,
    seats: Vec<TicketId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reserve<'a> {
    user_id: &'a str,
    hold_id: &'a HoldId,
    ttl_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Release<'a> {
    hold_id: &'a HoldId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Order<'a> {
    ticket_ids: &'a [TicketId],
    user_id: &'a str,
    hold_id: &'a HoldId,
    payment_method_id: &'a str,
}

/// How a checkout stands, as far as a buyer wants to know.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checkout {
    checkout_id: CheckoutId,
    status: Status,
    code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Pending,
    Confirmed,
    Failed,
}

/// Asks as anybody would, but for the way through the network: the status and the body.
pub(super) async fn ask(app: &App, method: Method, path: &str, body: &(impl Serialize + ?Sized)) -> (u16, Bytes) {
    let body = serde_json::to_vec(body).expect("texts and numbers are JSON");
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, JSON).body(Body::from(body));
    let response = call(State(app.clone()), request.expect("no id has a character that a path cannot have")).await;
    let status = response.status().as_u16();
    // What has been said here is all there.
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    (status, body)
}

/// 128 bits that nobody can guess; `None` where the system has none.
fn chance() -> Option<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(u128::from_le_bytes(bytes))
}

impl Place {
    pub(super) fn new(crowd: Crowd, visit: Arc<Visit>) -> Self {
        let gone_home = visit.has_gone_home.subscribe();
        let seed = chance().and_then(|bits| u64::try_from(bits >> 64).ok()).unwrap_or_default();
        Self { crowd, visit, gone_home, dice: Dice::new(seed) }
    }

    pub(super) async fn be_taken_again_and_again(mut self) {
        let mut stays = self.wait(ARRIVE).await;
        while stays {
            let next = match self.find_seats().await {
                None => LOOK_AGAIN,
                Some(party) => {
                    if !self.wait(HESITATE).await {
                        return;
                    }
                    self.make_up_their_mind(&party).await;
                    NEXT
                }
            };
            stays = self.wait(next).await;
        }
    }

    /// Waits a while; false where the crowd goes home meanwhile.
    async fn wait(&mut self, millis: Range<usize>) -> bool {
        let length = millis.start + self.dice.below(millis.len());
        let length = Duration::from_millis(length as u64);
        tokio::time::timeout(length, self.gone_home.wait_for(|gone| *gone)).await.is_err()
    }

    async fn ask(&self, path: &str, body: &impl Serialize) -> u16 {
        ask(&self.crowd.0.app, Method::POST, path, body).await.0
    }

    /// Holds seats side by side for a new buyer, all under one hold. Where another client took one first, it tries others.
    async fn find_seats(&mut self) -> Option<Party> {
        let wanted = *self.dice.one_of(&PARTIES);
        for _ in 0..TRIES {
            let seats = self.visit.hall.go_for(wanted, &mut self.dice);
            if seats.is_empty() || *self.gone_home.borrow() {
                return None;
            }
            let user = format!("crowd-{}", self.crowd.0.names.fetch_add(1, Ordering::Relaxed));
            let party = Party { user, hold: HoldId::from_random(chance()?), seats };
            if self.reserve(&party).await {
                return Some(party);
            }
            self.release(&party).await;
        }
        None
    }

    async fn reserve(&self, party: &Party) -> bool {
        let reserve = Reserve { user_id: &party.user, hold_id: &party.hold, ttl_ms: HOLD_FOR };
        for seat in &party.seats {
            if self.ask(&format!("/Ticket/{seat}/reserve"), &reserve).await != 200 {
                return false;
            }
        }
        true
    }

    async fn release(&self, party: &Party) {
        for seat in &party.seats {
            let _or_it_lapses = self.ask(&format!("/Ticket/{seat}/release"), &Release { hold_id: &party.hold }).await;
        }
    }

    async fn make_up_their_mind(&mut self, party: &Party) {
        let roll = self.dice.between(1, 100);
        if roll <= WALK_AWAY {
            count(&self.visit.walked_away, 1);
        } else if roll <= WALK_AWAY + GIVE_BACK {
            self.release(party).await;
            count(&self.visit.gave_back, 1);
        } else {
            count(&self.visit.at_the_till, 1);
            self.pay(party).await;
            self.visit.at_the_till.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Pays; and once more with a good card, where another one was declined.
    async fn pay(&mut self, party: &Party) {
        let card = self.card();
        for card in [card, GOOD] {
            match self.process(party, card).await {
                200 => {
                    count(&self.visit.booked, 1);
                    return count(&self.visit.seats, party.seats.len() as u64);
                }
                402 => count(&self.visit.declined, 1),
                503 => return count(&self.visit.declined, 1),
                // The hold is over, most likely.
                _ => return,
            }
        }
    }

    fn card(&mut self) -> &'static str {
        let mut roll = self.dice.below(100);
        for (card, percent) in CARDS {
            if roll < percent {
                return card;
            }
            roll -= percent;
        }
        GOOD
    }

    /// The status that a checkout ends with, however long it takes; 202 where the crowd goes home before that.
    async fn process(&mut self, party: &Party, card: &str) -> u16 {
        let order =
            Order { ticket_ids: &party.seats, user_id: &party.user, hold_id: &party.hold, payment_method_id: card };
        let app = self.crowd.0.app.clone();
        let (status, body) = ask(&app, Method::POST, "/Checkout/process", &order).await;
        if status != 202 {
            return status;
        }
        let Ok(Checkout { checkout_id, .. }) = serde_json::from_slice(&body) else { return status };
        while self.wait(ASK_AGAIN).await {
            let (_, body) = ask(&app, Method::GET, &format!("/Checkout/{checkout_id}"), &()).await;
            match serde_json::from_slice(&body) {
                Ok(Checkout { status: Status::Confirmed, .. }) => return 200,
                Ok(Checkout { status: Status::Failed, code, .. }) => return code.unwrap_or_default(),
                Ok(Checkout { status: Status::Pending, .. }) | Err(_) => {}
            }
        }
        status
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
