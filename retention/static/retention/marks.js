// A sign on each row of mail that leaves Webmail within three days: asked for once per row, and anew when something was bound.
// In a list of what leaves it says in how many days.
(() => {
  const rows = document.getElementById("rows");
  const days = /leaves:(\d)d/.exec(document.getElementById("main").dataset.show)?.[1];
  const known = new Map(); // id of a place -> what its sign says, in full and in short; "" where it has none
  const sign = ([label, when]) => {
    const made = Object.assign(document.createElement("span"), { className: "clock-sign", title: label });
    made.innerHTML = document.getElementById("clock-glyph").innerHTML;
    const says = (className, textContent) => made.append(Object.assign(document.createElement("span"), { className, textContent }));
    says("sr", label);
    if (days) { says("when", when); made.lastChild.ariaHidden = "true"; }
    return made;
  };
  const paint = () => {
    for (const row of rows.querySelectorAll(".row")) {
      const there = row.querySelector(".clock-sign");
      const label = known.get(row.id.slice(1));
      if (label && !there) row.querySelector(".signs").prepend(sign(label));
      if (!label && there) there.remove();
    }
  };
  const look = async () => {
    const fresh = [...rows.querySelectorAll(".row")].map((row) => row.id.slice(1)).filter((id) => !known.has(id)).slice(0, 400);
    if (!fresh.length) return paint();
    for (const id of fresh) known.set(id, "");
    try {
      const answer = await (await fetch(`${rows.dataset.clockMarks}?ids=${fresh.join()}&days=${days ?? 3}`)).json();
      for (const [id, label] of Object.entries(answer.leaving)) known.set(id, [label, answer.when[id]]);
    } catch { for (const id of fresh) known.delete(id); return; }
    look();
  };
  let waiting = 0;
  const soon = () => { waiting ||= setTimeout(() => { waiting = 0; look(); }, 50); };
  new MutationObserver((changes) => { if (changes.some((change) => change.target === rows)) soon(); }).observe(rows, { childList: true });
  for (const news of ["tasks-changed", "tasks-marks", "crm-changed"]) document.body.addEventListener(news, () => { known.clear(); soon(); });
  look();
})();
