import assert from "node:assert/strict";
import { test } from "node:test";

import { changes } from "../lists.js";

test("only cards that changed are exchanged, in the server's order", () => {
  const shown = [["a", "1"], ["b", "1"], ["c", "1"]];
  const fresh = [["b", "2"], ["a", "1"], ["d", "1"]];
  assert.deepEqual(changes(shown, fresh), {
    remove: ["c"],
    order: [{ id: "b", keep: false }, { id: "a", keep: true }, { id: "d", keep: false }],
  });
});
