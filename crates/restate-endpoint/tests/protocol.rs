//! The endpoint, asked as a Restate server asks: bytes of the service protocol in, bytes of it out.
//!
//! Messages are eight bytes of head (type, flags, length) and fields in the form of protocol buffers. What is written here
//! by hand is what stands in `service-protocol`'s description; a real server is asked in the tests of host-worker.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use restate_endpoint::{
    Access, Bytes, Context, Endpoint, Failure, GiveUp, Handler, Handlers, Key, Kind, OnMaxAttempts, Platform, Request,
    Response, Retries, RetryPolicy, Service, Stop, Target, Terminal,
};

/// Runs what never waits for anything outside.
fn now<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    for _ in 0..1_000 {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Waker::from_waker(std::task::Waker::noop())) {
            return done;
        }
    }
    panic!("it waits for something");
}

#[derive(Clone)]
struct Here;

impl Platform for Here {
    fn now(&self) -> Duration {
        Duration::from_secs(1_700_000_000)
    }

    async fn verifies(&self, _: &[u8; 32], _: &[u8], _: &[u8]) -> bool {
        false
    }
}

/// What a test has handled.
struct Handling<F>(F);

impl<F: AsyncFn(&Context) -> Result<Bytes, Stop>> Handlers for Handling<F> {
    async fn handle(&self, context: &Context) -> Result<Bytes, Stop> {
        (self.0)(context).await
    }
}

fn service(name: &'static str, kind: Kind) -> Service {
    Service {
        name,
        kind,
        handlers: [("add", Access::Exclusive), ("look", Access::Shared)]
            .map(|(name, access)| Handler::new(name, (kind == Kind::Object).then_some(access)))
            .into(),
        idempotency_retention: None,
        journal_retention: None,
        retries: None,
    }
}

fn endpoint<F: AsyncFn(&Context) -> Result<Bytes, Stop>>(handling: F) -> Endpoint<Handling<F>> {
    Endpoint::new(vec![service("Counter", Kind::Object)], Handling(handling), Vec::new())
}

// ── the protocol, by hand ───────────────────────────────────────────────────────────────────────────────────────────

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value, &mut out);
    out
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(value.len() as u64, &mut out);
    out.extend(value);
    out
}

fn message(kind: u16, fields: &[Vec<u8>]) -> Vec<u8> {
    let fields = fields.concat();
    let head = u64::from(kind) << 48 | fields.len() as u64;
    [&head.to_be_bytes()[..], &fields].concat()
}

const START: u16 = 0x0000;
const SUSPENSION: u16 = 0x0001;
const ERROR: u16 = 0x0002;
const END: u16 = 0x0003;
const PROPOSE_RUN: u16 = 0x0005;
const INPUT: u16 = 0x0400;
const OUTPUT: u16 = 0x0401;
const SET_STATE: u16 = 0x0403;
const CLEAR_STATE: u16 = 0x0404;
const GET_EAGER_STATE: u16 = 0x0407;
const SLEEP: u16 = 0x040c;
const CALL: u16 = 0x040d;
const SEND: u16 = 0x040e;
const RUN: u16 = 0x0411;
const RUN_COMPLETION: u16 = 0x8011;
const CALL_COMPLETION: u16 = 0x800d;
const SIGNAL: u16 = 0xfbff;

/// An invocation as a server sends it: this state, this input, and what is in the journal beside it.
fn invocation(state: &[(&str, &str)], input: &str, journal: &[Vec<u8>]) -> Vec<u8> {
    let mut start = vec![
        bytes(1, b"an-id"),
        bytes(2, b"inv_1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        number(3, 1 + journal.len() as u64),
        bytes(6, b"a-key"),
        number(9, 42),
    ];
    let entry =
        |(key, value): &(&str, &str)| bytes(4, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
    start.extend(state.iter().map(entry));
    let header = bytes(1, &[bytes(1, b"Who"), bytes(2, b"ann")].concat());
    let input = message(INPUT, &[header, bytes(14, &bytes(1, input.as_bytes()))]);
    [message(START, &start), input, journal.concat()].concat()
}

/// The messages of an answer: type and fields.
fn messages(body: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut rest = body;
    let mut all = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let head = u64::from_be_bytes(*head);
        let length = usize::try_from(head & 0xffff_ffff).unwrap();
        all.push((u16::try_from(head >> 48).unwrap(), after[..length].to_vec()));
        rest = &after[length..];
    }
    assert!(rest.is_empty(), "a message is cut short");
    all
}

fn kinds(body: &[u8]) -> Vec<u16> {
    messages(body).into_iter().map(|(kind, _)| kind).collect()
}

fn has(fields: &[u8], text: &str) -> bool {
    fields.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A request, and its body.
type Asked = (Request, Vec<u8>);

fn request(path: &str, version: u32, body: Vec<u8>) -> Asked {
    let content_type = format!("application/vnd.restate.invocation.v{version}");
    (Request { path: path.into(), headers: vec![("Content-Type".into(), content_type)] }, body)
}

fn answer<H: Handlers>(endpoint: &Endpoint<H>, (request, body): Asked) -> Response {
    now(endpoint.answer(&Here, request, async { Ok(body.into()) }))
}

fn invoked<F: AsyncFn(&Context) -> Result<Bytes, Stop>>(endpoint: &Endpoint<Handling<F>>, body: Vec<u8>) -> Vec<u8> {
    let answer = answer(endpoint, request("/invoke/Counter/add", 5, body));
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body.to_vec()
}

// ── what a handler sees and does ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_handler_is_told_who_calls_what() {
    let endpoint = endpoint(async |context| {
        let seen = format!(
            "{} {} {} {} {:?} {:?}",
            context.service(),
            context.handler(),
            context.key(),
            context.invocation_id(),
            context.header("wHO"),
            context.header("else")
        );
        Ok(Bytes::from([seen.as_bytes(), &context.input()].concat()))
    });
    let answer = messages(&invoked(&endpoint, invocation(&[], "!", &[])));
    assert_eq!([answer[0].0, answer[1].0], [OUTPUT, END]);
    let expected = r#"Counter add a-key inv_1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa Some("ann") None!"#;
    assert!(has(&answer[0].1, expected), "{}", String::from_utf8_lossy(&answer[0].1));
}

#[test]
fn state_that_came_with_the_invocation_is_read_and_written_without_a_wait() {
    let endpoint = endpoint(async |context| {
        let before = context.get("count").await?;
        assert_eq!(context.get("other").await?, None);
        context.set("count", Bytes::from("two"))?;
        assert_eq!(context.get("count").await?, Some(Bytes::from("two")), "what was written is read");
        assert_eq!(context.keys().await?, ["count"]);
        context.clear("count")?;
        assert_eq!(context.get("count").await?, None);
        Ok(before.unwrap())
    });
    let answer = messages(&invoked(&endpoint, invocation(&[("count", "one")], "", &[])));
    let all: Vec<u16> = answer.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(all.iter().filter(|kind| **kind == GET_EAGER_STATE).count(), 4);
    assert!(all.contains(&SET_STATE) && all.contains(&CLEAR_STATE));
    assert_eq!(all[all.len() - 2..], [OUTPUT, END]);
    assert!(has(&answer[all.len() - 2].1, "one"));
}

#[test]
fn what_is_asked_for_side_by_side_is_one_suspension() {
    let endpoint = endpoint(async |context| {
        let target = |handler: &str| Target {
            service: "Other".into(),
            handler: handler.into(),
            key: Some("k".into()),
            headers: vec![("x".into(), "y".into())],
        };
        let calls = vec![
            context.call(target("first"), Bytes::from("1"))?,
            context.call(target("second"), Bytes::from("2"))?,
            context.sleep(Duration::from_secs(5))?,
        ];
        context.send(target("third"), Bytes::from("3"), Some(Duration::from_secs(60)))?;
        let done = context.all(calls).await?;
        assert_eq!(done.len(), 3);
        Ok(Bytes::new())
    });
    let answer = messages(&invoked(&endpoint, invocation(&[], "", &[])));
    let all: Vec<u16> = answer.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(all, [CALL, CALL, SLEEP, SEND, SUSPENSION]);
    for (at, names) in [(0, ["first", "Other"]), (1, ["second", "k"]), (3, ["third", "x"])] {
        assert!(names.iter().all(|name| has(&answer[at].1, name)), "{at}");
    }
}

/// A call in the journal, as it was written: its number of notifications come after it.
fn called(handler: &str, input: &str, completion: u64) -> Vec<u8> {
    let fields = [
        bytes(1, b"Other"),
        bytes(2, handler.as_bytes()),
        bytes(3, input.as_bytes()),
        bytes(5, b"k"),
        number(10, completion),
        number(11, completion + 1),
    ];
    message(CALL, &fields)
}

#[test]
fn a_call_ends_in_an_answer_or_in_the_end_of_the_other() {
    let endpoint = endpoint(async |context| {
        let target =
            Target { service: "Other".into(), handler: "first".into(), key: Some("k".into()), headers: vec![] };
        let call = context.call(target, Bytes::from("1"))?;
        match context.done(call).await? {
            Ok(bytes) => Ok(bytes),
            Err(Terminal { code, message }) => Ok(Bytes::from(format!("{code} {message}"))),
        }
    });
    let answered = message(CALL_COMPLETION, &[number(1, 2), bytes(5, &bytes(1, b"good"))]);
    let body = invoked(&endpoint, invocation(&[], "", &[called("first", "1", 1), answered]));
    assert!(has(&messages(&body)[0].1, "good"), "{body:?}");
    let failure = [number(1, 404), bytes(2, b"nobody")].concat();
    let failed = message(CALL_COMPLETION, &[number(1, 2), bytes(6, &failure)]);
    let body = invoked(&endpoint, invocation(&[], "", &[called("first", "1", 1), failed]));
    assert!(has(&messages(&body)[0].1, "404 nobody"), "{body:?}");
}

#[test]
fn work_is_done_once_and_recorded_and_not_done_again_when_it_was() {
    let count = Rc::new(Cell::new(0));
    let counts = Rc::clone(&count);
    let endpoint = endpoint(async move |context| {
        let counts = Rc::clone(&counts);
        let work = async move {
            counts.set(counts.get() + 1);
            Ok(Bytes::from("paid"))
        };
        let pending = context.run("pay", RetryPolicy::Infinite, work)?;
        Ok(context.done(pending).await??)
    });
    let first = messages(&invoked(&endpoint, invocation(&[], "", &[])));
    assert_eq!(first.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [RUN, PROPOSE_RUN, SUSPENSION]);
    assert!(has(&first[0].1, "pay") && has(&first[1].1, "paid"));
    assert_eq!(count.get(), 1);
    let recorded = [
        message(RUN, &[number(11, 1), bytes(12, b"pay")]),
        message(RUN_COMPLETION, &[number(1, 1), bytes(5, &bytes(1, b"paid"))]),
    ];
    let again = messages(&invoked(&endpoint, invocation(&[], "", &recorded)));
    assert_eq!(again.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [OUTPUT, END]);
    assert!(has(&again[0].1, "paid"));
    assert_eq!(count.get(), 1, "what was recorded is not done again");
}

#[test]
fn work_of_several_is_done_side_by_side() {
    let log = Rc::new(RefCell::new(Vec::new()));
    let said = Rc::clone(&log);
    let endpoint = endpoint(async move |context| {
        let work = |name: &'static str| {
            let said = Rc::clone(&said);
            async move {
                said.borrow_mut().push(format!("{name} begins"));
                let mut polls = 0;
                std::future::poll_fn(|_| {
                    polls += 1;
                    if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
                })
                .await;
                said.borrow_mut().push(format!("{name} ends"));
                Ok(Bytes::new())
            }
        };
        let pending = vec![
            context.run("a", RetryPolicy::Infinite, work("a"))?,
            context.run("b", RetryPolicy::Infinite, work("b"))?,
        ];
        context.all(pending).await?;
        Ok(Bytes::new())
    });
    invoked(&endpoint, invocation(&[], "", &[]));
    assert_eq!(log.borrow()[..2], ["a begins", "b begins"], "both begin before one ends");
    assert_eq!(log.borrow().len(), 4);
}

#[test]
fn work_that_fails_is_tried_again_or_given_up_by_its_policy() {
    let endpoint = |policy: RetryPolicy, failure: fn() -> Failure| {
        endpoint(async move |context| {
            let pending = context.run("pay", policy.clone(), async move { Err(failure()) })?;
            match context.done(pending).await? {
                Ok(_) => Ok(Bytes::from("done")),
                Err(end) => Ok(Bytes::from(end.message)),
            }
        })
    };
    let lost: fn() -> Failure = || Failure::Retry("no answer".into());
    // Restate is asked to try again: the attempt has failed.
    let again = messages(&invoked(&endpoint(RetryPolicy::Infinite, lost), invocation(&[], "", &[])));
    assert_eq!(again.last().unwrap().0, ERROR);
    assert!(has(&again.last().unwrap().1, "no answer"));
    // Once is enough: the failure is recorded, as an end is.
    let once = RetryPolicy::FixedDelay {
        interval: None,
        max_attempts: Some(1),
        max_duration: None,
        on_max_attempts: OnMaxAttempts::FailAsTerminal,
    };
    let end: fn() -> Failure = || Failure::Terminal(Terminal::new(402, "no money"));
    for (policy, failure, why) in [(once, lost, "no answer"), (RetryPolicy::Infinite, end, "no money")] {
        let body = messages(&invoked(&endpoint(policy, failure), invocation(&[], "", &[])));
        let proposal = body.iter().find(|(kind, _)| *kind == PROPOSE_RUN).unwrap();
        assert!(has(&proposal.1, why), "{why}");
        assert_eq!(body.last().unwrap().0, SUSPENSION, "until it is recorded");
    }
}

#[test]
fn how_a_handler_stops_is_what_restate_is_told() {
    let told = |stop: fn() -> Stop| messages(&invoked(&endpoint(async move |_| Err(stop())), invocation(&[], "", &[])));
    let end = told(|| Terminal::new(409, "sold").into());
    assert_eq!(end.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [OUTPUT, END]);
    assert!(has(&end[0].1, "sold"));
    let retry = told(|| Stop::Retry("later".into()));
    assert_eq!(retry.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [ERROR]);
    assert!(has(&retry[0].1, "later"));
    let cancelled = told(|| Stop::Cancelled);
    assert!(has(&cancelled[0].1, "cancelled"));
}

#[test]
fn a_cancel_may_be_caught_and_things_put_back() {
    let endpoint = endpoint(async |context| {
        let pending = context.sleep(Duration::from_secs(60))?;
        match context.done(pending).await {
            Err(Stop::Cancelled) => {
                context.set("undone", Bytes::from("yes"))?;
                Err(Terminal::new(409, "put back").into())
            }
            Err(stop) => Err(stop),
            Ok(_) => Ok(Bytes::new()),
        }
    });
    // It sleeps, and then the signal that is number one comes.
    let slept = message(SLEEP, &[number(1, 1_700_000_060_000), number(11, 1)]);
    let cancel = message(SIGNAL, &[number(2, 1), bytes(4, b"")]);
    let body = messages(&invoked(&endpoint, invocation(&[], "", &[slept, cancel])));
    assert_eq!(body.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [SET_STATE, OUTPUT, END]);
    assert!(has(&body[1].1, "put back"));
}

#[test]
fn a_journal_that_is_another_handlers_is_told_to_restate_and_nothing_is_done() {
    let endpoint = endpoint(async |context| {
        context.set("a", Bytes::from("b"))?;
        Ok(Bytes::new())
    });
    let body = invoked(&endpoint, invocation(&[], "", &[message(CLEAR_STATE, &[bytes(1, b"a")])]));
    assert_eq!(kinds(&body), [ERROR]);
}

#[test]
fn a_panic_fails_the_attempt_which_is_tried_again_by_the_policy_of_its_handler() {
    let endpoint = endpoint(async |context| {
        context.set("half", Bytes::from("done"))?;
        #[allow(clippy::panic, reason = "it is what is tried")]
        {
            panic!("on purpose")
        }
    });
    for version in 5..=7 {
        let answer = answer(&endpoint, request("/invoke/Counter/add", version, invocation(&[], "", &[])));
        assert_eq!(answer.status, 200);
        let messages = messages(&answer.body);
        let (kind, fields) = messages.last().unwrap();
        assert_eq!(*kind, ERROR);
        assert!(has(fields, "the handler panicked") && !has(fields, "on purpose"));
        // Neither a delay nor a pause is asked for: the handler's own policy says when it is tried again.
        for field in [8, 9] {
            assert!(!fields.windows(2).any(|window| window == number(field, 1)), "{fields:?}");
        }
    }
}

// ── what is no invocation ───────────────────────────────────────────────────────────────────────────────────────────

fn status(answer: &Response) -> u16 {
    answer.status
}

#[test]
fn what_is_no_invocation_is_refused_without_running_anything() {
    let ran = Rc::new(Cell::new(false));
    let runs = Rc::clone(&ran);
    let endpoint = endpoint(async move |_| {
        runs.set(true);
        Ok(Bytes::new())
    });
    let ask = |asked: Asked| answer(&endpoint, asked);
    let whole = invocation(&[], "", &[]);
    let with_type = |content_type: &str| {
        let headers = vec![("content-type".into(), content_type.into())];
        (Request { path: "/invoke/Counter/add".into(), headers }, whole.clone())
    };
    for (what, request, expected) in [
        ("no such handler", request("/invoke/Counter/subtract", 5, whole.clone()), 404),
        ("no such service", request("/invoke/Clock/add", 5, whole.clone()), 404),
        ("no such path", request("/", 5, whole.clone()), 404),
        ("no type", (Request { path: "/invoke/Counter/add".into(), ..Request::default() }, whole.clone()), 415),
        ("another type", with_type("application/json"), 415),
        ("a protocol that is too old", request("/invoke/Counter/add", 4, whole.clone()), 415),
        ("nothing", request("/invoke/Counter/add", 5, Vec::new()), 400),
        ("half of it", request("/invoke/Counter/add", 5, whole[..whole.len() / 2].to_vec()), 400),
        ("rubbish", request("/invoke/Counter/add", 5, vec![0xff; 64]), 400),
    ] {
        let answer = ask(request);
        assert_eq!(status(&answer), expected, "{what}: {:?}", answer.body);
    }
    assert!(!ran.get());
    assert_eq!(status(&ask(request("/mounted/somewhere/invoke/Counter/add", 5, whole))), 200);
    assert!(ran.get());
}

// ── discovery ───────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn an_endpoint_describes_itself_in_the_newest_version_that_is_asked_for() {
    let retries = Retries {
        first: Duration::from_millis(50),
        factor: 2.0,
        cap: Duration::from_secs(10),
        attempts: 7,
        then: GiveUp::Kill,
    };
    let mut counter = service("Counter", Kind::Object);
    counter.idempotency_retention = Some(Duration::from_secs(60));
    counter.retries = Some(retries);
    counter.handlers[0].is_private = true;
    let endpoint = Endpoint::new(
        vec![counter, service("Plain", Kind::Service)],
        Handling(async |_: &Context| Ok(Bytes::new())),
        Vec::new(),
    );
    let accept = |versions: &[u32]| {
        let accepted: Vec<String> =
            versions.iter().map(|v| format!("application/vnd.restate.endpointmanifest.v{v}+json")).collect();
        let headers = vec![("Accept".to_owned(), accepted.join(", "))];
        answer(&endpoint, (Request { path: "/x/discover".into(), headers }, Vec::new()))
    };
    let read = |answer: &Response| -> serde_json::Value { serde_json::from_slice(&answer.body).unwrap() };
    let newest = accept(&[2, 3, 4]);
    assert_eq!(newest.headers[0].1, "application/vnd.restate.endpointmanifest.v4+json");
    let manifest = read(&newest);
    let expected = serde_json::json!({
        "protocolMode": "REQUEST_RESPONSE", "minProtocolVersion": 5, "maxProtocolVersion": 7,
        "services": [
            { "name": "Counter", "ty": "VIRTUAL_OBJECT", "idempotencyRetention": 60_000,
              "retryPolicyInitialInterval": 50, "retryPolicyExponentiationFactor": 2.0,
              "retryPolicyMaxInterval": 10_000, "retryPolicyMaxAttempts": 7, "retryPolicyOnMaxAttempts": "KILL",
              "handlers": [{ "name": "add", "ty": "EXCLUSIVE", "ingressPrivate": true }, { "name": "look", "ty": "SHARED" }] },
            { "name": "Plain", "ty": "SERVICE", "handlers": [{ "name": "add" }, { "name": "look" }] },
        ],
    });
    assert_eq!(manifest, expected);
    // An older one could not say that a handler is private, or how often it is tried: that is refused, not left out.
    for older in [&[3][..], &[2], &[2, 3]] {
        assert_eq!(status(&accept(older)), 415, "{older:?}");
    }
    assert_eq!(status(&accept(&[9])), 415);
    assert_eq!(status(&answer(&endpoint, (Request { path: "/health".into(), ..Request::default() }, Vec::new()))), 200);
}

#[test]
fn an_older_manifest_is_given_where_it_can_say_all() {
    let described = |service: Service, version: u32| {
        let endpoint = Endpoint::new(vec![service], Handling(async |_: &Context| Ok(Bytes::new())), Vec::new());
        let accept = format!("application/vnd.restate.endpointmanifest.v{version}+json");
        let request = Request { path: "/discover".into(), headers: vec![("accept".into(), accept)] };
        status(&answer(&endpoint, (request, Vec::new())))
    };
    let plain = || service("Plain", Kind::Service);
    let mut private = plain();
    private.handlers[1].is_private = true;
    let keeps = Service { journal_retention: Some(Duration::ZERO), ..plain() };
    assert_eq!([2, 3, 4].map(|version| described(plain(), version)), [200; 3]);
    assert_eq!([2, 3, 4].map(|version| described(private.clone(), version)), [415, 200, 200]);
    assert_eq!([2, 3, 4].map(|version| described(keeps.clone(), version)), [415, 200, 200]);
}

#[test]
fn a_body_is_not_asked_for_before_its_sender_is_let_in() {
    let key = Key::parse("publickeyv1_w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f").unwrap();
    let handling = Handling(async |_: &Context| Ok(Bytes::new()));
    let endpoint = Endpoint::new(vec![service("Counter", Kind::Object)], handling, vec![key]);
    let (request, _) = request("/invoke/Counter/add", 5, Vec::new());
    let body = async { panic!("it was asked for") };
    assert_eq!(status(&now(endpoint.answer(&Here, request, body))), 401);
}
