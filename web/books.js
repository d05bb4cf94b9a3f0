// The books, for operators: bookings, messages that were given up, what operators did. Each list comes in pages, the newest first.

import { Refusal } from "./api.js";
import { $, el } from "./dom.js";
import { count, money, several } from "./words.js";

/** How many entries a page of a list has here. */
const PAGE = 20;

/** How a booking stands, in words. */
const STATUS = { PENDING: "under way", CONFIRMED: "booked", FAILED: "failed" };

/** What has become of its message, in words. */
const MESSAGE = { WAITING: "to be sent", DELIVERED: "sent", GIVEN_UP: "given up" };

/** What came of what an operator asked for, in words; all else is what it was refused with. */
const OUTCOME = { done: "done", unknown: "not known whether it was done" };

const time = (millis) => el("time", { datetime: new Date(millis).toISOString() }, new Date(millis).toLocaleString("en", { hour12: false }));

export class Books {
  #api;
  #map;

  constructor(api, map) {
    this.#api = api;
    this.#map = map;
    const bookings = new List(api, "sales", "/bookings", (booking) => this.#booking(booking), () => this.#search());
    const inbox = new List(api, "inbox", "/inbox", (message) => this.#message(message, inbox), () => ({}));
    const audit = new List(api, "audit", "/audit", entry, () => ({}));
    $("sales-search").addEventListener("submit", (event) => {
      event.preventDefault();
      bookings.begin();
    });
    $("sales-table").addEventListener("click", () => this.#download(bookings));
    $("forget-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#forget();
    });
  }

  /** What the form asks for. A buyer's name goes into no address, so all of it is sent in a body. */
  #search() {
    const is = (id) => $(id).value.trim() || undefined;
    return {
      map: $("sales-all").checked ? undefined : this.#map,
      ticketId: is("sales-seat"),
      userId: is("sales-buyer"),
      status: is("sales-status"),
    };
  }

  #booking({ startedAt, status, userId, tickets, amount, kind, notification, reset = [], checkoutId }) {
    const back = reset.length > 0 ? `; put back on sale: ${several(reset)}` : "";
    const words = [STATUS[status] ?? status, kind, notification && `message ${MESSAGE[notification] ?? notification}`].filter(Boolean);
    return el("li", { title: `Checkout ${checkoutId}` },
      el("strong", {}, userId), `: ${several(tickets)}${amount ? `, ${money(amount)}` : ""}${back}`,
      el("small", {}, time(startedAt), ` · ${words.join(" · ")}`));
  }

  #message({ id, booking, why }, list) {
    const retry = el("button", { type: "button" }, "Try again");
    const what = booking
      ? [el("strong", {}, booking.userId), `: ${several(booking.tickets)}`, el("small", {}, time(booking.startedAt))]
      : `A line of the log: ${why ?? "it could not be read"}`;
    const item = el("li", {}, retry, what);
    retry.addEventListener("click", async () => {
      retry.disabled = true;
      try {
        await this.#api.call(`/inbox/${encodeURIComponent(id)}/retry`, undefined, { asAdmin: true });
        item.remove();
        list.say("It is tried again.");
      } catch (error) {
        retry.disabled = false;
        list.say(why(error));
      }
    });
    return item;
  }

  async #forget() {
    const [userId, reason] = ["forget-buyer", "forget-reason"].map((id) => $(id).value.trim());
    const say = (words) => ($("forget-words").textContent = words);
    try {
      const { bookings, tickets, left } = await this.#api.call("/bookings/erase", { userId, reason }, { asAdmin: true });
      const rest = left > 0 ? ` ${left} more are under way, or held: ask again later.` : "";
      say(`Forgotten in ${count(bookings, "booking")} and on ${count(tickets, "seat")}.${rest}`);
      $("forget-form").reset();
    } catch (error) {
      say(why(error));
    }
  }

  async #download(list) {
    $("sales-table").disabled = true;
    try {
      const table = await this.#api.call("/bookings.csv", this.#search(), { asAdmin: true });
      const href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
      el("a", { href, download: "bookings.csv" }).click();
      URL.revokeObjectURL(href);
    } catch (error) {
      list.say(why(error));
    }
    $("sales-table").disabled = false;
  }
}

function entry({ at, who, asked, about = "", reason = "", outcome, times }) {
  const what = [asked || "an address that is not there", about, reason && `“${reason}”`].filter(Boolean).join(" ");
  const words = [OUTCOME[outcome] ?? `refused: ${outcome}`, times > 1 && `${times} times`].filter(Boolean);
  return el("li", {}, el("strong", {}, who), `: ${what}`, el("small", {}, time(at), ` · ${words.join(" · ")}`));
}

function why(error) {
  if (error instanceof Refusal && error.kind === "NotFound") return "This host keeps no such list.";
  return error instanceof Refusal ? error.message : `Not known: ${error.message}.`;
}

/** A list in a `details`, which is asked for when that is opened. Its parts in index.html are called after it. */
class List {
  #api;
  #name;
  #path;
  #row;
  #search;
  #next = null;

  constructor(api, name, path, row, search) {
    this.#api = api;
    this.#name = name;
    this.#path = path;
    this.#row = row;
    this.#search = search;
    $(name).addEventListener("toggle", () => $(name).open && this.begin());
    this.#part("more").addEventListener("click", () => this.#page());
  }

  #part(what) {
    return $(`${this.#name}-${what}`);
  }

  say(text) {
    this.#part("words").textContent = text;
  }

  /** Shows the first page anew. */
  async begin() {
    this.#next = null;
    this.#part("list").replaceChildren();
    await this.#page();
  }

  /** A page may be empty and another one come after it: this goes on until there is something to show. */
  async #page() {
    const more = this.#part("more");
    more.disabled = true;
    this.say("");
    try {
      let shown = 0;
      do {
        const page = await this.#api.call(this.#path, { ...this.#search(), after: this.#next, limit: PAGE }, { asAdmin: true });
        const entries = page.bookings ?? page.messages ?? page.entries;
        this.#part("list").append(...entries.map(this.#row));
        shown += entries.length;
        this.#next = page.next;
      } while (shown === 0 && this.#next !== null);
      if (this.#part("list").children.length === 0) this.say("There is nothing.");
      more.hidden = this.#next === null;
    } catch (error) {
      more.hidden = true;
      this.say(why(error));
    }
    more.disabled = false;
  }
}
