// What is known of a seat map: which seats there are, where, at what price, and how they stand. Nothing here draws.

/** How many shades of price there are to draw with. */
const SHADES = 5;

/** What the letters of a snapshot mean. */
const STATUSES = { A: "AVAILABLE", R: "RESERVED", S: "SOLD", B: "BLOCKED" };

export class Seats {
  /** The map's version; null until something is known. */
  version = null;
  /** Groups of rows: `{ name, rows: [{ name, seats }] }`. */
  sections = [];
  /** What seats cost: `{ price, shade, seats }`, the dearest first. */
  tiers = [];
  /** How large the drawing is, in seats. */
  size = { width: 0, height: 0 };
  /** Seats by id: `{ id, status, section, row, number, price, shade, x, y }`. */
  #seats = new Map();
  #layout = [];
  #counts = {};

  get(id) {
    return this.#seats.get(id);
  }

  all() {
    return this.#seats.values();
  }

  get length() {
    return this.#seats.size;
  }

  /** How many seats are of this status. */
  count(status) {
    return this.#counts[status] ?? 0;
  }

  /** Takes a layout; what it looks like is known with the next snapshot. */
  layout({ rows }) {
    // After every pause the page fetches it again, and it is most often the same.
    if (JSON.stringify(rows) === JSON.stringify(this.#layout)) return;
    this.#layout = rows;
    this.version = null;
  }

  /** The layout as it was published. */
  get published() {
    return this.#layout;
  }

  /**
   * Takes how everything stands: a letter for each seat of the layout, or the tickets by id.
   * @returns the seats that have changed, with what they were; null where seats came or went, or have moved
   */
  snapshot({ version, seats, tickets = this.#spelt(seats) }) {
    const isSame =
      this.version !== null && tickets.length === this.length && tickets.every(({ id }) => this.#seats.has(id));
    this.version = version;
    if (isSame) return this.#take(tickets);
    this.#place(tickets);
    return null;
  }

  #spelt(letters) {
    const places = this.#layout.flatMap(({ seats }) => seats);
    return places.map(({ ticketId }, place) => ({ id: ticketId, status: STATUSES[letters[place]] ?? "BLOCKED" }));
  }

  /**
   * Takes changes, each one version after the last; those that are known already are passed over.
   * @returns `{ changes, isWhole }`: changes as `snapshot` tells them, and false where some deltas are missing
   */
  deltas(deltas) {
    const changes = [];
    let isSame = true;
    for (const { version, tickets } of deltas) {
      if (this.version !== null && version <= this.version) continue;
      if (this.version === null || version !== this.version + 1) {
        return { changes: isSame ? changes : null, isWhole: false };
      }
      this.version = version;
      if (tickets.every(({ id }) => this.#seats.has(id))) changes.push(...this.#take(tickets));
      else {
        // A map without a layout has heard of another ticket.
        this.#place([...this.all(), ...tickets]);
        isSame = false;
      }
    }
    return { changes: isSame ? changes : null, isWhole: true };
  }

  #take(tickets) {
    const changes = [];
    for (const { id, status } of tickets) {
      const seat = this.#seats.get(id);
      if (seat.status === status) continue;
      this.#counts[seat.status] -= 1;
      this.#counts[status] = this.count(status) + 1;
      changes.push({ seat, from: seat.status, to: status });
      seat.status = status;
    }
    return changes;
  }

  /** Makes the seats anew, from the layout, and those that it does not have. */
  #place(tickets) {
    const statuses = new Map(tickets.map(({ id, status }) => [id, status]));
    const rows = this.#layout.map(({ name, seats }) => ({
      ...rowName(name),
      seats: seats.map(({ ticketId, label, price, x, y }) => ({ id: ticketId, label, price, x, y })),
    }));
    const placed = new Set(rows.flatMap(({ seats }) => seats.map(({ id }) => id)));
    const others = [...statuses.keys()].filter((id) => !placed.has(id));
    measure(rows);
    const sections = grouped(rows);
    if (others.length > 0) sections.push(...heap(others, rows));
    this.#seats.clear();
    this.#counts = {};
    for (const section of sections) {
      for (const row of section.rows) {
        for (const seat of row.seats) {
          const status = statuses.get(seat.id) ?? "AVAILABLE";
          Object.assign(seat, { status, section: section.name, row: row.name, number: seat.label ?? endOf(seat.id) });
          this.#counts[status] = this.count(status) + 1;
          this.#seats.set(seat.id, seat);
        }
      }
    }
    this.sections = sections;
    this.#size();
    this.#price();
  }

  #size() {
    const furthest = (axis) => [...this.all()].reduce((most, seat) => Math.max(most, seat[axis]), 0);
    this.size = { width: furthest("x") + 1, height: furthest("y") + 1 };
  }

  /** Sorts the prices into tiers, and as many shades as there are. */
  #price() {
    const tiers = new Map();
    for (const seat of this.all()) {
      if (!seat.price) continue;
      const name = `${seat.price.currency} ${seat.price.minor}`;
      if (!tiers.has(name)) tiers.set(name, { price: seat.price, seats: [] });
      tiers.get(name).seats.push(seat);
    }
    this.tiers = [...tiers.values()].sort((one, other) => other.price.minor - one.price.minor);
    const spread = this.tiers.length <= SHADES ? 1 : (SHADES - 1) / (this.tiers.length - 1);
    const step = this.tiers.length <= 3 ? 2 : spread;
    this.tiers.forEach((tier, rank) => {
      tier.shade = Math.min(SHADES - 1, Math.round(rank * step));
      for (const seat of tier.seats) seat.shade = tier.shade;
    });
  }
}

/** `Stalls C` is row C of the section Stalls; `Row 7` is row 7; any other name is the row's own. */
function rowName(name) {
  const [, before, last] = /^(?:(.*\S)\s+)?(\S{1,3})$/.exec(name.trim()) ?? [null, "", name.trim()];
  return { section: !before || /^row$/i.test(before) ? "" : before, name: last };
}

/** What a seat is called without a label: what follows the last `:`, `-`, `_` or `.` of its id, as in the core. */
const endOf = (id) => /[^:\-_.]+$/.exec(id)?.[0] ?? id;

function grouped(rows) {
  const sections = [];
  for (const row of rows) {
    if (sections.at(-1)?.name !== row.section) sections.push({ name: row.section, rows: [] });
    sections.at(-1).rows.push(row);
  }
  return sections;
}

/** The farthest that a seat may be drawn from the first, in seats, before its place is not believed. */
const FARTHEST = 400;

/** Turns places in any unit into seats' widths, from 0; or into a plain grid, where they make no picture. */
function measure(rows) {
  const seats = rows.flatMap(({ seats }) => seats);
  if (seats.length === 0) return;
  const pitch = pitchOf(rows);
  const [left, top] = ["x", "y"].map((axis) => seats.reduce((least, seat) => Math.min(least, seat[axis]), Infinity));
  const isFar = (seat) => (seat.x - left) / pitch > FARTHEST || (seat.y - top) / pitch > FARTHEST;
  // A quarter of a seat apart, one would be drawn upon the other.
  const spots = new Set(seats.map(({ x, y }) => `${Math.round((4 * x) / pitch)} ${Math.round((4 * y) / pitch)}`));
  if (!pitch || seats.some(isFar) || spots.size < seats.length) {
    rows.forEach((row, y) => row.seats.forEach((seat, x) => Object.assign(seat, { x, y })));
    return;
  }
  for (const seat of seats) Object.assign(seat, { x: (seat.x - left) / pitch, y: (seat.y - top) / pitch });
}

/** How far apart neighbours are, most often: the median, in the layout's own unit; 0 where it cannot be told. */
function pitchOf(rows) {
  const between = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);
  const inRows = rows.flatMap(({ seats }) => seats.slice(1).map((seat, before) => between(seat, seats[before])));
  const firsts = rows.filter(({ seats }) => seats.length > 0).map(({ seats }) => seats[0]);
  const distances = inRows.length > 0 ? inRows : firsts.slice(1).map((seat, before) => between(seat, firsts[before]));
  distances.sort((one, other) => one - other);
  return distances[Math.floor(distances.length / 2)] ?? 1;
}

/** Seats without a place, in a grid below all others. */
function heap(ids, rows) {
  const top = rows.flatMap(({ seats }) => seats).reduce((most, { y }) => Math.max(most, y + 2), 0);
  const width = Math.max(10, Math.ceil(Math.sqrt(ids.length * 1.6)));
  const inOrder = [...ids].sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
  const made = [];
  for (let first = 0; first < inOrder.length; first += width) {
    const y = top + made.length;
    made.push({ name: "", seats: inOrder.slice(first, first + width).map((id, x) => ({ id, x, y })) });
  }
  return [{ name: rows.length > 0 ? "Others" : "", rows: made }];
}
