// A letter in the pane: beginning it, keeping what is typed, leaving it. The parts of its page are in compose-*.js
// and recipients.js; each is given the letter: its form, its editor, and what keeps its requests in order.
(() => {
  const parts = window.composing;
  const pane = document.getElementById("pane");
  const toasts = document.getElementById("toasts");
  const token = document.querySelector("#acts [name=csrfmiddlewaretoken]").value;
  const KEPT_AFTER = 800, TRIED_AGAIN_AFTER = 5000;
  const tab = (sessionStorage.tab ??= crypto.randomUUID?.() ?? String(Math.random()));
  let current = null;

  const post = (url, body, more = {}) => fetch(url, { method: "POST", body, headers: { "HX-Request": "true", "X-CSRFToken": token }, ...more });
  const emit = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  parts.toast = (html) => toasts.append(document.createRange().createContextualFragment(html));

  // Begin, or open again: the answer says where the letter is.
  const begin = async (url, body) => {
    try {
      const response = await post(url, body);
      if (response.status === 422) return say(await response.text(), "bad");
      if (!response.ok || response.redirected) throw new Error();
      emit("mail:open", (await response.json()).url);
    } catch {
      say(document.body.dataset.failed, "bad");
    }
  };
  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    const how = submitter?.dataset.answer;
    if (how === undefined && !form.matches("[data-opens]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    form.closest("[data-toast]")?.remove();
    const body = new FormData(form);
    if (how) body.set("how", how);
    body.set("list", document.getElementById("main").dataset.list);
    begin(how ? submitter.formAction : form.action, body);
  }, true);

  // ---- one open letter

  const keeping = (form) => {
    const words = form.dataset;
    const store = `letter-${words.id}`;
    const find = (selector) => form.querySelector(selector);
    const kept = find("#kept"), conflict = find("#conflict");
    let dirty = false, gone = false, saver = 0;
    let turn = Promise.resolve(); // requests that change the letter go one after another: each knows the revision before it

    const values = () => {
      const body = new FormData();
      for (const name of ["revision", "key", "from", "to", "cc", "bcc", "subject", "quoted", "send_at"]) body.set(name, form.elements[name].value);
      body.set("tab", tab);
      body.set("turn", Date.now()); // of two saves of this tab the later one counts, whichever comes first
      body.set("html", letter.editor ? letter.editor.getHTML() : form.elements.html.value);
      return body;
    };
    const inTurn = (step) => (turn = turn.then(step, step));
    const state = (text, bad = false) => { kept.textContent = text; kept.classList.toggle("bad", bad); };
    const wait = () => clearTimeout(saver);
    const changed = () => {
      dirty = letter.touched = true;
      try { sessionStorage.setItem(store, JSON.stringify(Object.fromEntries(values()))); } catch { /* full: the server keeps it in a moment */ }
      wait();
      saver = setTimeout(save, KEPT_AFTER);
    };
    const save = () => inTurn(async () => {
      wait();
      if (!dirty || gone) return;
      dirty = false;
      state(words.saving);
      try {
        const response = await post(words.save, values(), { keepalive: !form.isConnected });
        if (response.status === 409) return clash(await response.json());
        if (!response.ok || response.redirected) throw new Error();
        const now = await response.json();
        form.elements.revision.value = now.revision;
        if (!dirty) sessionStorage.removeItem(store);
        state(`${words.saved} ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`);
        if (now.url && form.isConnected) { gone = true; emit("mail:open", now.url); }
        else if (location.search.includes("new=1")) history.replaceState({ ...history.state, mail: words.url }, "", words.url);
      } catch {
        dirty = true;
        state(words.unsaved, true);
        saver = setTimeout(save, TRIED_AGAIN_AFTER);
      }
    });
    const clash = ({ sentence, revision, draft }) => {
      conflict.hidden = false;
      conflict.querySelector("[data-sentence]").textContent = sentence;
      const mine = conflict.querySelector("[data-overwrite]");
      mine.hidden = !draft;
      mine.onclick = () => { form.elements.revision.value = revision; conflict.hidden = true; changed(); save(); };
      conflict.querySelector("[data-take]").onclick = (event) => {
        event.preventDefault();
        end();
        emit("mail:open", words.url);
      };
      state("");
    };
    const end = () => { gone = true; wait(); sessionStorage.removeItem(store); };
    const close = () => emit("mail:close");

    // What an earlier page of this letter had not got to the server yet.
    try {
      const before = JSON.parse(sessionStorage.getItem(store));
      if (before && before.revision === form.elements.revision.value) {
        for (const name of ["from", "to", "cc", "bcc", "subject", "quoted", "html"]) form.elements[name].value = before[name];
        dirty = true;
      } else sessionStorage.removeItem(store);
    } catch { sessionStorage.removeItem(store); }

    const unsaved = () => dirty && !gone;
    const letter = { form, words, find, foot: find("#composer-foot"), token, post, values, inTurn, state, wait, changed, save, clash, end, close, unsaved, editor: null, people: {}, touched: dirty };
    return letter;
  };

  const recipientsOf = ({ form, words, find, changed }) => {
    const people = Object.fromEntries([...form.querySelectorAll("[data-chips]")].map((field) =>
      [field.name, recipients(field, { urls: [words.people, words.clients].filter(Boolean), remove: words.remove, changed })]));
    const copies = find("[data-copies]");
    copies.onclick = () => {
      for (const line of form.querySelectorAll(".copy")) line.hidden = false;
      copies.hidden = true;
      people.cc.focus();
    };
    for (const name of ["cc", "bcc"]) if (!people[name].empty) form.elements[name].closest(".line").hidden = false;
    copies.hidden = !people.cc.empty && !people.bcc.empty;
    return people;
  };

  const leaving = (letter) => {
    const { form, words, find, inTurn, end, close } = letter;
    const leave = async () => {
      if (words.new && !letter.touched) { end(); post(words.discard); } else await letter.save();
      close();
    };
    find("[data-leave]").addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      leave();
    });
    find("[data-throw-away]").onclick = () => inTurn(async () => {
      const response = await post(words.discard).catch(() => null);
      if (!response?.ok) return say(document.body.dataset.failed, "bad");
      end();
      parts.toast(await response.text());
      close();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.id === "subject") {
        event.preventDefault();
        letter.editor?.view.focus(); // at once: the editor's own command waits for a frame, and the next key does not
        letter.editor?.commands.focus("start");
      }
      if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open], details.menu[open]")) leave();
    });
  };

  const open = async (form) => {
    const letter = keeping(form);
    letter.people = recipientsOf(letter);
    parts.files(letter);
    if (letter.people.to.empty) letter.people.to.focus(); // at once: the editor is still on its way, and nobody waits for it
    form.elements.subject.addEventListener("input", letter.changed);
    form.elements.from.addEventListener("change", () => { letter.signAs?.(form.elements.from.value); letter.changed(); });
    leaving(letter);
    await parts.editor(letter);
    if (!form.isConnected) return letter.editor.destroy();
    parts.sending(letter);
    parts.templates(letter);
    current = letter;
    if (letter.unsaved()) letter.changed();
    if (!form.contains(document.activeElement)) letter.editor.commands.focus("start");
  };
  const release = (letter) => { if (letter.unsaved()) letter.save(); letter.editor.destroy(); };

  const look = () => {
    const form = pane.querySelector("#composer");
    if (current && current.form !== form) { release(current); current = null; }
    if (form && !form.dataset.begun) { form.dataset.begun = "1"; open(form); }
  };
  new MutationObserver(look).observe(pane, { childList: true });
  addEventListener("pagehide", () => { if (current?.unsaved()) post(current.words.save, current.values(), { keepalive: true }).catch(() => {}); });
  addEventListener("online", () => { if (current?.unsaved()) current.save(); });
  look();
})();
