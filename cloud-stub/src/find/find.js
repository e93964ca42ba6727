// Asks the cloud where a box's page is on its own network. The code comes from behind the # of the label's address.
const WORDS = {
  kk: {
    title: 'Streambox табу', how: 'Streambox жапсырмасындағы кодты енгізіңіз.', code: 'Код', go: 'Табу',
    searching: 'Іздеп жатырмыз…', found: 'Streambox табылды. Телефон онымен бір желіде (Wi-Fi) болуы керек. Батырманы басыңыз:',
    open: 'Streambox бетін ашу', other: 'Ашылмаса, мынаны басып көріңіз:',
    none: 'Мұндай коды бар Streambox табылмады. Кодты тексеріңіз. Ол қосулы ма және интернетке жалғанған ба? Бір минуттан кейін қайталаңыз.',
    often: 'Тым көп әрекет жасалды. Бір минут күтіңіз.', failed: 'Қазір жауап жоқ. Интернетті тексеріп, қайталаңыз.',
    seen: (m) => (m < 2 ? 'Streambox жаңа ғана байланыста болды.' : `Streambox ${m} минут бұрын байланыста болды.`),
  },
  ru: {
    title: 'Найти Streambox', how: 'Введите код с наклейки на Streambox.', code: 'Код', go: 'Найти',
    searching: 'Ищем…', found: 'Streambox найден. Телефон должен быть в той же сети (Wi-Fi). Нажмите:',
    open: 'Открыть страницу Streambox', other: 'Если не открылось, попробуйте:',
    none: 'Streambox с таким кодом не найден. Проверьте код. Включён ли он и есть ли у него интернет? Попробуйте через минуту.',
    often: 'Слишком много попыток. Подождите минуту.', failed: 'Сейчас нет ответа. Проверьте интернет и попробуйте ещё раз.',
    seen: (m) => (m < 2 ? 'Streambox только что был на связи.' : `Streambox был на связи ${m} мин назад.`),
  },
  en: {
    title: 'Find your Streambox', how: 'Type the code from the label on your Streambox.', code: 'Code', go: 'Find',
    searching: 'Looking…', found: 'Your Streambox is found. Your phone must be on the same network (Wi-Fi). Press:',
    open: 'Open its page', other: 'If it does not open, try:',
    none: 'No Streambox with this code was found. Check the code. Is it plugged in, and does it have Internet? Try again in a minute.',
    often: 'Too many tries. Wait a minute.', failed: 'No answer at the moment. Check your Internet and try again.',
    seen: (m) => (m < 2 ? 'It was in touch just now.' : `It was in touch ${m} minutes ago.`),
  },
};

const at = (id) => document.getElementById(id);
let language = 'ru';
for (const wanted of navigator.languages) {
  const known = Object.keys(WORDS).find((name) => wanted.toLowerCase().startsWith(name));
  if (known) { language = known; break; }
}
let last = null;

const element = (name, text, more = {}) => Object.assign(document.createElement(name), { textContent: text }, more);

// An address by number first: not every phone knows names that end in .local.
const byNumber = (page) => /^https?:\/\/[0-9.]+(:|\/)/.test(page);

function draw() {
  const words = WORDS[language];
  document.documentElement.lang = language;
  document.title = words.title;
  for (const [id, word] of [['title', 'title'], ['how', 'how'], ['label', 'code'], ['go', 'go']]) at(id).textContent = words[word];
  for (const button of at('languages').children) button.setAttribute('aria-pressed', String(button.value === language));
  const outcome = [];
  if (last?.pages) {
    const pages = last.pages.filter((page) => /^https?:\/\//.test(page));
    const ordered = [...pages.filter(byNumber), ...pages.filter((page) => !byNumber(page))];
    outcome.push(element('p', words.found));
    ordered.forEach((page, index) => {
      if (index === 1) outcome.push(element('p', words.other));
      outcome.push(element('a', index === 0 ? words.open : page, { href: page, className: 'page', rel: 'noreferrer' }));
    });
    outcome.push(element('p', words.seen(Math.round(last.seen_s / 60))));
  } else if (last) {
    outcome.push(element('p', words[last.word]));
  }
  at('outcome').replaceChildren(...outcome);
}

async function find(code) {
  last = { word: 'searching' };
  draw();
  try {
    const answer = await fetch('/api/v1/find', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code }),
    });
    if (answer.ok) last = await answer.json();
    else last = { word: answer.status === 404 ? 'none' : answer.status === 429 ? 'often' : 'failed' };
  } catch {
    last = { word: 'failed' };
  }
  draw();
}

at('languages').addEventListener('click', (event) => {
  if (event.target.value in WORDS) {
    language = event.target.value;
    draw();
  }
});
at('form').addEventListener('submit', (event) => {
  event.preventDefault();
  find(at('code').value);
});
function scanned() {
  const code = decodeURIComponent(location.hash.slice(1));
  if (code) {
    at('code').value = code;
    find(code);
  }
}
addEventListener('hashchange', scanned);
draw();
scanned();
