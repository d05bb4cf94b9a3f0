//! What an invitation is good for, on any host that has doors.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::eventually;
use crate::http::{Client, Got};

/// The key that a host under test signs with.
pub const KEY: &str = "a-key-for-invitations-of-tests-alone";

/// Guests of a map buy once each, and are let into nothing else. The invitations that were made, which may stand in no log.
///
/// # Panics
/// If that is not so.
pub fn an_invitation_leads_to_one_booking(public: &Client, admin: &Client) -> Vec<String> {
    assert_eq!(public.get("/SeatMap/hall/get").status, 401, "for guests alone");
    assert_eq!(public.get("/health").status, 200);
    let invited = admin.post("/invitations", &json!({ "mapKey": "hall", "ttlMs": 600_000 }));
    assert_eq!((invited.status, invited.body["mapKey"].clone()), (200, json!("hall")), "{}", invited.text);
    let first = invited.text("invitation");
    let guest = public.with_token(&first);
    assert_eq!(guest.get("/SeatMap/hall/get").status, 200);
    assert_eq!(guest.post("/Ticket/hall:1/reserve", &json!("ann")).status, 200);
    for (path, body) in [
        ("/SeatMap/yard/get", Value::Null),
        ("/Ticket/yard:1/reserve", json!("ann")),
        ("/Ticket/hall:1/block", json!({ "reason": "x" })),
        ("/invitations", json!({ "mapKey": "hall" })),
        ("/bookings", json!({})),
    ] {
        assert_eq!(guest.post(path, &body).kind(), "Unauthorized", "{path}");
    }
    let order = |guest: &Client, key: Option<&str>, path: &str, seat: &str, card: &str| {
        let order = json!({ "ticketId": seat, "userId": "bob", "paymentMethodId": card });
        key.map_or_else(|| guest.post(path, &order), |key| guest.post_keyed(path, key, &order))
    };
    let buy = |key, seat: &str, card: &str| order(&guest, key, "/Checkout/process", seat, card);
    assert_eq!(buy(Some("k"), "yard:2", "card_success").kind(), "Unauthorized", "it is for one map");

    // What has failed counts for nothing, also when it comes again; what has sold is all there is.
    let declined = buy(Some("k"), "hall:2", "card_decline");
    assert_eq!((declined.status, declined.kind()), (402, "PaymentDeclined"));
    assert_eq!(buy(Some("k"), "hall:2", "card_decline").body, declined.body);
    assert_eq!(buy(None, "hall:2", "card_decline").kind(), "PaymentDeclined");
    let sold = buy(Some("l"), "hall:2", "card_success");
    assert_eq!((sold.status, sold.body["status"].clone()), (200, json!("CONFIRMED")), "{}", sold.text);
    assert_eq!(buy(Some("l"), "hall:2", "card_success").body, sold.body, "the same again is the same");
    for (key, path) in [(Some("m"), "/Checkout/process"), (None, "/Checkout/process"), (None, "/Checkout/process/send")]
    {
        let refused = order(&guest, key, path, "hall:3", "card_success");
        assert_eq!((refused.status, refused.kind()), (409, "InvitationUsed"), "{}", refused.text);
    }
    assert_eq!(buy(Some("k"), "hall:3", "card_success").kind(), "InvitationUsed", "whatever the key");
    let status = guest.get(&format!("/Checkout/{}", sold.text("checkoutId")));
    assert_eq!(status.body["status"], "CONFIRMED");
    assert_eq!(guest.get("/Ticket/hall:3/get").body["status"], "AVAILABLE");

    // Many orders at a time are one booking.
    let second = admin.post("/invitations", &json!({ "mapKey": "hall" })).text("invitation");
    let guest = public.with_token(&second);
    let got: Vec<Got> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|n| {
                let (guest, order) = (&guest, &order);
                scope.spawn(move || order(guest, None, "/Checkout/process", &format!("hall:2{n}"), "card_success"))
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (sold, others): (Vec<_>, Vec<_>) = got.iter().partition(|got| got.status == 200);
    let kinds: BTreeSet<&str> = others.iter().map(|got| got.kind()).collect();
    assert_eq!((sold.len(), kinds), (1, BTreeSet::from(["InvitationUsed"])));
    let map = guest.get("/SeatMap/hall/get").body;
    let count = map.as_array().unwrap().iter().filter(|seat| seat["status"] == "SOLD").count();
    assert_eq!(count, 2, "{map}");

    // Five a minute to one map, and a minute may begin meanwhile.
    let refused =
        (0..20).map(|_| admin.post("/invitations", &json!({ "mapKey": "hall" }))).find(|got| got.status != 200);
    let refused = refused.expect("twenty are too many");
    assert_eq!((refused.status, refused.kind()), (429, "RateLimited"), "{}", refused.text);
    assert_eq!(admin.post("/invitations", &json!({ "mapKey": "yard" })).status, 200);

    // Who invited is known, and to what.
    eventually(|| {
        let audit = admin.get("/audit").body;
        let entries = audit["entries"].as_array()?;
        let is = |entry: &&Value| {
            entry["asked"] == "operators/invite" && entry["about"] == "hall" && entry["outcome"] == "done"
        };
        (entries.iter().filter(is).count() >= 2 && !audit.to_string().contains(&first)).then_some(())
    });
    vec![first, second]
}
