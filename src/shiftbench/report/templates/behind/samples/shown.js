/* Shows samples that models predicted correctly and wrongly, with `chooser.js`. */
"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const KINDS = ["right", "wrong", "sure", "unsure"];
  const PAGE = 4;
  const spelled = (number) => (number === null ? "none of these" : content.names[number].replaceAll("_", " "));
  const count = (number) => number.toLocaleString("en");
  const [only, ofClass] = ["kind", "class"].map((id) => document.getElementById(id));

  function picture(parent, own, alt, below) {
    const part = element(parent, "span");
    element(part, "img", undefined, { src: `data:image/webp;base64,${own.webp}`, alt });
    if (below) part.append(below);
  }

  function difference(parent, pieces) {
    const quote = element(parent, "blockquote");
    for (const [kind, text, codes, names] of pieces) {
      const marks = codes.length ? { "data-codes": codes.join(" "), title: `${codes.join(" ")} ${names.join(", ")}` } : {};
      if (kind === "kept") quote.append(text);
      else element(quote, kind === "new" ? "ins" : "del", text, marks);
    }
  }

  function sample(parent, row, [number, truth, prediction, confidence], right) {
    const own = content.samples[number];
    const clean = content.samples[own.clean];
    const figure = element(parent, "figure", undefined, { title: own.key });
    const condition = isClean(row) ? "clean" : `severity ${row.severity}`;
    if (own.webp) {
      const pair = element(figure, "div", undefined, { class: "pair" });
      if (clean?.webp) picture(pair, clean, `${spelled(truth)}, clean`, "clean");
      picture(pair, own, `${spelled(truth)}, ${content.titles.set[row.set] ?? row.set}, ${condition}`, clean?.webp && condition);
    } else if (own.diff) difference(figure, own.diff);
    else if (own.text !== undefined) element(figure, "blockquote", own.text);
    else element(figure, "p", "not shown", { class: "muted" });
    const caption = element(figure, "figcaption");
    if (own.webp && own.text) element(caption, "span", own.text);
    if (right !== null) element(caption, "strong", right ? "✓ correct" : "✗ wrong", { class: right ? "correct" : "wrong" });
    element(caption, "span", `true class: ${spelled(truth)}`);
    element(caption, "span", `predicted: ${spelled(prediction)}`);
    element(caption, "span", `confidence: ${confidence}%`);
    if (own.key) element(caption, "code", own.key.split("/").pop(), { title: own.key });
  }

  function title(row, kind) {
    const [right, wrong, neither] = row.counts.map(count);
    const sure = row.kinds.unsure ? `of none of these classes: ${neither}, most confident first` : "wrong, most confident first";
    return { right: `correct: ${right}`, wrong: `wrong: ${wrong}`, sure, unsure: "least confident first" }[kind];
  }

  function group(parent, row, kind, answers) { // some samples of a kind, and buttons to the others
    const section = element(parent, "div");
    element(section, "h3", title(row, kind));
    const pages = element(section, "div", undefined, { class: "pages" });
    const strip = element(section, "div", undefined, { class: "strip" });
    const size = only.value ? answers.length : PAGE;
    const right = row.kinds.unsure ? null : kind === "right";
    function show(start) {
      const end = Math.min(start + size, answers.length);
      pages.replaceChildren();
      strip.replaceChildren();
      const step = (text, label, to, possible) => {
        const button = element(pages, "button", text, { type: "button", "aria-label": label });
        button.disabled = !possible;
        button.addEventListener("click", () => {
          show(to);
          const same = pages.querySelector(`[aria-label="${label}"]:enabled`) ?? pages.querySelector("button:enabled");
          same?.focus();
        });
      };
      if (size < answers.length) step("‹", "previous samples", start - size, start > 0);
      element(pages, "span", `samples ${start + 1} to ${end} of the ${answers.length} on this page`);
      if (size < answers.length) step("›", "next samples", start + size, end < answers.length);
      for (const one of answers.slice(start, end)) sample(strip, row, one, right);
    }
    show(0);
  }

  function offerClasses(row) {
    const before = ofClass.value;
    const truths = new Set(Object.values(row.kinds).flat().map((answer) => answer[1]).filter((truth) => truth !== null));
    ofClass.replaceChildren();
    element(ofClass, "option", "all", { value: "" });
    for (const truth of [...truths].sort((a, b) => (spelled(a) < spelled(b) ? -1 : 1))) element(ofClass, "option", spelled(truth), { value: truth });
    if ([...ofClass.options].some((option) => option.value === before)) ofClass.value = before;
  }

  const draw = choose(content, (parent, row) => {
    offerClasses(row);
    const kinds = panel(parent, row, content.titles);
    kinds.classList.toggle("one", Boolean(only.value));
    for (const kind of KINDS.filter((kind) => !only.value || kind === only.value)) {
      const own = (row.kinds[kind] ?? []).filter((answer) => !ofClass.value || String(answer[1]) === ofClass.value);
      if (own.length) group(kinds, row, kind, own);
    }
    if (!kinds.children.length) element(kinds, "p", "No sample on this page matches the filter.", { class: "muted" });
  });
  for (const select of [only, ofClass]) select.addEventListener("change", draw);
})();
