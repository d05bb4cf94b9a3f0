// The panel where a buyer sees what is held, for how long, and pays.

import { outcomeWords } from "./buyer.js";
import { $, announce, el, framed } from "./dom.js";
import { clock, count, money, spoken, total } from "./words.js";

/** The mock gateway's cards. */
const CARDS = [
  ["card_success", "Pays", "authorised and captured"],
  ["card_decline", "Declined", "insufficient funds"],
  ["card_flaky", "Stumbles", "no answer twice, then it pays"],
  ["card_lost", "Gets lost", "the first answer is lost; paid once all the same"],
  ["card_error", "Never answers", "the gateway is down"],
  ["card_capture_decline", "Turns back", "authorised, then refused"],
];

export class Till {
  #api;
  #buyer;
  #longest = 1;
  #warned = null;
  draw = framed(() => this.#draw());

  constructor(api, buyer) {
    this.#api = api;
    this.#buyer = buyer;
    $("cards").append(...CARDS.map(([id, name, what], place) => card(id, name, what, place === 0)));
    $("till").addEventListener("submit", (event) => {
      event.preventDefault();
      buyer.pay(new FormData($("till")).get("card"));
    });
    $("give-all").addEventListener("click", () => buyer.empty());
    // On a small screen the till is below the seats: a line at the bottom leads to it, while it is out of sight.
    new IntersectionObserver(([till]) => $("peek").classList.toggle("unseen", till.isIntersecting)).observe($("till"));
    this.draw();
  }

  #draw() {
    const { basket, notice, waiting } = this.#buyer;
    const ids = basket.ids();
    this.#list(ids);
    this.#outcome();
    const payable = basket.ids("held");
    const isPaying = basket.paying !== null;
    $("hint").hidden = ids.length > 0 || basket.outcome !== null;
    $("till").hidden = ids.length === 0;
    const told = waiting
      ? { text: "The connection is lost. Your payment is asked about until there is an answer; nothing is paid twice.", isBad: true }
      : notice;
    $("notice").hidden = !told;
    $("notice").textContent = told?.text ?? "";
    $("notice").className = told?.isBad ? "bad" : "";
    const sum = total(payable.map((id) => basket.seats[id].price));
    const isMixed = payable.some((id) => basket.seats[id].price.currency !== sum.currency);
    $("sum-words").textContent = count(payable.length, "seat");
    $("sum").textContent = isMixed ? "several currencies" : money(sum);
    $("pay").textContent = isPaying ? "Paying…" : `Pay ${isMixed ? "" : money(sum)}`;
    $("pay").setAttribute("aria-busy", isPaying);
    $("pay").disabled = isPaying || payable.length === 0 || payable.length < ids.length;
    $("cards").disabled = isPaying;
    $("give-all").hidden = isPaying || payable.length < 2;
    this.#booked();
    this.tick();
  }

  #list(ids) {
    const { basket } = this.#buyer;
    const focused = document.activeElement?.dataset?.give;
    const items = ids.map((id) => this.#item(id, basket.seats[id], basket.paying !== null));
    $("basket").replaceChildren(...items);
    $("basket").hidden = ids.length === 0;
    if (!focused) return;
    // Where the seat has left the basket, the focus stays close to where it was.
    const same = $("basket").querySelector(`[data-give="${CSS.escape(focused)}"]`);
    (same ?? $("basket").querySelector("button:enabled") ?? $("side")).focus({ preventScroll: true });
  }

  #item(id, { is, price }, isPaying) {
    const name = this.#buyer.name(id);
    const words = { asking: "asking…", held: price && money(price), returning: "going back…" }[is];
    const isBack = is === "returning";
    const label = isBack ? `Keep ${name}` : `Give back ${name}`;
    const act = () => (isBack ? this.#buyer.undo(id) : this.#buyer.giveBack(id));
    const button = el("button", { type: "button", class: "quiet", "data-give": id, "aria-label": label, onclick: act }, isBack ? "Keep" : "Give back");
    button.disabled = isPaying || is === "asking";
    return el("li", { class: is }, el("span", {}, name), el("span", { class: "price" }, words), button);
  }

  #outcome() {
    const { basket } = this.#buyer;
    const words = outcomeWords(basket);
    $("outcome").hidden = words === null;
    if (words === null) return;
    const [title, text] = words;
    const { is, checkoutId } = basket.outcome;
    $("outcome").className = is;
    const reference = checkoutId && el("p", { class: "faint" }, "Booking ", el("code", {}, checkoutId));
    $("outcome").replaceChildren(...[el("h3", {}, title), el("p", {}, text), reference].filter(Boolean));
  }

  #booked() {
    const { bookings } = this.#buyer.basket;
    $("bookings").hidden = bookings.length === 0;
    const items = bookings.map(({ checkoutId, tickets, amount }) =>
      el("li", {}, `${tickets.map((id) => this.#buyer.name(id)).join("; ")}: ${money(amount)} `, el("code", {}, checkoutId)),
    );
    $("booked").replaceChildren(...items);
  }

  /** Time has passed. */
  tick() {
    const { basket } = this.#buyer;
    const ends = basket.ends();
    const isShown = ends !== null && basket.paying === null;
    const seats = basket.ids("held");
    $("peek").hidden = seats.length === 0;
    $("left").hidden = !isShown;
    $("left-bar").hidden = !isShown;
    if (!isShown) {
      this.#longest = 1;
      this.#warned = null;
      return;
    }
    const left = Math.max(0, ends - this.#api.now());
    this.#longest = Math.max(this.#longest, left);
    $("countdown").textContent = clock(left);
    $("peek").textContent = `${count(seats.length, "seat")}, ${$("sum").textContent}, held for ${clock(left)}: pay`;
    $("left-bar").value = left / this.#longest;
    $("left").classList.toggle("soon", left < 60_000);
    this.#warn(left);
  }

  /** Says so when time runs out: a minute before, and ten seconds. */
  #warn(left) {
    const warning = [10_000, 60_000].find((at) => left <= at) ?? null;
    if (warning === this.#warned) return;
    const isSooner = warning !== null && (this.#warned === null || warning < this.#warned);
    this.#warned = warning;
    if (isSooner && left > 0) announce(`Your seats are held for ${spoken(left)} more.`);
  }
}

function card(id, name, what, isFirst) {
  const input = el("input", { type: "radio", name: "card", value: id, checked: isFirst });
  return el("label", { class: "pick" }, input, el("span", {}, el("strong", {}, name), ` ${what}`));
}
