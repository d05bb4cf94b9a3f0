// Draws a seat map as SVG: a button for each seat, in rows, with another shape for every way it can stand.

import { $, framed, svg } from "./dom.js";
import { seatLabel } from "./words.js";
import { Zoom } from "./zoom.js";

/** A seat's width, and the room around everything, in the drawing's units. */
export const PITCH = 20;
const MARGIN = 36;
const STAGE = 48;

const box = (half, corner) => {
  const side = 2 * (half - corner);
  const arc = (x, y) => `a${corner} ${corner} 0 0 1 ${x} ${y}`;
  const [c, s] = [corner, side];
  return `M${-half + c} ${-half}h${s}${arc(c, c)}v${s}${arc(-c, c)}h${-s}${arc(-c, -c)}v${-s}${arc(c, -c)}z`;
};
const disc = (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
const TICK = "M-5.2.4l1.7-1.7 2.3 2.3 4.3-4.6 1.7 1.6-6 6.4z";

/** What seats look like, by how they stand. Every two differ in shape, so that nothing rests on colour. */
export const SHAPES = {
  AVAILABLE: box(8, 3),
  RESERVED: `${box(8, 3)}${box(6, 1.5)}M-3.5-1.1h7v2.2h-7z`,
  SOLD: disc(2.6),
  BLOCKED: "M-6.6 4.8l11.4-11.4 1.8 1.8-11.4 11.4z",
  asking: `${disc(8.6)}${disc(6.4)}`,
  returning: `${disc(8.6)}${disc(6.4)}M-3.5-1.1h7v2.2h-7z`,
  held: `${disc(8.8)}${TICK}`,
  booked: `${disc(8.8)}${TICK}`,
};

export class Venue {
  #seats;
  #does;
  #drawn = new Map();
  #dirty = new Set();
  #current = null;
  #redraw = framed(() => this.#draw());

  /**
   * @param {Seats} seats what is drawn
   * @param does `mine(id)`: what this buyer has to do with a seat, if anything; `picked(id)`: whether it is chosen;
   *   `chosen(seat)`: it was clicked
   */
  constructor(seats, does) {
    this.#seats = seats;
    this.#does = does;
    this.svg = $("seats");
    this.zoom = new Zoom($("stage"), this.svg);
    this.svg.addEventListener("click", (event) => this.#clicked(event));
    this.svg.addEventListener("keydown", (event) => this.#pressed(event));
    this.svg.addEventListener("focusin", (event) => this.#focused(event.target));
    this.svg.addEventListener("pointerover", ({ target }) => this.#tell(this.#seatOf(target)));
    this.svg.addEventListener("pointerleave", () => this.#tell(null));
  }

  /** Draws everything anew: other seats are there now. */
  build() {
    const { width, height } = this.#seats.size;
    const hadFocus = this.svg.contains(document.activeElement);
    this.#drawn.clear();
    const sections = this.#seats.sections.map((section) => this.#section(section));
    const [w, h] = [width * PITCH + 2 * MARGIN, height * PITCH + STAGE + 44];
    this.svg.replaceChildren(stage(w), ...sections);
    this.svg.setAttribute("viewBox", `${-MARGIN - PITCH / 2} ${-STAGE - 30 - PITCH / 2} ${w} ${h}`);
    this.zoom.resize(w, h, PITCH);
    const first = this.#drawn.has(this.#current) ? this.#current : this.#drawn.keys().next().value;
    this.#rove(first ?? null);
    if (hadFocus) this.focus(first);
  }

  /** These seats have changed, or what the buyer has to do with them has. */
  changed(ids) {
    for (const id of ids) this.#dirty.add(id);
    this.#redraw();
  }

  /** Moves the focus to a seat. */
  focus(id) {
    this.#drawn.get(id)?.focus();
  }

  #section({ name, rows }) {
    const drawn = rows.map((row) => this.#row(name, row));
    const first = rows.find(({ seats }) => seats.length > 0)?.seats[0];
    const title = name && first && label(first, -0.5 * PITCH, name, "section");
    return svg("g", {}, title, drawn);
  }

  #row(section, { name, seats }) {
    if (seats.length === 0) return null;
    const ends = name ? [label(seats[0], -PITCH, short(name), "row"), label(seats.at(-1), PITCH, short(name), "row")] : [];
    const words = [section, name && `row ${name}`].filter(Boolean).join(", ");
    return svg("g", words ? { role: "group", "aria-label": words } : {}, ends, seats.map((seat) => this.#seat(seat)));
  }

  #seat(seat) {
    const drawn = svg("path", { role: "button", tabindex: -1, "data-id": seat.id });
    this.#drawn.set(seat.id, drawn);
    this.#dress(seat, drawn);
    return drawn;
  }

  /** Gives a seat the looks and the name of how it stands. */
  #dress(seat, drawn) {
    const mine = this.#does.mine(seat.id);
    const looks = mine ?? seat.status;
    drawn.setAttribute("d", placed(SHAPES[looks] ?? SHAPES.BLOCKED, round(seat.x * PITCH), round(seat.y * PITCH)));
    const picked = this.#does.picked(seat.id);
    drawn.setAttribute("class", `seat ${looks} ${seat.shade == null ? "" : `shade${seat.shade}`}${picked ? " picked" : ""}`);
    drawn.setAttribute("aria-label", seatLabel(seat, mine) + (picked ? ", chosen" : ""));
  }

  #draw() {
    for (const id of this.#dirty) {
      const [seat, drawn] = [this.#seats.get(id), this.#drawn.get(id)];
      if (!seat || !drawn) continue;
      this.#dress(seat, drawn);
    }
    this.#dirty.clear();
    if (this.#told) this.#tell(this.#told);
  }

  #seatOf(target) {
    return this.#seats.get(target?.dataset?.id) ?? null;
  }

  #told = null;

  /** Says in words what the pointer or the focus is on. */
  #tell(seat) {
    this.#told = seat;
    $("seat-line").textContent = seat ? seatLabel(seat, this.#does.mine(seat.id)) : "";
  }

  #clicked(event) {
    const seat = this.#seatOf(event.target);
    if (!seat) {
      // A tap beside small seats means the one next to it as little as any other.
      if (event.detail > 0) this.zoom.tapped(event);
      return;
    }
    if (event.detail > 0 && this.zoom.tapped(event)) return;
    this.#rove(seat.id);
    this.#does.chosen(seat);
  }

  #pressed(event) {
    const seat = this.#seatOf(event.target);
    if (!seat || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#does.chosen(seat);
      return;
    }
    const next = this.#next(seat, event.key);
    if (!next) return;
    event.preventDefault();
    this.focus(next.id);
  }

  /** The seat that a key leads to: along the row, or to the nearest in the next one. */
  #next(seat, key) {
    const row = [...this.#seats.all()].filter((other) => other.section === seat.section && other.row === seat.row);
    const place = row.indexOf(seat);
    switch (key) {
      case "ArrowLeft": return row[place - 1];
      case "ArrowRight": return row[place + 1];
      case "Home": return row[0];
      case "End": return row.at(-1);
      case "ArrowUp": return this.#nearest(seat, -1);
      case "ArrowDown": return this.#nearest(seat, 1);
      default: return null;
    }
  }

  #nearest(seat, direction) {
    let [found, least] = [null, Infinity];
    for (const other of this.#seats.all()) {
      const down = (other.y - seat.y) * direction;
      if (down < 0.5 || other.row === seat.row && other.section === seat.section) continue;
      const distance = down * 3 + Math.abs(other.x - seat.x);
      if (distance < least) [found, least] = [other, distance];
    }
    return found;
  }

  #focused(target) {
    const seat = this.#seatOf(target);
    if (!seat) return;
    this.#rove(seat.id);
    this.#tell(seat);
    target.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** One seat at a time is reached with the tabulator; from there the arrows lead on. */
  #rove(id) {
    this.#drawn.get(this.#current)?.setAttribute("tabindex", -1);
    this.#current = id;
    this.#drawn.get(id)?.setAttribute("tabindex", 0);
  }
}

/**
 * A shape, moved to its place: each of its parts begins with the one command that is not relative. A `transform` would say
 * the same, but a browser keeps seats with a transform each apart when it paints, which takes it three times as long.
 */
const placed = (shape, x, y) =>
  shape.replace(/M(-?\d*\.?\d+) ?(-?\d*\.?\d+)/g, (_, left, top) => `M${round(x + Number(left))} ${round(y + Number(top))}`);

const round = (number) => Math.round(number * 100) / 100;

/** As much of a row's name as there is room for beside it; all of it is in its seats' names. */
const short = (name) => ([...name].length > 3 ? `${[...name].slice(0, 2).join("")}…` : name);

function label(seat, aside, text, what) {
  const [x, y] = [round(seat.x * PITCH + aside), round(seat.y * PITCH - (what === "section" ? 1.05 * PITCH : 0))];
  return svg("text", { class: what, x, y, "aria-hidden": "true" }, text);
}

/** The stage: what all seats look at. */
function stage(width) {
  const half = Math.min(220, width / 3);
  const x = width / 2 - MARGIN - PITCH / 2;
  const y = -STAGE - PITCH / 2;
  return svg(
    "g",
    { class: "stage", "aria-hidden": "true" },
    svg("path", { d: `M${x - half} ${y - 14}q${half} 24 ${2 * half} 0v22q${-half} 24 ${-2 * half} 0z` }),
    svg("text", { x, y: y + 9 }, "Stage"),
  );
}
