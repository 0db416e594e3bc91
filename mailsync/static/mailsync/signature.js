// The signature is written as it will look; without scripts its field shows the HTML.
(async () => {
  const field = document.querySelector("textarea[data-rich]");
  if (!field) return;
  const kit = await import(field.form.dataset.editor);
  const element = document.createElement("div");
  element.className = "signature-field";
  field.hidden = true;
  field.after(element);
  const label = document.querySelector(`label[for="${field.id}"]`);
  const parts = ["Document", "Paragraph", "Text", "Bold", "Italic", "Underline", "HardBreak", "History"];
  const editor = new kit.Editor({
    element, injectCSS: false, content: field.value,
    extensions: [...parts.map((name) => kit[name]), kit.Link.configure({ openOnClick: false, autolink: true, enableTarget: false })],
    editorProps: { attributes: { class: "written", role: "textbox", "aria-multiline": "true", "aria-label": label.textContent.trim() } },
    onUpdate: () => { field.value = editor.getHTML(); },
  });
  label.addEventListener("click", () => editor.commands.focus());
})();
