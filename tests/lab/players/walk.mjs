// A new owner walks from the box's first page to the public links: walk.mjs PLAN (see lab::owner).
//
// Of the plan: url, password, user, camera_password, other_password, devices, cameras. Events, in this order: `ready`, `code` (answered
// with what the cloud printed when the code was claimed), `link` (answered when the link was seen to play), `done`.
import { Owner, part, plan, say, sleep, told } from "./owner.mjs";

const { password, user, camera_password, other_password, devices, cameras, ...how } = plan();
const owner = await Owner.open(how);
const { page } = owner;
const own = owner.words[how.language];
let paint = null;

/** Waits until so many parts are there; complains of what is missing and goes on. */
async function count(selector, wanted, what, patience = 40_000) {
  const end = Date.now() + patience;
  let seen = 0;
  while (seen < wanted && Date.now() < end) {
    seen = await page.locator(selector).count();
    await sleep(100);
  }
  if (seen < wanted) owner.complain(`${seen} of ${wanted} ${what}: ${await page.evaluate("document.body.innerText")}`);
}

async function begin() {
  await owner.goto("/");
  await owner.at(`language-${how.language}`).waitFor();
  paint = await owner.firstPaint();
  await owner.step("language");
  await owner.press(`language-${how.language}`);
  await owner.at("password").waitFor();
  await owner.type("password", password);
  await owner.step("password");
  await owner.press("password-go");
}

async function find() {
  await owner.at("devices-go").waitFor();
  const ticks = 'input[data-test^="device-"]';
  await count(ticks, devices, "devices on the page");
  // What two protocols found may be two lines for a moment.
  while ((await page.locator(ticks).count()) > devices) await sleep(100);
  await owner.step("cameras-appear");
  await owner.press("devices-go");
  await owner.at("camera-password").waitFor();
  await owner.type("camera-user", user);
  await owner.type("camera-password", camera_password);
  await owner.step("cameras-password");
  await owner.press("login-go");
}

/** One camera wants another password, a recorder has more pictures, a camera is to be made ready; then all are live. */
async function settle() {
  await owner.at("cameras-count").waitFor();
  await owner.at("other-login").waitFor({ timeout: 30_000 });
  await owner.step("another-password");
  await owner.type("other-password", other_password);
  await owner.press("other-go");
  const channels = page.locator('[data-test^="channels-go-"]').first();
  await channels.waitFor({ timeout: 30_000 });
  await owner.press(channels);
  await owner.at("improve-all").waitFor({ timeout: 30_000 });
  await owner.step("make-ready");
  await owner.press("improve-all");
  await count('[data-test^="improved-"]', 1, "tables of before and after");
  await count(`[data-test="cameras-count"][data-live="${cameras}"][data-all="${cameras}"]`, 1, "words that all are live");
  const text = await page.evaluate("document.body.innerText");
  if (!text.includes(own["state.sub"])) owner.complain("no camera says that its small picture is streamed");
  await preview();
  await owner.step("cameras-live");
  await owner.press("cameras-go");
}

/** The live picture on the page moves. */
async function preview() {
  const video = page.frameLocator(part("preview")).locator("video");
  const position = () => video.evaluate((video) => video.currentTime, null, { timeout: 1000 }).catch(() => NaN);
  const end = Date.now() + 20_000;
  let first = NaN;
  while (!((await position()) > first + 0.5)) {
    if (Number.isNaN(first)) first = await position();
    if (Date.now() > end) {
      owner.complain("the live picture on the page does not move");
      return;
    }
    await sleep(100);
  }
}

async function join() {
  await owner.at("join-code").waitFor({ timeout: 30_000 });
  await owner.step("code");
  say("code", { code: (await owner.at("join-code").innerText()).trim() });
  const { claimed } = await told();
  await owner.at("join-words").waitFor({ timeout: 30_000 });
  const words = (await owner.at("join-words").innerText()).trim();
  if (words === "" || !claimed.includes(words)) owner.complain(`the page shows ${words}, the cloud says ${claimed}`);
  await owner.step("join");
  await owner.press("join-yes");
}

async function links() {
  const open = page.locator('[data-test^="link-"][data-public="yes"]');
  await open.first().waitFor({ timeout: 40_000 });
  say("link", { url: await open.first().getAttribute("href") });
  await told();
  await count('[data-test^="link-"][data-public="yes"]', cameras, "public links");
  await owner.step("links");
  await page.emulateMedia({ media: "print" });
  await page.screenshot({ path: `${how.folder}/print.png`, fullPage: true });
}

try {
  say("ready");
  await told();
  await begin();
  await find();
  await settle();
  await join();
  await links();
} catch (error) {
  await owner.stuck(error);
}
await owner.close();
say("done", {
  clicks: owner.clicks,
  steps: owner.steps,
  complaints: owner.complaints,
  first_paint_ms: paint,
  weight: owner.weight(),
  judging_ms: owner.judging,
});
process.exit(0);
