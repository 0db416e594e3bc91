// A field of recipients: what is typed becomes chips, completed from people we know. The field itself keeps the
// whole line ("Bob <bob@x.example>, …"), so that it is sent as any other.
window.recipients = (() => {
  const ADDRESS = /^[^\s<>()[\]:;@\\,"]+@[^\s<>()[\]:;@\\,"]+\.[^\s<>()[\]:;@\\,".]+$/u;

  // Commas and semicolons part people, except inside of quotation marks and angle brackets.
  const split = (text) => text.match(/(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,;\n"])+/g)?.map((one) => one.trim()).filter(Boolean) ?? [];
  const parse = (text) => {
    const found = text.match(/^(.*?)\s*<([^>]*)>$/s);
    if (!found) return { name: "", address: text.replace(/^mailto:/i, "") };
    return { name: found[1].replace(/^"(.*)"$/s, "$1").replace(/\\(.)/g, "$1"), address: found[2].trim() };
  };
  const written = ({ name, address }) => {
    if (!name) return address;
    return `${/^[^"(),.:;<>@[\]\\]+$/.test(name) ? name : `"${name.replace(/\\/g, "").replace(/"/g, "'")}"`} <${address}>`;
  };
  const make = (tag, props = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), props);
    made.append(...children);
    return made;
  };

  return (field, { urls, remove, changed }) => {
    // Not the field's own id: a form finds its elements by name and by id alike.
    const id = `${field.id}-people`;
    const label = field.form.querySelector(`label[for="${field.id}"]`);
    label.htmlFor = id;
    const input = make("input", { type: "text", id, autocomplete: "off", spellcheck: false, className: "chip-input" });
    const list = make("ul", { className: "suggestions", id: `${id}-list`, hidden: true });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", label.textContent);
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", list.id);
    const chips = make("span", { className: "chip-list" });
    const box = make("div", { className: "chips" }, chips, input, list);
    field.type = "hidden";
    field.removeAttribute("id");
    field.after(box);

    let people = split(field.value).map(parse);
    let offered = [], at = -1, asking = 0;

    const store = () => { field.value = people.map(written).join(", "); };
    const draw = () => {
      chips.replaceChildren(...people.map((person, index) => {
        const ok = ADDRESS.test(person.address);
        const away = make("button", { type: "button", title: remove, textContent: "×", tabIndex: -1 });
        away.setAttribute("aria-label", `${remove}: ${person.name || person.address}`);
        away.onclick = () => { people.splice(index, 1); update(); input.focus(); };
        const chip = make("span", { className: `chip${ok ? "" : " wrong"}`, title: written(person) }, make("bdi", { textContent: person.name || person.address }), away);
        chip.ondblclick = () => { people.splice(index, 1); update(); input.value = written(person); input.focus(); };
        return chip;
      }));
    };
    const update = () => { store(); draw(); changed(); };
    const add = (found) => {
      for (const person of found) {
        const same = people.find((one) => one.address.toLowerCase() === person.address.toLowerCase());
        if (!same) people.push({ name: person.name ?? "", address: person.address });
      }
      input.value = "";
      close();
      update();
    };
    const take = () => { if (input.value.trim()) add(split(input.value).map(parse)); };

    const close = () => { offered = []; at = -1; list.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
    const mark = (index) => {
      at = index;
      for (const [number, item] of [...list.children].entries()) item.setAttribute("aria-selected", number === at);
      if (at < 0) return input.removeAttribute("aria-activedescendant");
      input.setAttribute("aria-activedescendant", `${id}-${at}`);
      list.children[at].scrollIntoView({ block: "nearest" });
    };
    const show = () => {
      list.replaceChildren(...offered.map((one, index) => {
        const item = make("li", { id: `${id}-${index}` }, make("bdi", { textContent: one.name || one.address, className: "name" }), make("span", { textContent: one.people ? one.note : one.name ? one.address : "", className: "faint" }), make("span", { textContent: one.people ? "" : one.note ?? "", className: "tag" }));
        item.setAttribute("role", "option");
        item.onmousedown = (event) => { event.preventDefault(); choose(index); };
        return item;
      }));
      list.hidden = !offered.length;
      input.setAttribute("aria-expanded", String(!list.hidden));
      mark(offered.length ? 0 : -1);
    };
    const choose = (index) => { const one = offered[index]; add(one.people ? one.people.map(([name, address]) => ({ name, address })) : [one]); };
    const ask = async () => {
      const words = input.value.trim();
      const turn = ++asking;
      if (words.length < 1) return close();
      const answers = await Promise.all(urls.map(async (url) => {
        try {
          const response = await fetch(`${url}?${new URLSearchParams({ q: words })}`);
          return response.ok && !response.redirected ? (await response.json()).people : [];
        } catch { return []; }
      }));
      if (turn !== asking || document.activeElement !== input) return;
      const seen = new Set(people.map((one) => one.address.toLowerCase()));
      offered = answers.flat().filter((one) => one.people || !seen.has(one.address.toLowerCase()) && seen.add(one.address.toLowerCase())).slice(0, 9);
      show();
    };
    let timer = 0;
    input.addEventListener("input", () => {
      if (/[,;]\s*$/.test(input.value) && ADDRESS.test(parse(input.value.replace(/[,;]\s*$/, "").trim()).address)) return take();
      clearTimeout(timer);
      timer = setTimeout(ask, 120);
    });
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "ArrowDown" && offered.length) { event.preventDefault(); mark((at + 1) % offered.length); }
      else if (event.key === "ArrowUp" && offered.length) { event.preventDefault(); mark((at + offered.length - 1) % offered.length); }
      else if (event.key === "Escape" && offered.length) { event.preventDefault(); event.stopPropagation(); close(); }
      else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) { event.preventDefault(); if (at >= 0) choose(at); else take(); }
      else if (event.key === "Tab" && input.value.trim()) { if (at >= 0 && !event.shiftKey) { event.preventDefault(); choose(at); } else take(); }
      else if (event.key === "Backspace" && !input.value && people.length) { people.pop(); update(); }
    });
    input.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (!/[@]/.test(text) || !/[,;\n<]/.test(text)) return;
      event.preventDefault();
      add(split(text).map(parse));
    });
    input.addEventListener("blur", () => { take(); close(); });
    box.addEventListener("click", (event) => { if (event.target === box || event.target === chips) input.focus(); });
    draw();
    return { take, focus: () => input.focus(), get empty() { return !people.length; } };
  };
})();
