// The first steps of a set-up with a keyboard alone: keyboard.mjs PLAN (see lab::owner and walk.mjs). Events: `ready`, `done`.
import { Owner, plan, say, told } from "./owner.mjs";

const { password, user, camera_password, ...how } = plan();
const owner = await Owner.open({ ...how, schemes: ["light"] });
const { page } = owner;
const focused = () => page.evaluate("document.activeElement?.dataset.test ?? ''");

/** Goes on with Tab until this part has the focus, and the focus can be seen. */
async function reach(name) {
  await owner.at(name).first().waitFor({ timeout: 30_000 });
  const passed = [];
  while ((await focused()) !== name) {
    if (passed.length > 80) throw new Error(`Tab never comes to ${name}, only to ${passed.join(", ")}`);
    await page.keyboard.press("Tab");
    passed.push(await focused());
  }
  const seen = await page.evaluate(() => {
    const style = getComputedStyle(document.activeElement);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  });
  if (!seen) owner.complain(`nothing shows that ${name} has the focus`);
}

try {
  say("ready");
  await told();
  await owner.goto("/");
  await reach(`language-${how.language}`);
  await page.keyboard.press("Enter");
  await reach("password");
  await page.keyboard.type(password);
  await reach("password-go");
  await page.keyboard.press("Space");
  await page.locator('input[data-test^="device-"]').first().waitFor({ timeout: 30_000 });
  const device = await page.locator('input[data-test^="device-"]').first().getAttribute("data-test");
  await reach(device);
  await page.keyboard.press("Space");
  if (await owner.at(device).isChecked()) owner.complain("the space bar does not untick a camera");
  await page.keyboard.press("Space");
  await reach("devices-go");
  await page.keyboard.press("Enter");
  await reach("camera-user");
  await page.keyboard.press("Control+A");
  await page.keyboard.type(user);
  await reach("camera-password");
  await page.keyboard.type(camera_password);
  await page.keyboard.press("Enter");
  await owner.at("cameras-count").waitFor({ timeout: 60_000 });
  await owner.step("by-keyboard");
} catch (error) {
  await owner.stuck(error);
}
await owner.close();
say("done", { clicks: owner.clicks, steps: owner.steps, complaints: owner.complaints });
process.exit(0);
