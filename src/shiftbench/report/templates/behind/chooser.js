/* What the pages behind numbers share: selectors, or the address, choose a row, which `show` shows. No request is made. */
"use strict";
function element(parent, name, text, attributes = {}) { // what others wrote is text, never markup
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

const isClean = (row) => row.set.endsWith("/identity") || row.severity === null;

function panel(parent, row, titles) { // a condition; returns where its kinds are
  const section = element(parent, "section", undefined, { class: "panel" });
  const severity = isClean(row) ? "" : `, severity ${row.severity}`;
  element(section, "h2", `${titles.model[row.who] ?? row.who}: ${titles.set[row.set] ?? row.set}${severity}`);
  element(element(section, "p", "All answers: ", { class: "note" }), "code", row.records);
  return element(section, "div", undefined, { class: "kinds" });
}

function choose({ rows, titles, about }, show) { // `show(parent, row)` shows a row; returns what shows the chosen row again
  const selects = ["model", "set", "severity"].map((id) => document.getElementById(id));
  const [model, set, severity] = selects;
  const shown = document.getElementById("shown");
  document.getElementById("choice").hidden = false;
  document.documentElement.dataset.ready = "true"; // the style sheet hides selectors without a script

  function offer(select, values) {
    const before = select.value;
    select.replaceChildren();
    for (const value of new Set(values)) element(select, "option", titles[select.id]?.[value] ?? value, { value, title: value });
    if ([...select.options].some((option) => option.value === before)) select.value = before;
  }
  offer(model, rows.map((row) => row.who));
  offer(set, rows.map((row) => row.set));

  function own() {
    const found = rows.filter((row) => row.who === model.value && row.set === set.value);
    return found.sort((a, b) => a.severity - b.severity);
  }

  function origin() { // the row of the report, and which seed this is
    const { place, seed, seeds } = about[model.value] ?? {};
    if (place) document.getElementById("back").hash = place;
    document.getElementById("seeds").textContent =
      seeds > 1 ? `The report's number is a mean over ${seeds} training seeds. This page shows seed ${seed}.` : "";
  }

  function draw() {
    const levels = own();
    offer(severity, levels.map((row) => String(row.severity)));
    severity.closest(".steps").hidden = levels.length < 2;
    shown.replaceChildren();
    const row = levels.find((one) => String(one.severity) === severity.value);
    if (row) show(shown, row);
    else element(shown, "p", "This model was not evaluated on this set.", { class: "box" });
    origin();
    for (const button of document.querySelectorAll("[data-step]")) {
      const select = document.getElementById(button.dataset.step);
      button.disabled = !select.options[select.selectedIndex + Number(button.dataset.by)];
    }
  }

  function arrive() { // an address names a model, a set, and a severity
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const select of selects) {
      if (select === severity) offer(severity, own().map((row) => String(row.severity)));
      const value = asked.get(select.id);
      if ([...select.options].some((option) => option.value === value)) select.value = value;
    }
    draw();
  }

  function moved() {
    draw();
    const chosen = Object.fromEntries(selects.filter((one) => one.value).map((one) => [one.id, one.value]));
    history.replaceState(null, "", `#${new URLSearchParams(chosen)}`);
  }
  for (const select of selects) select.addEventListener("change", moved);
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => {
      document.getElementById(button.dataset.step).selectedIndex += Number(button.dataset.by);
      moved();
    });
  }
  addEventListener("hashchange", arrive);
  arrive();
  return draw;
}
