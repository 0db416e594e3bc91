// Writing a letter in the pane: the editor, keeping the draft, files, sending and taking back.
(() => {
  const pane = document.getElementById("pane");
  const toasts = document.getElementById("toasts");
  const token = document.querySelector("#acts [name=csrfmiddlewaretoken]").value;
  const KEPT_AFTER = 800, TRIED_AGAIN_AFTER = 5000;
  const tab = (sessionStorage.tab ??= crypto.randomUUID?.() ?? String(Math.random()));
  let current = null;

  const post = (url, body, more = {}) => fetch(url, { method: "POST", body, headers: { "HX-Request": "true", "X-CSRFToken": token }, ...more });
  const emit = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  const toast = (html) => toasts.append(document.createRange().createContextualFragment(html));

  // Begin, or open again: the answer says where the letter is.
  const begin = async (url, body) => {
    try {
      const response = await post(url, body);
      if (response.status === 422) return say(await response.text(), "bad");
      if (!response.ok || response.redirected) throw new Error();
      emit("mail:open", (await response.json()).url);
    } catch {
      say(document.body.dataset.failed, "bad");
    }
  };
  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    const how = submitter?.dataset.answer;
    if (how === undefined && !form.matches("[data-opens]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    form.closest("[data-toast]")?.remove();
    const body = new FormData(form);
    if (how) body.set("how", how);
    body.set("list", document.getElementById("main").dataset.list);
    begin(how ? submitter.formAction : form.action, body);
  }, true);

  // ---- the editor

  let loading;
  const prose = (url) => (loading ??= import(url));

  const editorOf = async (form, element, { changed, files }) => {
    const kit = await prose(form.dataset.editor);
    const Signature = kit.Node.create({
      name: "signature", group: "block", content: "block+", defining: true,
      parseHTML: () => [{ tag: "div.signature" }],
      renderHTML: () => ["div", { class: "signature" }, 0],
    });
    const parts = ["Document", "Paragraph", "Text", "Bold", "Italic", "Underline", "Strike", "Code", "BulletList", "OrderedList",
      "ListItem", "Blockquote", "HardBreak", "HorizontalRule", "Heading", "History", "Dropcursor", "Gapcursor", "Table", "TableRow", "TableCell", "TableHeader"];
    return new kit.Editor({
      element, injectCSS: false, content: form.elements.html.value,
      extensions: [...parts.map((name) => kit[name]), Signature, kit.Image.configure({ inline: true }),
        kit.Link.configure({ openOnClick: false, autolink: true, enableTarget: false }),
        kit.Placeholder.configure({ placeholder: form.dataset.placeholder })],
      editorProps: {
        attributes: { class: "written", role: "textbox", "aria-multiline": "true", "aria-label": form.dataset.text, dir: "auto" },
        handlePaste: (view, event) => {
          const pasted = [...event.clipboardData.files];
          if (!pasted.length || event.clipboardData.types.includes("text/html") && event.clipboardData.getData("text/plain")) return false;
          files(pasted, { inText: true });
          return true;
        },
        // Pictures of other pages would not arrive with the letter.
        transformPastedHTML: (html) => html.replace(/<img\b[^>]*>/gi, (tag) => (/\bsrc="\/mail\/write\//.test(tag) ? tag : "")),
      },
      onUpdate: changed,
    });
  };

  // ---- one open letter

  const open = async (form) => {
    const find = (selector) => form.querySelector(selector);
    const kept = find("#kept"), foot = find("#composer-foot"), attached = find("#attached"), conflict = find("#conflict");
    const words = form.dataset;
    const store = `letter-${words.id}`;
    let editor = null, dirty = false, touched = false, gone = false, saver = 0, used = Number(words.used);
    let turn = Promise.resolve(); // requests that change the letter go one after another: each knows the revision before it

    const values = () => {
      const body = new FormData();
      for (const name of ["revision", "key", "from", "to", "cc", "bcc", "subject", "quoted", "send_at"]) body.set(name, form.elements[name].value);
      body.set("tab", tab);
      body.set("turn", Date.now()); // of two saves of this tab the later one counts, whichever comes first
      body.set("html", editor ? editor.getHTML() : form.elements.html.value);
      return body;
    };
    const inTurn = (step) => (turn = turn.then(step, step));
    const state = (text, bad = false) => { kept.textContent = text; kept.classList.toggle("bad", bad); };

    const backup = () => sessionStorage.setItem(store, JSON.stringify(Object.fromEntries(values())));
    const changed = () => {
      dirty = touched = true;
      try { backup(); } catch { /* full: the server keeps it in a moment */ }
      clearTimeout(saver);
      saver = setTimeout(save, KEPT_AFTER);
    };
    const save = () => inTurn(async () => {
      clearTimeout(saver);
      if (!dirty || gone) return;
      dirty = false;
      state(words.saving);
      try {
        const response = await post(words.save, values(), { keepalive: !form.isConnected });
        if (response.status === 409) return clash(await response.json());
        if (!response.ok || response.redirected) throw new Error();
        const now = await response.json();
        form.elements.revision.value = now.revision;
        if (!dirty) sessionStorage.removeItem(store);
        state(`${words.saved} ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`);
        if (now.url && form.isConnected) { gone = true; emit("mail:open", now.url); }
        else if (location.search.includes("new=1")) history.replaceState({ mail: words.url }, "", words.url);
      } catch {
        dirty = true;
        state(words.unsaved, true);
        saver = setTimeout(save, TRIED_AGAIN_AFTER);
      }
    });
    const clash = ({ sentence, revision, draft }) => {
      conflict.hidden = false;
      conflict.querySelector("[data-sentence]").textContent = sentence;
      const mine = conflict.querySelector("[data-overwrite]");
      mine.hidden = !draft;
      mine.onclick = () => { form.elements.revision.value = revision; conflict.hidden = true; changed(); save(); };
      conflict.querySelector("[data-take]").onclick = (event) => {
        event.preventDefault();
        gone = true;
        sessionStorage.removeItem(store);
        emit("mail:open", words.url);
      };
      state("");
    };

    // What an earlier page of this letter had not got to the server yet.
    try {
      const before = JSON.parse(sessionStorage.getItem(store));
      if (before && before.revision === form.elements.revision.value) {
        for (const name of ["from", "to", "cc", "bcc", "subject", "quoted", "html"]) form.elements[name].value = before[name];
        dirty = touched = true;
      } else sessionStorage.removeItem(store);
    } catch { sessionStorage.removeItem(store); }

    // Files
    const upload = (file, inline) => inTurn(() => new Promise((done) => {
      if (used + file.size > Number(words.limit)) { say(words.tooBig, "bad"); return done(); }
      const line = document.createElement("li");
      line.className = "uploading";
      const name = Object.assign(document.createElement("span"), { className: "name", textContent: file.name });
      const bar = Object.assign(document.createElement("progress"), { className: "bar", max: 100, value: 0, ariaLabel: file.name });
      const stop = Object.assign(document.createElement("button"), { type: "button", className: "tool", textContent: "×", ariaLabel: `${words.remove}: ${file.name}` });
      line.append(name, bar, stop);
      attached.append(line);
      const body = new FormData();
      body.set("file", file);
      if (inline) body.set("inline", "1");
      const request = new XMLHttpRequest();
      request.open("POST", words.files);
      request.setRequestHeader("HX-Request", "true");
      request.setRequestHeader("X-CSRFToken", token);
      request.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = (100 * event.loaded) / event.total; };
      stop.onclick = () => request.abort();
      request.onabort = () => { line.remove(); done(); };
      request.onerror = () => { line.remove(); say(words.failedFile, "bad"); done(); };
      request.onload = () => {
        line.remove();
        if (request.status !== 200) say(request.status === 422 ? request.responseText : words.failedFile, "bad");
        else taken(request, file, inline);
        done();
      };
      request.send(body);
    }));
    const taken = (request, file, inline) => {
      touched = true;
      used += file.size;
      form.elements.revision.value = request.getResponseHeader("X-Revision");
      if (inline) editor.chain().focus().setImage({ src: JSON.parse(request.responseText).src, alt: file.name }).run();
      else attached.insertAdjacentHTML("beforeend", request.responseText);
      state(words.saved);
    };
    const files = (list, { inText = false } = {}) => {
      for (const file of list) upload(file, inText && /^image\/(png|jpeg|gif|webp)$/.test(file.type));
    };
    find("[data-pick]").onchange = ({ target }) => { files(target.files); target.value = ""; };
    find("[data-pick-image]").onchange = ({ target }) => { files(target.files, { inText: true }); target.value = ""; };
    attached.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-detach]");
      if (!button) return;
      const line = button.closest("li");
      line.hidden = true;
      inTurn(async () => {
        const response = await post(button.dataset.detach).catch(() => null);
        if (!response?.ok) { line.hidden = false; return say(document.body.dataset.failed, "bad"); }
        used -= Number(line.dataset.bytes);
        form.elements.revision.value = response.headers.get("X-Revision");
        line.remove();
      });
    });
    let over = 0;
    const carries = (event) => event.dataTransfer?.types.includes("Files");
    form.addEventListener("dragenter", (event) => { if (carries(event)) { over += 1; form.classList.add("dropping"); } });
    form.addEventListener("dragleave", (event) => { if (carries(event) && --over <= 0) { over = 0; form.classList.remove("dropping"); } });
    form.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
    form.addEventListener("drop", (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      event.stopPropagation();
      over = 0;
      form.classList.remove("dropping");
      const dropped = [...event.dataTransfer.files];
      const inText = Boolean(event.target.closest(".written")) && dropped.every((file) => file.type.startsWith("image/"));
      const place = inText && editor.view.posAtCoords({ left: event.clientX, top: event.clientY });
      if (place) editor.commands.setTextSelection(place.pos);
      files(dropped, { inText });
    }, true);

    // Recipients
    const people = Object.fromEntries([...form.querySelectorAll("[data-chips]")].map((field) =>
      [field.name, recipients(field, { urls: [words.people, words.clients].filter(Boolean), remove: words.remove, changed })]));
    const copies = find("[data-copies]");
    const showCopies = () => { for (const line of form.querySelectorAll(".copy")) line.hidden = false; copies.hidden = true; };
    copies.onclick = () => { showCopies(); people.cc.focus(); };
    for (const name of ["cc", "bcc"]) if (!people[name].empty) form.elements[name].closest(".line").hidden = false;
    copies.hidden = !people.cc.empty && !people.bcc.empty;

    if (people.to.empty) people.to.focus(); // at once: the editor is still on its way, and nobody waits for it
    form.elements.subject.addEventListener("input", changed);
    form.elements.from.addEventListener("change", () => { if (editor) signAs(form.elements.from.value); changed(); });

    // The text
    const element = document.createElement("div");
    element.className = "editor";
    find("#sheet").prepend(element);
    editor = await editorOf(form, element, { changed, files });
    if (!form.isConnected) return editor.destroy();
    find("#sheet").addEventListener("click", ({ target }) => { if (target.id === "sheet") editor.commands.focus("end"); });
    const signature = (key) => form.querySelector(`[data-signature="${CSS.escape(key)}"]`);
    const bare = (text) => text.replace(/\s+/g, "");
    let signedAs = form.elements.from.value;
    const signAs = (key) => {
      const block = signature(key)?.innerHTML ?? "", before = signature(signedAs)?.content.textContent ?? "";
      let place = null, own = false;
      signedAs = key;
      editor.state.doc.forEach((node, at) => {
        if (node.type.name !== "signature") return;
        place = { from: at, to: at + node.nodeSize };
        own = bare(node.textContent) !== bare(before);
      });
      if (own) return; // somebody wrote into it
      if (place && block) editor.commands.insertContentAt(place, block);
      else if (place) editor.commands.deleteRange(place);
      else if (block) editor.commands.insertContentAt(editor.state.doc.content.size, block);
    };
    const FORMATS = {
      bold: (chain) => chain.toggleBold(), italic: (chain) => chain.toggleItalic(), underline: (chain) => chain.toggleUnderline(),
      bulletList: (chain) => chain.toggleBulletList(), orderedList: (chain) => chain.toggleOrderedList(),
      blockquote: (chain) => chain.toggleBlockquote(), clear: (chain) => chain.unsetAllMarks().clearNodes(),
    };
    const dialog = document.getElementById("link-dialog");
    const link = () => {
      const url = dialog.querySelector("input");
      url.value = editor.getAttributes("link").href ?? "";
      dialog.onclose = () => {
        const chosen = dialog.returnValue;
        const chain = editor.chain().focus().extendMarkRange("link");
        const href = /^[a-z][a-z0-9+.-]*:/i.test(url.value.trim()) ? url.value.trim() : `https://${url.value.trim()}`;
        if (chosen === "unset") chain.unsetLink().run();
        else if (chosen === "set" && url.value.trim()) {
          if (editor.state.selection.empty && !editor.isActive("link")) chain.insertContent({ type: "text", text: url.value.trim(), marks: [{ type: "link", attrs: { href } }] }).run();
          else chain.setLink({ href }).run();
        } else editor.commands.focus();
      };
      dialog.returnValue = "";
      dialog.showModal();
      url.select();
    };
    foot.addEventListener("click", ({ target }) => {
      const format = target.closest("[data-format]")?.dataset.format;
      if (format === "link") link();
      else if (format) FORMATS[format](editor.chain().focus()).run();
    });
    const showFormats = () => { for (const button of foot.querySelectorAll("[data-format][aria-pressed]")) button.setAttribute("aria-pressed", editor.isActive(button.dataset.format)); };
    editor.on("transaction", showFormats);
    element.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); event.stopPropagation(); link(); }
    }, true);

    // What is quoted
    const quotation = find("#quotation");
    const dropQuote = () => { form.elements.quoted.value = "no"; quotation.remove(); changed(); };
    if (quotation && form.elements.quoted.value === "no") quotation.remove();
    find("[data-drop-quote]")?.addEventListener("click", dropQuote);
    find("[data-edit-quote]")?.addEventListener("click", async () => {
      const response = await fetch(`${find(".quoted-frame").getAttribute("src")}?edit=1`).catch(() => null);
      if (!response?.ok) return say(document.body.dataset.failed, "bad");
      editor.commands.insertContentAt(editor.state.doc.content.size, await response.text());
      dropQuote();
    });

    // Leaving, throwing away, sending
    const end = () => { gone = true; clearTimeout(saver); sessionStorage.removeItem(store); };
    const leave = async () => {
      if (words.new && !touched) { end(); post(words.discard); } else await save();
      emit("mail:close");
    };
    find("[data-leave]").addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      leave();
    });
    find("[data-throw-away]").onclick = () => inTurn(async () => {
      const response = await post(words.discard).catch(() => null);
      if (!response?.ok) return say(document.body.dataset.failed, "bad");
      end();
      toast(await response.text());
      emit("mail:close");
    });
    const questions = document.getElementById("questions");
    const ask = (asked) => {
      questions.querySelector("[data-list]").replaceChildren(...asked.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
      questions.returnValue = "";
      questions.onclose = () => { if (questions.returnValue === "send") send({ confirmed: "1" }); else editor.commands.focus(); };
      questions.showModal();
    };
    let sending = false;
    const send = (extra = {}) => {
      if (sending) return;
      sending = true;
      for (const one of Object.values(people)) one.take();
      clearTimeout(saver);
      foot.classList.add("busy");
      inTurn(async () => {
        try {
          const body = values();
          for (const [name, value] of Object.entries(extra)) body.set(name, value);
          const response = await post(form.action, body);
          if (response.status === 409) return clash(await response.json());
          if (response.status === 422) {
            const again = response.headers.get("X-Revision");
            if (again) form.elements.revision.value = again;
            if (response.headers.get("X-Questions")) return ask((await response.json()).questions);
            return say(await response.text(), "bad");
          }
          if (!response.ok || response.redirected) throw new Error();
          end();
          toast(await response.text());
          emit("mail:close");
        } catch {
          say(document.body.dataset.offline, "bad");
        } finally {
          sending = false;
          foot.classList.remove("busy");
        }
      });
    };
    form.addEventListener("submit", (event) => { event.preventDefault(); event.stopPropagation(); form.elements.send_at.value = ""; send(); });
    form.addEventListener("click", ({ target }) => {
      const later = target.closest("[data-later]");
      if (!later) return;
      form.elements.send_at.value = later.dataset.later || find("#later-at").value;
      if (form.elements.send_at.value) send(); else find("#later-at").focus();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); event.stopPropagation(); form.requestSubmit(find(".send")); }
      if (event.key === "Enter" && event.target.id === "subject") { event.preventDefault(); editor.commands.focus("start"); }
      if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open], details.menu[open]")) leave();
    });

    current = {
      form,
      flush: () => { if (dirty && !gone) post(words.save, values(), { keepalive: true }).catch(() => {}); },
      release: () => { if (dirty && !gone) save(); editor.destroy(); clearTimeout(saver); },
      online: () => { if (dirty && !gone) save(); },
    };
    if (dirty) changed();
    if (!form.contains(document.activeElement)) editor.commands.focus("start");
  };

  const look = () => {
    const form = pane.querySelector("#composer");
    if (current && current.form !== form) { current.release(); current = null; }
    if (form && !form.dataset.begun) { form.dataset.begun = "1"; open(form); }
  };
  new MutationObserver(look).observe(pane, { childList: true });
  addEventListener("pagehide", () => current?.flush());
  addEventListener("online", () => current?.online());
  look();
})();
