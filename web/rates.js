// How much happens: what the host counts, where it tells (`/metrics`), and what this page sees of the map.

import { $, el } from "./dom.js";
import { Refusal } from "./api.js";

/** Over how long a rate is taken, in ms. */
const OVER = 10_000;

export class Rates {
  #api;
  #seen = { sold: 0, held: 0, back: 0 };
  #samples = [];
  #isAsking = false;
  /** Whether the host has numbers of its own; null while that is not known. */
  #hasNumbers = null;

  constructor(api) {
    this.#api = api;
  }

  /** A seat has changed. */
  note(to, from) {
    if (to === "SOLD") this.#seen.sold += 1;
    if (to === "RESERVED") this.#seen.held += 1;
    if (to === "AVAILABLE" && from === "RESERVED") this.#seen.back += 1;
  }

  /** Asks the host, and shows what has come of it. */
  async ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const numbers = await this.#numbers();
    this.#isAsking = false;
    if (numbers) this.#show(numbers);
  }

  /** What is counted, by what it is called; null while the host does not answer. */
  async #numbers() {
    const { sold, held, back } = this.#seen;
    const seen = new Map([["Seats sold", sold], ["Seats held", held], ["Holds that ended unsold", back]]);
    if (this.#hasNumbers === false) return seen;
    try {
      const told = read(String(await this.#api.call("/metrics", undefined, { method: "GET" })));
      this.#hasNumbers = true;
      return told;
    } catch (error) {
      if (!(error instanceof Refusal)) return null;
      this.#hasNumbers = false;
      $("rates-note").textContent = "As this page has seen it. This host tells no numbers of its own here: bookings, refusals and retries are in its own logs and metrics.";
      return seen;
    }
  }

  #show(numbers) {
    const now = Date.now();
    this.#samples.push({ at: now, numbers });
    while (this.#samples.length > 2 && now - this.#samples[0].at > OVER) this.#samples.shift();
    const [first] = this.#samples;
    const seconds = (now - first.at) / 1000;
    const rows = [...numbers].map(([name, number]) => {
      const rate = seconds > 0 ? (number - (first.numbers.get(name) ?? 0)) / seconds : 0;
      return el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, number.toLocaleString("en")), el("td", {}, rate < 0 ? "–" : rate.toFixed(1)));
    });
    $("rates").tBodies[0].replaceChildren(...rows);
  }
}

/** Reads the host's numbers: https://openmetrics.io, as much of it as is needed here. */
function read(text) {
  const numbers = new Map([["Bookings", 0], ["Holds that lapsed", 0], ["Payments asked for again", 0], ["Refusals", 0]]);
  const add = (name, value) => numbers.set(name, (numbers.get(name) ?? 0) + value);
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const label = (wanted) => new RegExp(`(?:^|,)${wanted}="([^"]*)"`).exec(labels)?.[1];
    if (name === "booking_checkouts_ended_total" && label("ending") === "completed") add("Bookings", Number(value));
    if (name === "booking_holds_lapsed_total") add("Holds that lapsed", Number(value));
    if (name === "booking_gateway_odd_answers_total") add("Odd answers of the gateway", Number(value));
    if (name === "booking_payment_retries_total") add("Payments asked for again", Number(value));
    if (name === "booking_request_duration_seconds_count" && label("kind")) {
      add("Refusals", Number(value));
      add(`Refused: ${label("kind")}`, Number(value));
    }
  }
  return numbers;
}
