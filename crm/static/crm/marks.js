// A glyph on each row of mail that is with CRM; and the field of "Link" is ready to type into.
(() => {
  document.body.addEventListener("htmx:afterSettle", (event) => { event.target.querySelector?.("[autofocus]")?.focus(); });
  const rows = document.getElementById("rows");
  const known = new Map(); // id of a place -> whether its message is with CRM
  let label = "";
  const glyph = () => {
    const sign = Object.assign(document.createElement("span"), { className: "crm-sign", title: label });
    sign.innerHTML = document.getElementById("crm-glyph").innerHTML;
    sign.append(Object.assign(document.createElement("span"), { className: "sr", textContent: label }));
    return sign;
  };
  const paint = () => {
    for (const row of rows.querySelectorAll(".row")) {
      const there = row.querySelector(".crm-sign");
      const bound = known.get(row.id.slice(1));
      if (bound && !there) row.querySelector(".signs").prepend(glyph());
      if (!bound && there) there.remove();
    }
  };
  const look = async () => {
    const fresh = [...rows.querySelectorAll(".row")].map((row) => row.id.slice(1)).filter((id) => !known.has(id)).slice(0, 400);
    if (!fresh.length) return paint();
    for (const id of fresh) known.set(id, false);
    try {
      const answer = await (await fetch(`${rows.dataset.crmMarks}?ids=${fresh.join()}`)).json();
      label = answer.label;
      for (const id of answer.bound) known.set(String(id), true);
    } catch { for (const id of fresh) known.delete(id); return; }
    look();
  };
  let waiting = 0;
  const soon = () => { waiting ||= setTimeout(() => { waiting = 0; look(); }, 50); };
  new MutationObserver((changes) => { if (changes.some((change) => change.target === rows)) soon(); }).observe(rows, { childList: true });
  document.body.addEventListener("crm-changed", () => { known.clear(); soon(); });
  look();
})();
