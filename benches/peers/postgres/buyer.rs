//! What is asked of PostgreSQL, in SQL, and a client that asks it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use crate::load::Loaded;
use crate::scenes::{House, Scene};

/// A ticket without a row is available too. Its status is 0 available, 1 reserved, 2 sold; a line of a checkout's is 0
/// open, 1 confirmed.
pub(super) const SCHEMA: &str = "
    CREATE TABLE tickets (
        id text PRIMARY KEY, status smallint NOT NULL, hold text, by_user text, until timestamptz, checkout text,
        version bigint NOT NULL
    );
    CREATE TABLE checkouts (
        id text, ticket text, by_user text NOT NULL, status smallint NOT NULL, PRIMARY KEY (id, ticket)
    );";

/// $1 the tickets, $2 the hold, $3 the user, $4 the checkout. A ticket that another holds is left out: the holds of the
/// order's other tickets lapse then.
const HOLD: &str = "
    INSERT INTO tickets (id, status, hold, by_user, until, checkout, version)
    SELECT id, 1, $2, $3, now() + interval '15 minutes', $4, 1 FROM unnest($1::text[]) AS id
    ON CONFLICT (id) DO UPDATE
    SET status = 1, hold = excluded.hold, by_user = excluded.by_user, until = excluded.until,
        checkout = excluded.checkout, version = tickets.version + 1
    WHERE tickets.status = 0 OR tickets.status = 1 AND tickets.until <= now()";

/// $1 the tickets, $2 the hold. Looks itself whether they are held, so that it can be sent before that is answered.
const OPEN: &str = "
    INSERT INTO checkouts (id, ticket, by_user, status)
    SELECT checkout, id, by_user, 0 FROM tickets WHERE id = ANY($1) AND hold = $2";

/// $1 the tickets, $2 the hold.
const CONFIRM: &str = "
    UPDATE tickets SET status = 2, until = NULL, version = version + 1
    WHERE id = ANY($1) AND hold = $2 AND status = 1 AND until > now()";

/// $1 the tickets, $2 the hold. Looks itself whether they are sold, as above.
const CLOSE: &str = "
    UPDATE checkouts SET status = 1 FROM tickets
    WHERE tickets.id = ANY($1) AND tickets.hold = $2 AND tickets.status = 2
    AND checkouts.id = tickets.checkout AND checkouts.ticket = tickets.id";

/// The ticket that all want, held for longer than a run takes.
pub(super) const HOLD_HOT: &str = "
    INSERT INTO tickets (id, status, hold, by_user, until, checkout, version)
    VALUES ('hot', 1, 'held', 'holder', now() + interval '1 day', NULL, 1) ON CONFLICT (id) DO NOTHING";

/// The rows of a set of maps.
pub(super) fn publish(house: House, set: u64) -> String {
    let (first, last, seat) = (set * house.maps, (set + 1) * house.maps - 1, house.seats - 1);
    format!(
        "INSERT INTO tickets (id, status, version)
         SELECT format('arena-%s:%s', map, seat), CASE WHEN seat % {} = 0 THEN 2 ELSE 0 END, 1
         FROM generate_series({first}, {last}) AS map, generate_series(0, {seat}) AS seat",
        House::SOLD
    )
}

/// A client, and what it has prepared on its connection.
pub(super) struct Buyer {
    client: Client,
    begin: Statement,
    hold: Statement,
    open: Statement,
    confirm: Statement,
    close: Statement,
    commit: Statement,
}

impl Buyer {
    pub(super) async fn prepared(client: Client) -> io::Result<Self> {
        let prepare = async |sql| client.prepare(sql).await.map_err(io::Error::other);
        Ok(Self {
            begin: prepare("BEGIN").await?,
            hold: prepare(HOLD).await?,
            open: prepare(OPEN).await?,
            confirm: prepare(CONFIRM).await?,
            close: prepare(CLOSE).await?,
            commit: prepare("COMMIT").await?,
            client,
        })
    }

    pub(super) async fn buys(
        self,
        until: Instant,
        next: Arc<AtomicU64>,
        end: u64,
        scene: Scene,
        house: House,
    ) -> io::Result<Loaded> {
        let mut loaded = Loaded::default();
        loop {
            let (begins, n) = (Instant::now(), next.fetch_add(1, Ordering::Relaxed));
            if begins >= until || n >= end {
                return Ok(loaded);
            }
            let is_good = match scene {
                Scene::Hot => self.reserves(&["hot".to_owned()], n).await,
                Scene::One | Scene::Four | Scene::Map => self.books(&house.tickets(scene, n), n).await,
            };
            loaded.micros.push(u32::try_from(begins.elapsed().as_micros()).unwrap_or(u32::MAX));
            if is_good.map_err(io::Error::other)? { loaded.good += 1 } else { loaded.other += 1 }
        }
    }

    /// Holds tickets, and no more: whether they are held.
    async fn reserves(&self, tickets: &[String], n: u64) -> Result<bool, Error> {
        let (hold, by_user, checkout) = (format!("hold-{n}"), format!("user-{}", n % 5_000), None::<String>);
        Ok(self.client.execute(&self.hold, &[&tickets, &hold, &by_user, &checkout]).await? > 0)
    }

    /// Holds and confirms the tickets of the n-th order: whether all are sold. Each transaction is sent as a whole before
    /// its first answer: no statement needs an answer of another, and a failed one turns the commit into a rollback.
    async fn books(&self, tickets: &[String], n: u64) -> Result<bool, Error> {
        let Self { client, begin, hold, open, confirm, close, commit } = self;
        let (hold_id, by_user, checkout) =
            (format!("hold-{n}"), format!("user-{}", n % 5_000), format!("checkout-{n}"));
        let about: [&(dyn ToSql + Sync); 4] = [&tickets, &hold_id, &by_user, &checkout];
        let (its_hold, all) = (&about[..2], tickets.len() as u64);
        let (_, held, opened, _) = tokio::try_join!(
            biased;
            client.execute(begin, &[]),
            client.execute(hold, &about),
            client.execute(open, its_hold),
            client.execute(commit, &[]),
        )?;
        if held != all || opened != all {
            return Ok(false);
        }
        let (_, confirmed, closed, _) = tokio::try_join!(
            biased;
            client.execute(begin, &[]),
            client.execute(confirm, its_hold),
            client.execute(close, its_hold),
            client.execute(commit, &[]),
        )?;
        Ok(confirmed == all && closed == all)
    }
}
