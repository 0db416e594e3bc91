// Colleagues in one mailbox: following a notice, completing a name after "@" in a note, telling that somebody answers.
(() => {
  const main = document.getElementById("main");
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const EVERY = 20000;

  // Who follows a notice has seen it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("form.notice a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const seen = fetch(link.closest("form").action, { method: "POST", headers: { "HX-Request": "true", "X-CSRFToken": token } });
    seen.catch(() => {}).finally(() => location.assign(link.href));
  });

  // ---- mentions

  let list = null, at = -1, found = [], chosen = 0;
  const shut = () => { list?.remove(); list = null; };
  const typed = (note) => /(?:^|[\s(])@([^\s@]*)$/.exec(note.value.slice(0, note.selectionStart));
  const show = (note) => {
    list ??= note.form.appendChild(Object.assign(document.createElement("ul"), { className: "mention-list", role: "listbox", id: "mention-list" }));
    note.setAttribute("aria-controls", "mention-list");
    list.replaceChildren(...found.map((name, n) => {
      const item = Object.assign(document.createElement("li"), { textContent: name, role: "option" });
      item.setAttribute("aria-selected", n === chosen);
      item.addEventListener("mousedown", (event) => { event.preventDefault(); chosen = n; take(note); });
      return item;
    }));
  };
  const take = (note) => {
    note.setRangeText(`@${found[chosen]} `, at, note.selectionStart, "end");
    shut();
  };
  main.addEventListener("input", ({ target: note }) => {
    if (note.id !== "note") return;
    const match = typed(note);
    const start = match?.[1].toLowerCase();
    found = match ? JSON.parse(note.dataset.names).filter((name) => name.toLowerCase().split(" ").some((_, n, words) => words.slice(n).join(" ").startsWith(start))) : [];
    if (!found.length) return shut();
    at = note.selectionStart - match[1].length - 1;
    chosen = 0;
    show(note);
  });
  main.addEventListener("keydown", (event) => {
    const note = event.target;
    if (note.id !== "note") return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); note.form.requestSubmit(); }
    if (!list) { if (event.key === "Escape") { event.stopPropagation(); note.blur(); } return; }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) chosen = (chosen + step + found.length) % found.length;
    else if (event.key === "Enter" || event.key === "Tab") take(note);
    else if (event.key === "Escape") { shut(); event.stopPropagation(); }
    else return;
    event.preventDefault();
    if (list) show(note);
  }, true);
  main.addEventListener("focusout", ({ target }) => { if (target.id === "note") shut(); });

  // ---- answering

  const pane = document.getElementById("pane");
  let url = "";
  const say = async (gone = false) => {
    const body = new URLSearchParams(gone ? { gone: "1" } : {});
    const response = await fetch(url, { method: "POST", body, keepalive: true, headers: { "HX-Request": "true", "X-CSRFToken": token } }).catch(() => null);
    const place = document.getElementById("colleagues");
    if (!gone && place && response?.status === 200) place.innerHTML = await response.text();
  };
  const look = () => {
    const now = document.getElementById("composer")?.dataset.presence ?? "";
    if (now === url) return;
    if (url) say(true);
    url = now;
    if (url) say();
  };
  new MutationObserver(look).observe(pane, { childList: true });
  setInterval(() => { if (url && !document.hidden) say(); }, EVERY);
  document.body.addEventListener("team-changed", () => { if (url && !document.hidden) say(); });
  addEventListener("pagehide", () => { if (url) say(true); });
  look();
})();
