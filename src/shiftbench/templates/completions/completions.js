/* Shows what some weights wrote on some set, as the address or the two selectors say. No request is made. */
"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const [weights, set] = ["weights", "set"].map((id) => document.getElementById(id));
  const shown = document.getElementById("shown");

  function element(parent, name, text, attributes = {}) { // prompts and completions are text, never markup
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

  function tabulated(parent, table) { // of a claim about one
    const made = element(element(parent, "div", undefined, { class: "tabulated" }), "table");
    element(made, "caption", table.caption);
    table.cells.forEach((line, number) => {
      const row = element(made, "tr");
      for (const cell of line) element(row, number ? "td" : "th", cell);
    });
  }

  function completion(parent, one) {
    const prompt = content.prompts[one.prompt];
    const figure = element(parent, "figure");
    element(figure, "blockquote", prompt.text ?? "(the prompt is not shown)", { class: "prompt" });
    if (prompt.table) tabulated(figure, prompt.table);
    const text = element(figure, "blockquote");
    const at = prompt.mark ? one.text.lastIndexOf(prompt.mark) : -1;
    const cut = prompt.mark ? (at < 0 ? one.text.length : at + prompt.mark.length) : 0; // without the mark nothing is graded
    element(text, "span", one.text.slice(0, cut), { class: "thinking" });
    element(text, "strong", one.text.slice(cut), { class: "answer" });
    const caption = element(figure, "figcaption", undefined, { class: "muted" });
    if (prompt.answer !== undefined) element(caption, "span", `truth: ${prompt.answer}`);
    ["thinking", "answer"].forEach((phase, number) => {
      const entropy = one.entropies ? `, ${one.entropies[number].toFixed(3)} nat` : "";
      if (one.tokens) element(caption, "span", `${phase}: ${one.tokens[number]} tokens${entropy}`);
    });
    if (one.tokens && prompt.mark && !one.closed) element(caption, "span", "thinking not closed");
    if (one.truncated) element(caption, "span", "cut at the most tokens");
    element(caption, "code", prompt.key);
  }

  function level(row) {
    const section = element(shown, "section", undefined, { class: "panel" });
    element(section, "h2", row.set.endsWith("/identity") || row.severity === null ? "as it is" : `severity ${row.severity}`);
    element(element(section, "p", undefined, { class: "note" }), "code", row.records);
    const kinds = element(section, "div", undefined, { class: "kinds" });
    ["right", "wrong"].forEach((kind, number) => {
      const group = element(kinds, "div");
      element(group, "h3", `${kind}: ${row.counts[number].toLocaleString("en")}`);
      const list = element(group, "div", undefined, { class: "written" });
      for (const one of row.kinds[kind] ?? []) completion(list, one);
    });
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
