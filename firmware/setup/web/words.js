// Words in the reader's language. A sentence is found by its key and filled in; what is filled in is text, never markup.

/** Puts values in the place of `{name}`. */
export function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** A function that says things with these words: `say(key, values, otherwise)`. */
export function speaker(words) {
  return (key, values = {}, otherwise = key) => (words[key] === undefined ? otherwise : fill(words[key], values));
}

/** A refusal in words: by its code, else by its status, else as the box said it. What a camera refuses has an obstacle's words;
 * only the page's own sign-in answers 401. */
export function refusal(say, error) {
  const values = { seconds: error.retryAfter ?? "60" };
  if (error.status === 429) return say("error.429", values);
  const kinds = error.status === 401 ? ["error"] : ["obstacle", "error"];
  for (const key of [...kinds.map((kind) => `${kind}.${error.code}`), `error.${error.status}`]) {
    const words = say(key, values, null);
    if (words) return words;
  }
  return error.sentence ?? say("error.strange");
}

/** An obstacle in words: what stands in the way, where that is changed, when it ends by itself. */
export function obstacleWords(say, obstacle, until) {
  const more = [];
  if (obstacle.menu) more.push(say("extra.menu", { menu: obstacle.menu }));
  if (until) more.push(say(obstacle.code === "wrong_password" ? "extra.again" : "extra.until", { until }));
  const key = obstacle.code === "long_gop" && !obstacle.number ? "obstacle.long_gop_unknown" : `obstacle.${obstacle.code}`;
  const number = obstacle.number === null || obstacle.number === undefined ? "" : Math.round(obstacle.number * 10) / 10;
  return { what: say(key, { number }, obstacle.sentence ?? say("obstacle.unknown")), more };
}
