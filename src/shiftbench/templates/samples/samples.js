/* Shows the samples of some weights on some set, as the address or the two selectors say. No request is made. */
"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const [weights, set] = ["weights", "set"].map((id) => document.getElementById(id));
  const shown = document.getElementById("shown");
  const KINDS = ["right", "wrong", "sure", "unsure"];

  function element(parent, name, text, attributes = {}) { // names and texts of others are text, never markup
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  }

  function offer(select, values) {
    for (const value of new Set(values)) element(select, "option", value.replace(/_/g, select === set ? " " : "_"), { value });
  }
  offer(weights, content.rows.map((row) => row.who));
  offer(set, content.rows.map((row) => row.set));

  function sample(parent, [number, truth, prediction, confidence], wrong) {
    const own = content.samples[number];
    const figure = element(parent, "figure", undefined, { title: own.key });
    if (own.webp) element(figure, "img", undefined, { src: `data:image/webp;base64,${own.webp}`, alt: own.key });
    else if (own.text !== undefined) element(figure, "blockquote", own.text);
    else element(figure, "p", "not shown", { class: "muted" });
    const caption = element(figure, "figcaption");
    if (own.webp && own.text) element(caption, "span", own.text);
    if (truth !== null) element(caption, "span", content.names[truth]);
    if (truth === null || wrong) element(caption, "strong", content.names[prediction]);
    element(caption, "span", `${confidence}%`, { class: "muted" });
    element(caption, "code", own.key);
  }

  function title(row, kind) {
    const [right, wrong, neither] = row.counts.map((count) => count.toLocaleString("en"));
    const sure = row.kinds.unsure ? `most confident of ${neither}, of none of these classes` : "wrong, the most confident";
    return { right: `right: ${right}`, wrong: `wrong: ${wrong}`, sure, unsure: "least confident" }[kind];
  }

  function level(row) {
    const section = element(shown, "section", undefined, { class: "panel" });
    const clean = row.set.endsWith("/identity");
    element(section, "h2", clean || row.severity === null ? "as it is" : `severity ${row.severity}`);
    element(element(section, "p", undefined, { class: "note" }), "code", row.records);
    const kinds = element(section, "div", undefined, { class: "kinds" });
    for (const kind of KINDS) {
      const own = row.kinds[kind] ?? [];
      if (!own.length) continue;
      const group = element(kinds, "div");
      element(group, "h3", title(row, kind));
      const strip = element(group, "div", undefined, { class: "strip" });
      for (const one of own) sample(strip, one, kind !== "right");
    }
  }

  function show() {
    shown.replaceChildren();
    const own = content.rows.filter((row) => row.who === weights.value && row.set === set.value);
    own.sort((a, b) => a.severity - b.severity).forEach(level);
    if (!own.length) element(shown, "p", "These weights were not evaluated on this set.", { class: "box" });
  }

  function arrive() { // an address names weights and a set
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const select of [weights, set]) {
      const value = asked.get(select.id);
      if ([...select.options].some((option) => option.value === value)) select.value = value;
    }
    show();
  }
  for (const select of [weights, set]) {
    select.addEventListener("change", () => {
      history.replaceState(null, "", `#${new URLSearchParams({ weights: weights.value, set: set.value })}`);
      show();
    });
  }
  addEventListener("hashchange", arrive);
  arrive();
})();
