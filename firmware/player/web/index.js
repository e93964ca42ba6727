// Keeps the lists of a page fresh. The server renders and escapes them, once for readers without
// JavaScript and once for this script: a card is exchanged only when it changed, so that nothing that a
// reader has opened or selected is taken away without need.

import { changes } from "./lists.js";

const badge = document.getElementById("badge");

function renew(list, fresh) {
  const opened = new Set([...list.querySelectorAll("details[open]")].map((details) => details.closest("li").id));
  const html = (items) => [...items].map((item) => [item.id, item.dataset.digest]);
  const { remove, order } = changes(html(list.children), html(fresh.children));
  for (const id of remove) document.getElementById(id).remove();
  let before = list.firstElementChild;
  for (const { id, keep } of order) {
    let item = document.getElementById(id);
    if (!keep) {
      const next = fresh.querySelector(`#${CSS.escape(id)}`);
      if (opened.has(id)) next.querySelector("details")?.setAttribute("open", "");
      item?.replaceWith(next);
      if (item === before) before = next;
      item = next;
    }
    if (item === before) before = item.nextElementSibling;
    else list.insertBefore(item, before);
  }
}

async function refresh() {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const list of document.querySelectorAll("ul.cards[id]")) {
      renew(list, document.adoptNode(page.getElementById(list.id)));
    }
    badge.hidden = true;
  } catch {
    badge.hidden = false;
  }
  setTimeout(refresh, document.visibilityState === "visible" ? 2000 : 10000);
}

document.addEventListener("click", async ({ target }) => {
  const copied = target.dataset?.copy;
  if (copied === undefined) return;
  const text = document.getElementById(copied);
  const label = target.textContent;
  try {
    await navigator.clipboard.writeText(text.textContent);
    target.textContent = "Copied";
  } catch {
    // Browsers keep the clipboard to HTTPS pages: select it, so that one key copies.
    getSelection().selectAllChildren(text);
    target.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => (target.textContent = label), 2500);
});

setTimeout(refresh, 2000);
