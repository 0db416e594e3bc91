// One box that ticks them all.
(() => {
  const all = document.getElementById("keep-all");
  all?.addEventListener("change", () => { for (const box of document.querySelectorAll(".leaving input[name=ids]")) box.checked = all.checked; });
})();
