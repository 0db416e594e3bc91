// Light or dark before the first paint. "" follows the system; the choice stays in this browser.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const read = () => { try { return localStorage.getItem("theme") || ""; } catch { return ""; } };
  const apply = (theme) => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  };
  apply(read());
  addEventListener("storage", (event) => { if (event.key === "theme") apply(read()); });
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-switch]")) return;
    const dark = getComputedStyle(root).colorScheme.includes("light dark")
      ? matchMedia("(prefers-color-scheme: dark)").matches : root.dataset.theme === "dark";
    const theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", theme); } catch { /* private window: holds until reload */ }
    apply(theme);
  });
})();
