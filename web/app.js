// Where the page begins: it learns which map to show, follows it, and hands what it hears to what is on the page.

import { Api } from "./api.js";
import { Buyer } from "./buyer.js";
import { $, announce, framed } from "./dom.js";
import { Legend } from "./legend.js";
import { Live } from "./live.js";
import { Operator } from "./operator.js";
import { Seats } from "./seats.js";
import { Till } from "./till.js";
import { Venue } from "./venue.js";
import { count } from "./words.js";

/** How the page was set up by who serves it: `{ api, map, demo }`. */
async function settings() {
  const defaults = { api: ".", map: null, demo: false };
  try {
    const response = await fetch("settings.json", { cache: "no-store", credentials: "omit" });
    return response.ok ? { ...defaults, ...(await response.json()) } : defaults;
  } catch {
    return defaults;
  }
}

function askWhichMap() {
  $("which").hidden = false;
  $("connection").hidden = true;
  $("which").addEventListener("submit", (event) => {
    event.preventDefault();
    const url = new URL(location.href);
    url.searchParams.set("map", $("which-map").value.trim());
    location.assign(url);
  });
}

function start({ api: base, demo, map: demonstrated }, map) {
  const api = new Api(base);
  const seats = new Seats();
  let isOperating = false;

  const buyer = new Buyer(api, map, seats, (ids) => {
    venue.changed(ids);
    till.draw();
    legend.draw();
  });
  const till = new Till(api, buyer);
  const operator = new Operator(api, map, seats, (ids) => venue.changed(ids), demo && map === demonstrated);
  const venue = new Venue(seats, {
    mine: (id) => (isOperating ? undefined : buyer.basket.mine(id)),
    picked: (id) => isOperating && operator.picked.has(id),
    chosen: (seat) => (isOperating ? operator.choose(seat) : buyer.choose(seat)),
  });
  const legend = new Legend(seats, buyer.basket, () => isOperating);
  const drawAll = framed(() => {
    venue.build();
    legend.draw();
    till.draw();
    $("nothing").hidden = seats.length > 0;
    $("nothing").textContent = "No seats yet: nobody has published a layout, or asked for a ticket of this map.";
  });
  const summary = new Summary(seats);

  const took = (changes) => {
    if (changes) {
      venue.changed(changes.map(({ seat }) => seat.id));
      legend.draw();
      summary.note(changes, (id) => buyer.basket.mine(id));
    } else drawAll();
    operator.heard(changes);
    buyer.heard(changes);
  };
  const connection = new Connection();
  const live = new Live(api, map, {
    layout: (layout) => seats.layout(layout),
    snapshot(snapshot) {
      const changes = seats.snapshot(snapshot);
      took(changes);
      // What came before it may never have been heard: a seat that was held a moment before the server forgot it looks as
      // it did then.
      if (changes) buyer.heard(null);
    },
    deltas(deltas) {
      const { changes, isWhole } = seats.deltas(deltas);
      took(changes);
      return isWhole;
    },
    state(is, more) {
      connection.is(is, more);
      if (is === "live" || is === "asking") begin();
    },
  });
  const begin = once(() => buyer.resume());

  $("title").textContent = `Seats of ${map}`;
  document.title = `Seats of ${map}`;
  $("venue").hidden = false;
  $("side").hidden = false;
  $("try-now").addEventListener("click", () => live.now());
  $("zoom-in").addEventListener("click", () => venue.zoom.by(1.5));
  $("zoom-out").addEventListener("click", () => venue.zoom.by(1 / 1.5));
  $("zoom-fit").addEventListener("click", () => venue.zoom.fit());
  unlock(api);

  const show = () => {
    isOperating = location.hash === "#operate";
    $("buy").hidden = isOperating;
    $("operate").hidden = !isOperating;
    for (const [id, isCurrent] of [["to-buy", !isOperating], ["to-operate", isOperating]]) {
      if (isCurrent) $(id).setAttribute("aria-current", "page");
      else $(id).removeAttribute("aria-current");
    }
    operator.show(isOperating);
    venue.changed([...seats.all()].map(({ id }) => id));
    legend.draw();
  };
  addEventListener("hashchange", show);
  show();
  setInterval(() => {
    buyer.tick();
    till.tick();
    connection.tick();
  }, 500);
}

function once(act) {
  let isDone = false;
  return () => {
    if (!isDone) {
      isDone = true;
      act();
    }
  };
}

/** Asks for the token that opens the public door, where the host wants one. */
function unlock(api) {
  api.onLocked = () => {
    $("locked").hidden = false;
    $("locked-token").focus();
  };
  $("locked").addEventListener("submit", (event) => {
    event.preventDefault();
    $("locked").hidden = true;
    api.token = $("locked-token").value.trim();
    $("locked-token").value = "";
  });
}

/** What is said of the connection. */
class Connection {
  #is = null;
  #retryAt = 0;

  is(is, more) {
    const before = this.#is;
    if (before === is || (is === "connecting" && before === "asking")) return;
    this.#is = is;
    document.body.dataset.connection = is;
    $("try-now").hidden = is !== "away";
    if (is === "away") this.#retryAt = more;
    $("connection-words").textContent = WORDS[is] ?? is;
    if (is === "refused") $("connection-words").textContent = `Refused: ${more}`;
    if (is === "away" && before !== "connecting") announce("The connection is lost. Trying again.");
    if (is === "live" && before !== null && this.#wasAway) announce("Connected again, and up to date.");
    if (is === "away") this.#wasAway = true;
    if (is === "live" || is === "asking") this.#wasAway = false;
  }

  #wasAway = false;

  tick() {
    if (this.#is !== "away") return;
    const left = Math.max(0, Math.ceil((this.#retryAt - Date.now()) / 1000));
    $("connection-words").textContent = left > 0 ? `Connection lost; trying again in ${left} s` : "Connection lost; trying again";
  }
}

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  asking: "Live, asked for every second",
  away: "Connection lost; trying again",
  locked: "A token is needed",
};

/** How long changes are gathered before the page announces them to a buyer who listens, in ms. */
const TELL_EVERY = 15_000;

/** Tells those who listen, now and then, how the sale goes: not every seat of every other buyer. */
class Summary {
  #sold = 0;
  #timer = null;

  constructor(seats) {
    this.seats = seats;
  }

  note(changes, mine) {
    this.#sold += changes.filter(({ seat, to }) => to === "SOLD" && !mine(seat.id)).length;
    if (this.#sold > 0) this.#timer ??= setTimeout(() => this.#tell(), TELL_EVERY);
  }

  #tell() {
    announce(`${count(this.#sold, "seat")} sold to others; ${this.seats.count("AVAILABLE")} still available.`);
    this.#sold = 0;
    this.#timer = null;
  }
}

const set = await settings();
const map = new URLSearchParams(location.search).get("map") ?? set.map;
if (map) start(set, map);
else askWhichMap();
