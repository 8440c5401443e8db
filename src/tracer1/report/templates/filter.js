// The problems by field and by words. The page works without this: then all of them are shown.
(() => {
  const form = document.querySelector(".filter");
  if (!form) return;
  const [field, words, told] = ["select", "input", "output"].map((name) => form.querySelector(name));
  const rows = [...document.querySelectorAll(".problems tbody tr")].map((row) => [row, row.innerText.toLowerCase()]);
  const choose = () => {
    const wanted = words.value.trim().toLowerCase();
    let shown = 0;
    for (const [row, text] of rows) {
      row.hidden = Boolean((field.value && row.dataset.field !== field.value) || !text.includes(wanted));
      shown += !row.hidden;
    }
    told.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  choose();
})();
