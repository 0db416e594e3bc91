// Cards move by drag, or by Shift with an arrow on the focused card; arrows alone walk. The card moves at once; if the
// server refuses, it comes back and says why.
(() => {
  const board = document.getElementById("board");
  const said = document.getElementById("board-said");
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const columns = [...board.querySelectorAll(".column")];
  const cards = (column) => [...column.querySelectorAll(".task-card")];
  const add = (column, by) => { const total = column.querySelector("[data-total]"); total.textContent = Number(total.textContent) + by; };
  const nameOf = (column) => column.querySelector("h2 > span").textContent;

  const place = (card, column, before) => {
    const focused = card.contains(document.activeElement);
    add(card.closest(".column"), -1);
    column.querySelector(".cards").insertBefore(card, before);
    add(column, 1);
    if (focused) card.querySelector(".title").focus();
  };
  // Moves go to the server one after another: of two of one card the later stands, and what is said comes in their order.
  const moved = new Map(); // a card on its way -> where the server has it, and how many of its moves wait
  let turn = Promise.resolve();
  const ask = async (card, column) => {
    const known = moved.get(card);
    let words = board.dataset.moved.replace("%title%", card.querySelector(".title").textContent).replace("%column%", nameOf(column));
    try {
      const response = await fetch(card.dataset.move.replace("STATUS", column.dataset.status), {
        method: "POST", headers: { "X-CSRFToken": token, "X-Board": "1" }, redirect: "manual", keepalive: true,
      });
      if (response.status !== 204) throw new Error(response.status === 422 ? await response.text() : document.body.dataset.failed);
      known.column = column;
    } catch (error) {
      words = error instanceof TypeError ? document.body.dataset.offline : error.message;
      window.say(words, "bad");
    }
    known.waiting -= 1;
    if (!known.waiting) {
      moved.delete(card);
      if (card.closest(".column") !== known.column) place(card, known.column, known.column.contains(known.next) ? known.next : null);
    }
    said.textContent = words;
  };
  const move = (card, column) => {
    const from = card.closest(".column");
    if (from === column) return;
    const known = moved.get(card) ?? { column: from, next: card.nextElementSibling, waiting: 0 };
    known.waiting += 1;
    moved.set(card, known);
    place(card, column, column.querySelector(".task-card"));
    turn = turn.then(() => ask(card, column));
  };

  let held = null;
  board.addEventListener("dragstart", (event) => {
    held = event.target.closest?.(".task-card");
    if (!held) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", held.dataset.id);
    held.classList.add("dragged");
  });
  const mark = (column) => { for (const each of columns) each.classList.toggle("over", each === column); };
  board.addEventListener("dragover", (event) => {
    const column = event.target.closest(".column");
    if (!held || !column) return;
    event.preventDefault();
    mark(column);
  });
  board.addEventListener("drop", (event) => {
    const column = event.target.closest(".column");
    if (!held || !column) return;
    event.preventDefault();
    move(held, column);
  });
  board.addEventListener("dragend", () => { held?.classList.remove("dragged"); held = null; mark(null); });

  board.addEventListener("keydown", (event) => {
    const card = event.target.closest(".task-card");
    if (!card || !event.target.matches(".title") || event.ctrlKey || event.metaKey || event.altKey) return;
    const column = card.closest(".column");
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
    const along = { ArrowUp: -1, ArrowDown: 1 }[event.key] ?? 0;
    if (!side && !along) return;
    event.preventDefault();
    if (side && event.shiftKey) {
      const target = columns[columns.indexOf(column) + side];
      if (target) move(card, target);
      return;
    }
    const row = cards(column).indexOf(card);
    let target = along ? cards(column)[row + along] : null;
    for (let at = columns.indexOf(column) + side; side && !target && columns[at]; at += side) target = cards(columns[at])[Math.min(row, cards(columns[at]).length - 1)];
    target?.querySelector(".title").focus();
  });
})();
