/* Shows what models wrote, correct and wrong, with `chooser.js`. */
"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);

  function completion(parent, one) {
    const prompt = content.prompts[one.prompt];
    const figure = element(parent, "figure");
    element(figure, "blockquote", prompt.text ?? "(the prompt is not shown)", { class: "prompt" });
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

  choose(content, (parent, row) => {
    const kinds = panel(parent, row, content.titles);
    ["right", "wrong"].forEach((kind, number) => {
      const group = element(kinds, "div");
      element(group, "h3", `${kind === "right" ? "correct" : kind}: ${row.counts[number].toLocaleString("en")}`);
      const list = element(group, "div", undefined, { class: "written" });
      for (const one of row.kinds[kind] ?? []) completion(list, one);
    });
  });
})();
