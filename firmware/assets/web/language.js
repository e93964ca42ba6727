// The three languages of every page.

/** @typedef {"kk" | "ru" | "en"} Language */

/** @type {readonly Language[]} */
export const LANGUAGES = ["kk", "ru", "en"];

/** What each is called in itself.
 * @type {Record<Language, string>} */
export const NAMES = { kk: "Қазақша", ru: "Русский", en: "English" };

/** The language to show: what was chosen on this page, what the server keeps, what the browser prefers, Russian.
 * @param {{ chosen?: string | null, kept?: string | null, preferred: readonly string[] }} from
 * @returns {Language} */
export function chooseLanguage({ chosen, kept, preferred }) {
  const wanted = [chosen, kept, ...preferred.map((tag) => tag.toLowerCase().split("-")[0])];
  const known = wanted.flatMap((tag) => LANGUAGES.filter((language) => language === tag));
  return known[0] ?? "ru";
}
