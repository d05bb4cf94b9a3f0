// The operator's view: numbers, the last changes, a chart, and what only an operator may do.

import { Admin } from "./admin.js";
import { Alarms } from "./alarms.js";
import { Chart } from "./chart.js";
import { Crowd } from "./crowd.js";
import { $, el, framed } from "./dom.js";
import { Rates } from "./rates.js";
import { seatName } from "./words.js";

/** How many changes are listed. */
const LISTED = 100;

const WORDS = { AVAILABLE: "available", RESERVED: "held", SOLD: "sold", BLOCKED: "not for sale" };

export class Operator {
  /** The seats that are chosen, by id. */
  picked = new Set();
  #seats;
  #changed;
  #changes = [];
  #isShown = false;
  #list = framed(() => this.#draw());

  /** `changed(ids)` is called when seats are to be drawn anew; `isDemo`: a crowd can be let in. */
  constructor(api, map, seats, changed, isDemo) {
    this.#seats = seats;
    this.#changed = changed;
    this.#alarms = new Alarms(api);
    this.#rates = new Rates(api);
    this.#chart = new Chart(seats);
    this.#crowd = isDemo ? new Crowd(api) : null;
    this.#admin = new Admin(api, map, seats, {
      picked: () => [...this.picked],
      pickNone: () => this.#pickNone(),
    });
    setInterval(() => this.#second(), 1_000);
  }

  #alarms;
  #rates;
  #chart;
  #crowd;
  #admin;

  show(isShown) {
    this.#isShown = isShown;
    if (!isShown) return;
    this.#list();
    this.#second();
  }

  #second() {
    this.#chart.sample(this.#isShown);
    if (!this.#isShown) return;
    this.#alarms.tick();
    this.#rates.ask();
    this.#crowd?.tick();
  }

  /** A seat was clicked. */
  choose(seat) {
    if (!this.picked.delete(seat.id)) this.picked.add(seat.id);
    this.#admin.tell();
    this.#changed([seat.id]);
  }

  #pickNone() {
    const ids = [...this.picked];
    this.picked.clear();
    this.#admin.tell();
    this.#changed(ids);
  }

  /** Seats have changed; null: other seats are there now. */
  heard(changes) {
    if (!changes) {
      for (const id of this.picked) if (!this.#seats.get(id)) this.picked.delete(id);
      return;
    }
    if (changes.length === 0) return;
    const at = new Date().toLocaleTimeString("en", { hour12: false });
    for (const { seat, from, to } of changes) {
      this.#changes.unshift({ at, name: seatName(seat), from, to });
      this.#rates.note(to, from);
    }
    this.#changes.length = Math.min(this.#changes.length, LISTED);
    if (this.#isShown) this.#list();
  }

  #draw() {
    const items = this.#changes.map(({ at, name, from, to }) =>
      el("li", {}, el("time", {}, at), ` ${name}: ${WORDS[from] ?? from} `, el("span", { "aria-hidden": "true" }, "→"), " ", el("strong", { class: to }, WORDS[to] ?? to)),
    );
    $("changes").replaceChildren(...(items.length > 0 ? items : [el("li", { class: "faint" }, "Nothing has happened since this page was opened.")]));
  }
}
