// A small chart: how much of the house was sold and held, over the last five minutes.

import { $, el, svg } from "./dom.js";

/** How many seconds are kept. */
const KEPT = 300;
const HEIGHT = 80;

export class Chart {
  #seats;
  #samples = [];
  #drawing;
  #sold = svg("path", { class: "sold" });
  #held = svg("path", { class: "held" });
  #words = el("p", { class: "axis" });

  constructor(seats) {
    this.#seats = seats;
    this.#drawing = svg("svg", { viewBox: `0 0 ${KEPT} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" }, this.#held, this.#sold);
    $("chart").append(this.#words, this.#drawing, el("p", { class: "axis" }, el("span", {}, "5 minutes ago"), el("span", {}, "now")));
  }

  /** Another second has passed. */
  sample(isShown) {
    if (this.#seats.length === 0) return;
    this.#samples.push({ sold: this.#seats.count("SOLD"), held: this.#seats.count("RESERVED") });
    if (this.#samples.length > KEPT) this.#samples.shift();
    if (isShown) this.#draw();
  }

  #draw() {
    const all = this.#seats.length;
    const { sold, held } = this.#samples.at(-1);
    this.#sold.setAttribute("d", this.#area(({ sold }) => sold / all));
    this.#held.setAttribute("d", this.#area(({ sold, held }) => (sold + held) / all));
    const words = `${sold} of ${all} sold, ${held} held`;
    this.#drawing.setAttribute("aria-label", `${words}; ${this.#samples[0].sold} sold when the chart begins`);
    this.#words.replaceChildren(el("span", {}, words), el("span", {}, `${Math.floor((100 * sold) / all)} %`));
  }

  #area(share) {
    const left = KEPT - this.#samples.length;
    const points = this.#samples.map((sample, second) => `L${left + second} ${(HEIGHT * (1 - share(sample))).toFixed(1)}`);
    return `M${left} ${HEIGHT}${points.join("")}L${KEPT - 1} ${HEIGHT}z`;
  }
}
