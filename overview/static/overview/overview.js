// One box chooses the page's mailboxes; whoever takes one of them away has no longer chosen them all.
(() => {
  const whole = document.querySelector("[data-whole-page]");
  if (!whole) return;
  const boxes = () => [...document.querySelectorAll('input[name="ids"][form="doing"]')];
  whole.addEventListener("change", () => { for (const box of boxes()) box.checked = whole.checked; });
  document.addEventListener("change", (event) => {
    if (event.target.name === "ids") whole.checked = boxes().every((box) => box.checked);
  });
})();
