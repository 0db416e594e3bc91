// A glyph on each row of mail that is bound to a task: asked for once per row, and anew when something was bound.
(() => {
  const rows = document.getElementById("rows");
  const asked = new Map(); // id of a place -> whether it is bound
  let label = "";
  const glyph = () => {
    const sign = document.createElement("span");
    sign.className = "task-sign";
    sign.title = label;
    sign.innerHTML = document.getElementById("task-glyph").innerHTML;
    sign.append(Object.assign(document.createElement("span"), { className: "sr", textContent: label }));
    return sign;
  };
  const paint = () => {
    for (const row of rows.querySelectorAll(".row")) {
      const there = row.querySelector(".task-sign");
      const bound = asked.get(row.id.slice(1));
      if (bound && !there) row.querySelector(".signs").prepend(glyph());
      if (!bound && there) there.remove();
    }
  };
  const look = async () => {
    const fresh = [...rows.querySelectorAll(".row")].map((row) => row.id.slice(1)).filter((id) => !asked.has(id));
    if (fresh.length) {
      const batch = fresh.slice(0, 400);
      for (const id of batch) asked.set(id, false);
      try {
        const answer = await (await fetch(`${rows.dataset.taskMarks}?ids=${batch.join()}`)).json();
        label = answer.label;
        for (const id of answer.bound) asked.set(String(id), true);
      } catch { for (const id of batch) asked.delete(id); return; }
      if (fresh.length > 400) return look();
    }
    paint();
  };
  let waiting = 0;
  const soon = () => { waiting ||= setTimeout(() => { waiting = 0; look(); }, 50); };
  new MutationObserver((changes) => { if (changes.some((change) => change.target === rows)) soon(); }).observe(rows, { childList: true });
  for (const news of ["tasks-changed", "tasks-marks"]) document.body.addEventListener(news, () => { asked.clear(); soon(); });
  look();
})();
