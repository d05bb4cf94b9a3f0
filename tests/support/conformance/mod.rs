//! What every host does, on every platform: one list of cases, each asked of a server over HTTP.
//!
//! A case is a function over a [`Target`] that fails by panicking, like a test. Cases share nothing: each makes up its
//! own tickets, buyers and maps. Where a host cannot do what a case asks, that stands in [`DIFFERENCES`], with the
//! reason, and nowhere else.

mod checkouts;
mod doors;
mod idempotency;
mod maps;
mod refusals;
mod tickets;

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::eventually;
use crate::http::{Client, Got};

/// Which host is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// `host-axum-sim`.
    InProcess,
    /// `host-restate`, through a Restate server's ingress.
    Restate,
    /// `host-worker`, in workerd.
    Worker,
}

/// A difference between hosts: which host, which case, why.
pub struct Difference {
    /// The host that differs.
    pub host: Host,
    /// The case, or the kind of error, that it has not.
    pub case: &'static str,
    /// Why not.
    pub reason: &'static str,
}

/// Everything in which hosts differ.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        host: Host::InProcess,
        case: "StorageUnavailable",
        reason: "it takes a disk that is full, or fails: that is tried in tests/durable.rs and host-axum-sim/tests",
    },
    // Idempotency keys are the ingress's: it records its first answer to a key, of every kind.
    restate("the_same_key_with_other_bytes_is_refused", "the ingress gives the first answer, whatever the bytes"),
    restate("what_the_machines_did_not_answer_is_not_recorded", "the ingress records refusals of a request's form too"),
    restate("a_key_is_1_to_128_printable_characters", "the ingress takes any key"),
    // So is waiting for an end.
    restate(
        "a_checkout_that_takes_long_is_answered_meanwhile_and_works_on",
        "the ingress keeps its caller until the end; `send` does not, and an invocation can be asked for at any time",
    ),
    // So are paths and methods, in its own words.
    restate("a_route_that_is_not_there_is_not_found", "the ingress says so itself, without a kind"),
    restate(
        "a_method_that_a_route_does_not_take_is_refused_and_changes_nothing",
        "the ingress runs a handler on GET, which then misses its body; tests/restate.rs has what comes of that",
    ),
    restate("the_description_names_every_route_that_is_there", "Restate describes each service, on its admin API"),
    restate("MethodNotAllowed", "the ingress says so itself, without a kind"),
    restate("NotFound", "the ingress says so itself, without a kind"),
    // It knows no tokens: it lets in every caller that reaches it. A proxy, or Restate Cloud, stands before it.
    restate("admin_handlers_need_the_admin_token", "there they are, or not at all; see tests/restate.rs"),
    restate("nothing_but_health_is_told_without_a_token", "tokens are for the proxy before the ingress"),
    restate("Unauthorized", "tokens are for the proxy before the ingress"),
    // What is limited by what one process can hold.
    restate("a_buyer_may_have_only_so_many_holds", "it would take one more object to be asked for each hold"),
    restate("RateLimited", "it would take one more object to be asked for each hold"),
    restate("a_full_house_says_so_and_when_to_try_again", "there is no end to the tickets that Restate keeps"),
    restate("Overloaded", "there is no end to the tickets that Restate keeps"),
    restate("StorageUnavailable", "what cannot be stored is not answered: Restate tries again"),
    restate(
        "a_plan_is_sent_once_to_who_keeps_it_and_small_to_who_takes_that",
        "the headers of an answer are the ingress's",
    ),
    // Nobody can watch through the ingress: it knows requests and answers.
    restate("a_watcher_sees_a_snapshot_and_every_change", NO_WATCH),
    restate("a_change_of_several_tickets_is_one_delta", NO_WATCH),
    restate("a_watcher_of_a_large_map_is_sent_little_at_first", NO_WATCH),
    restate("a_watcher_that_asks_gets_a_snapshot", NO_WATCH),
    restate("a_watcher_that_pings_is_answered", NO_WATCH),
    restate("a_watcher_that_says_something_else_is_sent_away", NO_WATCH),
    restate("a_watcher_needs_a_token_where_others_do", NO_WATCH),
    restate("a_watch_that_is_no_websocket_is_refused", NO_WATCH),
    // A Worker has no place that knows all tickets, or all holds of a buyer.
    worker("a_buyer_may_have_only_so_many_holds", "it would take one more object to be asked for each hold"),
    worker("RateLimited", "requests are counted by the platform; see tests/worker.rs"),
    worker("a_full_house_says_so_and_when_to_try_again", "there is no end to the objects that the platform keeps"),
    worker("Overloaded", "there is no end to the objects that the platform keeps"),
    worker("StorageUnavailable", "the platform's storage does not fail here"),
];

const NO_WATCH: &str = "the ingress knows requests and answers, and no WebSockets";

const fn restate(case: &'static str, reason: &'static str) -> Difference {
    Difference { host: Host::Restate, case, reason }
}

const fn worker(case: &'static str, reason: &'static str) -> Difference {
    Difference { host: Host::Worker, case, reason }
}

/// Kinds that no request from outside is answered with, on any host.
pub const INNER_KINDS: [&str; 1] = ["HoldNotFound"];

/// Kinds of a host that has a key for invitations: [`crate::invitations`] asks for them, on each host that can have one.
pub const INVITED_KINDS: [&str; 1] = ["InvitationUsed"];

/// What is asked: one server, and the same host set up in other ways where a case needs that.
pub struct Target {
    /// Which host it is.
    pub host: Host,
    /// A server whose public door is open, with the built-in mock gateway. It has to wait long for a checkout before it
    /// answers `process` with 202, and to allow 20 holds a user.
    pub public: Client,
    /// The same server, with its admin token.
    pub admin: Client,
    /// Where its mock gateway is asked: the same server, or a process of its own.
    pub gateway: Client,
    /// A server that lets nobody in without a token and answers `process` with 202 after 1 s, if there is one to try.
    pub guarded: Option<Guarded>,
    /// A server with closed sales, if there is one to try.
    pub closed: Option<Client>,
    /// A server that has no room for any ticket, if there is one to try.
    pub full: Option<Client>,
}

/// A server that lets nobody in without a token.
pub struct Guarded {
    /// Without any.
    pub nobody: Client,
    /// With the public one.
    pub public: Client,
    /// With the admin's.
    pub admin: Client,
    /// The public one itself, for watchers.
    pub token: String,
}

/// One thing that is to be true of every host.
pub struct Case {
    /// Its name: the rule, in words.
    pub name: &'static str,
    /// The section of the specification that says so.
    pub section: &'static str,
    /// How to see whether it is.
    pub run: fn(&Target),
}

macro_rules! cases {
    ($($module:ident($section:literal): $($name:ident)*;)*) => {
        /// Every case.
        pub const CASES: &[Case] = &[$($(
            Case { name: stringify!($name), section: $section, run: $module::$name },
        )*)*];
    };
}
cases! {
    tickets("§2, §6"):
        a_ticket_that_nobody_has_spoken_to_is_on_sale
        a_hold_is_answered_with_its_id_its_end_and_its_price
        who_sits_where_is_told_to_who_shows_the_hold_and_to_nobody_else
        reserve_takes_a_bare_buyer
        the_same_reserve_again_gets_the_same_answer
        a_buyer_who_names_no_hold_is_not_told_the_one_they_have
        a_hold_lasts_as_long_as_was_asked_and_then_is_gone
        a_released_ticket_is_on_sale_again
        a_hold_of_another_cannot_be_released
        a_later_wish_under_a_hold_overtakes_an_earlier_one
        a_blocked_ticket_is_off_sale_until_it_is_unblocked
        a_listed_price_is_what_the_next_hold_costs
        the_box_office_sells_without_a_payment
        a_reset_puts_a_sold_ticket_back_unless_it_has_changed;
    checkouts("§4, §5"):
        a_buyer_buys_a_ticket
        a_buyer_buys_what_they_hold
        a_buyer_buys_many_tickets_under_one_hold
        a_buyer_who_is_declined_keeps_their_hold_and_pays_with_another_card
        a_checkout_that_is_declined_puts_its_own_hold_back
        every_card_does_what_it_says
        a_buyers_id_may_be_an_e_mail_address_and_a_contact_is_taken
        a_booking_that_costs_nothing_is_not_paid_for
        one_taken_ticket_of_several_takes_none
        a_refusal_names_the_ticket_that_is_in_the_way_and_when_its_hold_ends
        money_is_taken_once_for_each_booking_and_never_without_one
        a_checkout_that_is_sent_is_answered_at_once_and_ends_alike
        a_checkout_that_takes_long_is_answered_meanwhile_and_works_on
        prices_in_two_currencies_have_no_sum
        the_mock_gateway_is_paid_in_one_go
        the_mock_gateway_gives_the_same_key_the_same_answer
        two_buyers_race_for_a_seat_and_one_gets_it;
    refusals("§6"):
        every_field_that_is_wrong_is_named
        a_field_that_is_not_known_is_refused
        a_body_that_is_no_json_is_refused
        a_body_may_have_16_kib_and_a_layout_2_mib
        a_hold_lasts_from_one_second_to_two_hours
        a_checkout_takes_one_to_ten_tickets_each_once
        a_taken_ticket_says_how_it_is_taken
        a_hold_that_is_over_cannot_be_paid_for
        a_hold_that_is_being_paid_for_cannot_be_released
        a_route_that_is_not_there_is_not_found
        a_method_that_a_route_does_not_take_is_refused_and_changes_nothing
        an_error_tells_its_code_its_kind_and_a_message
        a_buyer_may_have_only_so_many_holds
        closed_sales_sell_only_seats_of_a_layout
        a_full_house_says_so_and_when_to_try_again;
    idempotency("§6"):
        the_first_answer_comes_again
        a_refusal_comes_again_too
        the_same_key_with_other_bytes_is_refused
        a_repeat_waits_for_the_first
        a_key_belongs_to_its_route
        two_spellings_of_an_address_are_one_route
        what_the_machines_did_not_answer_is_not_recorded
        a_key_is_1_to_128_printable_characters
        a_checkout_that_is_sent_twice_is_one;
    doors("§6"):
        messages_between_objects_come_from_nobody_else
        admin_handlers_need_the_admin_token
        a_public_body_names_no_checkout
        reading_changes_nothing_and_takes_either_method
        nothing_but_health_is_told_without_a_token
        the_description_names_every_route_that_is_there;
    maps("§3"):
        a_map_shows_the_tickets_it_has_heard_of
        a_summary_counts_by_status
        a_layout_gives_its_tickets_their_order_and_price
        a_plan_is_the_layout_as_it_was_published
        a_plan_is_sent_once_to_who_keeps_it_and_small_to_who_takes_that
        the_same_layout_again_changes_nothing
        a_layout_names_each_of_its_tickets_once_and_no_others
        a_reset_of_the_whole_map_leaves_live_holds
        a_recall_ends_holds_that_have_not_changed_since_and_leaves_what_is_being_paid_for
        a_map_forgets_a_buyer_and_stays_sold
        a_watcher_sees_a_snapshot_and_every_change
        a_change_of_several_tickets_is_one_delta
        a_watcher_of_a_large_map_is_sent_little_at_first
        a_watcher_that_asks_gets_a_snapshot
        a_watcher_that_pings_is_answered
        a_watcher_that_says_something_else_is_sent_away
        a_watcher_needs_a_token_where_others_do
        a_watch_that_is_no_websocket_is_refused;
}

/// How a case went.
pub enum Verdict {
    /// As it should.
    Passed,
    /// Not at all: the host has a difference here.
    Differs(&'static str),
    /// Not at all: it needs a server that was not given.
    Needs(&'static str),
    /// It did not.
    Failed(String),
}

/// What a case panics with that cannot be tried.
struct Missing(&'static str);

/// A server that a case needs besides the first.
fn needs<'a, T>(server: &'a Option<T>, what: &'static str) -> &'a T {
    server.as_ref().unwrap_or_else(|| std::panic::panic_any(Missing(what)))
}

/// Runs one case.
#[must_use]
pub fn run(case: &Case, target: &Target) -> Verdict {
    let difference = DIFFERENCES.iter().find(|one| one.host == target.host && one.case == case.name);
    if let Some(Difference { reason, .. }) = difference {
        return Verdict::Differs(reason);
    }
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (case.run)(target)));
    match outcome {
        Ok(()) => Verdict::Passed,
        Err(why) => {
            if let Some(Missing(what)) = why.downcast_ref() {
                return Verdict::Needs(what);
            }
            let text = why.downcast_ref::<String>().cloned();
            let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Verdict::Failed(text.unwrap_or_else(|| "it panicked".to_owned()))
        }
    }
}

/// A name that nobody else has: for a ticket, a buyer, a hold.
fn fresh(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    format!("{what}-{:x}-{}", u64::from_le_bytes(bytes), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Tickets of a map of their own, and that map.
fn tickets_of_a_map(count: usize) -> (Vec<String>, String) {
    let map = fresh("hall");
    ((1..=count).map(|seat| format!("{map}:{seat}")).collect(), map)
}

/// A ticket of a map of its own.
fn a_ticket() -> String {
    format!("{}:1", fresh("hall"))
}

impl Target {
    fn ticket(&self, id: &str) -> Value {
        let got = self.public.get(&format!("/Ticket/{id}/get"));
        assert_eq!(got.status, 200, "{}", got.text);
        got.body
    }

    /// The same, for who shows this hold.
    fn ticket_under(&self, id: &str, hold: &str) -> Value {
        let got = self.public.post(&format!("/Ticket/{id}/get"), &json!({ "holdId": hold }));
        assert_eq!(got.status, 200, "{}", got.text);
        got.body
    }

    /// That an operator sees this buyer on a ticket, and nobody else does. On Restate nobody is known as an operator.
    #[track_caller]
    fn is_of(&self, id: &str, user: &str) {
        let seen = self.admin.get(&format!("/Ticket/{id}/get")).body;
        let told = if self.host == Host::Restate { Value::Null } else { user.into() };
        assert_eq!((&seen["reservedBy"], &self.ticket(id)["reservedBy"]), (&told, &Value::Null), "{id}");
    }

    /// That a handler of the core's own is not to be reached.
    #[track_caller]
    fn unreachable(&self, got: &Got) {
        match self.host {
            Host::InProcess | Host::Worker => refused(got, 404, "NotFound"),
            Host::Restate => assert_eq!((got.status, got.kind()), (400, ""), "{}", got.text),
        }
    }

    /// Whether the server is up.
    fn health(&self) -> Got {
        match self.host {
            Host::InProcess | Host::Worker => self.public.get("/health"),
            Host::Restate => self.public.get("/restate/health"),
        }
    }

    fn reserve(&self, id: &str, body: &Value) -> Got {
        self.public.post(&format!("/Ticket/{id}/reserve"), body)
    }

    /// A hold of this buyer's on this ticket.
    fn hold(&self, id: &str, user: &str) -> String {
        let got = self.reserve(id, &json!({ "userId": user }));
        assert_eq!(got.status, 200, "{}", got.text);
        got.text("holdId")
    }

    fn process(&self, order: &Value) -> Got {
        self.public.post("/Checkout/process", order)
    }

    /// Buys, and waits for the end, however long that takes: what `GET /Checkout/{id}` says then.
    fn bought(&self, order: &Value) -> Value {
        let sent = self.public.post("/Checkout/process/send", order);
        assert_eq!((sent.status, sent.body["status"].as_str()), (202, Some("PENDING")), "{}", sent.text);
        self.end_of(&sent.text("checkoutId"))
    }

    fn end_of(&self, checkout: &str) -> Value {
        let get = || self.public.get(&format!("/Checkout/{checkout}"));
        eventually(|| {
            let got = get();
            assert_eq!(got.status, 200, "{}", got.text);
            (got.body["status"] != "PENDING").then_some(got.body)
        })
    }

    /// A map as it is, also where a hold has to end first.
    fn map_becomes(&self, map: &str, is: &Value) {
        eventually(|| (self.public.get(&format!("/SeatMap/{map}/get")).body == *is).then_some(()));
    }
}

/// That an answer is an error of this kind, in the one shape that errors have.
#[track_caller]
fn refused(got: &Got, status: u16, kind: &str) {
    assert_eq!((got.status, got.kind()), (status, kind), "{}", got.text);
    assert_eq!(got.body["code"], status, "{}", got.text);
    assert!(got.body["message"].is_string(), "{}", got.text);
}

/// That an answer went well.
#[track_caller]
fn accepted(got: &Got) {
    assert_eq!(got.status, 200, "{}", got.text);
}
