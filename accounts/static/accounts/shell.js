// Small manners of every page: menus close, toasts leave, htmx tells of failures in words.
(() => {
  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
  };
  document.addEventListener("click", (event) => {
    const menu = event.target.closest?.("details.menu");
    closeMenus(menu);
    if (menu && event.target.closest(".menu-list a, .menu-list button")) menu.open = false;
    if (event.target.closest?.("[data-dismiss]")) event.target.closest("[data-toast], .banner")?.remove();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
    event.stopImmediatePropagation();
  });

  // What is pressed stays until it is let go, or the click would be lost: the next answer will show what this one does.
  let pressed = null;
  document.addEventListener("pointerdown", (event) => { pressed = event.target; }, true);
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { pressed = null; }, true);
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target.contains(pressed) && detail.elt.getAttribute("hx-trigger")?.includes("every ")) detail.shouldSwap = false;
  });

  // A toast leaves by itself, unless somebody is at it.
  const watch = (toast) => {
    const leave = () => {
      if (toast.matches(":hover, :focus-within")) return setTimeout(leave, 2000);
      toast.classList.add("leaving");
      setTimeout(() => toast.remove(), 160);
    };
    if (!toast.hasAttribute("data-stays")) setTimeout(leave, 10000);
  };
  const box = document.getElementById("toasts");
  if (box) {
    for (const toast of box.children) watch(toast);
    new MutationObserver((changes) => {
      for (const change of changes) for (const node of change.addedNodes) if (node.nodeType === 1) watch(node);
      while (box.children.length > 3) box.firstElementChild.remove();
    }).observe(box, { childList: true });
  }
  window.say = (text, kind = "") => {
    if (!box) return;
    const toast = document.createElement("div");
    toast.className = `toast ${kind}`;
    toast.dataset.toast = "";
    toast.append(Object.assign(document.createElement("p"), { textContent: text }));
    box.append(toast);
  };

  // What a toast offers was done: it has nothing more to say.
  document.addEventListener("htmx:afterRequest", (event) => event.detail.elt.closest?.("[data-toast]")?.remove());

  const words = document.body.dataset;
  document.addEventListener("htmx:sendError", () => window.say(words.offline, "bad"));
  document.addEventListener("htmx:responseError", (event) => {
    const { status, responseText } = event.detail.xhr;
    if (status === 401) return location.reload();
    window.say(status === 422 ? responseText : words.failed, "bad");
  });
})();
