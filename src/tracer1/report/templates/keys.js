// j and k: the next and the previous episode. The page works without this: each episode has an address of its own.
(() => {
  const episodes = [...document.querySelectorAll(".episode")];
  const shown = () => episodes.find((s) => s.matches(":target")) ?? episodes.find((s) => s.matches(".first"));
  const mark = () => {
    for (const dot of document.querySelectorAll(".picker a")) {
      const current = dot.hash === "#" + shown()?.id;
      current ? dot.setAttribute("aria-current", "true") : dot.removeAttribute("aria-current");
    }
  };
  addEventListener("hashchange", mark);
  addEventListener("keydown", (event) => {
    const way = { j: 1, k: -1 }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = episodes[episodes.indexOf(shown()) + way];
    if (next) location.replace("#" + next.id);
  });
  mark();
})();
