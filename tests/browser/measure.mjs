// How soon a page has painted its seats, and how many frames a second it draws while they change: one round, told as a
// line of JSON. For the benchmark `page`. `node measure.mjs BASE MAP SEATS SECONDS`

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { chromium } from "playwright-core";
import { call, FLAGS, isLive } from "./browser.mjs";

const [, , base, map, wanted, lasts] = process.argv;
const [SEATS, SECONDS] = [Number(wanted), Number(lasts)];

/** How many times slower a phone's processor is than this machine's, give or take. */
const SLOWER = 4;

/** In the page, before anything of its own: notes when all seats are painted, in ms since the page was asked for. */
function notesWhenPainted(seats) {
  const observer = new MutationObserver(() => {
    if (document.querySelectorAll("#seats .seat").length < seats) return;
    observer.disconnect();
    // The next frame draws them; what is posted in it comes after that.
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => (globalThis.painted = performance.now());
      port2.postMessage(null);
    });
  });
  observer.observe(document, { childList: true, subtree: true });
}

/** In the page: counts frames and seats that are drawn anew, for this time. */
async function counts(millis) {
  let shown = 0;
  const observer = new MutationObserver((records) => (shown += records.length));
  observer.observe(document.getElementById("seats"), { subtree: true, attributeFilter: ["class"] });
  const frames = [];
  const start = performance.now();
  await new Promise((done) => {
    const frame = (now) => {
      frames.push(now);
      if (performance.now() - start < millis) requestAnimationFrame(frame);
      else done();
    };
    requestAnimationFrame(frame);
  });
  observer.disconnect();
  const gaps = frames.slice(1).map((at, before) => at - frames[before]);
  const seconds = (frames.at(-1) - frames[0]) / 1000;
  return { frames: gaps.length / seconds, longest: Math.max(...gaps), shown: shown / seconds };
}

/** Who holds which seat, by its number, and whose turn it is. */
const held = new Map();
let next = 0;

/** Holds the next seat, or lets it go where it is held. */
async function change() {
  const seat = next % SEATS;
  next += 1;
  const holdId = held.get(seat) ?? randomUUID();
  const [handler, body] = held.has(seat) ? ["release", { holdId }] : ["reserve", { userId: "measured", holdId }];
  const { status } = await call(base, `/Ticket/${map}:${seat}/${handler}`, body);
  assert.equal(status, 200);
  if (!held.delete(seat)) held.set(seat, holdId);
}

/** Makes this number of changes a second until it is stopped; says how many it could. */
function changes(perSecond) {
  const start = Date.now();
  let [begun, made, isOver] = [0, 0, false];
  const one = async () => {
    while (!isOver) {
      const due = start + (1000 * begun) / perSecond;
      begun += 1;
      await new Promise((wake) => setTimeout(wake, due - Date.now()));
      if (isOver) return;
      await change();
      made += 1;
    }
  };
  const all = Array.from({ length: Math.ceil(perSecond / 50) }, one);
  return async () => {
    const seconds = (Date.now() - start) / 1000;
    isOver = true;
    await Promise.all(all);
    return made / seconds;
  };
}

async function opened(browser, slower) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  if (slower > 1) await (await page.context().newCDPSession(page)).send("Emulation.setCPUThrottlingRate", { rate: slower });
  await page.addInitScript(notesWhenPainted, SEATS);
  await page.goto(`${base}/?map=${map}`);
  await page.waitForFunction(() => globalThis.painted);
  await isLive(page);
  return { page, painted: await page.evaluate(() => globalThis.painted) };
}

/** In the page: nearer and farther, and along, without an end. */
function movesAbout() {
  const stage = document.getElementById("stage");
  let step = 0;
  setInterval(() => document.getElementById((step += 1) % 2 === 1 ? "zoom-in" : "zoom-out").click(), 500);
  const along = () => {
    stage.scrollBy(step % 4 < 2 ? 4 : -4, 2);
    requestAnimationFrame(along);
  };
  along();
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: FLAGS });
const { page, painted } = await opened(browser, 1);
const told = { painted, frames: [] };
const measure = async (page, what, perSecond) => {
  const stop = changes(perSecond);
  const counted = await page.evaluate(counts, 1000 * SECONDS);
  told.frames.push({ what, made: await stop(), ...counted });
};
await measure(page, "nothing changes", 0);
await measure(page, "100 changes a second", 100);
await measure(page, "1,000 changes a second", 1000);
await page.locator("#zoom-in").click();
await page.evaluate(movesAbout);
await measure(page, "100 a second, zoomed in and out, moved about", 100);
await page.context().close();
const slow = await opened(browser, SLOWER);
told.paintedSlowly = slow.painted;
await measure(slow.page, "100 a second, a processor four times slower", 100);
await browser.close();
console.log(JSON.stringify(told));
process.exit();
