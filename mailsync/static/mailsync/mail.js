// The list and the pane: open without reload, act at once and take it back if the server refuses,
// keyboard, ranges, and a look every 15 s whether something is new. Everything here also works by
// plain links and forms; this file only makes it quick.
(() => {
  const mail = document.getElementById("main");
  const rows = document.getElementById("rows");
  const scroll = document.getElementById("scroll");
  const pane = document.getElementById("pane");
  const acts = document.getElementById("acts");
  const dialog = document.getElementById("dialog");
  const pill = document.getElementById("newer");
  const all = document.getElementById("pick-all");
  const match = document.getElementById("pick-match");
  const narrow = matchMedia("(max-width: 700px)");
  const listUrl = mail.dataset.url;
  const token = acts.querySelector("[name=csrfmiddlewaretoken]").value;
  const LEAVING = ["archive", "trash", "spam", "not-spam", "expunge", "move"];

  // ---- rows

  const row = (id) => document.getElementById(`r${id}`);
  const idOf = (item) => item.id.slice(1);
  const list = () => [...rows.querySelectorAll(".row:not(.going)")];
  const boxes = () => [...rows.querySelectorAll(".row > input")];
  const picked = () => boxes().filter((box) => box.checked).map((box) => box.value);
  let anchor = null; // where a range begins
  let here = null; // id of the row that the keyboard is at

  // One row is reachable by Tab, the others by j, k and the arrows.
  const rove = () => {
    const current = openId() ?? answered();
    if (!row(here)) here = current && row(current) ? current : list()[0] ? idOf(list()[0]) : null;
    for (const item of rows.querySelectorAll(".row")) {
      const index = idOf(item) === here ? 0 : -1;
      for (const part of item.querySelectorAll("input, a, button")) part.tabIndex = index;
      item.classList.toggle("current", idOf(item) === current);
    }
  };
  const focusRow = (item) => {
    if (!item) return;
    here = idOf(item);
    rove();
    item.querySelector(".line").focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
  };
  const tally = () => {
    const count = picked().length;
    document.getElementById("picked").textContent = match?.checked
      ? match.parentElement.textContent.trim().replace(/^\D*/, "").replace(/\D+$/, "") || count : count || "";
    all.checked = count > 0 && count === boxes().length;
    all.indeterminate = count > 0 && !all.checked;
    if (!all.checked && match) match.checked = false;
  };
  const drop = () => { for (const box of boxes()) box.checked = false; if (match) match.checked = false; tally(); };
  const range = (from, to, on) => {
    const ids = boxes().map((box) => box.value);
    const [low, high] = [ids.indexOf(from), ids.indexOf(to)].sort((a, b) => a - b);
    if (low >= 0) for (const box of boxes().slice(low, high + 1)) box.checked = on;
  };
  rows.addEventListener("click", (event) => {
    const box = event.target.closest(".row > input");
    if (box) {
      if (event.shiftKey && anchor) range(anchor, box.value, box.checked);
      anchor = box.value;
      return tally();
    }
    const line = event.target.closest(".line");
    if (!line || event.ctrlKey || event.metaKey || event.altKey || event.button) return;
    event.preventDefault();
    const id = idOf(line.parentElement);
    if (event.shiftKey) {
      getSelection().removeAllRanges();
      range(anchor ?? id, id, true);
      anchor = id;
      return tally();
    }
    anchor = here = id;
    open(line.getAttribute("href"));
  });
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    tally();
  });
  match?.addEventListener("change", tally);

  // ---- the pane

  const article = () => document.getElementById("message");
  const openId = () => article()?.dataset.id ?? null;
  // While a letter is written: the row of the message that its author was reading, and goes back to.
  const answered = () => {
    const back = pane.querySelector("#composer") && history.state?.back;
    const item = back && list().find((one) => one.querySelector(".line").getAttribute("href") === back);
    return item ? idOf(item) : null;
  };
  let loading = Promise.resolve();
  const load = (url) => (loading = htmx.ajax("GET", url, { target: pane, swap: "innerHTML", source: pane }).catch(() => {}));
  const open = (url, { push = true } = {}) => {
    if (push) history.pushState({ mail: url, back: openId() ? location.pathname + location.search : history.state?.back }, "", url);
    mail.classList.add("open");
    return load(url);
  };
  const close = ({ push = true } = {}) => {
    if (push) history.pushState({ mail: "" }, "", listUrl);
    const was = openId();
    mail.classList.remove("open");
    pane.replaceChildren(document.getElementById("closed").content.cloneNode(true));
    document.title = mail.dataset.title;
    if (was && row(was)) focusRow(row(was));
    rove();
  };
  history.replaceState({ ...history.state, mail: openId() || pane.querySelector("#composer") ? location.pathname + location.search : "" }, "");
  addEventListener("popstate", (event) => {
    if (event.state?.mail === undefined) return;
    if (event.state.mail) open(event.state.mail, { push: false });
    else close({ push: false });
  });
  // Others that fill the pane (compose.js) ask for it by these.
  document.addEventListener("mail:open", ({ detail }) => open(detail));
  document.addEventListener("mail:close", () => { if (history.state?.back) open(history.state.back); else close(); });
  pane.addEventListener("htmx:responseError", () => { if (pane.querySelector("#composer")) close(); }); // what was read has left
  const opened = () => {
    const message = article();
    rove();
    if (!message) return;
    here = message.dataset.id;
    rove();
    row(here)?.scrollIntoView({ block: "nearest" });
    if (!message.dataset.seen && message.dataset.flag) {
      message.dataset.seen = "1";
      row(here)?.classList.remove("unread");
      act("read", [message.dataset.id]);
    }
    if (narrow.matches) pane.focus({ preventScroll: true });
  };
  pane.addEventListener("click", (event) => {
    const link = event.target.closest("[data-back], [data-step]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      if (link.matches("[data-back]")) close();
      else if (link.getAttribute("aria-disabled") !== "true") open(link.getAttribute("href"));
    }
    if (event.target.closest("[data-images]")) setTimeout(() => event.target.closest(".images")?.remove());
  });

  // ---- acting: the screen first, the server after it

  const paint = (verb, ids) => {
    const undo = [];
    for (const id of ids) {
      const item = row(id);
      if (!item) continue;
      const before = item.className;
      const star = item.querySelector(".star");
      if (verb === "read") item.classList.remove("unread");
      if (verb === "unread") item.classList.add("unread");
      if (verb === "star" || verb === "unstar") {
        item.classList.toggle("starred", verb === "star");
        star.setAttribute("aria-pressed", verb === "star");
        star.value = `${verb === "star" ? "unstar" : "star"}:${id}`;
      }
      if (LEAVING.includes(verb)) item.classList.add("going");
      undo.push(() => {
        item.className = before;
        const on = item.classList.contains("starred");
        star.setAttribute("aria-pressed", on);
        star.value = `${on ? "unstar" : "star"}:${id}`;
      });
    }
    if (ids.includes(openId())) paintPane(verb);
    return () => { for (const step of undo) step(); };
  };
  const paintPane = (verb) => {
    const star = pane.querySelector(".tool.star");
    if (verb === "star" || verb === "unstar") {
      star.classList.toggle("on", verb === "star");
      star.value = verb === "star" ? "unstar" : "star";
      star.setAttribute("aria-pressed", verb === "star");
    }
    if (verb === "read" || verb === "unread") {
      article().dataset.seen = verb === "read" ? "1" : "";
      const toggle = document.getElementById("toggle-read");
      if (!toggle) return;
      toggle.value = verb === "read" ? "unread" : "read";
      toggle.ariaLabel = toggle.dataset[toggle.value];
      toggle.title = `${toggle.ariaLabel} (u)`;
    }
  };
  const bottom = () => document.getElementById("more")?.dataset.bottom ?? "";
  // With `anew` the answer brings the rows too; marks are painted already and need only the counts.
  const asked = (extra, anew = true) => {
    const form = new FormData();
    form.set("list", mail.dataset.list);
    form.set("show", mail.dataset.show);
    form.set("bottom", bottom());
    if (anew && rows.querySelectorAll(".row").length <= 300) form.set("rows", "1");
    for (const [name, value] of Object.entries(extra)) for (const one of [value].flat()) form.append(name, one);
    return form;
  };
  const send = async (url, form) => {
    let response;
    try {
      response = await fetch(url, {
        method: "POST", body: new URLSearchParams(form), headers: { "HX-Request": "true", "X-CSRFToken": token },
      });
    } catch {
      throw new Error(document.body.dataset.offline);
    }
    if (new URL(response.url).pathname.startsWith("/account/")) location.reload();
    const text = await response.text();
    if (!response.ok) throw new Error(response.status === 422 ? text : document.body.dataset.failed);
    return { response, text };
  };
  // Replace the parts that came, keeping what the person had: scroll, selection, focus.
  const swap = ({ response, text }, anew = true) => {
    if (anew && response.headers.has("X-News")) mail.dataset.token = response.headers.get("X-News");
    const kept = new Set(picked());
    const top = list().find((item) => item.offsetTop + item.offsetHeight > scroll.scrollTop);
    const offset = top ? top.offsetTop - scroll.scrollTop : 0;
    const focused = rows.contains(document.activeElement) ? document.activeElement : null;
    const part = focused?.tagName, place = focused?.closest(".row").id;
    const newest = list()[0]?.id;
    const at = scroll.scrollTop;
    htmx.swap(document.getElementById("tree"), text, { swapStyle: "none" });
    for (const box of boxes()) box.checked = kept.has(box.value);
    if (at > 0 && top && row(top.id.slice(1))) scroll.scrollTop = row(top.id.slice(1)).offsetTop - offset;
    rove();
    tally();
    if (focused && !focused.isConnected)
      (document.getElementById(place) ?? row(here))?.querySelector(part.toLowerCase())?.focus({ preventScroll: true });
    const fresh = list()[0]?.id;
    if (at > 60 && newest && fresh !== newest && row(newest.slice(1))) pill.hidden = false;
  };
  const after = (ids) => {
    const items = list();
    const last = Math.max(...ids.map((id) => items.findIndex((item) => idOf(item) === id)));
    return items.slice(last + 1).find((item) => !ids.includes(idOf(item)))
      ?? items.findLast((item) => !ids.includes(idOf(item)));
  };
  const act = async (verb, ids, extra = {}) => {
    if (!ids.length && !extra.all) return;
    const name = verb.split(":")[0];
    if (name !== "expunge" || extra.confirmed) {
      const leaving = LEAVING.includes(name);
      const next = leaving ? after(ids) : null;
      const back = paint(name, ids);
      const affectsOpen = leaving && ids.includes(openId());
      if (leaving) {
        drop();
        if (affectsOpen && next && !narrow.matches) open(next.querySelector(".line").getAttribute("href"));
        else if (affectsOpen) close();
        if (next && rows.contains(document.activeElement)) focusRow(next);
      }
      try {
        const anew = leaving || name === "assign" || Boolean(extra.all);
        swap(await send(mail.dataset.act, asked({ verb, ids, ...extra }, anew)), anew);
        if (name === "assign") { drop(); changed(); }
      } catch (error) {
        back();
        say(error.message, "bad");
      }
      return;
    }
    try {
      const { text } = await send(mail.dataset.act, asked({ verb, ids, ...extra }));
      dialog.innerHTML = text;
      dialog.showModal();
      dialog.querySelector("form").onsubmit = (event) => {
        event.preventDefault();
        dialog.close();
        act(verb, ids, { ...extra, confirmed: "1" });
      };
    } catch (error) {
      say(error.message, "bad");
    }
  };
  // Makes a task of messages; the toast says which, and parts of the page that show tasks hear of it.
  const makeTask = async (ids) => {
    if (!ids.length) return;
    try {
      swap(await send(mail.dataset.task, asked({ ids }, false)), false);
      drop();
      await loading; // what is on its way hears nothing, and may not know of the task
      htmx.trigger(document.body, "tasks-changed");
    } catch (error) {
      say(error.message, "bad");
    }
  };
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) { event.preventDefault(); dialog.close(); }
  });
  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    if (submitter?.value === "task" && (form.id === "acts" || form.id === "one") || form.matches("[data-make-task]")) {
      event.preventDefault();
      return makeTask(form.id === "acts" ? picked() : [openId()]);
    }
    if (form.id === "acts" && submitter) {
      event.preventDefault();
      if (submitter.name === "one") {
        const [verb, id] = submitter.value.split(":");
        return act(verb, [id]);
      }
      const extra = match?.checked ? { all: "1", top: acts.elements.top.value } : {};
      return act(submitter.value, picked(), extra);
    }
    if (form.id === "one" && submitter) {
      event.preventDefault();
      act(submitter.value, [openId()]);
      if (submitter.value === "unread") close();
    }
    if (form.matches(".undo")) {
      event.preventDefault();
      takeBack(form);
    }
  });
  // Parts of the pane that show what colleagues do ask again.
  const changed = () => htmx.trigger(document.body, "team-changed");
  const takeBack = async (form) => {
    form.closest("[data-toast]").remove();
    try {
      swap(await send(form.action, asked({ act: form.elements.act.value })));
      changed();
    } catch (error) {
      say(error.message, "bad");
    }
  };

  // ---- keyboard

  const chosen = () => {
    const ids = picked();
    if (ids.length) return ids;
    const focused = document.activeElement.closest?.(".row");
    const id = focused ? idOf(focused) : openId() ?? here;
    return id ? [id] : [];
  };
  const step = (by) => {
    const items = list();
    const now = items.findIndex((item) => idOf(item) === (openId() ?? here));
    const inRows = rows.contains(document.activeElement);
    const next = !openId() && !inRows ? row(here) ?? items[0] : items[now + by];
    if (!next) return;
    focusRow(next);
    if (openId()) open(next.querySelector(".line").getAttribute("href"));
  };
  const offers = (verb) => document.querySelector(`#acts [value="${verb}"], #one [value="${verb}"]`);
  const sort = (...verbs) => { const verb = verbs.find(offers); if (verb) act(verb, chosen(), all.checked && match?.checked ? { all: "1", top: acts.elements.top.value } : {}); };
  const any = (ids, css) => ids.some((id) => row(id)?.classList.contains(css));
  const star = (ids) => act(any(ids, "starred") ? "unstar" : "star", ids);
  const markUnread = (ids) => {
    const unread = any(ids, "unread");
    act(unread ? "read" : "unread", ids);
    if (!unread && ids.includes(openId())) close();
  };
  // The pane's own menu, else that of the list for the row at hand.
  const openAssign = () => {
    const ids = picked();
    const menu = (!ids.length && pane.querySelector("[data-assign]")) || acts.querySelector("[data-assign]");
    if (!menu) return;
    if (!ids.length && acts.contains(menu)) {
      const box = row(here)?.querySelector("input");
      if (!box) return;
      box.checked = true;
      tally();
    }
    menu.open = true;
    menu.querySelector(".menu-list button").focus();
  };
  const answer = (how) => pane.querySelector(`[data-answer="${how}"]`)?.click();
  const KEYS = {
    j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
    e: () => sort("archive"), "#": () => sort("expunge", "trash"), Delete: () => sort("expunge", "trash"), "!": () => sort("not-spam", "spam"),
    t: () => makeTask(chosen()),
    c: () => document.querySelector("#write button").click(),
    r: () => answer("reply"), a: () => answer("reply_all"), f: () => answer("forward"),
    l: () => pane.querySelector("[data-crm-link]")?.click(),
    w: () => openAssign(), i: () => document.querySelector("[data-assign]") && act("assign:me", chosen()),
    n: () => document.getElementById("note")?.focus(),
    s: () => star(chosen()), u: () => markUnread(chosen()),
    x: () => { const box = row(here)?.querySelector("input"); if (box) { box.checked = !box.checked; anchor = box.value; tally(); } },
    z: () => [...document.querySelectorAll("#toasts :is(.undo, [data-opens]) button")].at(-1)?.click(),
    o: () => row(here) && open(row(here).querySelector(".line").getAttribute("href")),
    "?": () => document.getElementById("keys").showModal(),
    Escape: () => { if (picked().length) drop(); else if (openId()) close(); },
  };
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open], details.menu[open], .folders:popover-open")) return;
    const typing = event.target.matches("textarea, select, input:not([type=checkbox]), [contenteditable]");
    if (typing) return;
    const place = { i: ".tree-item", c: "[data-crm]", t: "[data-tasks]" }[event.key];
    if (going && event.timeStamp - going < 1200 && place) return location.assign(document.querySelector(place).href);
    going = event.key === "g" ? event.timeStamp : 0;
    if (event.key.startsWith("Arrow") && !rows.contains(event.target)) return;
    const action = KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  // ---- news

  const look = async () => {
    if (document.hidden || rows.querySelector(".going")) return;
    const query = new URLSearchParams(asked({ token: mail.dataset.token }));
    try {
      const response = await fetch(`${mail.dataset.news}?${query}`, { headers: { "HX-Request": "true" } });
      if (response.status !== 200 || new URL(response.url).pathname !== mail.dataset.news) return;
      const text = await response.text();
      // The list went on meanwhile: these rows end too early.
      if (bottom() === query.get("bottom")) swap({ response, text }); else soon();
    } catch { /* offline: the next look tries again */ }
  };
  // Told at once while the page is seen (a hidden one would hold one of the browser's few connections), and
  // looking by itself besides: a call may be lost.
  let calls = null, waiting = 0;
  const soon = () => { waiting ||= setTimeout(() => { waiting = 0; look(); changed(); }, 300); };
  const listen = () => {
    if (document.hidden) { calls?.close(); calls = null; return; }
    if (calls && calls.readyState !== EventSource.CLOSED) return;
    calls = new EventSource(mail.dataset.events);
    calls.addEventListener("news", soon);
  };
  setInterval(() => { look(); if (!document.hidden) changed(); }, 15000);
  document.addEventListener("visibilitychange", () => { listen(); if (!document.hidden) look(); });
  addEventListener("pagehide", () => calls?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) { listen(); look(); } });
  listen();
  pill.addEventListener("click", () => { scroll.scrollTo({ top: 0, behavior: "smooth" }); pill.hidden = true; });
  scroll.addEventListener("scroll", () => { if (scroll.scrollTop < 20) pill.hidden = true; }, { passive: true });

  document.addEventListener("htmx:load", (event) => { if (event.detail.elt.closest("#rows, #pane")) opened(); });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (new URL(event.detail.xhr.responseURL, location).pathname.startsWith("/account/")) location.reload();
  });
  tally();
  opened();
})();
