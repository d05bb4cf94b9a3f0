// What only an operator may do: put seats on sale and take them off, put a house back on sale, publish a layout.

import { part, Refusal } from "./api.js";
import { Books } from "./books.js";
import { $ } from "./dom.js";
import { count } from "./words.js";

/** How many tickets are asked at a time. */
const AT_A_TIME = 8;

/** For how long a reset can be confirmed, in ms. */
const SURE_WITHIN = 6_000;

export class Admin {
  #api;
  #map;
  #seats;
  #does;

  /** `does.picked()`: the ids of the seats that are chosen; `does.pickNone()` */
  constructor(api, map, seats, does) {
    this.#api = api;
    this.#map = map;
    this.#seats = seats;
    this.#does = does;
    new Books(api, map);
    $("admin-door").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter();
    });
    $("block").addEventListener("click", () => this.#each("block", { reason: "taken off sale by an operator" }, "taken off sale"));
    $("unblock").addEventListener("click", () => this.#each("unblock", undefined, "put on sale"));
    $("pick-none").addEventListener("click", () => does.pickNone());
    $("reset").addEventListener("click", () => this.#sure());
    $("reset-really").addEventListener("click", () => this.#reset());
    $("grid").addEventListener("click", () => this.#grid());
    $("layout-now").addEventListener("click", () => this.#write({ rows: seats.published }));
    $("layout-file").addEventListener("change", () => this.#read());
    $("publish").addEventListener("click", () => this.#publish());
    $("guests-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#invite();
    });
    this.tell();
  }

  #say(text) {
    $("admin-words").textContent = text;
  }

  /** Says how many seats are chosen. */
  tell() {
    const number = this.#does.picked().length;
    $("picked-words").textContent = number > 0 ? `${count(number, "seat")} chosen.` : "Click seats to choose them.";
    for (const id of ["block", "unblock", "pick-none"]) $(id).disabled = number === 0;
  }

  #ask(handler, body) {
    return this.#api.call(`/SeatMap/${part(this.#map)}/${handler}`, body, { asAdmin: true });
  }

  /** Sees whether the token opens the door: a layout without rows is refused behind it, and changes nothing. */
  async #enter() {
    this.#api.adminToken = $("admin-token").value.trim();
    try {
      await this.#ask("layout", {});
    } catch (error) {
      const isOpen = error.kind === "InvalidRequest";
      if (!isOpen) {
        this.#api.adminToken = null;
        this.#say(closed(error));
        return;
      }
    }
    $("admin-token").value = "";
    $("admin-door").hidden = true;
    $("admin-room").hidden = false;
    this.#say("The operator's door is open.");
  }

  async #each(handler, body, done) {
    const ids = this.#does.picked();
    const refusals = new Map();
    let accepted = 0;
    const next = async () => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) {
        try {
          await this.#api.call(`/Ticket/${part(id)}/${handler}`, body, { asAdmin: true });
          accepted += 1;
        } catch (error) {
          refusals.set(error.message, (refusals.get(error.message) ?? 0) + 1);
        }
        this.#say(`${count(accepted, "seat")} ${done}; ${ids.length} to go.`);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, next));
    const why = [...refusals].map(([message, number]) => ` ${count(number, "seat")} not: ${message}.`);
    this.#say(`${count(accepted, "seat")} ${done}.${why.join("")}`);
    this.#does.pickNone();
  }

  /** A reset takes sold seats from their buyers: it is asked for twice. */
  #sure() {
    $("reset-really").hidden = false;
    $("reset-really").focus();
    setTimeout(() => ($("reset-really").hidden = true), SURE_WITHIN);
  }

  async #reset() {
    $("reset-really").hidden = true;
    $("reset").focus();
    await this.#try(async () => {
      const { tickets } = await this.#ask("resetAll");
      this.#say(`${count(tickets, "ticket")} told to go back on sale; those that are held stay so.`);
    });
  }

  async #try(act) {
    try {
      await act();
    } catch (error) {
      this.#say(error instanceof Refusal ? error.message : `Not known whether it was done: ${error.message}.`);
    }
  }

  /** An invitation is a secret: it stands on the page, and in no address. */
  async #invite() {
    const ttlMs = Number($("guests-time").value);
    const say = (words) => ($("guests-words").textContent = words);
    $("guests-invitation").value = "";
    try {
      const { invitation, expiresAt } = await this.#api.call("/invitations", { mapKey: this.#map, ttlMs }, { asAdmin: true });
      $("guests-invitation").value = invitation;
      $("guests-invitation").select();
      say(`It lasts until ${new Date(expiresAt).toLocaleString("en", { hour12: false })}. It is kept nowhere else: copy it now.`);
    } catch (error) {
      say(notInvited(error));
    }
  }

  #write(layout) {
    $("layout-text").value = JSON.stringify(layout, null, 1);
  }

  /** Writes a plain grid: something to begin with. */
  #grid() {
    const [rows, seats, minor] = ["grid-rows", "grid-seats", "grid-price"].map((id) => Number($(id).value));
    const price = { minor, currency: $("grid-currency").value.trim().toUpperCase() };
    const row = (_, r) => ({
      name: letters(r),
      seats: Array.from({ length: seats }, (_, s) => ({ ticketId: `${this.#map}:${letters(r)}-${s + 1}`, price, x: 10 * s, y: 10 * r })),
    });
    this.#write({ rows: Array.from({ length: rows }, row) });
  }

  async #read() {
    const [file] = $("layout-file").files;
    if (file) $("layout-text").value = await file.text();
  }

  async #publish() {
    let layout;
    try {
      layout = JSON.parse($("layout-text").value);
    } catch (error) {
      this.#say(`That is no JSON: ${error.message}`);
      return;
    }
    await this.#try(async () => {
      const { tickets, edition } = await this.#ask("layout", layout);
      this.#say(`Published as edition ${edition}, with ${count(tickets, "ticket")}.`);
    });
  }
}

function notInvited({ kind, message }) {
  switch (kind) {
    case "NotFound": return "This host invites nobody: it was started without a key for invitations.";
    case "RateLimited": return "Five a minute is the most. Try again soon.";
    default: return message;
  }
}

function closed({ kind, message }) {
  switch (kind) {
    case "Unauthorized": return "That is not the token.";
    case "NotFound": return "This host has no operator's door: it was started without an admin token.";
    default: return message;
  }
}

/** Rows as theatres name them: A to Z, then AA. */
function letters(row) {
  const letter = String.fromCharCode(65 + (row % 26));
  return row < 26 ? letter : letters(Math.floor(row / 26) - 1) + letter;
}
