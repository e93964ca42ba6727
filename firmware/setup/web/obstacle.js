// What stands in a camera's way, in words.

/** @import { Say } from "../../assets/web/words.js" */
/** @import { Obstacle } from "./types.js" */

/** An obstacle in words: what stands in the way, where that is changed, when it ends by itself.
 * @param {Say} say
 * @param {Obstacle} obstacle
 * @param {string | null} until */
export function obstacleWords(say, obstacle, until) {
  const more = [];
  if (obstacle.menu) more.push(say("extra.menu", { menu: obstacle.menu }));
  if (until) more.push(say(obstacle.code === "wrong_password" ? "extra.again" : "extra.until", { until }));
  const key = obstacle.code === "long_gop" && !obstacle.number ? "obstacle.long_gop_unknown" : `obstacle.${obstacle.code}`;
  const number = obstacle.number === null || obstacle.number === undefined ? "" : Math.round(obstacle.number * 10) / 10;
  return { what: say(key, { number }, obstacle.sentence ?? say("obstacle.unknown")), more };
}
