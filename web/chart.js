// A small chart: how much of the house was sold and held, over the last minutes: one at first, five in the end.

import { $, el, svg } from "./dom.js";
import { count } from "./words.js";

/** How many seconds are shown: the first of these that has room for all, the last one always. */
const SPANS = [60, 120, 300];
const KEPT = SPANS.at(-1);
const HEIGHT = 80;

export class Chart {
  #seats;
  #samples = [];
  /** The second of the last of them. */
  #second = null;
  #drawing;
  #sold = svg("path", { class: "sold" });
  #held = svg("path", { class: "held" });
  #words = el("p", { class: "axis" });
  #begins = el("span", {});

  constructor(seats) {
    this.#seats = seats;
    const unknown = { "aria-label": "How much is sold and held: not known yet" };
    this.#drawing = svg("svg", { preserveAspectRatio: "none", role: "img", ...unknown }, this.#held, this.#sold);
    $("chart").append(this.#words, this.#drawing, el("p", { class: "axis" }, this.#begins, el("span", {}, "now")));
  }

  /** Another second has passed; or more, where the browser had other things to do. */
  sample(isShown) {
    if (this.#seats.length === 0) return;
    const second = Math.floor(Date.now() / 1000);
    const passed = Math.max(0, Math.min(KEPT, second - (this.#second ?? second - 1)));
    this.#second = second;
    const now = { sold: this.#seats.count("SOLD"), held: this.#seats.count("RESERVED") };
    this.#samples.push(...Array(passed).fill(now));
    this.#samples.splice(0, this.#samples.length - KEPT);
    if (isShown) this.#draw();
  }

  #draw() {
    const all = this.#seats.length;
    const span = SPANS.find((seconds) => seconds >= this.#samples.length);
    this.#drawing.setAttribute("viewBox", `0 0 ${span - 1} ${HEIGHT}`);
    this.#begins.textContent = `${count(span / 60, "minute")} ago`;
    const { sold, held } = this.#samples.at(-1);
    this.#sold.setAttribute("d", this.#area(span, ({ sold }) => sold / all));
    this.#held.setAttribute("d", this.#area(span, ({ sold, held }) => (sold + held) / all));
    const words = `${sold} of ${all} sold, ${held} held`;
    this.#drawing.setAttribute("aria-label", `${words}; ${this.#samples[0].sold} sold when the chart begins`);
    this.#words.replaceChildren(el("span", {}, words), el("span", {}, `${Math.floor((100 * sold) / all)} %`));
  }

  #area(span, share) {
    const left = span - this.#samples.length;
    const points = this.#samples.map((sample, second) => `L${left + second} ${(HEIGHT * (1 - share(sample))).toFixed(1)}`);
    return `M${left} ${HEIGHT}${points.join("")}L${span - 1} ${HEIGHT}z`;
  }
}
