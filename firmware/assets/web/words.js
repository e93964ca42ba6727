// Words in the reader's language. A sentence is found by its key and filled in; what is filled in is text, never markup.

/** Says a sentence by its key: `say(key, values, otherwise)`.
 * @typedef {(key: string, values?: Record<string, unknown>, otherwise?: any) => string} Say */

/** Why something was not done: the server's code, status, sentence and time to wait, as far as there are any.
 * @typedef {{ code?: string, status?: number, sentence?: string | null, retryAfter?: string | null }} Refusal */

/** Puts values in the place of `{name}`.
 * @param {string} sentence
 * @param {Record<string, unknown>} values */
export function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** A function that says things with these words.
 * @param {Record<string, string>} words
 * @returns {Say} */
export function speaker(words) {
  return (key, values = {}, otherwise = key) => {
    const sentence = words[key];
    return sentence === undefined ? otherwise : fill(sentence, values);
  };
}

/** A refusal in words: by its code, else by its status, else as the server said it. What a camera refuses has an obstacle's
 * words; only the page's own sign-in answers 401.
 * @param {Say} say
 * @param {Refusal} error */
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
