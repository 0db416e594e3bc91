// The files of a letter: by drag, paste and picker, with progress, within what its server takes.
(() => {
  const parts = (window.composing ??= {});

  const uploading = (words, file) => {
    const line = document.createElement("li");
    line.className = "uploading";
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: file.name });
    const bar = Object.assign(document.createElement("progress"), { className: "bar", max: 100, value: 0, ariaLabel: file.name });
    const stop = Object.assign(document.createElement("button"), { type: "button", className: "tool", textContent: "×", ariaLabel: `${words.remove}: ${file.name}` });
    line.append(name, bar, stop);
    return { line, bar, stop };
  };

  parts.files = (letter) => {
    const { form, words, find, inTurn, post, state } = letter;
    const attached = find("#attached");
    let used = Number(words.used);

    const taken = (request, file, inline) => {
      letter.touched = true;
      used += file.size;
      form.elements.revision.value = request.getResponseHeader("X-Revision");
      if (inline) letter.editor.chain().focus().setImage({ src: JSON.parse(request.responseText).src, alt: file.name }).run();
      else attached.insertAdjacentHTML("beforeend", request.responseText);
      state(words.saved);
    };
    const upload = (file, inline) => inTurn(() => new Promise((done) => {
      if (used + file.size > Number(words.limit)) { say(words.tooBig, "bad"); return done(); }
      const { line, bar, stop } = uploading(words, file);
      attached.append(line);
      const body = new FormData();
      body.set("file", file);
      if (inline) body.set("inline", "1");
      const request = new XMLHttpRequest();
      request.open("POST", words.files);
      request.setRequestHeader("HX-Request", "true");
      request.setRequestHeader("X-CSRFToken", letter.token);
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
    letter.addFiles = (list, { inText = false } = {}) => {
      for (const file of list) upload(file, inText && /^image\/(png|jpeg|gif|webp)$/.test(file.type));
    };

    find("[data-pick]").onchange = ({ target }) => { letter.addFiles(target.files); target.value = ""; };
    find("[data-pick-image]").onchange = ({ target }) => { letter.addFiles(target.files, { inText: true }); target.value = ""; };
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
      const place = inText && letter.editor.view.posAtCoords({ left: event.clientX, top: event.clientY });
      if (place) letter.editor.commands.setTextSelection(place.pos);
      letter.addFiles(dropped, { inText });
    }, true);
  };
})();
