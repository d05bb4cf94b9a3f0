// Takes the pictures of the page that the README shows, on a demo that is being sold: `node picture.mjs BASE FOLDER`.

import { chromium } from "playwright-core";
import { FLAGS, hold, isLive, says } from "./browser.mjs";

const [, , base, folder] = process.argv;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });
const opened = async (path, how) => {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, ...how })).newPage();
  await page.goto(`${base}/${path}`);
  await isLive(page);
  return page;
};
const [buyer, operator] = [await opened("", { colorScheme: "light" }), await opened("#operate", { colorScheme: "dark" })];
await hold(buyer, "C", 11, 12);
await operator.locator("#crowd-size").fill("80");
await operator.locator("#crowd-go").click();
const picture = async (page, sold, name) => {
  await says(operator, "#chart", new RegExp(`^${sold}[0-9]{2} of 480 sold`));
  await page.mouse.move(0, 0);
  await page.screenshot({ path: `${folder}/page-${name}.png` });
};
await picture(buyer, 1, "buyer");
await picture(operator, 3, "operator");
await browser.close();
process.exit();
