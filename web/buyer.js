// The buyer: holds seats, gives them back, pays for them. If the page or the connection breaks in between, it asks for the
// same thing again, under the same name, until there is an answer.

import { part, sleep, Unreachable } from "./api.js";
import { Basket, MOST } from "./basket.js";
import { announce } from "./dom.js";
import { count, money, seatName, secret, several } from "./words.js";

/** How often a wish gets another number, at most. */
const MOST_RENUMBERED = 50;

/** For how long a seat that is given back can be had again with a click, in ms. Once released, others may have it. */
export const UNDO_WITHIN = 4_000;

export class Buyer {
  #api;
  #seats;
  #changed;
  #returns = new Map();
  #checked = new Set();
  #wishes = Promise.resolve();
  /** A payment is being asked about, and there is no answer: the buyer is to know. */
  waiting = false;
  /** What is to be said beside the basket: `{ text, isBad }`. */
  notice = null;

  /** `changed(ids)` is called when something is to be drawn anew. */
  constructor(api, map, seats, changed) {
    this.#api = api;
    this.#seats = seats;
    this.#changed = changed;
    this.basket = new Basket(map);
  }

  /** Continues where this tab was when it was closed or reloaded. */
  resume() {
    const { basket } = this;
    if (basket.paying) this.#settle();
    else this.check(basket.ids("held"));
    // What was sent already comes first: the others get later numbers.
    const sent = (id) => basket.seats[id].nth ?? Infinity;
    const open = basket.ids(...(basket.paying ? ["returning"] : ["asking", "returning"]));
    for (const id of open.sort((one, other) => (sent(one) < sent(other) ? -1 : 1))) {
      if (basket.seats[id].is === "asking") this.#hold(id);
      else this.#release(id);
    }
  }

  /** Sends one wish at a time, as the map carries them out in the order of their numbers. */
  #inTurn(wish) {
    this.#wishes = this.#wishes.then(wish, wish);
    return this.#wishes;
  }

  /** Sends a numbered wish for a seat. Where a copy of this tab has counted on meanwhile, the next number is tried. */
  async #wish(id, what, body, how = {}) {
    for (let tries = 0; ; tries += 1) {
      try {
        const nth = this.basket.number(id);
        return await this.#api.insist(`/Ticket/${part(id)}/${what}`, { ...body, nth }, how);
      } catch (refusal) {
        if (!["Overtaken", "HoldInUse"].includes(refusal.kind) || tries === MOST_RENUMBERED) throw refusal;
        this.basket.renumber(id);
      }
    }
  }

  /** A seat was clicked. */
  choose(seat) {
    const { basket } = this;
    const { id } = seat;
    if (basket.paying) return this.#say("Your payment is under way: nothing can be changed now.", true);
    switch (basket.mine(id)) {
      case "held": return this.giveBack(id);
      case "returning": return this.undo(id);
      case "asking": return this.giveUp(id);
      default:
    }
    if (basket.mine(id) === "booked" && seat.status === "SOLD") return this.#say(`${seatName(seat)} is booked: it is yours.`);
    if (seat.status !== "AVAILABLE") return this.#say(`${seatName(seat)} ${TAKEN[seat.status]}.`, true);
    if (basket.ids().length >= MOST) {
      return this.#say(`${MOST} seats are the most that one booking takes. Pay for these, then choose others.`, true);
    }
    basket.outcome = null;
    basket.put(id);
    this.#draw(id);
    return this.#hold(id);
  }

  #hold(id) {
    return this.#inTurn(() => this.#ask(id));
  }

  async #ask(id) {
    const { basket } = this;
    if (basket.seats[id]?.is !== "asking") return this.#calledOff(id);
    const order = { userId: basket.user, holdId: basket.hold };
    try {
      const { reservedUntil, price } = await this.#wish(id, "reserve", order, {
        // The buyer no longer wants it: there may be no answer for long.
        isOff: () => basket.seats[id]?.is !== "asking",
        onWait: () => this.#say(`No answer yet: asking again for ${this.name(id)}.`, true),
        // Of a buyer who holds too many, it would stand for long.
        stands: ["RateLimited"],
      });
      const isWanted = basket.seats[id]?.is === "asking";
      basket.set(id, { is: isWanted ? "held" : "returning", until: reservedUntil, price, nth: null });
      if (isWanted) this.#say(`${this.name(id)} is held for you.`);
    } catch (refusal) {
      if (basket.seats[id]?.is === "returning") basket.renumber(id);
      else {
        basket.drop(id);
        this.#say(this.#why(id, refusal), true);
      }
    }
    // It may have been held, whether that was told or not.
    if (basket.seats[id]?.is === "returning" && !this.#returns.has(id)) this.#release(id);
    this.#draw(id);
  }

  /** A seat is not wanted any more whose turn it is to be asked for. */
  #calledOff(id) {
    const { basket } = this;
    if (basket.seats[id]?.is !== "returning" || this.#returns.has(id)) return;
    if (basket.seats[id].nth == null) {
      basket.drop(id);
      this.#draw(id);
    } else {
      // It was asked for before a reload, and may be held.
      basket.renumber(id);
      this.#release(id);
    }
  }

  #why(id, { kind, message }) {
    const name = this.name(id);
    switch (kind) {
      case "TicketSold": return `Somebody else has bought ${name}.`;
      case "TicketReserved": return `Somebody else was faster: ${name} is held.`;
      case "TicketBlocked": return `${name} is not for sale.`;
      case "TicketNotForSale": return `${name} is not on sale.`;
      case "HoldExpired": return `${name} was held for you, and its time is over.`;
      case "RateLimited": return "You hold as many seats as one buyer may.";
      default: return `${name} cannot be held: ${message}`;
    }
  }

  /** Wants a seat no longer that was asked for, and of which there is no answer. */
  giveUp(id) {
    this.basket.set(id, { is: "returning" });
    this.#say(`${this.name(id)} is not asked for any more.`);
    this.#draw(id);
  }

  /** Gives a seat back, in a moment: until then a click takes it again. */
  giveBack(id) {
    this.basket.set(id, { is: "returning" });
    this.#say(`${this.name(id)} goes back on sale. Click it again to keep it.`);
    this.#returns.set(id, setTimeout(() => this.#release(id), UNDO_WITHIN));
    this.#draw(id);
  }

  /** Takes a seat again that is being given back. */
  undo(id) {
    if (!this.#returns.has(id)) return;
    clearTimeout(this.#returns.get(id));
    this.#returns.delete(id);
    this.basket.set(id, { is: "held" });
    this.#say(`You keep ${this.name(id)}.`);
    this.#draw(id);
  }

  /** Gives everything back. */
  empty() {
    for (const id of this.basket.ids("held")) this.giveBack(id);
  }

  #release(id) {
    this.#returns.delete(id);
    return this.#inTurn(() => this.#return(id));
  }

  async #return(id) {
    const { basket } = this;
    if (basket.seats[id]?.is !== "returning") return;
    try {
      await this.#wish(id, "release", { holdId: basket.hold });
    } catch {
      // The seat may be anything else by now, but it is not held for this buyer under this name.
    }
    basket.drop(id);
    this.#draw(id);
  }

  /** Asks how seats stand that are thought to be held, and lets those go that are not. */
  async check(ids) {
    const { basket } = this;
    const asked = ids.filter((id) => !this.#checked.has(id) && basket.seats[id]?.is === "held");
    if (asked.length === 0) return;
    for (const id of asked) this.#checked.add(id);
    const gone = { over: [], booked: [] };
    await Promise.all(
      asked.map(async (id) => {
        const stands = await this.#stands(id).catch(() => "held");
        this.#checked.delete(id);
        if (basket.seats[id]?.is === "held" && !basket.paying) gone[stands]?.push(id);
      }),
    );
    const { over, booked } = gone;
    basket.drop(...over, ...booked);
    if (booked.length > 0) this.#say(`${several(booked.map((id) => this.name(id)))}: booked, in another tab.`);
    if (over.length > 0) {
      const names = over.map((id) => this.name(id));
      basket.outcome = { is: "lapsed", names };
      basket.save();
      this.#say(`Your time for ${several(names)} is over: back on sale.`, true);
    }
    if (over.length + booked.length > 0) this.#draw(...over, ...booked);
  }

  /** What a ticket is. The host names its buyer to a client that shows the hold. */
  #get(id, holdId = this.basket.hold) {
    return this.#api.insist(`/Ticket/${part(id)}/get`, { holdId });
  }

  /** What a seat that was held is by now: still `held`, `booked` (a copy of this tab has the same name), or the hold is `over`. */
  async #stands(id) {
    const ticket = await this.#get(id);
    if (ticket.reservedBy !== this.basket.user) return "over";
    if (ticket.status === "SOLD") return "booked";
    if (ticket.status !== "RESERVED") return "over";
    this.basket.set(id, { until: ticket.reservedUntil });
    return "held";
  }

  /** The map has moved on: what it says of this tab's seats may be that they are no longer held. */
  heard(changes) {
    const { basket } = this;
    if (basket.paying) return;
    const all = () => [...basket.ids(), ...basket.bookings.flatMap(({ tickets }) => tickets)];
    const seats = changes ? changes.map(({ seat }) => seat) : all().map((id) => this.#seats.get(id));
    const lost = seats.filter((seat) => seat && basket.seats[seat.id]?.is === "held" && seat.status !== "RESERVED");
    this.check(lost.map(({ id }) => id));
    const back = seats.filter((seat) => seat && basket.mine(seat.id) === "booked" && seat.status === "AVAILABLE");
    if (back.length > 0) this.#reset(back.map(({ id }) => id));
  }

  /** Booked seats are on sale, says the map: an operator has put them there, or the map lags. */
  async #reset(ids) {
    const { basket } = this;
    const holdOf = (id) => basket.bookings.find(({ tickets }) => tickets.includes(id))?.hold;
    const tickets = await Promise.all(ids.map((id) => this.#get(id, holdOf(id)).catch(() => null)));
    const gone = new Set(ids.filter((_, place) => tickets[place] && tickets[place].reservedBy !== basket.user));
    const left = basket.bookings.filter(({ tickets }) => !tickets.some((id) => gone.has(id)));
    if (left.length === basket.bookings.length) return;
    basket.bookings = left;
    basket.outcome = null;
    basket.save();
    this.#say("An operator has put booked seats back on sale, yours among them.", true);
    this.#draw(...ids);
  }

  /** Time has passed: holds that have ended are looked at. */
  tick() {
    const now = this.#api.now();
    if (!this.basket.paying) this.check(this.basket.ids("held").filter((id) => this.basket.seats[id].until < now - 300));
  }

  /** Pays for everything that is held. */
  pay(card) {
    const { basket } = this;
    const ids = basket.ids("held");
    if (basket.paying || ids.length === 0 || basket.ids("asking").length > 0) return;
    const order = { ticketIds: ids, userId: basket.user, paymentMethodId: card, holdId: basket.hold };
    basket.paying = { key: secret(), order };
    basket.outcome = null;
    this.notice = null;
    basket.save();
    this.#draw();
    this.#settle();
  }

  async #settle() {
    const { basket } = this;
    const { key, order } = basket.paying;
    const ids = order.ticketIds;
    try {
      const booked = await this.#paid(key, order);
      const { checkoutId, tickets, amount, paymentId } = booked;
      basket.paying = null;
      basket.bookings.push({ checkoutId, tickets, amount, paymentId, hold: order.holdId });
      basket.outcome = { is: "confirmed", checkoutId, amount, names: tickets.map((id) => this.name(id)) };
      basket.drop(...tickets);
      announce(`Booked: ${count(tickets.length, "seat")} for ${money(amount)}.`);
    } catch (refusal) {
      basket.paying = null;
      const seat = refusal.ticketId && `${this.name(refusal.ticketId)}: `;
      basket.outcome = { is: "failed", kind: refusal.kind, money: refusal.money, message: `${seat ?? ""}${refusal.message}` };
      basket.save();
      await this.#stillHeld(ids);
      announce(outcomeWords(basket).join(" "));
    }
    this.waiting = false;
    this.#draw(...ids);
  }

  /** Sends the order until it is known what came of it. */
  async #paid(key, order) {
    for (;;) {
      const answer = await this.#api.insist("/Checkout/process", order, {
        key,
        onWait: (why) => this.#wait(why instanceof Unreachable),
      });
      if (answer.status === "CONFIRMED") return answer;
      // It takes longer than the host makes its caller wait.
      const ended = await this.#ended(answer.checkoutId).catch((error) => error);
      if (ended?.status === "CONFIRMED") return ended;
      if (ended?.kind !== "NotFound") throw ended;
    }
  }

  async #ended(checkout) {
    for (;;) {
      await sleep(1_000);
      const stands = await this.#api.insist(`/Checkout/${part(checkout)}`, undefined, { method: "GET" });
      if (stands.status === "CONFIRMED") return stands;
      if (stands.status === "FAILED") throw Object.assign(new Error(stands.message), { kind: stands.kind, ticketId: stands.ticketId, money: stands.money });
    }
  }

  #wait(isAway) {
    if (this.waiting === isAway) return;
    this.waiting = isAway;
    this.#draw();
  }

  /** After a payment that failed: which of the seats are still this buyer's to pay for. */
  async #stillHeld(ids) {
    const { basket } = this;
    const stands = await Promise.all(ids.map((id) => this.#stands(id).catch(() => "over")));
    basket.drop(...ids.filter((_, place) => stands[place] !== "held"));
  }

  /** What a seat is called. */
  name(id) {
    const seat = this.#seats.get(id);
    return seat ? seatName(seat) : id;
  }

  #say(text, isBad = false) {
    this.notice = { text, isBad };
    announce(text);
    this.#changed([]);
  }

  #draw(...ids) {
    this.#changed(ids);
  }
}

const TAKEN = { RESERVED: "is held by somebody else", SOLD: "is sold", BLOCKED: "is not for sale" };

/** What became of the last payment: a heading, and what it means. */
export function outcomeWords({ outcome, seats }) {
  const held = Object.values(seats).filter(({ is }) => is === "held").length;
  const stillYours = held > 0 ? `${held === 1 ? "The seat is" : "The seats are"} still held for you: ` : "";
  const gone = "The seats are no longer held for you.";
  switch (outcome?.is) {
    case "confirmed":
      return ["Booked", `${count(outcome.names.length, "seat")} for ${money(outcome.amount)}: ${several(outcome.names)}.`];
    case "lapsed":
      return ["Time is over", `The hold on ${several(outcome.names)} has lapsed. Nothing was paid. Choose again.`];
    case "failed":
      return failure(outcome, stillYours, gone);
    default:
      return null;
  }
}

/** What became of the money of a checkout that failed. */
function moneyWords(money) {
  switch (money) {
    case "lettingGo": return "No money was taken; if some is set aside on the card, it is being let go.";
    case "paidBack": return "What was taken has been paid back.";
    default: return "No money was taken.";
  }
}

function failure({ kind, message, money }, stillYours, gone) {
  const noMoney = moneyWords(money);
  switch (kind) {
    case "PaymentDeclined": {
      const why = message.split(": ").slice(2).join(": ") || "no reason was given";
      return ["Card declined", `${why}. ${noMoney} ${stillYours ? `${stillYours}try another card.` : gone}`];
    }
    case "PaymentUnavailable":
      return ["No answer from the bank", `${noMoney} ${stillYours ? `${stillYours}try again, or another card.` : gone}`];
    case "InvitationUsed":
      return ["Invitation used", `One invitation is for one booking, and this one has led to it. ${noMoney}`];
    case "HoldExpired":
    case "HoldNotFound":
      return ["Too late", `The hold had ended before the payment was through. ${noMoney} ${stillYours ? `${stillYours}pay for what is left.` : gone}`];
    default:
      return ["Not booked", `${message}. ${noMoney} ${stillYours ? `${stillYours}try again.` : gone}`];
  }
}
