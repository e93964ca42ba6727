// The box's JSON. What the box refuses comes as `Refused`, whose code and status the page's words know; a box that does not
// answer is the code `silent`.

const ROOT = "/api/v1/setup/";

/** Why something was not done. */
export class Refused extends Error {
  /** @param {{ status?: number, code: string, sentence?: string | null, retryAfter?: string | null }} why */
  constructor({ status = 0, code, sentence = null, retryAfter = null }) {
    super(sentence ?? code);
    this.status = status;
    this.code = code;
    this.sentence = sentence;
    this.retryAfter = retryAfter;
  }
}

/** Asks the box. `seconds`: how long an answer may take.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {number} [seconds]
 * @returns {Promise<any>} */
export async function call(method, path, body, seconds = 75) {
  /** @type {RequestInit} */
  const request = { method, cache: "no-store", signal: AbortSignal.timeout(seconds * 1000) };
  if (method !== "GET") {
    request.headers = { "content-type": "application/json" };
    request.body = JSON.stringify(body ?? {});
  }
  let answer;
  try {
    answer = await fetch(ROOT + path, request);
  } catch {
    throw new Refused({ code: "silent" });
  }
  const json = await answer.json().catch(() => null);
  if (answer.ok) return json;
  throw new Refused({
    status: answer.status,
    code: json?.code ?? "strange",
    sentence: json?.error ?? null,
    retryAfter: answer.headers.get("retry-after"),
  });
}

/** @param {string} path
 * @param {number} [seconds] */
export const get = (path, seconds) => call("GET", path, undefined, seconds);
/** @param {string} path
 * @param {unknown} [body] */
export const post = (path, body) => call("POST", path, body);
/** @param {string} path */
export const remove = (path) => call("DELETE", path);
