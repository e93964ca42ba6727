// Plays pages in headless Firefox over WebDriver BiDi: firefox.mjs PLAN (see watch.mjs).
import puppeteer from "puppeteer-core";
import { plan, sample, watch } from "./watch.mjs";

const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: "/usr/bin/firefox-esr",
  headless: true,
  extraPrefsFirefox: {
    "media.autoplay.default": 0,
    "network.proxy.type": 0,
    "network.captive-portal-service.enabled": false,
    "network.connectivity-service.enabled": false,
  },
});
try {
  const open = async (url) => {
    // A window each: Firefox tells a page in a background tab that it is hidden.
    const page = await browser.newPage({ type: "window" });
    page.on("pageerror", (error) => console.error(`${url}: ${error}`));
    page.on("console", (message) => console.error(`${url}: ${message.type()}: ${message.text()}`));
    await page.evaluateOnNewDocument(sample);
    await page.goto(url, { waitUntil: "domcontentloaded" });
    return page;
  };
  await watch(open, plan());
} finally {
  await browser.close();
}
process.exit(0);
