// Injected into every page before its own scripts. Gives the environment three calls: start, look and nothing else.
(() => {
  "use strict";
  const LONGEST_TIMER = 700; // ms; a pending timer this short is an animation or a delayed menu: wait for it
  const IGNORED = "#query, #reward-display, #click-canvas, #sync-task-cover, script, style, option:not(select[multiple] option)";

  const steady = new CSSStyleSheet(); // a blinking caret would make two pictures of one screen
  steady.replaceSync("* { caret-animation: manual !important; }");
  document.adoptedStyleSheets = [steady];

  // ---- waiting -----------------------------------------------------------------------------------------------------
  const pending = new Set();
  const nativeSet = window.setTimeout.bind(window);
  const nativeClear = window.clearTimeout.bind(window);
  window.setTimeout = (handler, delay, ...args) => {
    if (typeof handler !== "function" || delay > LONGEST_TIMER) return nativeSet(handler, delay, ...args);
    const id = nativeSet((...values) => { pending.delete(id); handler(...values); }, delay, ...args);
    pending.add(id);
    return id;
  };
  window.clearTimeout = (id) => { pending.delete(id); nativeClear(id); };
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const focusLeaves = () => // a field that was disabled while it had the focus loses it with the next frame
    document.activeElement !== null && document.activeElement.matches(":disabled");
  const busy = () =>
    pending.size > 0 || focusLeaves() || (window.jQuery && window.jQuery.timers.length > 0) ||
    document.getAnimations().some((a) => a.playState === "running" && a.effect.getTiming().iterations < 10);

  async function settle(limit, frames) { // until nothing moves: at least `frames` frames, at most `limit` ms
    const end = performance.now() + limit;
    for (; frames > 0; frames--) await frame();
    while (busy() && performance.now() < end) await frame();
  }

  // Icons are CSS images fetched when first shown; until then their box is empty and a click on them misses.
  const images = [];
  async function preload() {
    for (const sheet of document.styleSheets)
      for (const rule of sheet.cssRules)
        for (const [, url] of (rule.cssText || "").matchAll(/url\("([^"]+\.(?:png|gif))"\)/g)) {
          const image = new Image();
          image.src = new URL(url, sheet.href || document.baseURI).href;
          images.push(image);
        }
    await Promise.allSettled(images.map((image) => image.decode()));
  }

  // ---- episodes ----------------------------------------------------------------------------------------------------
  async function start(seed, mode) {
    await preload();
    if (core.EP_TIMER !== null) { clearTimeout(core.EP_TIMER); core.EP_TIMER = null; }
    core.EPISODE_MAX_TIME = 1e8; // at 2^31 a timer overflows and fires at once
    if (core.setDataMode) core.setDataMode(mode);
    Math.seedrandom(seed);
    core.startEpisodeReal();
    const end = performance.now() + 5000;
    while (!WOB_TASK_READY && performance.now() < end) await frame();
    const utterance = core.getUtterance();
    return typeof utterance === "string" ? utterance : utterance.utterance;
  }

  async function look(limit, frames, walk, most) {
    await settle(limit, frames);
    const nodes = document.getElementsByTagName("*").length;
    if (nodes > most) throw new Error(`the page has ${nodes} elements, more than ${most}`);
    return {
      done: WOB_DONE_GLOBAL, reward: WOB_RAW_REWARD_GLOBAL, reason: WOB_REWARD_REASON || "",
      elements: walk && !WOB_DONE_GLOBAL ? elements() : [],
    };
  }

  // ---- what a person sees -------------------------------------------------------------------------------------------
  const clean = (text) => (text || "").replace(/\s+/g, " ").trim();
  const shown = (e) => clean(e.innerText === undefined ? e.textContent : e.innerText);
  const own = (e) => clean([...e.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.data).join(" "));
  const label = (text) => clean(text).replace(/\s*:$/, "");

  function fieldName(e) { // the label a person would read it by
    const tied = (e.labels && e.labels[0]) || document.querySelector(`label[for="${CSS.escape(e.id || "-")}"]`);
    if (tied) return label(shown(tied));
    const row = e.closest("tr");
    if (row && row.querySelector("th")) return label(shown(row.querySelector("th")));
    for (let n = e.previousSibling; n; n = n.previousSibling) {
      if (n.nodeType === Node.TEXT_NODE && clean(n.data)) return label(n.data);
      if (n.nodeType !== Node.ELEMENT_NODE) continue;
      if (n.matches("label, b, span, div, th, td") && shown(n)) return label(shown(n));
      break;
    }
    const around = e.closest(".field, .ui-entry");
    const written = around && around.querySelector(".label, .ui-label");
    return written ? label(shown(written)) : "";
  }
  const choiceName = (e) => {
    if (e.labels && e.labels[0]) return clean(e.labels[0].textContent);
    const n = e.nextSibling;
    return n && n.nodeType === Node.TEXT_NODE ? clean(n.data) : "";
  };

  // [selector, role, name, drawn]: the first rule that matches says what an element is; a null role hides it.
  const RULES = [
    [".ui-datepicker-prev, .ui-datepicker-next", "arrow", (e) => (e.matches(".ui-datepicker-prev") ? "previous" : "next"), false],
    [".ui-spinner-button", "arrow", (e) => (e.matches(".ui-spinner-up") ? "up" : "down"), false],
    [".ui-datepicker-calendar td a", "day", shown, true],
    [".ui-accordion-header, h3", "section", shown, true],
    [".ui-tabs-anchor", "tab", shown, true],
    [".ui-menu-item > .ui-menu-item-wrapper, .ui-menu-item > div", "menu item", shown, true],
    ["#contact a", "link", (e) => label(shown(e.closest(".property").querySelector(".property-name"))), true],
    [".ui-tabs-nav li", null],
    [".email-thread", "email", (e) => shown(e.querySelector(".email-sender")), true],
    [".email-reply", "button", () => "Reply", true],
    [".email-forward", "button", () => "Forward", true],
    [".email-actions .star, .email-actions .trash", "icon", (e) => (e.matches(".star") ? "star" : "trash"), false],
    ["#send-reply, #send-forward", "icon", () => "send", false],
    ["#close-email, #close-reply, #close-forward, #search-cancel", "icon", () => "back", false],
    ["#open-search", "icon", () => "search", false],
    [".search-title", "result", shown, true],
    [".hitarea", null],
    [".filetree .folder, .filetree .file", (e) => (e.matches(".folder") ? "folder" : "file"), shown, true],
    ["svg text", "shape", (e) => (/^\d+$/.test(e.textContent) ? "number" : "letter"), false],
    ["svg rect", "shape", () => "rectangle", false],
    ["svg circle", "shape", () => "circle", false],
    ["svg polygon, svg path", "shape", () => "triangle", false],
    ["button, input[type=submit], input[type=button], .final, .ui-submit", "button", (e) => shown(e) || clean(e.value), true],
    ["input[type=checkbox]", "checkbox", choiceName, true],
    ["input[type=radio]", "radio button", choiceName, true],
    ["textarea", "text area", fieldName, true],
    ["input", "field", fieldName, true],
    ["select[multiple] option", "option", (e) => clean(e.text), true],
    ["select", "list", fieldName, true],
    ["a, .alink", "link", shown, true],
    ["label, th", null],
  ];

  function classify(e) {
    for (const [selector, role, name, drawn] of RULES) {
      if (!e.matches(selector)) continue;
      const word = typeof role === "function" ? role(e) : role;
      if (word === null || e.disabled) return null;
      const text = name(e);
      return { role: word, name: text, bears_text: drawn && text !== "" };
    }
    if (e.closest("button, a, label, svg, .email-thread, h3") || !own(e)) return null;
    return { role: "text", name: shown(e).slice(0, 120), bears_text: true };
  }

  const meet = (a, b) => ({
    left: Math.max(a.left, b.left), top: Math.max(a.top, b.top),
    right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom),
  });

  function parts(b) {
    const x = (b.left + b.right) / 2, y = (b.top + b.bottom) / 2;
    const halves = [{ ...b, right: x }, { ...b, left: x }, { ...b, bottom: y }, { ...b, top: y }];
    const quarters = halves.slice(0, 2).flatMap((h) => [{ ...h, bottom: y }, { ...h, top: y }]);
    return [b, ...halves, ...quarters];
  }

  function touches(e, box) { // whether a click in the middle of the box reaches the element
    const top = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    const tied = e.labels && e.labels[0];
    return top !== null && (e.contains(top) || (tied && tied.contains(top)) || top.contains(e));
  }

  function visibleBox(e) { // the part of its box that is not scrolled or cut away, or null when something covers it
    const style = getComputedStyle(e);
    if (style.visibility !== "visible" || style.opacity === "0") return null;
    const rects = e.getClientRects();
    if (!rects.length) return null;
    let rect = rects[0]; // a link that wraps has several; the middle of their union may lie on none
    if (e.matches("input[type=checkbox], input[type=radio]") && e.labels && e.labels[0]) { // its label is clicked as well
      const [text] = e.labels[0].getClientRects();
      rect = { left: Math.min(rect.left, text.left), top: Math.min(rect.top, text.top),
        right: Math.max(rect.right, text.right), bottom: Math.max(rect.bottom, text.bottom) };
    }
    let box = meet(rect, { left: 0, top: 0, right: innerWidth, bottom: innerHeight });
    for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
      if (getComputedStyle(p).overflow !== "visible") box = meet(box, p.getBoundingClientRect());
    if (e.matches("input[type=number]")) box.right = box.left + 0.6 * (box.right - box.left); // the rest holds spin arrows
    const shows = Math.min(10, (rect.bottom - rect.top) / 2); // of a thing half scrolled away, enough to be read
    if (box.right - box.left < 3 || box.bottom - box.top < Math.max(3, shows)) return null;
    box = parts(box).find((part) => touches(e, part)); // of a thing half covered, a half or quarter that is not
    if (!box) return null;
    return [box.left / innerWidth, box.top / innerHeight, box.right / innerWidth, box.bottom / innerHeight];
  }

  function elements() {
    const found = [];
    for (const e of document.body.querySelectorAll("*")) {
      if (e.closest(IGNORED)) continue;
      const what = classify(e);
      const box = what && visibleBox(e);
      if (box) found.push({ ...what, box, focused: e === document.activeElement });
    }
    return found;
  }

  window.__tracer1 = { start, look };
})();
