// Plays pages in headless Chromium: chromium.mjs PLAN (see watch.mjs).
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { plan, sample, watch } from "./watch.mjs";

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];
const profile = mkdtempSync(join(tmpdir(), "lab-chromium-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  args: [...flags, ...(plan().flags ?? [])],
  viewport: { width: 480, height: 360 },
});
try {
  const open = async (url) => {
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.error(`${url}: ${error}`));
    page.on("console", (message) => console.error(`${url}: ${message.type()}: ${message.text()}`));
    await page.addInitScript(sample);
    await page.goto(url, { waitUntil: "commit" });
    return page;
  };
  await watch(open, plan());
} finally {
  await browser.close();
}
process.exit(0);
