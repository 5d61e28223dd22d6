/* Shows what models made of claims about tables, correct and wrong, with `chooser.js`. */
"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);

  function tabulated(parent, { caption, cells }) {
    const made = element(element(parent, "div", undefined, { class: "scroll" }), "table");
    element(made, "caption", caption);
    cells.forEach((line, number) => {
      const row = element(made, "tr");
      for (const cell of line) element(row, number ? "td" : "th", cell);
    });
  }

  function answer(parent, one) {
    const prompt = content.prompts[one.prompt];
    const figure = element(parent, "figure");
    element(figure, "p", prompt.text ?? "(the claim is not shown)", { class: "claim" });
    if (prompt.table) tabulated(figure, prompt.table);
    element(figure, "pre", one.text);
    const caption = element(figure, "figcaption", undefined, { class: "muted" });
    if (prompt.answer !== undefined) element(caption, "span", `truth: ${prompt.answer}`);
    element(caption, "code", prompt.key);
  }

  choose(content, (parent, row) => {
    const kinds = panel(parent, row, content.titles);
    ["right", "wrong"].forEach((kind, number) => {
      const group = element(kinds, "div");
      element(group, "h3", `${kind === "right" ? "correct" : kind}: ${row.counts[number].toLocaleString("en")}`);
      const list = element(group, "div", undefined, { class: "written" });
      for (const one of row.kinds[kind] ?? []) answer(list, one);
    });
  });
})();
