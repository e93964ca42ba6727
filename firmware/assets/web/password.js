// How hard a password is to guess, said while it is typed.

/** How good a password is: `short` is refused by the server, `weak` is easy to guess, `fair`, `good`.
 * @param {string} password
 * @returns {"short" | "weak" | "fair" | "good"} */
export function strength(password) {
  const length = [...password].length;
  if (length < 8) return "short";
  const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u].filter((kind) => kind.test(password)).length;
  const different = new Set(password.toLowerCase()).size;
  const guessed = /^(.)\1*$|12345|qwert|йцук|passw|парол|құпия|admin|streambox/iu.test(password);
  if (guessed || different < 5) return "weak";
  if (length >= 16 || (length >= 12 && kinds >= 2) || (length >= 10 && kinds >= 3)) return "good";
  return "fair";
}
