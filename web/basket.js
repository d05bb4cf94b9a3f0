// What a buyer has in this tab: a name, a hold, its seats, a payment under way. It is written down before anything is
// asked for, in the tab's session storage, so that after a reload the same things are asked for again.

import { secret } from "./words.js";

/** How many seats one checkout takes. */
export const MOST = 10;

export class Basket {
  #name;
  /** Who buys. Not to be guessed, as it is how a ticket is known to be this tab's again. */
  user = `guest-${secret().slice(0, 12)}`;
  /** The hold that all seats are under; null while there are none. */
  hold = null;
  /** The number of the last wish under that hold. A copy of an earlier one that comes late is then not carried out. */
  last = 0;
  /** Seats by id: `{ is: "asking" | "held" | "returning", until, price, nth }`; `nth` numbers the wish that was sent for it. */
  seats = {};
  /** A payment that is not over: `{ key, order }`, sent under this key until there is an answer. */
  paying = null;
  /** What was booked in this tab: `{ checkoutId, tickets, amount, paymentId }`. */
  bookings = [];
  /** What the last payment came to, as it is shown. */
  outcome = null;

  constructor(map) {
    this.#name = `booking:${map}`;
    try {
      const kept = JSON.parse(sessionStorage.getItem(this.#name) ?? "{}");
      for (const field of ["user", "hold", "last", "seats", "paying", "bookings", "outcome"]) {
        if (kept[field] != null) this[field] = kept[field];
      }
    } catch {
      // There is nothing that can be read: a new buyer.
    }
  }

  save() {
    if (this.ids().length === 0) [this.hold, this.last] = [null, 0];
    const { user, hold, last, seats, paying, bookings, outcome } = this;
    try {
      sessionStorage.setItem(this.#name, JSON.stringify({ user, hold, last, seats, paying, bookings, outcome }));
    } catch {
      // A browser that keeps nothing: the holds end by themselves if it is reloaded.
    }
  }

  ids(...states) {
    const ids = Object.keys(this.seats);
    return states.length === 0 ? ids : ids.filter((id) => states.includes(this.seats[id].is));
  }

  /** Puts a seat in, that is still to be asked for. */
  put(id) {
    this.hold ??= secret();
    this.seats[id] = { is: "asking", until: null, price: null, nth: null };
    this.save();
  }

  /** A copy of this tab has counted on: the wish for a seat gets a new number. */
  renumber(id) {
    this.set(id, { nth: null });
  }

  /** The number of the wish that is about to be sent for a seat: a new one, unless it was sent before a reload. */
  number(id) {
    if (this.seats[id].nth == null) {
      this.last += 1;
      this.set(id, { nth: this.last });
    }
    return this.seats[id].nth;
  }

  set(id, change) {
    if (!this.seats[id]) return;
    Object.assign(this.seats[id], change);
    this.save();
  }

  drop(...ids) {
    for (const id of ids) delete this.seats[id];
    this.save();
  }

  /** When the first of the holds ends, by the host's clock; null where there is none. */
  ends() {
    const ends = this.ids("held").map((id) => this.seats[id].until);
    return ends.length > 0 ? Math.min(...ends) : null;
  }

  /** What this tab has to do with a seat: `asking`, `held`, `returning`, `booked`, or nothing. */
  mine(id) {
    const is = this.seats[id]?.is;
    if (is) return is;
    return this.bookings.some(({ tickets }) => tickets.includes(id)) ? "booked" : undefined;
  }
}
