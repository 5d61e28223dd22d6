/* What the pages behind numbers share: two selectors, or the address, choose rows, which `level` shows. No request is made. */
"use strict";
function element(parent, name, text, attributes = {}) { // what others wrote is text, never markup
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

function panel(parent, row) { // one severity of a set; returns where its kinds stand
  const section = element(parent, "section", undefined, { class: "panel" });
  const clean = row.set.endsWith("/identity") || row.severity === null;
  element(section, "h2", clean ? "as it is" : `severity ${row.severity}`);
  element(element(section, "p", undefined, { class: "note" }), "code", row.records);
  return element(section, "div", undefined, { class: "kinds" });
}

function choose({ rows, titles }, level) { // `level(parent, row)` shows a row
  const [model, set] = ["model", "set"].map((id) => document.getElementById(id));
  const shown = document.getElementById("shown");

  function offer(select, values) {
    for (const value of new Set(values)) element(select, "option", titles[select.id][value] ?? value, { value, title: value });
  }
  offer(model, rows.map((row) => row.who));
  offer(set, rows.map((row) => row.set));

  function show() {
    shown.replaceChildren();
    const own = rows.filter((row) => row.who === model.value && row.set === set.value);
    own.sort((a, b) => a.severity - b.severity).forEach((row) => level(shown, row));
    if (!own.length) element(shown, "p", "This model was not evaluated on this set.", { class: "box" });
  }

  function arrive() { // an address names a model and a set
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const select of [model, set]) {
      const value = asked.get(select.id);
      if ([...select.options].some((option) => option.value === value)) select.value = value;
    }
    show();
  }
  for (const select of [model, set]) {
    select.addEventListener("change", () => {
      history.replaceState(null, "", `#${new URLSearchParams({ model: model.value, set: set.value })}`);
      show();
    });
  }
  addEventListener("hashchange", arrive);
  arrive();
}
