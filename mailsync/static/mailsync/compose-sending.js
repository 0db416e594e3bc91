// Sending a letter, now or later: what a careful colleague would ask comes first.
(() => {
  const parts = (window.composing ??= {});

  parts.sending = (letter) => {
    const { form, find, foot, inTurn, post, values } = letter;
    const questions = document.getElementById("questions");
    let sending = false;

    const ask = (asked) => {
      questions.querySelector("[data-list]").replaceChildren(...asked.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
      questions.returnValue = "";
      questions.onclose = () => { if (questions.returnValue === "send") send({ confirmed: "1" }); else letter.editor.commands.focus(); };
      questions.showModal();
    };
    const turnedDown = async (response) => {
      const again = response.headers.get("X-Revision"), moved = response.headers.get("X-Letter");
      const asked = response.headers.get("X-Questions") ? (await response.json()).questions : null;
      const sentence = asked ? asked.join(" ") : await response.text();
      if (again) form.elements.revision.value = again;
      if (moved) { // it is a draft of another mailbox now, with files and images of its own: it is opened there
        letter.end();
        form.inert = true;
        document.dispatchEvent(new CustomEvent("mail:open", { detail: moved }));
        return say(sentence, "bad");
      }
      if (asked) return ask(asked);
      say(sentence, "bad");
    };
    const send = (extra = {}) => {
      if (sending) return;
      sending = true;
      for (const one of Object.values(letter.people)) one.take();
      letter.wait();
      foot.classList.add("busy");
      inTurn(async () => {
        try {
          const body = values();
          for (const [name, value] of Object.entries(extra)) body.set(name, value);
          const response = await post(form.action, body);
          if (response.status === 409) return letter.clash(await response.json());
          if (response.status === 422) return await turnedDown(response);
          if (!response.ok || response.redirected) throw new Error();
          letter.end();
          parts.toast(await response.text());
          letter.close();
        } catch {
          say(document.body.dataset.offline, "bad");
        } finally {
          sending = false;
          foot.classList.remove("busy");
        }
      });
    };

    form.addEventListener("submit", (event) => { event.preventDefault(); event.stopPropagation(); form.elements.send_at.value = ""; send(); });
    // Before the editor hears of it, which would put a line break in the place of what is selected.
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      event.stopPropagation();
      form.requestSubmit(find(".send"));
    }, true);
    form.addEventListener("click", ({ target }) => {
      const later = target.closest("[data-later]");
      if (!later) return;
      form.elements.send_at.value = later.dataset.later || find("#later-at").value;
      if (form.elements.send_at.value) send(); else find("#later-at").focus();
    });
  };
})();
