// Tables in an element with the class `sortable`: each heading is a button that sorts its column. Without JavaScript they are plain tables.
document$.subscribe(() => { // the theme's event: a page was loaded
  const missing = "\u2013";
  const text = (row, at) => row.cells[at].textContent.trim();
  const value = (row, at) => parseFloat(text(row, at).replace("\u2212", "-").replaceAll(",", ""));
  for (const table of document.querySelectorAll(".sortable table")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    if (!body || body.rows.length < 2) continue;
    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.scope = "col";
      button.addEventListener("click", () => {
        const rows = [...body.rows];
        const known = rows.filter((row) => text(row, at) !== missing && text(row, at) !== "");
        const numeric = known.every((row) => /^[\u2212-]?\d/.test(text(row, at)) && !/^\d{4}-\d\d-\d\d$/.test(text(row, at)));
        const upwards = head.ariaSort ? head.ariaSort === "descending" : !numeric; // numbers begin with the largest
        const compare = numeric
          ? (a, b) => value(a, at) - value(b, at)
          : (a, b) => text(a, at).localeCompare(text(b, at), "en", { sensitivity: "base" });
        known.sort((a, b) => (upwards ? compare(a, b) : compare(b, a)));
        body.append(...known, ...rows.filter((row) => !known.includes(row))); // missing values are last
        for (const other of heads) other.removeAttribute("aria-sort");
        head.ariaSort = upwards ? "ascending" : "descending";
      });
    });
  }
});
