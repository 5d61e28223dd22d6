/* Draws the report's figures as SVG; page/figures.py says what a figure is. Names become text nodes, never markup. */
"use strict";
const Figures = (() => {
  const SPACE = "http://www.w3.org/2000/svg";
  const MARGIN = { top: 30, right: 12, bottom: 42, left: 52 };
  const LETTER = 6.6; // about the width of one, in px
  const NEAR = 40; // px from the pointer to what it reads off

  function element(parent, name, attributes, text) {
    const made = document.createElementNS(SPACE, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  /* ---------------------------------------------------------------- axes */
  const across = (series) => series.x ?? series.y.map((_, at) => series.x0 + at * series.dx);

  function span(axis, values, base) { // what an axis shows: its range, or all values with some room
    if (axis.range) return axis.range;
    const known = values.filter((value) => value !== null && value !== undefined);
    if (!known.length) return [0, 1];
    const low = Math.min(...known), high = Math.max(...known);
    const room = 0.06 * (high - low) || Math.abs(high) * 0.1 || 1;
    return [base !== undefined && low >= base ? base : low - room, high + room];
  }

  function ticks([from, to], wanted) { // round numbers between the ends
    const low = Math.min(from, to), high = Math.max(from, to);
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high + step / 1e6; at += 1) found.push(at * step);
    return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }

  function scaled(axis, range, from, to, wanted) { // an axis on the screen: where a value lies, and its ticks
    const { found, digits } = axis.ticks ? { found: axis.ticks } : ticks(range, wanted);
    const place = (value) => from + ((value - range[0]) / (range[1] - range[0])) * (to - from);
    const label = (value, at) => axis.names?.[at] ?? (digits === undefined ? String(value) : value.toFixed(digits)).replace("-", "\u2212");
    return { place, ticks: found.map((value, at) => ({ at: place(value), label: label(value, at) })) };
  }

  /* -------------------------------------------------------------- series */
  const path = (points) => points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  function band(svg, series, x, y) {
    const [low, high] = series.y_ends;
    const kept = series.x.map((_, at) => at).filter((at) => low[at] !== null && high[at] !== null);
    const upper = kept.map((at) => [x(series.x[at]), y(high[at])]);
    const lower = kept.map((at) => [x(series.x[at]), y(low[at])]).reverse();
    if (kept.length) element(svg, "path", { d: `${path([...upper, ...lower])}Z`, fill: series.colour, "fill-opacity": 0.16 });
  }

  function bars(svg, series, x, y, sizes) {
    const xs = across(series);
    const width = Math.max(1, Math.abs(x(series.dx) - x(0)));
    series.y.forEach((value, at) => {
      if (!value) return;
      element(svg, "rect", {
        x: x(xs[at]) - width / 2, y: y(value), width, height: Math.max(0, sizes.bottom - y(value)),
        fill: series.colour, "fill-opacity": 0.5,
      });
    });
  }

  function arms(svg, series, x, y) { // intervals of points, across and up
    const line = { stroke: series.colour, "stroke-width": 1.5, "stroke-opacity": 0.7 };
    series.x.forEach((value, at) => {
      if (value === null || series.y[at] === null) return;
      const [left, right] = (series.x_ends ?? [[], []]).map((ends) => ends[at] ?? value);
      const [low, high] = (series.y_ends ?? [[], []]).map((ends) => ends[at] ?? series.y[at]);
      if (left !== right) element(svg, "line", { x1: x(left), x2: x(right), y1: y(series.y[at]), y2: y(series.y[at]), ...line });
      if (low !== high) element(svg, "line", { x1: x(value), x2: x(value), y1: y(low), y2: y(high), ...line });
    });
  }

  function stroke(svg, series, x, y, given) {
    const thin = series.kind === "rule";
    const kept = series.x.map((value, at) => [value, series.y[at]]).filter(([one, two]) => one !== null && two !== null);
    element(svg, "path", {
      d: path(kept.map(([one, two]) => [x(one), y(two)])), fill: "none", stroke: series.colour,
      "stroke-width": thin ? 1.5 : 2, "stroke-linejoin": "round",
      "stroke-dasharray": given.dashes[thin ? "dot" : series.dash] ?? "",
    });
  }

  function markers(svg, series, x, y, given) {
    const size = series.kind === "points" ? 1.25 : 0.9;
    series.x.forEach((value, at) => {
      if (value === null || series.y[at] === null) return;
      const place = `translate(${x(value).toFixed(1)} ${y(series.y[at]).toFixed(1)}) scale(${size})`;
      element(svg, "path", { d: given.symbols[series.symbol], transform: place, fill: series.colour });
    });
  }

  function one(svg, series, x, y, given, sizes) {
    if (series.kind === "bars") return bars(svg, series, x, y, sizes);
    if (series.kind === "line" && series.y_ends) band(svg, series, x, y);
    if (series.kind === "points") arms(svg, series, x, y);
    else stroke(svg, series, x, y, given);
    if (series.symbol) markers(svg, series, x, y, given);
  }

  /* -------------------------------------------------------------- frames */
  function values(series, letter) {
    const own = letter === "x" ? across : (one) => one.y;
    return series.flatMap((one) => [...own(one), ...(one[`${letter}_ends`] ?? []).flat()]);
  }

  function frame(svg, figure, x, y, sizes) {
    const { left, right, top, bottom } = sizes;
    for (const tick of y.ticks) {
      element(svg, "line", { x1: left, x2: right, y1: tick.at, y2: tick.at, class: "grid" });
      element(svg, "text", { x: left - 7, y: tick.at + 4, "text-anchor": "end" }, tick.label);
    }
    for (const tick of x.ticks) {
      element(svg, "line", { x1: tick.at, x2: tick.at, y1: top, y2: bottom, class: "grid" });
      element(svg, "text", { x: tick.at, y: bottom + 16, "text-anchor": "middle" }, tick.label);
    }
    const middle = (top + bottom) / 2;
    element(svg, "text", { x: (left + right) / 2, y: bottom + 35, "text-anchor": "middle" }, figure.x.title);
    element(svg, "text", { x: 12, y: middle, transform: `rotate(-90 12 ${middle})`, "text-anchor": "middle" }, figure.y.title);
    if (figure.title) element(svg, "text", { x: 6, y: 17, class: "figure-title" }, figure.title);
    if (figure.legend) figure.series.forEach((one, at) => {
      element(svg, "rect", { x: right - 70, y: top + 18 * at + 4, width: 12, height: 12, fill: one.colour, "fill-opacity": 0.5 });
      element(svg, "text", { x: right - 52, y: top + 18 * at + 14 }, one.name);
    });
  }

  function room(figure, width) { // the space for names at the left: theirs, but at most two fifths
    const names = figure.y.names ?? [];
    const wanted = LETTER * Math.max(0, ...names.map((name) => name.length)) + 16;
    return Math.max(MARGIN.left, Math.min(wanted, 0.4 * width));
  }

  /* ------------------------------------------------------------- reading */
  function told(figure, series, at, xs) { // the lines of a tip
    const number = (axis, value) => axis.names ? axis.names[Math.round(value)] : value.toFixed(axis.digits).replace("-", "\u2212");
    const line = (axis, value, ends) => {
      const both = ends && ends[0][at] !== null && ends[1][at] !== null;
      return `${axis.title ? `${axis.title}: ` : ""}${number(axis, value)}${both ? ` [${number(axis, ends[0][at])}, ${number(axis, ends[1][at])}]` : ""}`;
    };
    const n = series.n?.[at] ? `n = ${series.n[at].toLocaleString("en")}` : "";
    return [series.name, line(figure.x, xs[at], series.x_ends), line(figure.y, series.y[at], series.y_ends), n].filter((one) => one);
  }

  function nearest(targets, px, py) {
    let best = null, least = NEAR ** 2;
    for (const target of targets) {
      const away = (target.px - px) ** 2 + (target.py - py) ** 2;
      if (away < least) [best, least] = [target, away];
    }
    return best;
  }

  function readable(place, svg, figure, series, x, y) {
    const targets = series.filter((own) => own.kind !== "rule").flatMap((own) => {
      const xs = across(own);
      return xs.flatMap((value, at) => value === null || own.y[at] === null ? [] : [{ own, at, xs, px: x(value), py: y(own.y[at]) }]);
    });
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    place.append(tip);
    const hide = () => { tip.hidden = true; };
    const show = (event) => {
      const box = svg.getBoundingClientRect();
      const ratio = svg.viewBox.baseVal.width / box.width;
      const found = nearest(targets, (event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio);
      if (!found) return hide();
      tip.replaceChildren(...told(figure, found.own, found.at, found.xs).map((text) => {
        const line = document.createElement("div");
        line.textContent = text;
        return line;
      }));
      tip.hidden = false;
      const left = found.px / ratio;
      tip.style.left = `${Math.max(0, Math.min(left + 10, box.width - tip.offsetWidth))}px`;
      tip.style.top = `${Math.max(0, found.py / ratio - tip.offsetHeight - 10)}px`;
    };
    for (const name of ["pointermove", "pointerdown"]) svg.addEventListener(name, show);
    svg.addEventListener("pointerleave", hide);
  }

  /* Draw `figure` into `place`; `given`: dashes and symbols by name; `hidden`: keys that are left out. */
  function draw(place, figure, given, hidden) {
    const width = Math.max(240, place.clientWidth || 360), height = figure.height;
    const sizes = { left: room(figure, width), right: width - MARGIN.right, top: figure.title ? MARGIN.top : 10, bottom: height - MARGIN.bottom };
    const series = figure.series.filter((one) => !hidden.has(one.key ?? one.name));
    const base = figure.series.some((one) => one.kind === "bars") ? 0 : undefined;
    const x = scaled(figure.x, span(figure.x, values(series, "x")), sizes.left, sizes.right, Math.max(3, (sizes.right - sizes.left) / 70));
    const y = scaled(figure.y, span(figure.y, values(series, "y"), base), sizes.bottom, sizes.top, Math.max(3, (sizes.bottom - sizes.top) / 34));
    place.replaceChildren();
    const svg = element(place, "svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    frame(svg, figure, x, y, sizes);
    for (const own of series) one(svg, own, x.place, y.place, given, sizes);
    readable(place, svg, figure, series, x.place, y.place);
    return series;
  }

  return { draw };
})();
