/* The report's behaviour: themes, tables, selectors, figures, samples. No request is made. */
"use strict";
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const drawn = new Set();
  const given = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;

  /* ---------------------------------------------------------------- figures */
  function choice(plot) {
    const chosen = all("select[data-panel]", plot.closest(".panel")).map((select) => select.value);
    return chosen.length ? chosen.join("|") : null;
  }

  function hidden(plot) {
    return new Set(all('.legend [aria-pressed="false"]', plot.closest(".panel")).map((button) => button.dataset.label));
  }

  function draw(plot) {
    const shots = given.figures[plot.id];
    const wanted = choice(plot) ?? Object.keys(shots)[0];
    plot.hidden = !shots[wanted];
    if (plot.hidden) return;
    const series = Figures.draw(plot, shots[wanted], given, hidden(plot));
    plot.dataset.choice = wanted;
    plot.dataset.shown = JSON.stringify(series.map((one) => one.key ?? one.name ?? ""));
  }

  const plots = all(".plot");
  const redraw = (some) => some.filter((plot) => drawn.has(plot)).forEach(draw);
  const watcher = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
      watcher.unobserve(target);
      drawn.add(target);
      draw(target);
    }),
    { rootMargin: "600px" },
  );
  for (const plot of plots) { // room is kept for what is drawn later, so that links land where they point
    const [figure] = Object.values(given.figures[plot.id]);
    plot.style.minHeight = `${figure.height}px`;
    watcher.observe(plot);
  }
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => redraw(plots), 150);
  });

  for (const select of all("select[data-panel]")) {
    select.addEventListener("change", () => redraw(all(".plot", select.closest(".panel"))));
  }
  for (const button of all(".legend button")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      redraw(all(".plot", button.closest(".panel")));
    });
  }

  /* ----------------------------------------------------------------- tables */
  function compare(one, two, rising) {
    if (one === undefined || two === undefined) return (one === undefined) - (two === undefined); // missing last
    const numbers = [Number(one), Number(two)];
    const order = numbers.some(Number.isNaN) ? one.localeCompare(two, "en") : numbers[0] - numbers[1];
    return rising ? order : -order;
  }

  function sort(heading) {
    const row = heading.parentElement;
    const at = [...row.children].indexOf(heading);
    const table = heading.closest("table");
    const first = heading.dataset.first; // the better direction
    const other = first === "ascending" ? "descending" : "ascending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    all("[aria-sort]", row).forEach((cell) => cell.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", order);
    const value = (body) => body.rows[0].cells[at].dataset.value;
    const bodies = [...table.tBodies].sort((a, b) => compare(value(a), value(b), order === "ascending"));
    table.append(...bodies);
  }
  for (const button of all("button.sort")) button.addEventListener("click", () => sort(button.closest("th")));

  function expand(button, open) {
    button.setAttribute("aria-expanded", String(open));
    all("tr.seed", button.closest("tbody")).forEach((row) => { row.hidden = !open; });
  }
  for (const button of all("button.expand")) {
    button.addEventListener("click", () => expand(button, button.getAttribute("aria-expanded") !== "true"));
  }

  function filter(select) { // shows the rows or tables that its selectors choose together
    const own = all("select[data-rows]").filter((one) => one.dataset.rows === select.dataset.rows);
    const chosen = own.map((one) => one.value).join("|");
    for (const body of all("[data-column]", document.getElementById(select.dataset.rows))) {
      body.hidden = body.dataset.column !== chosen;
    }
  }
  for (const select of all("select[data-rows]")) {
    select.addEventListener("change", () => filter(select));
    filter(select);
  }

  function search(field) { // rows whose names hold all words
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const body of all("tbody", document.getElementById(field.dataset.search))) {
      const text = all(".name", body).map((cell) => `${cell.textContent} ${cell.dataset.name ?? ""}`).join(" ").toLowerCase();
      body.classList.toggle("unfound", !words.every((word) => text.includes(word)));
    }
  }
  for (const field of all("input[data-search]")) field.addEventListener("input", () => search(field));

  /* ---------------------------------------------------------------- columns */
  function show(chooser) { // the chosen columns of a leaderboard, and the headings above them
    const table = document.getElementById(chooser.dataset.columns);
    const boxes = all("input[data-rank]", chooser);
    const on = boxes.map((box) => box.checked);
    const [groups, headings] = table.tHead.rows;
    for (const row of [headings, ...all("tbody tr", table)]) on.forEach((yes, at) => { row.cells[at + 1].hidden = !yes; });
    let at = 0;
    for (const cell of [...groups.cells].slice(1)) {
      const own = on.slice(at, at += Number(cell.dataset.span));
      const shown = own.filter(Boolean).length;
      cell.hidden = !shown;
      cell.colSpan = Math.max(1, shown);
    }
    chooser.querySelector("output").textContent = `${on.filter(Boolean).length} of ${on.length}`;
  }

  function fit(chooser) { // leave out what matters least until the table fits
    const scroll = document.getElementById(chooser.dataset.columns).closest(".scroll");
    const boxes = all("input[data-rank]", chooser).sort((a, b) => b.dataset.rank - a.dataset.rank);
    boxes.forEach((box) => { box.checked = true; });
    show(chooser);
    for (const box of boxes.slice(0, -1)) {
      if (scroll.scrollWidth <= scroll.clientWidth) return;
      box.checked = false;
      show(chooser);
    }
  }
  for (const chooser of all(".columns")) {
    fit(chooser);
    chooser.addEventListener("change", () => show(chooser));
    chooser.querySelector("button.everything").addEventListener("click", () => {
      all("input[data-rank]", chooser).forEach((box) => { box.checked = true; });
      show(chooser);
    });
    chooser.querySelector("button.fitting").addEventListener("click", () => fit(chooser));
  }

  /* -------------------------------------------------------------- permalinks */
  function arrive() { // what is linked to may be folded away
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target?.closest("details");
    if (folded) folded.open = true;
    target?.scrollIntoView({ behavior: "instant" });
  }
  addEventListener("hashchange", arrive);
  if (location.hash) arrive();

  /* ------------------------------------------------------------ theme, print */
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  let before = null;
  addEventListener("beforeprint", () => {
    before = { theme: root.dataset.theme, closed: all("details.differences:not([open])") };
    root.dataset.theme = "light";
    before.closed.forEach((details) => { details.open = true; });
    plots.forEach((plot) => { watcher.unobserve(plot); drawn.add(plot); draw(plot); });
  });
  addEventListener("afterprint", () => {
    if (before.theme) root.dataset.theme = before.theme; else delete root.dataset.theme;
    before.closed.forEach((details) => { details.open = false; });
    redraw(plots);
  });
  root.dataset.ready = "true";
})();
