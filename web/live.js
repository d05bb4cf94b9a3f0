// Follows a seat map: over a WebSocket, or, where the host has none, by asking every second. Comes back by itself.

import { backoff, part, Refusal, sleep } from "./api.js";

const PROTOCOL = "booking.watch.v1";
const TOKEN_PROTOCOL = "booking.token.";

/** All in ms. */
const OPENS_WITHIN = 8_000;
/** A connection that has held for so long was a good one: the next is tried for soon. */
const STEADY_AFTER = 5_000;
const PING_EVERY = 30_000;
const PONG_WITHIN = 10_000;
const ASK_EVERY = 1_000;
const PLAN_EVERY = 30_000;
/** For how long a map is asked for before a WebSocket is tried again; doubles each time. */
const ASK_FOR = 20_000;

/**
 * Follows a map until it is stopped. What it hears:
 * - `layout({ edition, rows })`, and after it `snapshot({ version, seats })` with a letter for each of its seats, or
 *   `snapshot({ version, tickets })`
 * - `deltas([{ version, tickets }])`: returns whether none are missing
 * - `state(is, retryAt)`: `connecting`, `live`, `asking`, `away` (until when, by this clock), `locked`, or `refused`
 */
export class Live {
  #socket = null;
  #isStopped = false;
  /** Within what time the host wants its watchers back when it loses them, in ms. */
  #spread = 0;
  #wake = () => {};

  constructor(api, map, hears) {
    Object.assign(this, { api, map, hears });
    addEventListener("online", () => this.now());
    this.#follow();
  }

  stop() {
    this.#isStopped = true;
    this.#socket?.close();
    this.#wake();
  }

  /** Tries again at once, if it is waiting. */
  now() {
    this.#wake();
  }

  #path(handler) {
    return `/SeatMap/${part(this.map)}/${handler}`;
  }

  async #follow() {
    let failures = 0;
    let askFor = ASK_FOR;
    while (!this.#isStopped) {
      this.hears.state("connecting");
      const lived = await this.#watch();
      if (lived > 0) {
        if (lived > STEADY_AFTER) failures = 0;
        askFor = ASK_FOR;
      } else {
        try {
          await this.#ask(askFor, () => (failures = 0));
          askFor = Math.min(askFor * 2, 600_000);
          continue;
        } catch (error) {
          if (error.kind === "Unauthorized") {
            this.hears.state("locked");
            await this.api.unlocked();
            continue;
          }
          if (error instanceof Refusal && !error.isPassing) {
            this.hears.state("refused", error.message);
            return;
          }
        }
      }
      if (this.#isStopped) return;
      // A host that lost one of many watchers has most often lost them all.
      const wait = Math.max(backoff(failures), Math.random() * this.#spread);
      failures += 1;
      this.hears.state("away", Date.now() + wait);
      await Promise.race([sleep(wait), new Promise((wake) => (this.#wake = wake))]);
    }
  }

  /** Watches until the connection ends; for how long it was live, in ms: 0 where it never was. */
  #watch() {
    const url = this.api.url(this.#path("watch"));
    url.protocol = url.protocol.replace("http", "ws");
    const offers = this.api.token ? [PROTOCOL, TOKEN_PROTOCOL + this.api.token] : [PROTOCOL];
    let socket;
    try {
      socket = new WebSocket(url, offers);
    } catch {
      return 0;
    }
    this.#socket = socket;
    let liveSince = null;
    let isAsked = false;
    let edition = null;
    let timer = setTimeout(() => socket.close(), OPENS_WITHIN);
    const ping = () => {
      socket.send('{"type":"ping"}');
      timer = setTimeout(() => ended(), PONG_WITHIN);
    };
    let ended;
    let isOver = false;
    const end = new Promise((resolve) => (ended = resolve)).then(() => (isOver = true));
    const askAgain = () => {
      if (!isAsked) socket.send('{"type":"snapshot"}');
      isAsked = true;
    };
    const hear = async (message) => {
      this.#spread = message.spreadMs ?? (message.type === "snapshot" ? 0 : this.#spread);
      if (message.type === "snapshot") {
        isAsked = false;
        // At each connection anew: who answers may have been another server meanwhile.
        if (message.edition !== edition) {
          const plan = message.edition === 0 ? { edition: 0, rows: [] } : await this.#plan();
          if (isOver) return;
          this.hears.layout(plan);
          edition = plan.edition;
        }
        // There is a newer layout already, and letters for it are to come.
        if (message.edition !== edition) return askAgain();
        this.hears.snapshot(message);
        this.hears.state("live");
        liveSince ??= performance.now();
      } else if (message.type === "deltas" && !this.hears.deltas(message.deltas)) askAgain();
    };
    // One after the other, as they came.
    let heard = Promise.resolve();
    socket.onmessage = ({ data }) => {
      clearTimeout(timer);
      timer = setTimeout(ping, PING_EVERY);
      heard = heard.then(() => isOver || hear(JSON.parse(data))).catch(() => ended());
    };
    socket.onclose = () => ended();
    return end.then(() => {
      clearTimeout(timer);
      socket.onmessage = null;
      socket.close();
      return liveSince === null ? 0 : Math.max(1, performance.now() - liveSince);
    });
  }

  /** The layout. Where the host gives it a tag, the browser has it already if it is still the same. */
  #plan() {
    return this.api.call(this.#path("plan"), undefined, { method: "GET", cache: "no-cache" });
  }

  /** Asks for the map again and again, as long as that goes well. */
  async #ask(length, isWell) {
    const until = Date.now() + length;
    let version = null;
    let known = null;
    let planned = 0;
    while (!this.#isStopped && Date.now() < until) {
      const summary = await this.api.call(this.#path("summary"));
      if (summary.version !== version) {
        const tickets = await this.api.call(this.#path("get"));
        const ids = tickets.map(({ id }) => id).join();
        if (ids !== known || Date.now() - planned > PLAN_EVERY) {
          this.hears.layout(await this.#plan());
          planned = Date.now();
        }
        this.hears.snapshot({ version: summary.version, tickets });
        [version, known] = [summary.version, ids];
      }
      isWell();
      this.hears.state("asking");
      await sleep(document.hidden ? 5 * ASK_EVERY : ASK_EVERY);
    }
  }
}
