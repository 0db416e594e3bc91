// Manners of the pages of tasks: a filter applies when it is chosen, "/" searches, "n" writes a new task,
// Ctrl-Enter sends a comment, "g" and a letter goes elsewhere. Everything works without, by its button.
(() => {
  for (const field of document.querySelectorAll("[data-submits]")) field.addEventListener("change", () => field.form.requestSubmit());
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("[data-send]")) return event.target.form.requestSubmit();
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.matches("input, textarea, select, [contenteditable]")) return;
    const after = going && event.timeStamp - going < 1200;
    going = event.key === "g" ? event.timeStamp : 0;
    if (after && event.key === "i") return location.assign(document.querySelector(".rail .brand").href);
    if (after && event.key === "t") return location.assign(document.querySelector("[data-tasks]").href);
    const field = document.querySelector({ "/": "[data-slash]", n: "[data-new]" }[event.key] ?? "no-such-key");
    if (!field) return;
    event.preventDefault();
    field.focus();
  });
})();
