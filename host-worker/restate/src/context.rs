//! An attempt at an invocation, as the context of [`booking_restate`].

use std::rc::Rc;
use std::time::Duration;

use booking_core::effect::Notification;
use booking_core::payment::Payment;
use booking_core::terms::Terms;
use booking_core::time::Timestamp;
use booking_core::wire::Kind;
use booking_restate::{Context, Handler, Work, handle, paid};
use booking_workers::clock::now;
use booking_workers::log::count;
use booking_workers::settings::Sale;
use booking_workers::{faults, outside};
use restate_endpoint::{self as endpoint, Bytes, Done, Failure, Handlers, Pending, Stop, Target};
use worker::Env;

/// What Restate calls.
pub(crate) struct Host {
    pub(crate) env: Env,
    pub(crate) sale: Rc<Sale>,
}

impl Handlers for Host {
    async fn handle(&self, ctx: &endpoint::Context) -> Result<Bytes, Stop> {
        count("asked", "handler", || format!("{}/{}", ctx.service(), ctx.handler()));
        may_panic(ctx, "panic-restate");
        handle(&Invocation { ctx, host: self }).await
    }
}

/// Panics in a turn of a map, where a seat that it names asks for that.
fn may_panic(ctx: &endpoint::Context, fault: &str) {
    if ctx.handler() == Handler::MapTurn.name() {
        faults::may_panic(fault, || {
            let input = String::from_utf8_lossy(&ctx.input()).into_owned();
            input.split('"').find(|word| word.contains(fault)).unwrap_or_default().to_owned()
        });
    }
}

struct Invocation<'a> {
    ctx: &'a endpoint::Context,
    host: &'a Host,
}

impl Context for Invocation<'_> {
    type Pending = Pending;

    fn service(&self) -> &str {
        self.ctx.service()
    }

    fn handler(&self) -> &str {
        self.ctx.handler()
    }

    fn key(&self) -> &str {
        self.ctx.key()
    }

    fn invocation_id(&self) -> &str {
        self.ctx.invocation_id()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.ctx.header(name)
    }

    fn input(&self) -> Bytes {
        self.ctx.input()
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Stop> {
        self.ctx.get(key).await
    }

    async fn keys(&self) -> Result<Vec<String>, Stop> {
        self.ctx.keys().await
    }

    fn set(&self, key: &str, value: Bytes) -> Result<(), Stop> {
        self.ctx.set(key, value)
    }

    fn clear(&self, key: &str) -> Result<(), Stop> {
        self.ctx.clear(key)
    }

    fn call(&self, target: Target, input: Bytes) -> Result<Pending, Stop> {
        self.ctx.call(target, input)
    }

    fn send(&self, target: Target, input: Bytes, delay: Option<Duration>) -> Result<(), Stop> {
        self.ctx.send(target, input, delay)
    }

    fn attach(&self, invocation: &str) -> Result<Pending, Stop> {
        self.ctx.attach(invocation)
    }

    fn sleep(&self, length: Duration) -> Result<Pending, Stop> {
        self.ctx.sleep(length)
    }

    fn run(&self, work: Work) -> Result<Pending, Stop> {
        let (name, policy) = (work.name(), work.policy(self.terms()));
        let (env, sale) = (self.host.env.clone(), Rc::clone(&self.host.sale));
        match work {
            Work::Record(_, bytes) => self.ctx.run(name, policy, async { Ok(bytes) }),
            Work::Pay(payment) => self.ctx.run(name, policy, async move { pay(&env, &sale, &payment).await }),
            Work::Deliver(notification) => {
                self.ctx.run(name, policy, async move { deliver(&env, &sale, &notification).await })
            }
        }
    }

    async fn all(&self, pending: Vec<Pending>) -> Result<Vec<Done>, Stop> {
        self.ctx.all(pending).await
    }

    fn terms(&self) -> &Terms {
        // A turn asks for them as it judges.
        may_panic(self.ctx, "panic-judge");
        &self.host.sale.terms
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn notifies(&self) -> bool {
        self.host.sale.notify.is_some()
    }

    fn answered(&self, _: Handler, _: Option<Kind>) {}
}

/// Asks the gateway.
async fn pay(env: &Env, sale: &Sale, payment: &Payment) -> Result<Bytes, Failure> {
    let Some(gateway) = &sale.payment else {
        return Err(Failure::Retry("there is no PAYMENT_URL".to_owned()));
    };
    Ok(paid(outside::pay(env, gateway, payment).await, now()))
}

/// Tells the buyer.
async fn deliver(env: &Env, sale: &Sale, notification: &Notification) -> Result<Bytes, Failure> {
    match &sale.notify {
        Some(port) if !outside::deliver(env, port, notification).await => {
            Err(Failure::Retry("the notifier has not taken it".to_owned()))
        }
        Some(_) | None => Ok(Bytes::new()),
    }
}
