// The legend: what each shape and shade means, and how many seats there are of it.

import { $, el, framed, svg } from "./dom.js";
import { SHAPES } from "./venue.js";
import { money } from "./words.js";

const STATUSES = [
  ["RESERVED", "Held"],
  ["SOLD", "Sold"],
  ["BLOCKED", "Not for sale"],
];

export class Legend {
  #texts = new Map();
  #shape = "";
  draw = framed(() => this.#draw());

  constructor(seats, basket, isOperating) {
    Object.assign(this, { seats, basket, isOperating });
  }

  #draw() {
    const entries = this.#entries();
    const shape = entries.map(([name, looks, words]) => [name, looks, words].join("|")).join();
    if (shape !== this.#shape) this.#build(entries);
    this.#shape = shape;
    for (const [name, , , number] of entries) this.#texts.get(name).textContent = number.toLocaleString("en");
  }

  /** `[name, looks, words, how many]` */
  #entries() {
    const available = (tier) => tier.seats.reduce((sum, { status }) => sum + (status === "AVAILABLE"), 0);
    const { tiers } = this.seats;
    const few = tiers.length > 0 && tiers.length <= 8;
    const unpriced = this.seats.count("AVAILABLE") - tiers.reduce((sum, tier) => sum + available(tier), 0);
    const free = tiers.map((tier) => [`shade${tier.shade} ${tier.price.currency}${tier.price.minor}`, "AVAILABLE", money(tier.price), available(tier)]);
    const entries = few ? free : [["AVAILABLE", "AVAILABLE", "Available", this.seats.count("AVAILABLE")]];
    if (few && unpriced > 0) entries.push(["AVAILABLE", "AVAILABLE", "Other", unpriced]);
    entries.push(...STATUSES.map(([status, words]) => [status, status, words, this.seats.count(status)]));
    const yours = this.basket.ids().length + this.basket.bookings.reduce((sum, { tickets }) => sum + tickets.length, 0);
    if (!this.isOperating()) entries.push(["yours", "held", "Yours", yours]);
    return entries;
  }

  #build(entries) {
    this.#texts.clear();
    const items = entries.map(([name, looks, words]) => {
      const number = el("strong", {});
      this.#texts.set(name, number);
      const shape = svg("path", { d: SHAPES[looks], class: `seat ${looks} ${name.split(" ")[0]}` });
      return el("li", {}, svg("svg", { viewBox: "-10 -10 20 20", "aria-hidden": "true" }, shape), `${words} `, number);
    });
    $("legend").replaceChildren(...items);
  }
}
