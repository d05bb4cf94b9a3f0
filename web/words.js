// How things are called: amounts of money, seats, lengths of time.

import { DECIMALS } from "./currencies.js";

const formats = new Map();

function format(currency) {
  if (!formats.has(currency)) {
    let made = null;
    try {
      // The host counts by ISO 4217. Browsers leave out decimals that nobody uses, and so would be wrong by a factor.
      const decimals = DECIMALS[currency] ?? 2;
      const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
      made = new Intl.NumberFormat("en", { style: "currency", currency, ...digits });
    } catch {
      // No currency that the browser knows: it is said as it came.
    }
    formats.set(currency, made);
  }
  return formats.get(currency);
}

/** An amount, such as `{ minor: 4500, currency: "USD" }`, for people: `$45.00`. */
export function money({ minor, currency }) {
  const known = format(currency);
  if (!known) return `${minor} ${currency}`;
  return known.format(minor / 10 ** known.resolvedOptions().maximumFractionDigits);
}

/** The sum of amounts of one currency. */
export function total(amounts) {
  return { minor: amounts.reduce((sum, { minor }) => sum + minor, 0), currency: amounts[0]?.currency ?? "USD" };
}

/** A seat's name without anything about it: `Row C seat 7, Stalls`. */
export function seatName(seat) {
  const inRow = seat.row ? `Row ${seat.row} seat ${seat.number}` : `Seat ${seat.number}`;
  return seat.section ? `${inRow}, ${seat.section}` : inRow;
}

const STATUS = { AVAILABLE: "available", RESERVED: "held by somebody", SOLD: "sold", BLOCKED: "not for sale" };

/** How a seat stands, in words; `mine` is what this buyer has to do with it, if anything. */
export function standing(seat, mine) {
  switch (mine) {
    case "asking": return "being held for you";
    case "held": return "held by you";
    case "returning": return "being given back";
    case "booked": return "booked by you";
    default: return STATUS[seat.status] ?? "unknown";
  }
}

/** All there is to say about a seat: `Row C seat 7, Stalls, $45.00, available`. */
export function seatLabel(seat, mine) {
  return [seatName(seat), seat.price && money(seat.price), standing(seat, mine)].filter(Boolean).join(", ");
}

/** A few seats, in words. */
export function several(names) {
  if (names.length <= 1) return names.join("");
  return `${names.slice(0, -1).join("; ")} and ${names.at(-1)}`;
}

/** `1 seat`, `2 seats`. */
export const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

/** Milliseconds as `14:05`. */
export function clock(millis) {
  const seconds = Math.max(0, Math.ceil(millis / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Milliseconds in words, as one says them: `14 minutes`, `40 seconds`. */
export function spoken(millis) {
  const seconds = Math.max(0, Math.ceil(millis / 1000));
  return seconds >= 120 ? `${Math.floor(seconds / 60)} minutes` : count(seconds, "second");
}

/** A name that nobody can guess: 128 random bits. */
export function secret() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
