/* The page Field: which shift and family its scatter shows, and the table of all models. No request is made. */
"use strict";
(() => {
  const holder = document.getElementById("content");
  if (!holder) return;
  const { datasets, kinds, families, repository, commit, rows: lists } = JSON.parse(holder.textContent);
  const byId = (id) => document.getElementById(id);
  const shifts = datasets.slice(1);
  const models = lists.map(([model, kind, family, parameters, size, cells, above], at) => ({ model, kind: kind === null ? "" : kinds[kind], family: families[family], parameters, size, cells, above, rank: at + 1 }));
  const minus = (text) => text.replace("-", "\u2212");
  const signed = (hundredths) => minus(`${hundredths > 0 ? "+" : ""}${(hundredths / 100).toFixed(1)}`);
  const percent = (value) => value.toFixed(1);
  const interval = ([value, low, high]) => `${signed(value)} pp [${signed(low)}, ${signed(high)}]`;
  const link = (at, row) => `${datasets[at].link}${row}`;
  const source = (at, row) => `${datasets[at].file}, commit ${commit.slice(0, 7)}, row ${row}, column ${datasets[at].column}`;

  /* ---------------------------------------------------------------- scatter */
  const select = byId("shift"), family = byId("family"), note = byId("family-note");
  const folds = [...document.querySelectorAll("details.shift")];
  const count = new Map();
  for (const one of models) count.set(one.family, (count.get(one.family) ?? 0) + 1);
  for (const [name, number] of [...count].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]))) family.add(new Option(`${name} (${number})`, name));

  const logit = (value) => Math.log(value / (100 - value));
  const within = (value) => Math.min(99.9, Math.max(0.1, value));
  const places = new WeakMap(); // of a drawing: x and y of each model, in its coordinates
  function points(svg, at) {
    if (!places.has(svg)) {
      const [left, right, bottom, top, xLow, xHigh, yLow, yHigh] = svg.dataset.frame.split(" ").map(Number);
      const place = (value, low, high, start, end) => start + (logit(value) - logit(low)) / (logit(high) - logit(low)) * (end - start);
      places.set(svg, models.map(({ cells }) => cells[0] && cells[at] ? [place(cells[0][0], xLow, xHigh, left, right), place(within(cells[at][0]), yLow, yHigh, bottom, top)] : null));
    }
    return places.get(svg);
  }
  const shown = () => folds.find((fold) => fold.dataset.shift === select.value).querySelector("svg");
  const position = () => datasets.findIndex(({ name }) => name === select.value);
  function ring(svg, chosen, radius, kind) {
    svg.querySelector(`.ring.${kind}`)?.remove();
    const own = chosen.map((at) => points(svg, position())[at]).filter(Boolean);
    if (!own.length) return;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", `ring ${kind}`);
    path.setAttribute("d", own.map(([x, y]) => `M${(x - radius).toFixed(1)} ${y.toFixed(1)}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`).join(""));
    svg.append(path);
  }
  const of = (name) => models.flatMap((one, at) => one.family === name ? [at] : []);
  function draw() {
    for (const fold of folds) {
      fold.hidden = fold.dataset.shift !== select.value;
      fold.querySelector(".plot").hidden = fold.hidden; // so that exports leave it out
      fold.open = true;
      fold.classList.add("switched");
    }
    const own = family.value ? of(family.value) : [];
    ring(shown(), own, 6, "family");
    const values = own.map((at) => models[at].above[position() - 1]).filter(Boolean).map(([value]) => value);
    note.hidden = !values.length;
    if (values.length) note.textContent = `${family.value}: ${values.length} results, on average ${signed(values.reduce((a, b) => a + b) / values.length)} pp from the line on ${datasets[position()].title}.`;
  }
  select.addEventListener("change", draw);
  family.addEventListener("change", draw);

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  function hover(event) {
    const svg = event.target.closest?.(".scatter > svg");
    if (!svg) { tip.hidden = true; return; }
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = -1, least = (14 * scale) ** 2;
    points(svg, position()).forEach((place, at) => {
      if (!place) return;
      const away = (place[0] - x) ** 2 + (place[1] - y) ** 2;
      if (away < least) [best, least] = [at, away];
    });
    tip.hidden = best < 0;
    if (!family.value) ring(svg, best < 0 ? [] : of(models[best].family), 6, "family");
    ring(svg, best < 0 ? [] : [best], 9, "hovered");
    if (best < 0) return;
    const one = models[best], above = one.above[position() - 1];
    const texts = [one.model, `${one.kind}, ${one.parameters ?? "?"} million parameters, family ${one.family}`, `ImageNet: ${percent(one.cells[0][0])}%, ${datasets[position()].title}: ${percent(one.cells[position()][0])}%`, above ? `${interval(above)} from the line` : ""];
    tip.replaceChildren(...texts.filter(Boolean).map((text) => Object.assign(document.createElement("div"), { textContent: text })));
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(4, event.clientY - tip.offsetHeight - 12)}px`;
  }
  for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, hover);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  draw();

  /* ------------------------------------------------------------------ table */
  const table = byId("models-table"), more = byId("more"), found = byId("found"), find = byId("find");
  table.tHead.replaceWith(table.tHead.cloneNode(true)); // without the listeners of other tables, whose rows are all there
  const headings = [...table.tHead.rows[1].cells];
  const values = [(one) => one.model, (one) => one.kind, (one) => one.parameters, (one) => one.size,
    ...datasets.map((_, at) => (one) => one.cells[at]?.[0]), ...shifts.map((_, at) => (one) => one.above[at]?.[0])];
  const PAGE = 50;
  let order = { at: 4, rising: false }, limit = PAGE, matches = models;

  function cell(row, text, title, href) {
    const made = row.insertCell();
    made.className = "number";
    const inner = document.createElement(href ? "a" : "span");
    inner.textContent = text;
    if (title) inner.title = title;
    if (href) Object.assign(inner, { href, className: "value", rel: "noreferrer", tabIndex: -1 });
    made.append(inner);
  }
  function line(one) {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    const rank = Object.assign(document.createElement("span"), { className: "muted", textContent: one.rank });
    Object.assign(head, { scope: "row", className: "name" }).append(rank, `\u00a0${one.model}`);
    row.append(head);
    row.insertCell().textContent = one.kind || "\u2013";
    cell(row, one.parameters?.toFixed(1) ?? "\u2013");
    cell(row, one.size ?? "\u2013");
    one.cells.forEach((own, at) => own ? cell(row, percent(own[0]), source(at, own[1]), link(at, own[1])) : cell(row, "\u2013"));
    one.above.forEach((own) => own ? cell(row, signed(own[0]), interval(own)) : cell(row, "\u2013"));
    return row;
  }
  function fill() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    matches = models.filter((one) => words.every((word) => `${one.model} ${one.kind}`.toLowerCase().includes(word)));
    const value = values[order.at], missing = (one) => value(one) === null || value(one) === undefined;
    matches = [...matches].sort((a, b) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b); // missing last
      const rising = typeof value(a) === "string" ? value(a).localeCompare(value(b), "en") : value(a) - value(b);
      return (order.rising ? rising : -rising) || a.rank - b.rank;
    });
    table.tBodies[0].replaceChildren(...matches.slice(0, limit).map(line));
    found.textContent = words.length ? `${matches.length.toLocaleString("en")} of ${models.length.toLocaleString("en")}` : "";
    more.hidden = matches.length <= limit;
    more.textContent = `show ${Math.min(PAGE, matches.length - limit)} more of ${matches.length.toLocaleString("en")}`;
    byId("shown-note").textContent = `${Math.min(limit, matches.length).toLocaleString("en")} of ${matches.length.toLocaleString("en")} rows are shown; exports have all of them.`;
    headings.forEach((heading, at) => heading.setAttribute("aria-sort", at === order.at ? (order.rising ? "ascending" : "descending") : "none"));
  }
  headings.forEach((heading, at) => heading.querySelector("button").addEventListener("click", () => {
    order = { at, rising: at === order.at ? !order.rising : heading.dataset.first === "ascending" };
    limit = PAGE;
    fill();
  }));
  find.addEventListener("input", () => { limit = PAGE; fill(); });
  more.addEventListener("click", () => { limit += PAGE; fill(); });

  /* ---------------------------------------------------------------- exports */
  const objects = () => matches.map((one) => ({
    rank: one.rank, model: one.model, pretraining: one.kind || null, parameters_million: one.parameters, image_size: one.size,
    ...Object.fromEntries(datasets.flatMap(({ name }, at) => [[name, one.cells[at]?.[0] ?? null], [`${name}_source`, one.cells[at] ? link(at, one.cells[at][1]) : null]])),
    ...Object.fromEntries(shifts.flatMap(({ name }, at) => ["above_line", "above_low", "above_high"].map((end, side) => [`${name}_${end}`, one.above[at] ? one.above[at][side] / 100 : null]))),
  }));
  const quoted = (value) => /[",\n]/.test(String(value ?? "")) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? "");
  function csv() {
    const content = objects();
    const names = Object.keys(content[0] ?? { model: "" });
    return `${[names.join(","), ...content.map((one) => names.map((name) => quoted(one[name])).join(","))].join("\n")}\n`;
  }
  const json = () => `${JSON.stringify({ evidence: "released", repository, commit, unit: "percent; percentage points above the line", models: objects() }, null, 1)}\n`;
  function save(name, type, text) {
    const made = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    made.click();
    setTimeout(() => URL.revokeObjectURL(made.href), 1000);
  }
  const take = Object.assign(document.createElement("details"), { className: "take" });
  const menu = Object.assign(document.createElement("div"), { className: "menu" });
  menu.setAttribute("role", "group");
  menu.setAttribute("aria-label", "Export");
  for (const [label, act] of [["CSV", () => save("models.csv", "text/csv", csv())], ["JSON", () => save("models.json", "application/json", json())]]) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    button.addEventListener("click", act);
    menu.append(button);
  }
  take.append(Object.assign(document.createElement("summary"), { textContent: "export" }), menu);
  byId("models-tools").append(take);
  fill();
})();
