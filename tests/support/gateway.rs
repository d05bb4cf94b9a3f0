//! A payment gateway that says what a test has it say, and what every host makes of one that says odd things.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::eventually;
use crate::http::Client;

/// What a gateway says to a verb (`authorize`, `capture`, `void`) and the body that came with it: a status and a body. `None`: it
/// takes the request, and says nothing for as long as the connection is open.
pub type Says = fn(&str, &Value) -> Option<(u16, &'static str)>;

/// A gateway at an address of its own. It runs until the test's process ends.
pub struct OddGateway {
    /// Its address, as hosts take it.
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    says: Says,
    voids: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl OddGateway {
    /// Starts one.
    ///
    /// # Panics
    /// Where the machine has no port for it.
    #[must_use]
    pub fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/pay", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { says, voids: AtomicBool::new(false), asked: Mutex::default() });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { url, shared }
    }

    /// From now on every void is answered, and tells that it paid back.
    pub fn pays_back(&self) {
        self.shared.voids.store(true, Ordering::Relaxed);
    }

    /// How often it was asked for this.
    ///
    /// # Panics
    /// Where it has panicked itself.
    #[must_use]
    pub fn asked(&self, verb: &str) -> usize {
        self.shared.asked.lock().unwrap().iter().filter(|asked| *asked == verb).count()
    }
}

impl Shared {
    /// Answers one request; `None` where the other side has gone.
    fn serve(&self, mut stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line).ok()?;
        let verb = line.split(' ').nth(1)?.rsplit('/').next()?.to_owned();
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let header = line.trim().to_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(said) = header.strip_prefix("content-length: ") {
                length = said.parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        self.asked.lock().ok()?.push(verb.clone());
        let voids = verb == "void" && self.voids.load(Ordering::Relaxed);
        let Some((status, body)) = (if voids { PAID_BACK } else { (self.says)(&verb, &body) }) else {
            // Until the other side has had enough.
            return reader.read(&mut [0]).ok().map(drop);
        };
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-type: application/json\r\n");
        stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).ok()
    }
}

const PAID_BACK: Option<(u16, &str)> = Some((200, r#"{ "ok": true, "paidBack": true }"#));

/// Declines `card_decline`, authorises everything else and never captures that. To a void it says nothing.
#[must_use]
pub fn never_voids(verb: &str, body: &Value) -> Option<(u16, &'static str)> {
    match (verb, body["paymentMethodId"].as_str()) {
        ("authorize", Some("card_decline")) => Some((402, r#"{ "reason": "Expired card" }"#)),
        ("authorize", _) => Some((200, r#"{ "authorizationId": "auth-1" }"#)),
        ("capture", _) => Some((402, r#"{ "reason": "Too late" }"#)),
        _ => None,
    }
}

/// A host whose gateway is one that [`never_voids`]: its buyers hear of a failure as soon as their seats are back, and where their
/// money is. `tells_later`: also where it is from then on.
///
/// # Panics
/// When it is otherwise.
pub fn a_failure_is_told_while_its_money_is_let_go_of(client: &Client, gateway: &OddGateway, tells_later: bool) {
    let told = |ticket: &str, card: &str, money: &str| {
        let order = json!({ "ticketId": ticket, "userId": "ann", "paymentMethodId": card });
        // One that is not told meanwhile is answered 202 after a while.
        let got = client.post("/Checkout/process", &order);
        assert_eq!((got.status, got.kind()), (402, "PaymentDeclined"), "{}", got.text);
        assert_eq!(got.body["money"], money, "{}", got.text);
        // Where there is something left to ask for, it is said by what name. (On Restate a header has it.)
        let is_named = got.body["checkoutId"].is_string();
        assert_eq!(is_named, tells_later && money != "none", "{}", got.text);
        let free = client.get(&format!("/Ticket/{ticket}/get"));
        assert_eq!(free.body["status"], "AVAILABLE", "{}", free.text);
    };
    told("hall:1", "card_decline", "none");
    told("hall:2", "card_success", "lettingGo");
    let sent = client.post("/Checkout/process/send", &json!({ "ticketId": "hall:3", "userId": "ann" }));
    let status = format!("/Checkout/{}", sent.text("checkoutId"));
    let end = eventually(|| Some(client.get(&status)).filter(|got| got.body["status"] == "FAILED"));
    assert_eq!((end.kind(), &end.body["money"]), ("PaymentDeclined", &json!("lettingGo")), "{}", end.text);
    assert!(end.text("message").contains("Too late"), "{}", end.text);
    gateway.pays_back();
    if tells_later {
        eventually(|| (client.get(&status).body["money"] == "paidBack").then_some(()));
    }
    // It is asked again until it says so, also where nobody hears of it.
    eventually(|| (gateway.asked("void") > 3).then_some(()));
}

/// Authorises every card, and never says what became of a capture.
#[must_use]
pub fn never_captures(verb: &str, _body: &Value) -> Option<(u16, &'static str)> {
    Some(if verb == "authorize" { (200, r#"{ "authorizationId": "auth-1" }"#) } else { (503, "") })
}

/// A host whose gateway is one that [`never_captures`]: operators have its checkouts turn back or come to their end, and reset no seat
/// that is being paid for.
///
/// # Panics
/// When it is otherwise.
pub fn operators_end_what_the_gateway_does_not(public: &Client, admin: &Client, gateway: &OddGateway) {
    let reason = json!({ "reason": "seen at the gateway" });
    let known = |outcome: &str, payment: Option<&str>| json!({ "outcome": outcome, "paymentId": payment, "reason": "seen at the gateway" });
    let sent = |ticket: &str| {
        let asked = gateway.asked("capture");
        let sent = public.post("/Checkout/process/send", &json!({ "ticketId": ticket, "userId": "ann" }));
        // It is asked again once the first answer, which is none, is written down.
        eventually(|| (gateway.asked("capture") > asked + 1).then_some(()));
        format!("/Checkout/{}", sent.text("checkoutId"))
    };
    let does = |path: &str, what: &str, body: &Value| admin.post(&format!("{path}/{what}"), body);
    let first = sent("hall:1");
    for (path, body) in [("/Ticket/hall:1/cleanup", json!({})), ("/Ticket/hall:1/reset", json!({ "upTo": 99 }))] {
        let refused = admin.post(path, &body);
        assert_eq!((refused.status, refused.kind()), (409, "CheckoutInProgress"), "{path}: {}", refused.text);
    }
    assert_eq!(does(&first, "cancel", &reason).kind(), "CheckoutInProgress", "its money may be taken");
    assert_eq!(does(&first, "resolve", &known("letGo", None)).kind(), "CheckoutInProgress", "nobody asked for that");
    for wrong in [json!({}), json!({ "reason": "" }), json!({ "reason": 1 })] {
        assert_eq!(does(&first, "cancel", &wrong).status, 400, "{wrong}");
    }
    for operation in ["cancel", "resolve", "notify"] {
        let got = public.post(&format!("{first}/{operation}"), &reason);
        assert_eq!(got.status, 401, "{operation} is for operators: {}", got.text);
    }
    let booked = does(&first, "resolve", &known("captured", Some("pay-1")));
    assert_eq!(booked.status, 200, "{}", booked.text);
    let end = eventually(|| Some(public.get(&first)).filter(|got| got.body["status"] == "CONFIRMED"));
    assert_eq!(end.body["paymentId"], "pay-1", "{}", end.text);
    assert_eq!(admin.post("/Ticket/hall:1/cleanup", &json!({})).status, 200, "what is paid for may be reset");

    let second = sent("hall:2");
    assert_eq!(does(&second, "resolve", &known("refused", None)).status, 200);
    let end = eventually(|| Some(public.get(&second)).filter(|got| got.body["status"] == "FAILED"));
    assert_eq!((end.kind(), &end.body["money"]), ("PaymentDeclined", &json!("lettingGo")), "{}", end.text);
    // The void, too, has to be asked in vain first.
    eventually(|| (does(&second, "resolve", &known("letGo", None)).status == 200).then_some(()));
    eventually(|| (public.get(&second).body["money"] == "none").then_some(()));
    assert_eq!(does("/Checkout/nothing", "cancel", &reason).status, 404);
}

/// A gateway that takes this host for a stranger, and has never heard of what it is to void.
#[must_use]
pub fn refuses_us(verb: &str, _body: &Value) -> Option<(u16, &'static str)> {
    Some(if verb == "authorize" { (401, r#"{ "error": "invalid api key" }"#) } else { (404, "{}") })
}

/// Declines every card, and then has nothing to void.
#[must_use]
pub fn has_nothing_to_void(verb: &str, _body: &Value) -> Option<(u16, &'static str)> {
    Some(if verb == "authorize" { (402, r#"{ "reason": "Expired card" }"#) } else { (404, "{}") })
}
