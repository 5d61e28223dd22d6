/* The report's behaviour: views that a link keeps, tables, selectors, exports. Figures are drawn before; no request is made. */
"use strict";
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const view = new Map(); // what differs from the page as it comes: key -> value, kept in links

  function keep(key, value) {
    if (value === null || value === "") view.delete(key); else view.set(key, value);
    const hash = link().slice(1);
    history.replaceState(null, "", hash ? `#${hash}` : "#");
  }
  function link(id = location.hash.slice(1).split("&")[0]) {
    const parts = [...view].map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
    return `#${[id, ...parts].join("&")}`;
  }

  /* ---------------------------------------------------------------- figures */
  const rows = new WeakMap(); // numbers of a drawing, read once

  function show(plot, choice) { // another choice of the selectors
    if (plot.dataset.choice === choice) return;
    const drawing = plot.querySelector(":scope > svg");
    if (drawing) { // back into its own template
      const kept = document.createElement("template");
      kept.dataset.choice = plot.dataset.choice;
      kept.content.append(drawing);
      plot.append(kept);
    }
    const wanted = all(":scope > template", plot).find((one) => one.dataset.choice === choice);
    plot.hidden = !wanted;
    plot.dataset.choice = choice;
    if (wanted) {
      plot.prepend(wanted.content);
      wanted.remove();
      hide(plot);
    }
  }

  function hide(plot) { // series that the legend hides
    const off = new Set(all('.legend [aria-pressed="false"]', plot.closest(".panel")).map((button) => button.dataset.label));
    all("svg [data-key]", plot).forEach((group) => { group.style.display = off.has(group.dataset.key) ? "none" : ""; });
  }

  function choose(panel) {
    const choice = all("select[data-panel]", panel).map((select) => select.value).join("|");
    all(".plot", panel).forEach((plot) => show(plot, choice));
  }
  for (const select of all("select[data-panel]")) {
    select.dataset.first = select.value;
    select.addEventListener("change", () => {
      const panel = select.closest(".panel");
      choose(panel);
      keep(`m.${panel.id}.${all("select[data-panel]", panel).indexOf(select)}`, select.value === select.dataset.first ? null : select.value);
    });
  }
  for (const button of all(".legend button")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      all(".plot", button.closest(".panel")).forEach(hide);
    });
  }

  function numbers(svg) { // lines of its CSV, the first its header
    if (!rows.has(svg)) {
      const lines = svg.querySelector("metadata").textContent.trim().split("\n");
      rows.set(svg, lines.map((line) => [...line.matchAll(/(?:"((?:[^"]|"")*)"|([^,]*))(?:,|$)/g)].map((m) => (m[1] ?? m[2]).replaceAll('""', '"'))));
    }
    return rows.get(svg);
  }
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  function point(event) { // the marker near the pointer
    const svg = event.target.closest?.(".plot > svg");
    let best = null, least = 24 ** 2;
    if (svg) all(".at", svg).forEach((mark, at) => {
      const box = mark.getBoundingClientRect();
      if (!box.width) return;
      const away = (box.x + box.width / 2 - event.clientX) ** 2 + (box.y + box.height / 2 - event.clientY) ** 2;
      if (away < least) [best, least] = [{ box, at }, away];
    });
    tip.hidden = !best;
    if (!best) return;
    const [header, ...lines] = numbers(svg);
    const [name, x, y, xLow, xHigh, yLow, yHigh, n] = lines[best.at];
    const value = (title, text, low, high) => `${title}: ${text}${low !== "" && high !== "" ? ` [${low}, ${high}]` : ""}`;
    const texts = [name, value(header[1], x, xLow, xHigh), value(header[2], y, yLow, yHigh), n ? `n = ${Number(n).toLocaleString("en")}` : ""];
    tip.replaceChildren(...texts.filter(Boolean).map((text) => {
      const line = document.createElement("div");
      line.textContent = text;
      return line;
    }));
    tip.style.left = `${Math.max(4, Math.min(best.box.right + 8, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(4, best.box.top - tip.offsetHeight - 6)}px`;
  }
  for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, point);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  /* ----------------------------------------------------------------- tables */
  function compare(one, two, rising) {
    if (one === undefined || two === undefined) return (one === undefined) - (two === undefined); // missing last
    const values = [Number(one), Number(two)];
    const order = values.some(Number.isNaN) ? one.localeCompare(two, "en") : values[0] - values[1];
    return rising ? order : -order;
  }

  function sort(heading, order) {
    const row = heading.parentElement;
    const at = [...row.children].indexOf(heading);
    const table = heading.closest("table");
    all("[aria-sort]", row).forEach((cell) => cell.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", order);
    const value = (body) => body.rows[0].cells[at].dataset.value;
    table.append(...[...table.tBodies].sort((a, b) => compare(value(a), value(b), order === "ascending")));
    return [table, at];
  }
  for (const button of all("button.sort")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const first = heading.dataset.first; // the better direction
      const order = heading.getAttribute("aria-sort") === first ? (first === "ascending" ? "descending" : "ascending") : first;
      const [table, at] = sort(heading, order);
      keep(`s.${table.id}`, `${at}.${order}`);
    });
  }

  function expand(button, open) {
    button.setAttribute("aria-expanded", String(open));
    all("tr.seed", button.closest("tbody")).forEach((row) => { row.hidden = !open; });
  }
  for (const button of all("button.expand")) {
    button.addEventListener("click", () => expand(button, button.getAttribute("aria-expanded") !== "true"));
  }

  const siblings = (select) => all("select[data-rows]").filter((one) => one.dataset.rows === select.dataset.rows);
  function filter(select) { // shows the rows or tables that its selectors choose together
    const chosen = siblings(select).map((one) => one.value).join("|");
    for (const body of all("[data-column]", byId(select.dataset.rows))) {
      body.hidden = body.dataset.column !== chosen;
    }
  }
  for (const select of all("select[data-rows]")) {
    select.dataset.first = select.value;
    select.addEventListener("change", () => {
      filter(select);
      keep(`r.${select.dataset.rows}.${siblings(select).indexOf(select)}`, select.value === select.dataset.first ? null : select.value);
    });
    filter(select);
  }

  function search(field) { // rows whose names contain all words
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const bodies = all("tbody", byId(field.dataset.search));
    for (const body of bodies) {
      const text = all(".name", body).map((cell) => `${cell.textContent} ${cell.dataset.name ?? ""}`).join(" ").toLowerCase();
      body.classList.toggle("unfound", !words.every((word) => text.includes(word)));
    }
    const left = bodies.filter((body) => !body.classList.contains("unfound") && !body.hidden).length;
    const count = bodies.filter((body) => !body.hidden).length;
    field.nextElementSibling.textContent = words.length ? `${left} of ${count}` : "";
    keep(`q.${field.dataset.search}`, field.value);
  }
  for (const field of all("input[data-search]")) field.addEventListener("input", () => search(field));
  addEventListener("keydown", (event) => { // "/" goes to the next filter, as on other sites
    if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
    const fields = all("input[data-search]").filter((field) => field.offsetParent);
    const next = fields.find((field) => field.getBoundingClientRect().bottom > 0) ?? fields[0];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  /* A table is one stop of the Tab key; arrow keys move between its links and buttons. */
  const stops = (table) => all("a, button", table).filter((one) => one.offsetParent);
  for (const table of all("table")) {
    const own = all("a, button", table);
    own.forEach((one, at) => { one.tabIndex = at ? -1 : 0; });
    table.addEventListener("keydown", (event) => {
      const now = stops(table), at = now.indexOf(document.activeElement);
      const row = document.activeElement.closest("tr");
      if (at < 0 || !row) return;
      const inRow = (other) => now.filter((one) => one.closest("tr") === other);
      const column = inRow(row).indexOf(document.activeElement);
      const rowsWith = [...new Set(now.map((one) => one.closest("tr")))];
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      let next = null;
      if (step) {
        const other = inRow(rowsWith[rowsWith.indexOf(row) + step]);
        next = other[Math.min(column, other.length - 1)];
      } else next = { ArrowLeft: now[at - 1], ArrowRight: now[at + 1], Home: now[0], End: now.at(-1) }[event.key];
      if (!next) return;
      event.preventDefault();
      own.forEach((one) => { one.tabIndex = -1; });
      next.tabIndex = 0;
      next.focus();
    });
  }

  /* ---------------------------------------------------------------- columns */
  function columns(chooser) { // the chosen columns of a leaderboard, and the headings above them
    const table = byId(chooser.dataset.columns);
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
    const scroll = byId(chooser.dataset.columns).closest(".scroll");
    const boxes = all("input[data-rank]", chooser).sort((a, b) => b.dataset.rank - a.dataset.rank);
    boxes.forEach((box) => { box.checked = true; });
    columns(chooser);
    for (const box of boxes.slice(0, -1)) {
      if (scroll.scrollWidth <= scroll.clientWidth) return;
      box.checked = false;
      columns(chooser);
    }
  }
  for (const chooser of all(".columns")) {
    const boxes = all("input[data-rank]", chooser);
    const chosen = () => {
      columns(chooser);
      keep(`c.${chooser.dataset.columns}`, boxes.map((box) => Number(box.checked)).join(""));
    };
    fit(chooser);
    chooser.addEventListener("change", chosen);
    chooser.querySelector("button.everything").addEventListener("click", () => {
      boxes.forEach((box) => { box.checked = true; });
      chosen();
    });
    chooser.querySelector("button.fitting").addEventListener("click", () => {
      fit(chooser);
      keep(`c.${chooser.dataset.columns}`, null);
    });
  }

  /* ---------------------------------------------------------------- exports */
  function save(name, type, text) {
    const made = document.createElement("a");
    made.href = typeof text === "string" ? URL.createObjectURL(new Blob([text], { type })) : text.href;
    made.download = name;
    made.click();
    if (typeof text === "string") setTimeout(() => URL.revokeObjectURL(made.href), 1000);
  }
  async function copy(text, button) {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // a page of a file may not
      const field = document.createElement("textarea");
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  }

  const visible = (cell) => !cell.hidden && getComputedStyle(cell).display !== "none";
  const words = (element) => { // its text without what is for screens or readers alone
    const kept = element.cloneNode(true);
    all(".unseen, .permalink, .n, .arrow, .name-of, .second, button.expand, svg, .interval, .mark", kept).forEach((one) => one.remove());
    return kept.textContent.replace(/\s+/g, " ").trim();
  };
  function content(table) { // what is seen of a table: rows of { text, interval, second, best, span }; second: a metric below
    const cell = (one) => ({
      text: words(one), span: one.colSpan, head: one.tagName === "TH",
      interval: one.querySelector(".interval")?.textContent.trim() ?? "",
      second: one.querySelector(".second .value")?.textContent ?? "", below: one.querySelector(".second .metric")?.textContent,
      best: one.matches(".best, .top"), number: one.matches(".number"),
    });
    const line = (row) => [...row.cells].filter(visible).map(cell);
    const bodies = [...table.tBodies].filter((body) => !body.hidden && !body.classList.contains("unfound"));
    return {
      head: [...table.tHead.rows].map(line),
      body: bodies.flatMap((body) => [...body.rows].filter((row) => !row.hidden).map(line)),
      caption: table.caption?.textContent.replace(/\s+/g, " ").trim() ?? "",
    };
  }
  const quoted = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const plain = (text) => text.replaceAll("\u2212", "-");
  const ends = (text) => plain(text).match(/-?\d+(?:\.\d+)?/g) ?? [];
  function tableCsv(table) {
    const { head, body } = content(table);
    const wide = head.at(-1).map((_, at) => body.some((row) => row[at]?.interval.startsWith("[")));
    const below = head.at(-1).map((_, at) => body.map((row) => row[at]?.below).find(Boolean));
    const line = (row, last) => row.flatMap((one, at) => {
      const more = !below[at] ? [] : [last ? `${one.text} ${below[at]}` : one.second];
      if (!wide[at]) return [one.text, ...more];
      if (last) return [one.text, `${one.text} low`, `${one.text} high`, ...more];
      const [low, high] = one.interval.startsWith("[") ? ends(one.interval) : [];
      return [one.text, low ?? "", high ?? "", ...more];
    }).map((text) => quoted(plain(text))).join(",");
    return `${[line(head.at(-1), true), ...body.map((row) => line(row, false))].join("\n")}\n`;
  }
  const TEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\u2212": "$-$", "\u2013": "--", "\u2191": "$\\uparrow$", "\u2193": "$\\downarrow$", "\u2248": "$\\approx$", "\u2605": "$\\star$", "\u00b7": "$\\cdot$", "\u00d7": "$\\times$" };
  const tex = (text) => text.replace(/[\\~^\u2212\u2013\u2191\u2193\u2248\u2605\u00b7\u00d7&%$#_{}]/g, (one) => TEX[one] ?? `\\${one}`);
  function tableTex(table) { // for the packages booktabs and graphicx
    const { head, body, caption } = content(table);
    const last = head.at(-1);
    const cell = (one) => {
      const value = one.best ? `\\textbf{${tex(one.text)}}` : tex(one.text);
      const whole = one.interval ? `${value}\\,{\\scriptsize ${tex(one.interval)}}` : value;
      return one.second ? `${whole} / ${tex(one.second)}` : whole;
    };
    const lines = [];
    for (const row of head.slice(0, -1)) {
      let at = 1;
      const rules = [];
      lines.push(`${row.map((one) => {
        const from = at;
        at += one.span;
        if (one.text) rules.push(`\\cmidrule(lr){${from}-${at - 1}}`);
        return one.span > 1 ? `\\multicolumn{${one.span}}{c}{${tex(one.text)}}` : tex(one.text);
      }).join(" & ")} \\\\`, rules.join(" "));
    }
    lines.push(`${last.map((one) => tex(one.text)).join(" & ")} \\\\`, "\\midrule", ...body.map((row) => `${row.map(cell).join(" & ")} \\\\`));
    const spec = last.map((one) => one.number ? "r" : "l").join("");
    return [
      "\\begin{table}", "\\centering", "\\resizebox{\\linewidth}{!}{%", `\\begin{tabular}{${spec}}`, "\\toprule", ...lines, "\\bottomrule",
      "\\end{tabular}}", `\\caption{${tex(caption)}}`, `\\label{tab:${table.id}}`, "\\end{table}", "",
    ].join("\n");
  }
  function tableMarkdown(table) {
    const { head, body } = content(table);
    const line = (row) => `| ${row.map((one) => `${one.best ? `**${one.text}**` : one.text}${one.interval ? ` ${one.interval}` : ""}${one.second ? ` / ${one.second}` : ""}`.replaceAll("|", "\\|")).join(" | ")} |`;
    return `${[line(head.at(-1)), `| ${head.at(-1).map((one) => one.number ? "---:" : "---").join(" | ")} |`, ...body.map(line)].join("\n")}\n`;
  }

  function together(panel) { // all drawings of a panel in one file, as they stand on the page
    const drawings = all(".plot:not([hidden]) > svg", panel);
    const boxes = drawings.map((svg) => svg.getBoundingClientRect());
    const scale = Math.max(...drawings.map((svg, at) => svg.viewBox.baseVal.width / boxes[at].width));
    const left = Math.min(...boxes.map((box) => box.left)), top = Math.min(...boxes.map((box) => box.top));
    const size = (end, start) => Math.ceil((Math.max(...boxes.map((box) => box[end])) - start) * scale);
    const width = size("right", left), height = size("bottom", top);
    const whole = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    whole.setAttribute("viewBox", `0 0 ${width} ${height}`);
    whole.setAttribute("width", width);
    whole.setAttribute("height", height);
    whole.setAttribute("font-family", "system-ui, sans-serif");
    drawings.forEach((svg, at) => {
      const part = svg.cloneNode(true);
      for (const [key, value] of Object.entries({ x: (boxes[at].left - left) * scale, y: (boxes[at].top - top) * scale, width: boxes[at].width * scale, height: boxes[at].height * scale })) part.setAttribute(key, value.toFixed(1));
      whole.append(part);
    });
    return { text: new XMLSerializer().serializeToString(whole), width, height };
  }
  function png(panel, name) { // at twice the size
    const { text, width, height } = together(panel);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * width, 2 * height];
      const context = canvas.getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      save(name, "image/png", { href: canvas.toDataURL("image/png") });
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  }
  function figureCsv(panel) {
    const drawings = all(".plot:not([hidden]) > svg", panel);
    const name = (svg) => quoted(svg.getAttribute("aria-label").split(".")[0]);
    const lines = drawings.flatMap((svg) => numbers(svg).slice(1).map((row) => [name(svg), ...row.map(quoted)].join(",")));
    return `${[["plot", ...numbers(drawings[0])[0].map(quoted)].join(","), ...lines].join("\n")}\n`;
  }
  const captionOf = (panel) => panel.querySelector(".note").textContent.replace(/\s+/g, " ").trim();
  const bibtex = () => byId("bibtex").textContent;
  const where = (id) => `${location.href.split("#")[0]}${link(id)}`;

  const ACTIONS = {
    table: (id) => { // of several tables the one that selectors show
      const table = () => (byId(id).matches("table") ? byId(id) : all("table", byId(id)).find((one) => one.offsetParent));
      return [
        ["CSV", () => save(`${table().id}.csv`, "text/csv", tableCsv(table()))],
        ["copy LaTeX", (button) => copy(tableTex(table()), button)],
        ["copy Markdown", (button) => copy(tableMarkdown(table()), button)],
        ["copy caption", (button) => copy(content(table()).caption, button)],
      ];
    },
    figure: (id) => {
      const panel = byId(id);
      const figureTex = () => `\\begin{figure}\n\\centering\n\\includegraphics[width=\\linewidth]{${id}}\n\\caption{${tex(captionOf(panel))}}\n\\label{fig:${id}}\n\\end{figure}\n`;
      return [
        ["SVG", () => save(`${id}.svg`, "image/svg+xml", together(panel).text)],
        ["PNG", () => png(panel, `${id}.png`)],
        ["CSV", () => save(`${id}.csv`, "text/csv", figureCsv(panel))],
        ["copy LaTeX", (button) => copy(figureTex(), button)],
        ["copy caption", (button) => copy(captionOf(panel), button)],
      ];
    },
  };
  for (const menu of all("details.take")) {
    menu.addEventListener("toggle", () => {
      const place = menu.querySelector(".menu");
      if (!menu.open || place.childElementCount) return;
      const { of: id, kind } = menu.dataset;
      const actions = [...ACTIONS[kind](id), ["copy BibTeX", (button) => copy(bibtex(), button)], ["copy link", (button) => copy(where(id), button)]];
      for (const [label, act] of actions) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = label;
        button.addEventListener("click", () => act(button));
        place.append(button);
      }
    });
  }
  addEventListener("click", (event) => {
    all("details.take[open]").filter((menu) => !menu.contains(event.target)).forEach((menu) => { menu.open = false; });
  });

  /* ------------------------------------------------------------------ theme */
  const THEMES = ["auto", "light", "dark"];
  const themes = byId("theme");
  function theme(name) {
    if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
    themes.textContent = `theme: ${name}`;
  }
  themes.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
    theme(next);
    keep("theme", next === "auto" ? null : next);
  });

  /* ------------------------------------------------------------------ links */
  if (innerWidth < 640) all("details[data-narrow]").forEach((details) => { details.open = false; });

  function restore(parts) {
    for (const part of parts) {
      const [key, value] = part.split("=").map(decodeURIComponent);
      const [kind, id, at] = key.split(".");
      if (value === undefined) continue;
      view.set(key, value);
      if (key === "theme" && THEMES.includes(value)) theme(value);
      if (kind === "s") {
        const [column, order] = value.split(".");
        const heading = byId(id)?.tHead?.rows[byId(id).tHead.rows.length - 1].cells[Number(column)];
        if (heading?.hasAttribute("aria-sort")) sort(heading, order === "ascending" ? order : "descending");
      }
      if (kind === "q") all("input[data-search]").filter((field) => field.dataset.search === id).forEach((field) => { field.value = value; search(field); });
      if (kind === "m") {
        const select = all("select[data-panel]", byId(id) ?? document.createElement("div"))[Number(at)];
        if (select && [...select.options].some((option) => option.value === value)) { select.value = value; choose(byId(id)); }
      }
      if (kind === "r") {
        const select = all("select[data-rows]").filter((one) => one.dataset.rows === id)[Number(at)];
        if (select && [...select.options].some((option) => option.value === value)) { select.value = value; filter(select); }
      }
      if (kind === "c") {
        const chooser = all(".columns").find((one) => one.dataset.columns === id);
        if (chooser) { all("input[data-rank]", chooser).forEach((box, i) => { box.checked = value[i] === "1"; }); columns(chooser); }
      }
    }
  }
  function arrive() { // what is linked to may be folded away
    const [id] = location.hash.slice(1).split("&");
    const target = byId(decodeURIComponent(id));
    for (let folded = target?.closest("details"); folded; folded = folded.parentElement.closest("details")) folded.open = true;
    target?.scrollIntoView({ behavior: "instant" });
  }
  addEventListener("hashchange", () => { restore(location.hash.slice(1).split("&").slice(1)); arrive(); });
  if (location.hash) { restore(location.hash.slice(1).split("&").slice(1)); arrive(); }

  /* ------------------------------------------------------------------ print */
  let before = null;
  addEventListener("beforeprint", () => {
    before = { theme: root.dataset.theme, closed: all("details:not([open]):not(.take)") };
    root.dataset.theme = "light";
    before.closed.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => {
    if (before.theme) root.dataset.theme = before.theme; else delete root.dataset.theme;
    before.closed.forEach((details) => { details.open = false; });
  });
  root.dataset.ready = "true";
})();
