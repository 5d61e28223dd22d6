/* The report's behaviour: themes, sorting, seeds, selectors, figures, the badge. No request is made. */
"use strict";
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;

  /* ---------------------------------------------------------------- the audit's badge */
  const badge = document.querySelector("#audit img");
  const unaudited = () => {
    const command = document.createElement("code");
    command.textContent = "shiftbench audit";
    const words = document.createElement("span");
    words.className = "tag";
    words.append("not audited here yet: ", command);
    badge.closest("a").replaceWith(words);
  };
  if (badge.complete && !badge.naturalWidth) unaudited();
  else badge.addEventListener("error", unaudited);

  /* ---------------------------------------------------------------- figures */
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function themed(layout) {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), tickcolor: colour("--line"), automargin: true };
    const dressed = {
      ...layout,
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--text") },
      hoverlabel: { bgcolor: colour("--surface"), bordercolor: colour("--line"), font: { color: colour("--text") } },
    };
    for (const key of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
      dressed[key] = { ...axis, ...layout[key] };
    }
    return dressed;
  }

  function choice(plot) {
    const chosen = all("select[data-panel]", plot.closest(".panel")).map((select) => select.value);
    return chosen.length ? chosen.join("|") : null;
  }

  function hidden(plot) {
    return new Set(all('.legend [aria-pressed="false"]', plot.closest(".panel")).map((button) => button.dataset.label));
  }

  function shot(plot, wanted) { // the figure; what all of a place have in common stands under ""
    const shots = figures[plot.id];
    const own = shots[wanted ?? Object.keys(shots).find((key) => key) ?? ""];
    if (!own?.traces) return own;
    const { data, layout } = shots[""];
    return {
      data: data.map((trace, at) => ({ ...trace, ...own.traces[at] })),
      layout: { ...layout, title: { ...layout.title, text: own.title } },
    };
  }

  function draw(plot) {
    const wanted = choice(plot);
    const figure = shot(plot, wanted);
    plot.hidden = !figure;
    if (!figure) return;
    const off = hidden(plot);
    const data = figure.data.map((trace) => ({ ...trace, visible: !off.has(trace.name) }));
    Plotly.react(plot, data, themed(figure.layout), { responsive: true, displayModeBar: false, displaylogo: false });
    plot.dataset.choice = wanted ?? "";
  }

  const drawn = new Set();
  const watcher = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
      watcher.unobserve(target);
      drawn.add(target);
      draw(target);
    }),
    { rootMargin: "600px" },
  );
  const plots = all(".plot");
  for (const plot of plots) { // room is kept for what is drawn later, so that links land where they point
    const figure = figures[plot.id][""] ?? Object.values(figures[plot.id])[0]; // of integers, keys come in another order
    if (figure?.layout.height) plot.style.minHeight = `${figure.layout.height}px`;
    watcher.observe(plot);
  }
  const redraw = (some) => some.filter((plot) => drawn.has(plot)).forEach(draw);

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
    const first = heading.classList.contains("name") ? "ascending" : "descending";
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

  function filter(select) {
    for (const body of all("[data-column]", document.getElementById(select.dataset.rows))) {
      body.hidden = body.dataset.column !== select.value;
    }
  }
  for (const select of all("select[data-rows]")) {
    select.addEventListener("change", () => filter(select));
    filter(select);
  }

  /* ------------------------------------------------------------ theme, print */
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    redraw(plots);
  });
  dark.addEventListener("change", () => redraw(plots));

  let before = null;
  addEventListener("beforeprint", () => {
    before = { theme: root.dataset.theme, closed: all("details:not([open])") };
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
