// A real browser for the scenarios: its pages, what they may not do, and how a scenario finds its way on them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** How long something may take to appear, in ms, on a machine that is busy with other things. */
export const WITHIN = 120_000;

export const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What the browser itself writes to the console where an answer is a refusal, or there is none. */
const REFUSED = /^Failed to load resource: the server responded with a status of (\d+)/;
const AWAY = /^(Failed to load resource: net::ERR_|WebSocket connection to '[^']*' failed)/;

/** A browser, and what its pages are not to do. */
export class Browser {
  #browser;
  #pages = [];
  #secrets = new Set();
  #wrong = [];

  static async start() {
    const made = new Browser();
    made.#browser = await chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: FLAGS });
    return made;
  }

  /** From now on this may stand in no address. */
  keepsSecret(secret) {
    this.#secrets.add(secret);
  }

  /**
   * Opens a page in a browser window of its own, with storage of its own.
   * `refusals` are the statuses that the scenario brings about, `isAway` is whether the server goes meanwhile: what the
   * browser says of these in its console is expected, and nothing else.
   */
  async open(url, { refusals = [], isAway = false, ...how } = {}) {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 900 }, ...how });
    context.setDefaultTimeout(WITHIN);
    const page = await context.newPage();
    this.#pages.push(page);
    page.on("pageerror", (error) => this.#wrong.push(`an error of the page: ${error.stack}`));
    page.on("dialog", (dialog) => this.#wrong.push(`a dialog: ${dialog.message()}`));
    page.on("request", (request) => this.#look(request.url()));
    page.on("websocket", (socket) => this.#look(socket.url()));
    page.on("console", (message) => {
      const text = message.text();
      const status = Number(REFUSED.exec(text)?.[1]);
      const isExpected = refusals.includes(status) || (isAway && AWAY.test(text)) || (isAway && status === 503);
      if (message.type() === "error" && !isExpected) this.#wrong.push(`the console: ${text} (${message.location().url})`);
    });
    await page.goto(url);
    return page;
  }

  #look(url) {
    for (const secret of this.#secrets) if (url.includes(secret)) this.#wrong.push(`a secret in an address: ${url}`);
  }

  /** Every hold that a page knows of is a secret. */
  async learnHolds() {
    for (const page of this.#pages) {
      const kept = await page.evaluate(() => Object.values(sessionStorage)).catch(() => []);
      for (const { hold } of kept.map((text) => JSON.parse(text))) if (hold) this.keepsSecret(hold);
    }
  }

  async stop() {
    await this.#browser.close();
    assert.deepEqual(this.#wrong, [], "what no page may do");
  }
}

/** A seat, by its row and number. */
export const seat = (page, row, number) => page.getByRole("button", { name: new RegExp(`^Row ${row} seat ${number},`) });

/** Waits until a seat's name says that it stands so. */
export async function stands(page, row, number, words) {
  await page.getByRole("button", { name: new RegExp(`^Row ${row} seat ${number},.*, ${words}$`) }).waitFor({ state: "attached" });
}

/** Clicks seats of a row, and waits until they are held. */
export async function hold(page, row, ...numbers) {
  for (const number of numbers) {
    await stands(page, row, number, "available");
    await seat(page, row, number).click();
    await stands(page, row, number, "held by you");
  }
}

/** Waits until an element has this in it. */
export async function says(page, selector, text) {
  await page.locator(selector).filter({ hasText: text, visible: true }).first().waitFor();
}

/** Pays with a card. */
export async function pay(page, card) {
  await page.locator(`#till input[value="${card}"]`).check();
  await page.locator("#pay:enabled").click();
}

export async function isLive(page) {
  await says(page, "#connection-words", /^Live/);
}

/** Calls the API past the page. */
export async function call(base, path, body, token) {
  const headers = { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const method = body === undefined ? "GET" : "POST";
  const response = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

/** The checkouts that the mock gateway has taken money for: how much, by whether it is captured. */
export async function captured(base, token) {
  const { body } = await call(base, "/api/mock-payment/ledger", undefined, token);
  return body.entries.filter((entry) => entry.captured && !entry.voided).map(({ amount }) => amount.minor);
}

/** Asks until it is so. */
export async function eventually(what, ask) {
  const until = Date.now() + WITHIN;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > until) assert.fail(`in ${WITHIN} ms it was never so: ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the test that has started this for something, and waits until it is done. */
export async function asks(what) {
  process.stdout.write(`ask ${what}\n`);
  const { value } = await lines.next();
  assert.equal(value, "done");
}

let axe = null;

/** Looks over a view with axe: everything it knows of WCAG 2.2 A and AA, and its best practices. */
export async function isAccessible(page, view) {
  axe ??= await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  // Evaluated as the inspector does, so that the page's policy against scripts of others stays as it is.
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() =>
    globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      resultTypes: ["violations", "passes"],
    }),
  );
  assert.ok(passes.length > 15, `axe has looked at ${view}: ${passes.length} of its rules apply and hold`);
  const told = violations.map(({ id, help, nodes }) => ({ id, help, where: nodes.slice(0, 3).map(({ html, failureSummary }) => [html, failureSummary]) }));
  assert.deepEqual(told, [], `axe on ${view}`);
}
