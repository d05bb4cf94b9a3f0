//! The object of one ticket.

#![allow(missing_docs, reason = "the macro of an object writes methods without any; what is ours is documented")]

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use booking_core::ticket::Ticket;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use crate::objects::Object;

/// One ticket, under its id.
///
/// A panic leaves nothing half done behind: all that counts is in storage, and what is in memory only saves asking it.
#[durable_object(alarm)]
pub struct TicketObject(AssertUnwindSafe<Rc<Object<Ticket>>>);

impl DurableObject for TicketObject {
    fn new(state: State, env: Env) -> Self {
        Self(AssertUnwindSafe(Rc::new(Object::new(state, env))))
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        Rc::clone(&self.0).asked(request, |never| match never {}).await
    }

    async fn alarm(&self) -> worker::Result<Response> {
        Rc::clone(&self.0).woken(|never| match never {}).await
    }
}
