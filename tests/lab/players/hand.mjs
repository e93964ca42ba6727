// An owner whose hand the scenario leads: hand.mjs PLAN (see lab::owner). After `ready` every line from the scenario is one
// thing to do, `{"number": N, "do": …, "part": …}`, and is answered by the event `answer-N` with `value` or `error`; `end` ends.
import { Owner, part, plan, say, sleep, told } from "./owner.mjs";

const owner = await Owner.open({ schemes: ["light"], ...plan() });
const { page } = owner;
/** A part by its name; a star at the end stands for the rest of it. What begins with `css:` is a selector. */
const at = (name) => {
  if (name.startsWith("css:")) return page.locator(name.slice(4)).first();
  return page.locator(name.endsWith("*") ? `[data-test^="${name.slice(0, -1)}"]` : part(name)).first();
};
const patience = { timeout: 60_000 };

const deeds = {
  goto: ({ path }) => owner.goto(path),
  press: ({ part }) => owner.press(at(part), patience),
  type: ({ part, text }) => at(part).fill(text, patience),
  step: ({ part }) => owner.step(part),
  /** The words of a part, once it is there. */
  words: ({ part }) => at(part).innerText(patience),
  /** The words of the card that a part is on, or is, once they hold `words`, or as they are after 30 s without those. */
  card: async ({ part, words }) => {
    const card = at(part).locator('xpath=ancestor-or-self::li[contains(@class, "card")][1]');
    const end = Date.now() + 30_000;
    for (;;) {
      const said = await card.innerText(patience);
      if (said.includes(words) || Date.now() > end) return said;
      await sleep(100);
    }
  },
  wait: ({ part, tag }) => page.locator(`${tag}[data-test="${part}"]`).first().waitFor(patience),
  /** What a part has chosen of a list. */
  select: async ({ part, value }) => void (await at(part).selectOption(value, patience)),
  /** A part is not on the page. */
  none: async ({ part }) => {
    if ((await at(part).count()) > 0) throw new Error(`${part} is there`);
  },
  /** The first live picture in a part moves. */
  moves: async ({ part }) => {
    const video = at(part).locator("iframe").first().contentFrame().locator("video");
    const position = () => video.evaluate((video) => video.currentTime, null, { timeout: 1000 }).catch(() => NaN);
    const end = Date.now() + 40_000;
    for (let first = NaN; !((await position()) > first + 0.5); await sleep(100)) {
      if (Number.isNaN(first)) first = await position();
      if (Date.now() > end) throw new Error("the picture does not move");
    }
  },
  there: ({ part }) => at(part).waitFor(patience),
  value: ({ part }) => at(part).inputValue(patience),
  attribute: ({ part, name }) => at(part).getAttribute(name, patience),
};

say("ready");
for (;;) {
  const { number, do: deed, ...how } = await told();
  if (deed === "end") break;
  try {
    say(`answer-${number}`, { value: (await deeds[deed](how)) ?? null });
  } catch (error) {
    await owner.stuck(error);
    say(`answer-${number}`, { error: owner.complaints.at(-1) });
  }
}
await owner.close();
say("done", {
  clicks: owner.clicks,
  steps: owner.steps,
  complaints: owner.complaints,
  weight: owner.weight(),
  judging_ms: owner.judging,
});
process.exit(0);
