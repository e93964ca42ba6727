// An owner's browser on the set-up page: it counts clicks, keeps a picture of every step and lets axe-core judge it.
//
// What the owner would complain about is gathered and told at the end, so that one walk tells all of it. Parts of the page
// are found by their `data-test` attributes alone, never by words, because the walks are made in every language.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
];

/** What a window of each size is like. */
const sizes = {
  phone: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 1 },
  desktop: { viewport: { width: 1280, height: 800 } },
};

export const plan = () => JSON.parse(process.argv[2]);
export const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
/** The next line that the scenario says, as JSON. */
export const told = async () => {
  const { value, done } = await lines.next();
  if (done) throw new Error("the scenario is gone");
  return JSON.parse(value);
};

/** A selector of a part of the page by its name. */
export const part = (name) => `[data-test="${name}"]`;

/** Words in groups as words with dotted keys. */
function flat(words, prefix = "") {
  return Object.fromEntries(
    Object.entries(words).flatMap(([key, value]) =>
      typeof value === "string" ? [[prefix + key, value]] : Object.entries(flat(value, `${prefix}${key}.`)),
    ),
  );
}

export class Owner {
  clicks = 0;
  complaints = [];
  steps = [];
  /** Milliseconds spent on judging, which no owner does. */
  judging = 0;
  /** Bytes over the wire by path, as loaded first. */
  loaded = new Map();

  /** Opens a browser without a page. `url`: the box or the cloud; `words`: the folder of the page's words, a file for each
   * language; `assets`: where the page's own files are; `more`: more flags of the browser's. */
  static async open({ url, size, language, folder, words, schemes, assets = "/setup/", more = [] }) {
    const owner = new Owner();
    Object.assign(owner, { url: new URL(url), size, language, folder, assets, schemes: schemes ?? ["light", "dark"] });
    const read = (name) => [name, flat(JSON.parse(readFileSync(join(words, `${name}.json`), "utf8")))];
    owner.words = Object.fromEntries(["kk", "ru", "en"].map(read));
    mkdirSync(folder, { recursive: true });
    const profile = mkdtempSync(join(tmpdir(), "lab-owner-"));
    owner.profile = profile;
    owner.browser = await chromium.launchPersistentContext(profile, {
      executablePath: "/usr/bin/chromium",
      headless: true,
      args: [...flags, ...more],
      locale: language,
      colorScheme: "light",
      acceptDownloads: true,
      ...sizes[size],
    });
    owner.page = owner.browser.pages()[0] ?? (await owner.browser.newPage());
    owner.page.setDefaultTimeout(20_000);
    owner.watch();
    return owner;
  }

  complain(text) {
    console.error(`COMPLAINT: ${text}`);
    this.complaints.push(text);
  }

  watch() {
    const { page } = this;
    page.on("pageerror", (error) => this.complain(`an error on the page: ${error}`));
    page.on("console", (message) => {
      const text = message.text();
      console.error(`${message.type()}: ${text}`);
      if (/content security policy/i.test(text)) this.complain(`the page breaks its own rules: ${text}`);
    });
    page.on("request", (request) => {
      const to = new URL(request.url());
      if (/^https?:$/.test(to.protocol) && to.host !== this.url.host) {
        this.complain(`the page asks ${to.host}, which is not its own server`);
      }
    });
    page.on("requestfinished", async (request) => {
      const { pathname } = new URL(request.url());
      const sizes = await request.sizes().catch(() => null);
      if (sizes && !this.loaded.has(pathname)) {
        this.loaded.set(pathname, sizes.responseBodySize + sizes.responseHeadersSize);
      }
    });
  }

  /** Opens the page as soon as the box answers. */
  async goto(path) {
    const end = Date.now() + 20_000;
    for (;;) {
      try {
        await this.page.goto(new URL(path, this.url).href, { waitUntil: "load" });
        return;
      } catch (error) {
        if (Date.now() > end) throw error;
        await sleep(100);
      }
    }
  }

  at(name) {
    return this.page.locator(part(name));
  }

  /** A click, or a tap on a phone: the only way in which this owner presses anything. */
  async press(name, options = {}) {
    const target = typeof name === "string" ? this.at(name).first() : name;
    if (this.size === "phone") await target.tap(options);
    else await target.click(options);
    this.clicks += 1;
    console.error(`click ${this.clicks}: ${name}`);
  }

  async type(name, text) {
    const target = typeof name === "string" ? this.at(name).first() : name;
    await target.fill(text);
  }

  /** The end of a step: a picture of it in each colour scheme, what axe-core says of it, and its words. */
  async step(name) {
    const start = Date.now();
    const number = String(this.steps.length + 1).padStart(2, "0");
    for (const scheme of this.schemes) {
      await this.page.emulateMedia({ colorScheme: scheme });
      await this.judge(name, scheme);
      const suffix = scheme === "light" ? "" : `-${scheme}`;
      await this.page.screenshot({ path: join(this.folder, `${number}-${name}${suffix}.png`), fullPage: true });
    }
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.read(name);
    this.judging += Date.now() - start;
    this.steps.push(name);
    console.error(`step ${number} ${name}, ${this.clicks} clicks`);
  }

  async judge(name, scheme) {
    // The page's own policy allows no script of strangers; the debugger's world is not bound by it.
    if (!(await this.page.evaluate("typeof axe"))?.includes("object")) await this.page.evaluate(axe);
    const { violations } = await this.page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
    for (const { id, impact, help, nodes } of violations) {
      const where = nodes.map((node) => `${node.target.join(" ")} (${node.any.map((a) => a.message).join("; ")})`);
      this.complain(`${name}, ${scheme}: axe-core, ${id} (${impact}): ${help}: ${where.join(", ")}`);
    }
    const wide = await this.page.evaluate("document.documentElement.scrollWidth - innerWidth");
    if (wide > 0) this.complain(`${name}: the page is ${wide} pixels wider than the window`);
  }

  /** Every word that is shown is the chosen language's. */
  async read(name) {
    const language = await this.page.evaluate("document.documentElement.lang");
    if (language !== this.language) this.complain(`${name}: the page says that its language is ${language}`);
    const text = await this.page.evaluate("document.body.innerText");
    const own = this.words[this.language];
    for (const key of Object.keys(own)) {
      if (/[._]/.test(key) && text.split(/[\s"'<>]+/).includes(key)) this.complain(`${name}: the key ${key} is shown`);
    }
    for (const hole of text.match(/\{[a-z]+\}/g) ?? []) this.complain(`${name}: ${hole} is not filled in`);
    if (/\b(undefined|NaN|\[object Object\])\b/.test(text)) this.complain(`${name}: a value is missing: ${text}`);
    if (this.language === "en") return;
    for (const [key, english] of Object.entries(this.words.en)) {
      if (english.length > 9 && english !== own[key] && text.includes(english)) {
        this.complain(`${name}: English is left: ${english}`);
      }
    }
    // A vendor's menu is quoted in its own capitals; a sentence has words in small letters.
    const sentence = text.match(/(?<![\w.>:/-])[a-z]{2,}(?: [a-z]{2,}){3,}/);
    if (sentence) this.complain(`${name}: English is left: ${sentence[0]}`);
  }

  /** Milliseconds from the start of the navigation to the first words on the screen. */
  async firstPaint() {
    const paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
    const end = Date.now() + 3000;
    for (;;) {
      const at = await this.page.evaluate(paint);
      if (at !== null || Date.now() > end) return at;
      await sleep(50);
    }
  }

  /** Bytes over the wire of the page and its parts; the player's, the API's answers and pictures apart. */
  weight() {
    const own = [...this.loaded].filter(([path]) => path.startsWith(this.assets));
    for (const [path, bytes] of own) console.error(`${path}: ${bytes} bytes`);
    return own.reduce((sum, [, bytes]) => sum + bytes, 0);
  }

  /** The walk cannot go on: what was the last that could be seen. */
  async stuck(error) {
    const at = this.steps.at(-1) ?? "the start";
    const text = await this.page.evaluate("document.body.innerText").catch(() => "");
    await this.page.screenshot({ path: join(this.folder, "stuck.png"), fullPage: true }).catch(() => null);
    this.complain(`stuck after ${at}: ${error.message.split("\n")[0]}; the page says: ${text.replace(/\s+/g, " ")}`);
  }

  async close() {
    await this.browser.close();
    rmSync(this.profile, { recursive: true, force: true });
  }
}
