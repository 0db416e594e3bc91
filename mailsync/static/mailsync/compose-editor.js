// The text of a letter: the editor, its formats, links, the signature that goes with the sender, the quotation.
(() => {
  const parts = (window.composing ??= {});
  const NODES = ["Document", "Paragraph", "Text", "Bold", "Italic", "Underline", "Strike", "Code", "BulletList", "OrderedList",
    "ListItem", "Blockquote", "HardBreak", "HorizontalRule", "Heading", "History", "Dropcursor", "Gapcursor", "Table", "TableRow", "TableCell", "TableHeader"];
  const FORMATS = {
    bold: (chain) => chain.toggleBold(), italic: (chain) => chain.toggleItalic(), underline: (chain) => chain.toggleUnderline(),
    bulletList: (chain) => chain.toggleBulletList(), orderedList: (chain) => chain.toggleOrderedList(),
    blockquote: (chain) => chain.toggleBlockquote(), clear: (chain) => chain.unsetAllMarks().clearNodes(),
  };

  const make = async ({ form, changed, addFiles }, element) => {
    const kit = await import(form.dataset.editor);
    const Signature = kit.Node.create({
      name: "signature", group: "block", content: "block+", defining: true,
      parseHTML: () => [{ tag: "div.signature" }],
      renderHTML: () => ["div", { class: "signature" }, 0],
    });
    return new kit.Editor({
      element, injectCSS: false, content: form.elements.html.value,
      extensions: [...NODES.map((name) => kit[name]), Signature, kit.Image.configure({ inline: true }),
        kit.Link.configure({ openOnClick: false, autolink: true, enableTarget: false }),
        kit.Placeholder.configure({ placeholder: form.dataset.placeholder })],
      editorProps: {
        attributes: { class: "written", role: "textbox", "aria-multiline": "true", "aria-label": form.dataset.text, dir: "auto" },
        handlePaste: (view, event) => {
          const pasted = [...event.clipboardData.files];
          if (!pasted.length || event.clipboardData.types.includes("text/html") && event.clipboardData.getData("text/plain")) return false;
          addFiles(pasted, { inText: true });
          return true;
        },
        // Pictures of other pages would not arrive with the letter.
        transformPastedHTML: (html) => html.replace(/<img\b[^>]*>/gi, (tag) => (/\bsrc="\/mail\/write\//.test(tag) ? tag : "")),
      },
      onUpdate: changed,
    });
  };

  const askForLink = (editor) => {
    const dialog = document.getElementById("link-dialog");
    const url = dialog.querySelector("input");
    url.value = editor.getAttributes("link").href ?? "";
    dialog.onclose = () => {
      const chosen = dialog.returnValue, typed = url.value.trim();
      const chain = editor.chain().focus().extendMarkRange("link");
      const href = /^[a-z][a-z0-9+.-]*:/i.test(typed) ? typed : `https://${typed}`;
      if (chosen === "unset") chain.unsetLink().run();
      else if (chosen === "set" && typed) {
        if (editor.state.selection.empty && !editor.isActive("link")) chain.insertContent({ type: "text", text: typed, marks: [{ type: "link", attrs: { href } }] }).run();
        else chain.setLink({ href }).run();
      } else editor.commands.focus();
    };
    dialog.returnValue = "";
    dialog.showModal();
    url.select();
  };

  const formats = ({ foot, editor }, element) => {
    foot.addEventListener("click", ({ target }) => {
      const format = target.closest("[data-format]")?.dataset.format;
      if (format === "link") askForLink(editor);
      else if (format) {
        editor.view.focus(); // at once: by itself it waits for a frame, and what is typed meanwhile presses the button
        FORMATS[format](editor.chain().focus()).run();
      }
    });
    editor.on("transaction", () => {
      for (const button of foot.querySelectorAll("[data-format][aria-pressed]")) button.setAttribute("aria-pressed", editor.isActive(button.dataset.format));
    });
    element.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); event.stopPropagation(); askForLink(editor); }
    }, true);
  };

  // The signature of the sender's mailbox takes the place of the one before, unless somebody wrote into it.
  const signatures = ({ form, editor }) => {
    const bare = (text) => text.replace(/\s+/g, "");
    const block = (key) => form.querySelector(`[data-signature="${CSS.escape(key)}"]`);
    let signedAs = form.elements.from.value;
    return (key) => {
      const next = block(key)?.innerHTML ?? "", before = block(signedAs)?.content.textContent ?? "";
      let place = null, own = false;
      signedAs = key;
      editor.state.doc.forEach((node, at) => {
        if (node.type.name !== "signature") return;
        place = { from: at, to: at + node.nodeSize };
        own = bare(node.textContent) !== bare(before);
      });
      if (own) return;
      if (place && next) editor.commands.insertContentAt(place, next);
      else if (place) editor.commands.deleteRange(place);
      else if (next) editor.commands.insertContentAt(editor.state.doc.content.size, next);
    };
  };

  const quotation = ({ form, find, editor, changed }) => {
    const quoted = find("#quotation");
    if (!quoted) return;
    if (form.elements.quoted.value === "no") return quoted.remove();
    const drop = () => { form.elements.quoted.value = "no"; quoted.remove(); changed(); };
    find("[data-drop-quote]").addEventListener("click", drop);
    find("[data-edit-quote]").addEventListener("click", async () => {
      const response = await fetch(`${find(".quoted-frame").getAttribute("src")}?edit=1`).catch(() => null);
      if (!response?.ok) return say(document.body.dataset.failed, "bad");
      editor.commands.insertContentAt(editor.state.doc.content.size, await response.text());
      drop();
    });
  };

  // Resolves when one can write; the letter then has `editor` and `signAs`.
  parts.editor = async (letter) => {
    const element = document.createElement("div");
    element.className = "editor";
    letter.find("#sheet").prepend(element);
    letter.editor = await make(letter, element);
    letter.find("#sheet").addEventListener("click", ({ target }) => { if (target.id === "sheet") letter.editor.commands.focus("end"); });
    letter.signAs = signatures(letter);
    formats(letter, element);
    quotation(letter);
  };
})();
