/* Shows samples that models had right and wrong, beside `chooser.js`. */
"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const KINDS = ["right", "wrong", "sure", "unsure"];

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

  choose(content, (parent, row) => {
    const kinds = panel(parent, row);
    for (const kind of KINDS) {
      const own = row.kinds[kind] ?? [];
      if (!own.length) continue;
      const group = element(kinds, "div");
      element(group, "h3", title(row, kind));
      const strip = element(group, "div", undefined, { class: "strip" });
      for (const one of own) sample(strip, one, kind !== "right");
    }
  });
})();
