// A demo's crowd: simulated buyers, let in and sent home by a button, and how they fare.

import { $, announce } from "./dom.js";
import { count } from "./words.js";

const PATH = "/demo/crowd";

export class Crowd {
  #api;
  #isRunning = false;
  #isAsking = false;

  constructor(api) {
    this.#api = api;
    $("crowd").hidden = false;
    $("crowd").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask("POST", { buyers: $("crowd-size").valueAsNumber });
    });
    $("crowd-stop").addEventListener("click", () => this.#ask("DELETE"));
  }

  /** Another second has passed, while the operator's view is shown. */
  tick() {
    if (!this.#isAsking) this.#ask("GET");
  }

  async #ask(method, body) {
    this.#isAsking = true;
    try {
      this.#show(await this.#api.call(PATH, body, { method }));
    } catch (error) {
      // A look that fails is followed by another; a click is not.
      if (method !== "GET") this.#say(`That did not work: ${error.message}.`);
    }
    this.#isAsking = false;
  }

  #show({ running, buyers, booked, seats, declined, walkedAway, gaveBack, left }) {
    const wasRunning = this.#isRunning;
    this.#isRunning = running;
    $("crowd-go").disabled = running || left === 0;
    $("crowd-stop").hidden = !running;
    if (buyers === 0) return;
    const now = running ? `${count(buyers, "buyer")} at a time.` : left === 0 ? "Sold out." : "They have gone home.";
    const happened = `${count(booked, "booking")} of ${count(seats, "seat")}; ${count(declined, "payment")} declined, ${walkedAway} walked away, ${gaveBack} gave their seats back.`;
    this.#say(`${now} ${happened}`);
    if (wasRunning && !running) announce(`${now} ${happened}`);
  }

  #say(words) {
    $("crowd-words").hidden = false;
    $("crowd-words").textContent = words;
  }
}
