//! What is measured: services of their own processes, each with everything it needs, all of which ends with it.

mod in_workerd;
mod native;
mod on_restate;

use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xtask::run::{Outcome, free_port};

use crate::house::exactly_at;
use crate::load::{Loaded, Make, load};
use crate::peers::postgres::Postgres;
use crate::rows::{cpu_of, is_bench};
use crate::scenes::{Dialect, House, Scene};
use crate::tree::Tree;

pub use in_workerd::{bare as bare_workerd, bundle_sizes, cold, shop, version as workerd_version};
pub use on_restate::{bare as bare_on_restate, version as restate_version};

/// How long a checkout has for its payment: the timers that it arms fire inside the run.
pub const CHECKOUT_TIME: Duration = Duration::from_secs(3);

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The in-process host, in memory.
    Memory,
    /// The in-process host, with a data directory.
    Disk,
    /// PostgreSQL.
    Postgres,
    /// host-restate.
    OnRestate,
    /// The steps of the first proof of concept, on Node.
    Reference,
    /// The bare steps.
    Steps,
    /// host-worker, on Durable Objects.
    Worker,
    /// host-worker, as a Restate endpoint.
    WorkerOnRestate,
    /// The steps of the first proof of concept, as a Worker.
    ReferenceWorker,
}

/// How a service is asked.
#[derive(Debug)]
pub enum Asked {
    /// By HTTP.
    Http(Dialect, SocketAddr),
    /// In SQL.
    Postgres(Box<Postgres>),
}

/// A service that runs until this is dropped.
pub struct Service {
    /// What the table calls it.
    pub name: String,
    /// How it is asked.
    pub asked: Asked,
    /// What is not as it should be for a comparison.
    pub notes: Vec<String>,
    /// How long it rests after each map that is published.
    rests: Duration,
    /// The process of the server that calls the service, where there is one.
    server: Option<u32>,
    service: Option<u32>,
    /// What ends with it, in this order.
    _ends: Vec<Box<dyn Any>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Service").field("name", &self.name).field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Service {
    /// Starts a service of this tree. `this` is the tree of the benchmark: what belongs to no tree is of it.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(kind: Kind, tree: &Tree, this: &Tree) -> Outcome<Self> {
        match kind {
            Kind::Memory => native::host(tree, false),
            Kind::Disk => native::host(tree, true),
            Kind::Postgres => native::postgres(),
            Kind::OnRestate => on_restate::ours(tree),
            Kind::Reference => on_restate::reference(),
            Kind::Steps => on_restate::bare("the bare steps"),
            Kind::Worker => in_workerd::ours(tree, this),
            Kind::WorkerOnRestate => in_workerd::ours_on_restate(tree, this),
            Kind::ReferenceWorker => in_workerd::reference(),
        }
    }

    /// How long its server and its service have computed.
    #[must_use]
    pub fn cpu(&self) -> [Duration; 2] {
        let of = |id: Option<u32>| id.map_or(Duration::ZERO, cpu_of);
        match &self.asked {
            Asked::Http(..) => [of(self.server), of(self.service)],
            Asked::Postgres(server) => [server.cpu(), Duration::ZERO],
        }
    }

    /// Whether it has nothing to refuse an order for.
    #[must_use]
    pub const fn refuses_nothing(&self) -> bool {
        matches!(self.asked, Asked::Http(Dialect::Steps, _))
    }

    /// Waits until it computes next to nothing: what was sent one way has arrived. After a minute it waits no longer.
    pub fn settle(&self) {
        let window = Duration::from_millis(if is_bench() { 300 } else { 20 });
        let (start, all) = (Instant::now(), || self.cpu().iter().sum::<Duration>());
        let mut quiet = 0;
        while quiet < 2 && start.elapsed() < Duration::from_secs(60) {
            let before = all();
            sleep(window);
            quiet = if all().saturating_sub(before) <= window / 6 { quiet + 1 } else { 0 };
        }
    }

    /// Asks by HTTP for this long, or until `most` are asked.
    ///
    /// # Errors
    /// When a connection fails, or it is not asked by HTTP.
    pub fn requests(
        &self,
        clients: usize,
        lasts: Duration,
        first: u64,
        most: Option<u64>,
        make: impl Make,
    ) -> io::Result<Loaded> {
        match &self.asked {
            Asked::Http(_, address) => load(*address, clients, lasts, first, most, make),
            Asked::Postgres(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Puts a scene's load on it: for this long, or until `most` are asked.
    ///
    /// # Errors
    /// When a connection fails.
    pub fn load(&self, scene: Scene, house: House, clients: usize, lasts: Duration, at: Part) -> io::Result<Loaded> {
        match &self.asked {
            Asked::Http(dialect, address) => {
                let dialect = *dialect;
                let make = move |n, out: &mut Vec<u8>| dialect.ask(scene, house, n, out);
                load(*address, clients, lasts, at.first, Some(at.most), make)
            }
            Asked::Postgres(server) => server.round(clients, lasts, at, scene, house),
        }
    }

    /// Publishes the n-th set of the house, and sells a third of it.
    ///
    /// # Errors
    /// Where one is refused.
    pub fn publish(&self, house: House, set: u64) -> Outcome {
        let told = |error: io::Error| format!("{}, set {set}: {error}", self.name);
        let (dialect, address) = match &self.asked {
            Asked::Http(dialect, address) => (*dialect, *address),
            Asked::Postgres(server) => return server.publish(house, set).map_err(told),
        };
        if dialect == Dialect::Steps {
            return Ok(());
        }
        let publish = move |map, out: &mut Vec<u8>| dialect.publish(house, map, out);
        for map in set * house.maps..(set + 1) * house.maps {
            exactly_at(address, 1, 1, map, publish).map_err(told)?;
            if !self.rests.is_zero() {
                self.settle();
                sleep(self.rests);
            }
        }
        self.settle();
        if dialect == Dialect::Host {
            let sell = move |n, out: &mut Vec<u8>| dialect.sell(house, set, n, out);
            exactly_at(address, 32, house.sold(), 0, sell).map_err(told)?;
            self.settle();
        }
        Ok(())
    }

    /// Holds the hot seat, or holds it longer.
    ///
    /// # Errors
    /// Where it cannot be held.
    pub fn hold(&self) -> Outcome {
        let held = match &self.asked {
            Asked::Http(dialect, address) => {
                let dialect = *dialect;
                exactly_at(*address, 1, 1, 0, move |_, out: &mut Vec<u8>| dialect.hold(out))
            }
            Asked::Postgres(server) => server.hold(),
        };
        held.map_err(|error| format!("{}: the seat that all want cannot be held: {error}", self.name))
    }
}

/// Which orders.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The number of the first.
    pub first: u64,
    /// How many there may be.
    pub most: u64,
}

/// An address on this machine that was free a moment ago.
fn free_address() -> Outcome<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], free_port()?)))
}
