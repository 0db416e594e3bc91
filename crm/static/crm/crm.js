// CRM's small manners: suggestions of a field, and the board, whose cards move by mouse and by keyboard.
(() => {
  for (const list of document.querySelectorAll("datalist[id$=_list]"))
    document.getElementById(list.id.slice(0, -5))?.setAttribute("list", list.id);

  const board = document.querySelector("[data-board]");
  if (!board) return;
  const columns = [...board.querySelectorAll(".column")];
  const cardsOf = (column) => column.querySelector(".cards");
  const linkOf = (card) => card.querySelector("a");
  const gap = Object.assign(document.createElement("li"), { className: "gap" });

  // The card goes where it was put at once; if the server says no, it goes back.
  const put = (card, column, before) => {
    const from = card.parentElement;
    const after = card.nextElementSibling;
    if (from === cardsOf(column) && (before === card || before === after)) return;
    cardsOf(column).insertBefore(card, before);
    const values = { stage: column.dataset.stage, before: before ? before.id.slice(4) : "", mine: board.dataset.mine };
    const back = () => { from.insertBefore(card, after?.parentElement === from ? after : null); };
    const failed = (event) => { if (event.detail.elt === card) back(); };
    card.addEventListener("htmx:responseError", failed, { once: true });
    card.addEventListener("htmx:sendError", failed, { once: true });
    htmx.ajax("POST", card.dataset.move, { source: card, values, swap: "none" }).then(() => {
      card.removeEventListener("htmx:responseError", failed);
      card.removeEventListener("htmx:sendError", failed);
      if (card.parentElement === cardsOf(column) && from !== cardsOf(column)) {
        const text = board.dataset.moved.replace("%s", linkOf(card).textContent).replace("%t", column.dataset.name);
        window.say(text);
      }
    });
  };

  // ---- by mouse
  let dragged = null;
  board.addEventListener("dragstart", (event) => {
    dragged = event.target.closest(".deal");
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", linkOf(dragged).textContent);
    setTimeout(() => dragged?.classList.add("dragged"));
  });
  const below = (column, y) => [...cardsOf(column).querySelectorAll(".deal:not(.dragged)")]
    .find((card) => { const box = card.getBoundingClientRect(); return y < box.top + box.height / 2; }) ?? null;
  board.addEventListener("dragover", (event) => {
    const column = event.target.closest(".column");
    if (!dragged || !column) return;
    event.preventDefault();
    for (const each of columns) each.classList.toggle("over", each === column);
    cardsOf(column).insertBefore(gap, below(column, event.clientY));
  });
  board.addEventListener("drop", (event) => {
    const column = event.target.closest(".column");
    if (!dragged || !column) return;
    event.preventDefault();
    const before = below(column, event.clientY);
    gap.remove();
    put(dragged, column, before);
  });
  board.addEventListener("dragend", () => {
    dragged?.classList.remove("dragged");
    gap.remove();
    for (const column of columns) column.classList.remove("over");
    dragged = null;
  });

  // ---- by keyboard
  board.addEventListener("keydown", (event) => {
    const card = event.target.closest(".deal");
    if (!card || event.target !== linkOf(card) || event.ctrlKey || event.metaKey || event.altKey) return;
    const column = card.closest(".column");
    const at = [...cardsOf(column).children].indexOf(card);
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (side) {
      const next = columns[columns.indexOf(column) + side];
      event.preventDefault();
      if (event.shiftKey && next) { put(card, next, cardsOf(next).firstElementChild); linkOf(card).focus(); }
      if (!event.shiftKey) beside(column, side, at)?.focus();
      return;
    }
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    const up = event.key === "ArrowUp";
    const other = up ? card.previousElementSibling : card.nextElementSibling;
    if (!other) return;
    if (!event.shiftKey) return linkOf(other).focus();
    put(card, column, up ? other : other.nextElementSibling);
    linkOf(card).focus();
  });
  const beside = (column, side, at) => {
    for (let i = columns.indexOf(column) + side; columns[i]; i += side) {
      const cards = cardsOf(columns[i]).children;
      if (cards.length) return linkOf(cards[Math.min(at, cards.length - 1)]);
    }
    return null;
  };
})();
