// Before one is signed in: the language, the first password, the way in.

import { LANGUAGES, NAMES } from "../../assets/web/language.js";
import { strength } from "../../assets/web/password.js";
import { Form, html, Password, Title } from "../../assets/web/parts.js";

/** @import { Store } from "./store.js" */

/** The first choice. It stands in all three languages, because nobody has chosen one yet.
 * @param {{ app: Store }} props */
export function Language({ app }) {
  return html`<${Title} quiet>
      <span lang="kk">Тіл</span> · <span lang="ru">Язык</span> · <span lang="en">Language</span>
    <//>
    <div class="choices">
      ${LANGUAGES.map(
        (language) => html`<button type="button" key=${language} lang=${language} data-test=${`language-${language}`}
          class=${language === app.language ? "primary" : ""} onClick=${() => app.choose(language)}>${NAMES[language]}</button>`,
      )}
    </div>`;
}

/** @param {{ app: Store }} props */
export function FirstPassword({ app }) {
  const { say } = app;
  const draft = app.draft("password");
  const send = async () => {
    if (strength(draft[0]) === "short") throw { code: "password_too_short" };
    await app.claim(draft[0]);
  };
  return html`<${Title}>${say("password.title")}<//>
    <p>${say("password.text")}</p>
    <${Form} app=${app} send=${send} label=${say("do.next")} test="password-go">
      <${Password} say=${say} label=${say("password.label")} draft=${draft} test="password" meter autocomplete="new-password" />
      <p class="soft">${say("password.note")}</p>
    <//>`;
}

/** @param {{ app: Store }} props */
export function SignIn({ app }) {
  const { say } = app;
  const draft = app.draft("signin");
  return html`<${Title}>${say("signin.title")}<//>
    <p>${say("signin.text")}</p>
    <${Form} app=${app} send=${() => app.signIn(draft[0])} label=${say("signin.go")} test="signin-go">
      <${Password} say=${say} label=${say("signin.label")} draft=${draft} test="signin-password" autocomplete="current-password" />
    <//>
    <details><summary>${say("signin.lost")}</summary><p>${say("signin.lost_text")}</p></details>`;
}

/** @param {{ app: Store }} props */
export function Closed({ app }) {
  const { say } = app;
  return html`<${Title}>${say("closed.title")}<//>
    <p>${say("closed.text")}</p>
    <ol class="todo">
      <li>${say("closed.do1")}</li>
      <li>${say("closed.do2")}</li>
      <li>${say("closed.do3")}</li>
    </ol>`;
}
