// A field for formatted text (a signature, a template), written as it will look; without scripts it shows the HTML.
(async () => {
  const field = document.querySelector("textarea[data-rich]");
  if (!field) return;
  const { form } = field;
  let editor = null;

  // Words that a button writes where the cursor was last: into the text, or into another field of the form. From the
  // beginning: the editor is still on its way when people are at work in the other fields.
  let last = null;
  const remember = (target) => { last = target.matches("input[type=text]") ? target : target.closest(".written") ? null : last; };
  remember(document.activeElement);
  form.addEventListener("focusin", ({ target }) => remember(target));
  for (const button of form.querySelectorAll("[data-insert]")) {
    button.addEventListener("click", () => {
      if (!last) {
        editor?.view.focus(); // at once: by itself it waits for a frame, and what is typed meanwhile presses the button
        return editor?.chain().focus().insertContent(button.dataset.insert).run();
      }
      last.setRangeText(button.dataset.insert, last.selectionStart, last.selectionEnd, "end");
      last.focus();
    });
    button.disabled = false;
  }

  const kit = await import(form.dataset.editor);
  const element = document.createElement("div");
  element.className = "rich-field";
  const begun = document.activeElement === field; // somebody writes already
  field.hidden = true;
  field.after(element);
  const label = document.querySelector(`label[for="${field.id}"]`);
  const parts = ["Document", "Paragraph", "Text", "Bold", "Italic", "Underline", "HardBreak", "History"];
  if (field.dataset.rich === "letter") parts.push("BulletList", "OrderedList", "ListItem", "Blockquote", "Heading");
  editor = new kit.Editor({
    element, injectCSS: false, content: field.value,
    extensions: [...parts.map((name) => kit[name]), kit.Link.configure({ openOnClick: false, autolink: true, enableTarget: false })],
    editorProps: { attributes: { class: "written", role: "textbox", "aria-multiline": "true", "aria-label": label.textContent.trim(), dir: "auto" } },
    onUpdate: () => { field.value = editor.getHTML(); },
  });
  label.addEventListener("click", () => editor.commands.focus());
  if (begun) { editor.view.focus(); editor.commands.focus("end"); }
})();
