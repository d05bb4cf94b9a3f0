// What people do on the page, and what has to come of it: one function each, told where the server is and what it was
// started with. `node scenarios.mjs NAME BASE` plays one.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { asks, Browser, call, captured, eventually, hold, isAccessible, isLive, pay, says, seat, stands, WITHIN } from "./browser.mjs";

/** How long a crowd may take to buy a whole house, in ms. */
const SOLD_OUT_WITHIN = 600_000;

const scenarios = {
  async two_browsers_race_for_a_seat(browser, base) {
    const pages = [];
    for (let n = 0; n < 2; n += 1) pages.push(await browser.open(base, { refusals: [409] }));
    await Promise.all(pages.map(isLive));
    for (const number of [1, 2, 3, 4, 5]) {
      await Promise.all(pages.map((page) => seat(page, "C", number).click()));
      const names = await eventually(`seat ${number} is held for one of them`, async () => {
        const names = await Promise.all(pages.map((page) => seat(page, "C", number).getAttribute("aria-label")));
        const [mine, others] = ["held by you", "held by somebody"].map((words) => names.filter((name) => name.endsWith(words)));
        return mine.length === 1 && others.length === 1 && names;
      });
      const loser = pages[names.findIndex((name) => name.endsWith("somebody"))];
      await says(loser, "#notice", /Somebody else was faster|is held by somebody else/);
      const { body } = await call(base, `/Ticket/demo:C-${number}/get`);
      assert.equal(body.status, "RESERVED");
    }
    const held = await Promise.all(pages.map((page) => page.locator("#basket li").count()));
    assert.equal(held[0] + held[1], 5, "each of the seats is in one basket");
  },

  async a_hold_lapses(browser, base) {
    const [page, other] = [await browser.open(base), await browser.open(base)];
    await hold(page, "D", 7, 8);
    await says(page, "#sum", "$190.00");
    await stands(other, "D", 7, "held by somebody");
    await says(page, "#countdown", /^0:0[1-3]$/);
    await says(page, "#outcome", "Time is over");
    await says(page, "#outcome", /Row D seat [78].*has lapsed/);
    await stands(other, "D", 7, "available");
    await stands(page, "D", 8, "available");
    assert.equal(await page.locator("#basket li").count(), 0);
    assert.deepEqual(await captured(base), []);
    // It can be had again: under another hold.
    await hold(page, "D", 7);
  },

  async each_test_card_does_what_it_says(browser, base) {
    const page = await browser.open(base, { refusals: [402, 503] });
    const pays = ["card_success", "card_flaky", "card_lost"];
    for (const [n, card] of pays.entries()) {
      await hold(page, "E", n + 1);
      await pay(page, card);
      await says(page, "#outcome.confirmed", `Row E seat ${n + 1}`);
      await stands(page, "E", n + 1, "booked by you");
    }
    assert.deepEqual(await captured(base), [9500, 9500, 9500], "each paid once");
    const fails = [["card_decline", "Card declined"], ["card_error", "No answer from the bank"], ["card_capture_decline", "Card declined"]];
    await hold(page, "E", 9);
    for (const [card, words] of fails) {
      await pay(page, card);
      await says(page, "#outcome.failed h3", words);
      await says(page, "#outcome", "still held for you");
      await stands(page, "E", 9, "held by you");
    }
    assert.equal((await captured(base)).length, 3, "nothing was taken for what failed");
  },

  async a_declined_buyer_pays_with_a_second_card(browser, base) {
    const [page, other] = [await browser.open(base, { refusals: [402] }), await browser.open(base)];
    await hold(page, "F", 11, 12);
    await pay(page, "card_decline");
    await says(page, "#outcome", "Insufficient funds");
    await says(page, "#outcome", "try another card");
    await stands(other, "F", 11, "held by somebody");
    await pay(page, "card_success");
    await says(page, "#outcome", "2 seats for $190.00");
    await stands(other, "F", 12, "sold");
    await stands(page, "F", 12, "booked by you");
    assert.deepEqual(await captured(base), [19000]);
  },

  async a_reload_keeps_the_holds(browser, base) {
    const page = await browser.open(base);
    await hold(page, "G", 1, 2);
    await browser.learnHolds();
    await page.reload();
    await stands(page, "G", 1, "held by you");
    await stands(page, "G", 2, "held by you");
    await says(page, "#sum", "$190.00");
    // One more goes under the same hold, and all are paid for at once; the page is reloaded while they are.
    await hold(page, "G", 3);
    await pay(page, "card_success");
    await says(page, "#pay", "Paying");
    await page.reload();
    await says(page, "#outcome.confirmed", "3 seats for $285.00");
    assert.deepEqual(await captured(base), [28500], "it was paid once");
    await page.reload();
    await stands(page, "G", 3, "booked by you");
  },

  async a_tab_that_was_copied_pays_nothing_twice(browser, base) {
    const [page, copy] = [await browser.open(base, { refusals: [409, 410] }), await browser.open(base, { refusals: [409, 410] })];
    await hold(page, "M", 1, 2);
    const kept = await page.evaluate(() => ({ ...sessionStorage }));
    await copy.evaluate((kept) => Object.entries(kept).forEach(([name, value]) => sessionStorage.setItem(name, value)), kept);
    await copy.reload();
    await stands(copy, "M", 2, "held by you");
    await Promise.all([pay(page, "card_success"), pay(copy, "card_success")]);
    const paid = await eventually("one of them has booked", async () => {
      for (const tab of [page, copy]) if (await tab.locator("#outcome.confirmed").isVisible()) return tab;
    });
    const other = paid === page ? copy : page;
    await says(other, "#notice", "booked, in another tab");
    for (const tab of [page, copy]) assert.equal(await tab.locator("#basket li").count(), 0);
    assert.deepEqual(await captured(base), [13000]);
    // A tab that is not paying also says that its seat is booked, not that its time is over.
    await hold(page, "N", 1);
    const later = await page.evaluate(() => ({ ...sessionStorage }));
    await copy.evaluate((kept) => Object.entries(kept).forEach(([name, value]) => sessionStorage.setItem(name, value)), later);
    await copy.reload();
    await stands(copy, "N", 1, "held by you");
    await pay(page, "card_success");
    await says(copy, "#notice", "Row N seat 1, Circle: booked, in another tab");
    await stands(copy, "N", 1, "sold");
  },

  async a_seat_is_given_back_and_kept(browser, base) {
    const [page, other] = [await browser.open(base), await browser.open(base)];
    await hold(page, "H", 1, 2);
    await seat(page, "H", 1).click();
    await stands(page, "H", 1, "being given back");
    await seat(page, "H", 1).click();
    await stands(page, "H", 1, "held by you");
    await page.getByRole("button", { name: "Give back Row H seat 2" }).press("Enter");
    await stands(other, "H", 2, "available");
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    await eventually("the focus is on the seat that is left", async () => /^Give back Row H seat 1/.test(await focused()));
    await stands(other, "H", 1, "held by somebody");
    assert.equal(await page.locator("#basket li").count(), 1);
    await hold(other, "H", 2);
  },

  async ten_seats_are_the_most(browser, base) {
    const page = await browser.open(base);
    await hold(page, "J", ...Array.from({ length: 10 }, (_, n) => n + 1));
    await seat(page, "J", 11).click();
    await says(page, "#notice", "10 seats are the most");
    await pay(page, "card_success");
    await says(page, "#outcome.confirmed", "10 seats for $950.00");
    await hold(page, "J", 11);
  },

  async the_server_is_killed_mid_sale(browser, base) {
    const [page, other] = [await browser.open(base, { isAway: true }), await browser.open(base, { isAway: true })];
    await hold(page, "K", 1, 2);
    await isLive(other);
    await asks("kill");
    await says(page, "#connection-words", "Connection lost");
    await page.locator("#try-now").waitFor();
    // A buyer clicks while the server is down: the page asks for the seat when the server is back.
    await seat(page, "K", 3).click();
    await says(page, "#notice", "asking again");
    await asks("start");
    await stands(page, "K", 3, "held by you");
    await stands(page, "K", 1, "held by you");
    await isLive(page);
    await stands(other, "K", 3, "held by somebody");
    // And once more, with a payment under way.
    await pay(page, "card_success");
    await says(page, "#pay", "Paying");
    await asks("kill");
    await says(page, "#notice", "nothing is paid twice");
    await asks("start");
    await says(page, "#outcome.confirmed", "3 seats for");
    await stands(other, "K", 2, "sold");
    await isLive(other);
    assert.equal((await captured(base)).length, 1, "it was paid once");
  },

  async a_server_that_forgets_says_so(browser, base) {
    const page = await browser.open(base, { isAway: true });
    await hold(page, "L", 1);
    await asks("kill");
    await asks("start");
    await isLive(page);
    await says(page, "#outcome", "Time is over");
    await stands(page, "L", 1, "available");
    await hold(page, "L", 1);
  },

  async an_operator_resets_blocks_and_publishes(browser, base, { admin }) {
    browser.keepsSecret(admin);
    const [page, buyer] = [await browser.open(`${base}/#operate`, { refusals: [400, 401, 409] }), await browser.open(base)];
    await hold(buyer, "A", 1);
    await pay(buyer, "card_success");
    await stands(buyer, "A", 1, "booked by you");
    await page.locator("#admin-token").fill("not-the-token-at-all");
    await page.locator("#admin-door button").click();
    await says(page, "#admin-words", "not the token");
    await page.locator("#admin-token").fill(admin);
    await page.locator("#admin-door button").click();
    await page.locator("#admin-room").waitFor();
    // Off sale: the sold one stays sold.
    for (const number of [1, 2, 3]) await seat(page, "A", number).click();
    await page.locator("#block").click();
    await says(page, "#admin-words", /2 seats taken off sale.*1 seat not: Ticket already sold/);
    await stands(buyer, "A", 2, "not for sale");
    await stands(buyer, "A", 3, "not for sale");
    await says(page, "#changes", "Row A seat 3");
    await seat(page, "A", 2).click();
    await page.locator("#unblock").click();
    await stands(buyer, "A", 2, "available");
    await stands(buyer, "A", 3, "not for sale");
    // A reset is asked for twice.
    await page.locator("#reset").click();
    await page.locator("#reset-really").click();
    await stands(buyer, "A", 1, "available");
    await says(buyer, "#notice", "put booked seats back on sale");
    // Another layout, in front of everybody's eyes; one that is wrong first.
    await page.locator("#layout summary").click();
    await page.locator("#layout-text").fill('{"rows":[{"name":"A","seats":[{"ticketId":"other:1","price":{"minor":1,"currency":"USD"},"x":0,"y":0}]}]}');
    await page.locator("#publish").click();
    await says(page, "#admin-words", "rows[0].seats[0].ticketId");
    await page.locator("#grid-rows").fill("3");
    await page.locator("#grid-seats").fill("5");
    await page.locator("#grid-currency").fill("eur");
    await page.locator("#grid").click();
    await page.locator("#publish").click();
    await says(page, "#admin-words", "with 15 tickets");
    await page.getByRole("button", { name: "Row C seat 5, €45.00, available" }).waitFor();
    await buyer.getByRole("button", { name: "Row C seat 5, €45.00, available" }).waitFor();
  },

  async an_operator_keeps_the_books(browser, base, { admin, isAway = false }) {
    browser.keepsSecret(admin);
    const page = await browser.open(`${base}/?map=demo#operate`, { refusals: [400, 401, 404, 409], isAway });
    const inside = (name) => page.locator(`#${name}-list li`);
    await page.locator("#admin-token").fill(admin);
    await page.locator("#admin-door button").click();
    await page.locator("#admin-room").waitFor();
    // A booking, by its buyer.
    await page.locator("#sales summary").click();
    await says(page, "#sales-list", /=ann: demo:A-1, \$95\.00.*booked.*given up/s);
    await page.locator("#sales-buyer").fill("ben");
    await page.locator("#sales-search button[type=submit]").click();
    await says(page, "#sales-words", "There is nothing.");
    await page.locator("#sales-buyer").fill("=ann");
    await page.locator("#sales-search button[type=submit]").click();
    await says(page, "#sales-list", "booked");
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#sales-table").click()]);
    const table = await readFile(await download.path(), "utf8");
    assert.match(table, /^checkoutId,.*\r\n[^\r]*,CONFIRMED,[^\r]*,"'=ann",demo:A-1,9500,USD,[^\r]*\r\n$/, "and no spreadsheet takes it for a formula");
    assert.equal(download.suggestedFilename(), "bookings.csv");
    // The message that nobody got is sent again.
    await page.locator("#inbox summary").click();
    await says(page, "#inbox-list", "=ann: demo:A-1");
    await page.locator("#inbox-list button").click();
    await says(page, "#inbox-words", "It is tried again.");
    assert.equal(await inside("inbox").count(), 0);
    await asks("told");
    await eventually("the booking says that its message was sent", async () => {
      await page.locator("#sales-search button[type=submit]").click();
      return (await page.locator("#sales-list").textContent()).includes("sent") || null;
    });
    // The buyer wants to be forgotten.
    await page.locator("#forget summary").click();
    await page.locator("#forget-buyer").fill("=ann");
    await page.locator("#forget-reason").fill("Asked by letter");
    await page.locator("#forget-form button").click();
    await says(page, "#forget-words", "Forgotten in 1 booking and on 1 seat.");
    await page.locator("#sales-buyer").fill("");
    await eventually("the booking says so", async () => {
      await page.locator("#sales-search button[type=submit]").click();
      return (await page.locator("#sales-list").textContent()).includes("(erased)") || null;
    });
    // Who did what: also what was refused.
    await seat(page, "A", 1).click();
    await page.locator("#block").click();
    await says(page, "#admin-words", "Ticket already sold");
    const did = [/box office.*Ticket\/block.*demo:A-1.*taken off sale by an operator.*refused: TicketSold/s, /box office.*operators\/retry.*notification:.*done/s];
    await eventually("who did what is in the audit", async () => {
      await page.locator("#audit").evaluate((audit) => { audit.open = false; });
      await page.locator("#audit summary").click();
      await page.locator("#audit-list li").first().waitFor();
      const told = await page.locator("#audit-list").textContent();
      return did.every((line) => line.test(told)) || null;
    });
    await isAccessible(page, "the books");
    // A token that is revoked opens nothing any more.
    await asks("revoke");
    await page.locator("#sales-search button[type=submit]").click();
    await says(page, "#sales-words", "A valid token is needed");
    assert.equal(await inside("sales").count(), 0);
  },

  async a_guest_buys_once(browser, base, { admin }) {
    browser.keepsSecret(admin);
    const unlock = async (page, token) => {
      await page.locator("#locked-token").fill(token);
      await page.locator("#locked button").click();
      await isLive(page);
    };
    const office = await browser.open(`${base}/?map=m#operate`, { refusals: [400, 401, 429], isAway: true });
    await unlock(office, admin);
    await office.locator("#admin-token").fill(admin);
    await office.locator("#admin-door button").click();
    await office.locator("#admin-room").waitFor();
    await office.locator("#guests summary").click();
    await office.locator("#guests-form button").click();
    await says(office, "#guests-words", "It lasts until");
    await isAccessible(office, "an invitation");
    const invitation = await office.locator("#guests-invitation").inputValue();
    browser.keepsSecret(invitation);
    // The guest's first card is declined.
    const guest = await browser.open(`${base}/?map=m`, { refusals: [401, 402, 409], isAway: true });
    await unlock(guest, invitation);
    await hold(guest, "A", 1);
    await pay(guest, "card_decline");
    await says(guest, "#outcome", "try another card");
    await pay(guest, "card_success");
    await says(guest, "#outcome.confirmed", "Row A seat 1");
    await hold(guest, "A", 2);
    await pay(guest, "card_success");
    await says(guest, "#outcome.failed h3", "Invitation used");
    const kept = await guest.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie, location.href]));
    assert.ok(!kept.includes(invitation), "it is kept nowhere");
    // Five a minute are the most.
    await eventually("it is too many", async () => {
      await office.locator("#guests-form button").click();
      return (await office.locator("#guests-words").textContent()).includes("Five a minute") || null;
    });
    assert.equal(await office.locator("#guests-invitation").inputValue(), "");
  },

  async a_crowd_buys_everything(browser, base) {
    const [page, buyer] = [await browser.open(`${base}/#operate`), await browser.open(base)];
    // A buyer is there before the crowd, and what they hold is theirs.
    await hold(buyer, "A", 12, 13);
    await page.locator("#crowd-size").fill("250");
    await page.locator("#crowd-go").click();
    await says(page, "#crowd-words", "250 buyers at a time");
    await page.locator("#crowd-stop").waitFor();
    assert.ok(await page.locator("#crowd-go").isDisabled(), "one crowd at a time");
    await isAccessible(page, "a sale under way");
    await says(page, "#rates", /Refused: [A-Z]/);
    await pay(buyer, "card_success");
    await says(buyer, "#outcome.confirmed", "2 seats for $190.00");
    await page.locator("#crowd-words").filter({ hasText: "Sold out." }).waitFor({ timeout: SOLD_OUT_WITHIN });
    await says(page, "#chart", "480 of 480 sold, 0 held");
    for (const window of [page, buyer]) {
      assert.equal(await window.locator("#seats .seat.SOLD, #seats .seat.booked").count(), 480);
    }
    await stands(buyer, "A", 12, "booked by you");
    assert.equal(await page.locator("#changes li").count(), 100);
    const paid = await captured(base);
    const { body: plan } = await call(base, "/SeatMap/demo/plan");
    const prices = plan.rows.flatMap(({ seats }) => seats.map(({ price }) => price.minor));
    const sum = (amounts) => amounts.reduce((sum, amount) => sum + amount, 0);
    assert.equal(prices.length, 480);
    assert.equal(sum(paid), sum(prices), "what was paid is what the seats cost");
    const row = (name) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name, exact: true }) });
    await says(page, "#rates", new RegExp(`Bookings${paid.length}`));
    for (const name of ["Holds that lapsed", "Payments asked for again", "Refusals"]) {
      const number = Number((await row(name).locator("td").first().textContent()).replaceAll(",", ""));
      assert.ok(number > 0, `${name}: ${number}`);
    }
    assert.ok(await page.locator("#crowd-go").isDisabled(), "nothing is left to be bought");
  },

  async a_crowd_is_sent_home(browser, base) {
    const page = await browser.open(`${base}/#operate`);
    await page.locator("#crowd-size").fill("20");
    await page.locator("#crowd-go").click();
    await says(page, "#crowd-words", /[1-9]\d* bookings? of/);
    await page.locator("#crowd-stop").click();
    await says(page, "#crowd-words", "They have gone home.");
    await says(page, "#chart", /^[1-9]\d* of 480 sold, 0 held/);
    // And another one may come; not where the page shows another map.
    await page.locator("#crowd-go:enabled").waitFor();
    const elsewhere = await browser.open(`${base}/?map=elsewhere#operate`);
    await isLive(elsewhere);
    assert.ok(await elsewhere.locator("#crowd").isHidden());
  },

  async every_view_is_accessible(browser, base, { admin }) {
    for (const how of [{ colorScheme: "light" }, { colorScheme: "dark" }, { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true }]) {
      const name = `${how.colorScheme}, ${how.viewport?.width ?? 1280} wide`;
      const page = await browser.open(base, { ...how, refusals: [400, 402] });
      await isLive(page);
      await isAccessible(page, `an empty basket, ${name}`);
      // A finger's first tap on seats this small brings them nearer; keys have no such trouble.
      const number = how.colorScheme === "dark" ? 5 : how.viewport ? 9 : 1;
      await seat(page, "B", number).press("Enter");
      await stands(page, "B", number, "held by you");
      await isAccessible(page, `a full basket, ${name}`);
      await pay(page, "card_decline");
      await says(page, "#outcome", "Card declined");
      await isAccessible(page, `a declined card, ${name}`);
      await pay(page, "card_success");
      await says(page, "#outcome", "Booked");
      await isAccessible(page, `a booking, ${name}`);
      await page.locator("#to-operate").click();
      await isAccessible(page, `the operator's door, ${name}`);
      await page.locator("#admin-token").fill(admin);
      await page.locator("#admin-door button").click();
      await page.locator("#admin-room").waitFor();
      await page.locator("#layout summary").click();
      await seat(page, "B", number + 1).press("Enter");
      await isAccessible(page, `the operator's room, ${name}`);
    }
    const nowhere = await browser.open(`${base}/?map=no:such:map`);
    await says(nowhere, "#nothing", "No seats yet");
    await isAccessible(nowhere, "an empty map");
  },

  async what_no_page_may_do_would_be_noticed(_, base) {
    const browser = await Browser.start();
    browser.keepsSecret("a-planted-secret");
    const page = await browser.open(base);
    await isLive(page);
    await page.evaluate(async () => {
      document.getElementById("buy-title").style.color = "#ddd";
      document.getElementById("pay").setAttribute("role", "no-such-role");
      console.error("planted in the console");
      setTimeout(() => {
        throw new Error("planted and thrown");
      });
      await fetch("settings.json?token=a-planted-secret");
    });
    await hold(page, "A", 1);
    const tells = (...words) => ({ message }) => words.every((word) => message.includes(word));
    await assert.rejects(isAccessible(page, "planted faults"), tells("color-contrast", "aria-roles"));
    await assert.rejects(browser.stop(), tells("planted in the console", "planted and thrown", "a secret in an address"));
  },

  async keys_alone_book_a_seat(browser, base) {
    const page = await browser.open(base);
    await isLive(page);
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id);
    for (let n = 0; n < 12 && !/^Row A seat 1,/.test(await focused()); n += 1) await page.keyboard.press("Tab");
    assert.match(await focused(), /^Row A seat 1, Stalls, \$95\.00, available$/);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    assert.match(await focused(), /^Row B seat 2,/);
    await page.keyboard.press("End");
    assert.match(await focused(), /^Row B seat 24,/);
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    await stands(page, "B", 1, "held by you");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Space");
    await stands(page, "A", 1, "held by you");
    const outline = await seat(page, "A", 1).evaluate((drawn) => getComputedStyle(drawn).strokeWidth);
    assert.equal(outline, "4px", "where the focus is can be seen");
    assert.equal(await page.locator("#seats [tabindex='0']").count(), 1, "the seats are one stop of the tabulator");
    for (let n = 0; n < 20 && (await focused()) !== "pay"; n += 1) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await says(page, "#outcome.confirmed", "2 seats for $190.00");
    await says(page, "#announcer", "Booked: 2 seats for $190.00");
  },

  async a_map_without_a_layout_is_shown_and_grows(browser, base, { admin }) {
    const page = await browser.open(`${base}/?map=open`);
    await says(page, "#nothing", "No seats yet");
    await call(base, "/Ticket/open:2/reserve", { userId: "ann" });
    await call(base, "/Ticket/open:10/reserve", { userId: "ann" });
    await page.getByRole("button", { name: "Seat 10, held by somebody" }).waitFor();
    await call(base, "/Ticket/open:3/block", { reason: "broken" }, admin);
    await page.getByRole("button", { name: "Seat 3, not for sale" }).waitFor();
    await fetch(`${base}/Ticket/open:3/unblock`, { method: "POST", headers: { authorization: `Bearer ${admin}` } });
    await page.getByRole("button", { name: "Seat 3, available" }).click();
    await says(page, "#sum", "$100.00");
    await pay(page, "card_success");
    await says(page, "#outcome.confirmed", "1 seat for $100.00");
  },

  async odd_layouts_are_drawn_with_every_seat_in_reach(browser, base, { admin }) {
    const seats = (map, price, places) => places.map(([x, y], n) => ({ ticketId: `${map}:${n + 1}`, price, x, y }));
    const yen = { minor: 4500, currency: "JPY" };
    const far = 2 ** 32 - 1;
    const layouts = {
      "one-seat": { price: yen, places: [[far, 7]], name: "¥4,500" },
      "one-spot": { price: yen, places: [[5, 5], [5, 5], [5, 5]], name: "¥4,500" },
      "far-away": { price: { minor: 1, currency: "XXX" }, places: [[0, 0], [1, 0], [far, far]], name: "0.01" },
      "long-name": { price: { minor: 2 ** 40, currency: "KWD" }, places: [[0, 0], [9, 0]], row: "Seats that nobody has given a short name", name: "1,099,511,627.776" },
    };
    for (const [map, { price, places, row = "A", name }] of Object.entries(layouts)) {
      const published = await call(base, `/SeatMap/${map}/layout`, { rows: [{ name: row, seats: seats(map, price, places) }, { name: "B", seats: [] }] }, admin);
      assert.equal(published.status, 200, JSON.stringify(published.body));
      const page = await browser.open(`${base}/?map=${map}`);
      for (let n = 1; n <= places.length; n += 1) {
        const drawn = seat(page, row, n);
        assert.ok((await drawn.getAttribute("aria-label")).includes(name), await drawn.getAttribute("aria-label"));
        // A click has to reach the seat itself: it would fail where another lies upon it.
        await drawn.click();
        await stands(page, row, n, "held by you");
      }
    }
  },

  async text_of_the_server_is_text(browser, base, { admin }) {
    const name = `<img src=x onerror="document.title='taken'"> <b>X</b>`;
    const seats = [{ ticketId: "odd:<1>".replace(/[<>]/g, ""), price: { minor: 100, currency: "USD" }, x: 0, y: 0 }];
    const published = await call(base, "/SeatMap/odd/layout", { rows: [{ name, seats }] }, admin);
    assert.equal(published.status, 200);
    const page = await browser.open(`${base}/?map=odd`);
    await page.getByRole("button", { name: /<img src=x.*seat 1/ }).click();
    await says(page, "#basket", "<img src=x");
    assert.equal(await page.locator("#seats img, #basket img, #basket b").count(), 0);
    assert.equal(await page.title(), "Seats of odd");
    const odd = await browser.open(`${base}/?map=${encodeURIComponent("<script>alert(1)</script>")}`, { refusals: [400], isAway: true });
    await says(odd, "#title", "<script>alert(1)</script>");
    await says(odd, "#connection-words", "mapKey");
  },

  /** On a host that has no demo, and perhaps no `watch`: the page is at `base`, the host at `api`, its payments at `gateway`. */
  async a_sale_on_another_host(browser, base, { admin, api, gateway, live }) {
    const price = { minor: 4500, currency: "USD" };
    const row = (name, y) => ({ name, seats: [1, 2, 3, 4].map((n) => ({ ticketId: `hall:${name}-${n}`, price, x: 10 * n, y })) });
    const published = await call(api, "/SeatMap/hall/layout", { rows: [row("A", 0), row("B", 10)] }, admin);
    assert.equal(published.status, 200, JSON.stringify(published.body));
    // A host that tells no numbers refuses `/metrics`, and one without `watch` takes no WebSocket.
    const how = { refusals: [400, 402, 404, 409], isAway: true };
    const [page, other] = [await browser.open(`${base}/?map=hall`, how), await browser.open(`${base}/?map=hall`, how)];
    for (const window of [page, other]) await says(window, "#connection-words", new RegExp(`^${live}$`));
    await Promise.all([page, other].map((window) => seat(window, "A", 1).click()));
    const owners = await eventually("one of them holds the seat", async () => {
      const names = await Promise.all([page, other].map((window) => seat(window, "A", 1).getAttribute("aria-label")));
      return names.some((name) => name.endsWith("held by you")) && names.some((name) => name.endsWith("held by somebody")) && names;
    });
    const [buyer, watcher] = owners[0].endsWith("by you") ? [page, other] : [other, page];
    await hold(buyer, "A", 2);
    await says(buyer, "#sum", "$90.00");
    await stands(watcher, "A", 2, "held by somebody");
    await pay(buyer, "card_decline");
    await says(buyer, "#outcome.failed h3", "Card declined");
    await says(buyer, "#outcome", "Insufficient funds. No money was taken. The seats are still held for you");
    await browser.learnHolds();
    await buyer.reload();
    await stands(buyer, "A", 1, "held by you");
    await pay(buyer, "card_success");
    await says(buyer, "#outcome.confirmed", "2 seats for $90.00");
    await stands(watcher, "A", 1, "sold");
    await stands(watcher, "A", 2, "sold");
    await stands(buyer, "A", 2, "booked by you");
    await hold(watcher, "B", 4);
    await watcher.getByRole("button", { name: "Give back Row B seat 4" }).click();
    await stands(buyer, "B", 4, "available");
    assert.deepEqual(await captured(gateway, admin), [9000], "it was paid once");
    await watcher.locator("#to-operate").click();
    await says(watcher, "#chart", "2 of 8 sold, 0 held");
    // The in-process server tells numbers of its own, where no token is needed for them.
    if ((await fetch(`${api}/metrics`)).status !== 200) {
      await says(watcher, "#rates", /Seats sold2/);
      await says(watcher, "#rates-note", "As this page has seen it");
    } else await says(watcher, "#rates", /Bookings1/);
    assert.ok(await watcher.locator("#crowd").isHidden(), "only a demo has one");
    await isAccessible(watcher, "the sale of another host");
  },

  async an_operator_sees_that_the_gateway_refuses_the_host(browser, base) {
    const page = await browser.open(base, { refusals: [503] });
    await hold(page, "E", 1);
    await pay(page, "card_success");
    await says(page, "#outcome.failed h3", "No answer from the bank");
    await says(page, "#outcome", "if some is set aside on the card, it is being let go");
    await page.locator("#to-operate").click();
    await says(page, "#alarms", "The payment gateway answers 40");
    await says(page, "#rates", /Odd answers of the gateway/);
    await isAccessible(page, "an alarm");
  },

  async a_token_opens_the_page_and_stands_in_no_address(browser, base, { token }) {
    browser.keepsSecret(token);
    const page = await browser.open(`${base}/?map=m`, { refusals: [401], isAway: true });
    await page.locator("#locked").waitFor();
    await isAccessible(page, "the door");
    await page.locator("#locked-token").fill("wrong-wrong-wrong-wrong");
    await page.locator("#locked button").click();
    await says(page, "#connection-words", "A token is needed");
    await page.locator("#locked").waitFor();
    await page.locator("#locked-token").fill(token);
    await page.locator("#locked button").click();
    await isLive(page);
    await call(base, "/Ticket/m:1/reserve", { userId: "ann" }, token);
    await page.getByRole("button", { name: "Seat 1, held by somebody" }).waitFor();
    const kept = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]));
    assert.ok(!kept.includes(token), "it is kept nowhere");
  },

  async a_page_without_a_map_asks_which(browser, base) {
    const page = await browser.open(base);
    await page.locator("#which").waitFor();
    await isAccessible(page, "the question which map");
    await page.locator("#which-map").fill("house:A");
    await page.locator("#which button").click();
    await says(page, "#title", "Seats of house:A");
    await says(page, "#nothing", "No seats yet");
  },
};

const [, , name, base, told = "{}"] = process.argv;
const play = scenarios[name];
assert.ok(play, `there is no scenario ${name}`);
const browser = await Browser.start();
let isDone = false;
try {
  await play(browser, base, JSON.parse(told));
  isDone = true;
} finally {
  await browser.stop().catch((wrong) => {
    console.error(wrong.message);
    process.exitCode = 1;
  });
  if (!isDone) console.error(`${name} (each wait is ${WITHIN} ms):`);
}
process.exit();
