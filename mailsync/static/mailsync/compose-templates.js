// Inserting a template: found by typing, seen as it will stand in this letter, put where the cursor is.
(() => {
  const parts = (window.composing ??= {});

  // The first field that nobody could fill is selected: typing replaces it.
  const selectGap = (editor, gap) => {
    let place = null;
    editor.state.doc.descendants((node, at) => {
      const found = node.isText && !place ? node.text.indexOf(gap) : -1;
      if (found >= 0) place = { from: at + found, to: at + found + gap.length };
    });
    if (place) editor.commands.setTextSelection(place);
  };

  const listed = (dialog) => {
    const field = dialog.querySelector("[role=combobox]"), preview = dialog.querySelector(".preview");
    const missing = dialog.querySelector(".missing"), none = dialog.querySelector(".none");
    const all = [...dialog.querySelectorAll("[role=option]")];
    let at = null;
    const shown = () => all.filter((item) => !item.hidden);
    const mark = (item) => {
      at = item ?? null;
      for (const each of all) each.setAttribute("aria-selected", each === at);
      if (at) field.setAttribute("aria-activedescendant", at.id); else field.removeAttribute("aria-activedescendant");
      at?.scrollIntoView({ block: "nearest" });
      preview.replaceChildren(...(at ? [at.querySelector("template").content.cloneNode(true)] : []));
      missing.hidden = !at?.dataset.missing;
      missing.querySelector("b").textContent = at?.dataset.missing ?? "";
      none.hidden = Boolean(at);
    };
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const item of all) item.hidden = !words.every((word) => `${item.textContent} ${item.dataset.subject}`.toLowerCase().includes(word));
      mark(shown()[0]);
    });
    field.addEventListener("keydown", (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by || event.isComposing) return;
      event.preventDefault();
      const items = shown();
      mark(items[(items.indexOf(at) + by + items.length) % items.length]);
    });
    for (const item of all) {
      item.addEventListener("click", () => { mark(item); field.focus(); });
      item.addEventListener("dblclick", () => dialog.close("insert"));
    }
    mark(all[0]);
    field.focus();
    return () => at;
  };

  parts.templates = (letter) => {
    const { form, words, find, save, changed } = letter;
    const dialog = document.getElementById("template-dialog");
    const insert = (item) => {
      const { editor } = letter;
      editor.chain().focus().insertContent(item.querySelector("template").innerHTML).run();
      if (!form.elements.subject.value && item.dataset.subject) form.elements.subject.value = item.dataset.subject;
      if (item.dataset.missing) selectGap(editor, `{${item.dataset.missing.split(", ")[0]}}`);
      changed();
    };
    const choose = async () => {
      await save(); // the fields are those of whoever it is written to
      const response = await fetch(words.templates).catch(() => null);
      if (!response?.ok || response.redirected) return say(document.body.dataset.failed, "bad");
      dialog.innerHTML = await response.text();
      dialog.returnValue = "";
      dialog.showModal();
      const chosen = dialog.querySelector("[role=combobox]") ? listed(dialog) : () => null;
      dialog.onclose = () => {
        const item = dialog.returnValue === "insert" ? chosen() : null;
        if (item) insert(item); else letter.editor.commands.focus();
      };
    };
    find("[data-insert-template]").addEventListener("click", choose);
    form.addEventListener("keydown", (event) => {
      if (event.key === ";" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); choose(); }
    });
  };
})();
