// What to do to a list on the page so that it shows what the server shows. Items are [id, digest].

/** `remove`: ids that are gone. `order`: the new list, `keep` where the card on the page is still true. */
export function changes(shown, fresh) {
  const digests = new Map(shown);
  const ids = new Set(fresh.map(([id]) => id));
  return {
    remove: shown.map(([id]) => id).filter((id) => !ids.has(id)),
    order: fresh.map(([id, digest]) => ({ id, keep: digests.get(id) === digest })),
  };
}
