// Times and figures for people. No clock: times are milliseconds since 1970 and come as arguments.

/** Whose numbers and dates a language takes. Many browsers know no Kazakh ones and say they do; the Russian ones look the same.
 * @param {string} language */
export const customs = (language) => (language === "kk" ? "ru" : language === "en" ? "en-GB" : language);

/** A time for people: the hour, with the day when it is not today.
 * @param {number} ms
 * @param {number} now
 * @param {string} language
 * @param {string} [timeZone] the reader's own when left out */
export function clock(ms, now, language, timeZone) {
  /** @param {number} at */
  const day = (at) => new Intl.DateTimeFormat("en-CA", { timeZone, dateStyle: "short" }).format(at);
  /** @type {Intl.DateTimeFormatOptions} */
  const hour = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone };
  /** @type {Intl.DateTimeFormatOptions} */
  const date = language === "en" ? { day: "numeric", month: "short" } : { day: "2-digit", month: "2-digit" };
  return new Intl.DateTimeFormat(customs(language), day(ms) === day(now) ? hour : { ...hour, ...date }).format(ms);
}

/** How long something lasts, largest unit first, two units: for example [["d", 3], ["h", 4]].
 * @param {number} seconds
 * @returns {[string, number][]} */
export function duration(seconds) {
  /** @type {[string, number][]} */
  const units = [
    ["d", Math.floor(seconds / 86_400)],
    ["h", Math.floor(seconds / 3600) % 24],
    ["m", Math.floor(seconds / 60) % 60],
  ];
  const from = units.findIndex(([, count]) => count > 0);
  return from < 0 ? [["m", 1]] : units.slice(from, from + 2).filter(([, count]) => count > 0);
}

/** bit/s as Mbit/s for people.
 * @param {number} bits
 * @param {string} language */
export function megabits(bits, language) {
  const value = bits / 1e6;
  return new Intl.NumberFormat(customs(language), { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}
