// The cloud's JSON. What the cloud refuses comes as `Refused`; a cloud that does not answer is the code `silent`.

const ROOT = "/api/v1/";
/** How long an answer may take, milliseconds. */
const PATIENCE = 30_000;
/** Most rows of a list that the cloud gives at a time. */
const PAGE = 1000;
/** Lists of a tenant that may be longer. */
const LONG = /^tenants\/[^/?]+\/(boxes|cameras)$/;

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

/** Asks the cloud. `about`: what a refusal is about, so that the words for it can be found: `claim` and 404 are the code
 * `claim_404`.
 * @param {string} method
 * @param {string} path below /api/v1/
 * @param {{ body?: unknown, csrf?: string | null, about?: string }} [more]
 * @returns {Promise<any>} */
export async function call(method, path, { body, csrf, about = "it" } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method !== "GET" && csrf) headers["x-csrf"] = csrf;
  /** @type {RequestInit} */
  const request = { method, headers, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE) };
  if (body !== undefined) request.body = JSON.stringify(body);
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
    code: json?.code ?? `${about}_${answer.status}`,
    sentence: json?.error ?? null,
    retryAfter: answer.headers.get("retry-after"),
  });
}

/** What is at an address, whole: a list that is longer than what the cloud gives at a time is asked for piece by piece.
 * @param {string} path below /api/v1/
 * @returns {Promise<any>} */
export async function whole(path) {
  const first = await call("GET", path);
  if (!LONG.test(path)) return first;
  /** @type {Map<string, { id: string }>} */
  const rows = new Map();
  let piece = first;
  for (let offset = 0; ; offset += PAGE) {
    // One that has moved between two pieces comes twice.
    for (const row of piece) rows.set(row.id, row);
    if (piece.length < PAGE) return [...rows.values()];
    piece = await call("GET", `${path}?offset=${offset + PAGE}`);
  }
}
