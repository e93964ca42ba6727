// How soon the page shows its first words: paint.mjs PLAN (see lab::owner). Events: `ready`, `done`.
import { Owner, plan, say, told } from "./owner.mjs";

const how = plan();
const owner = await Owner.open({ ...how, schemes: ["light"] });
let paint = null;
try {
  say("ready");
  await told();
  await owner.goto("/");
  await owner.at(`language-${how.language}`).waitFor();
  paint = await owner.firstPaint();
} catch (error) {
  await owner.stuck(error);
}
await owner.close();
say("done", { complaints: owner.complaints, first_paint_ms: paint, weight: owner.weight() });
process.exit(0);
