"use strict";
// What a browser adds to the page: charts that can be read off, tables that can be sorted and
// filtered, the photographs of a cell of the confusion matrix, and the threshold's slider.

const valuesOf = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");

for (const figure of document.querySelectorAll("figure.chart")) {
  const place = document.createElement("div");
  const specification = JSON.parse(figure.querySelector("script").textContent);
  vegaEmbed(place, specification, { actions: false, renderer: "svg" })
    .then(() => {
      const still = figure.querySelector("svg");
      place.querySelector("svg").setAttribute("role", "img");
      place.querySelector("svg").setAttribute("aria-label", still.getAttribute("aria-label"));
      still.replaceWith(place);
      figure.dataset.drawn = "true";
    })
    .catch((error) => console.error(error)); // what was drawn before stays
}

function sortRows(table, column, descending) {
  const key = (row) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number.parseFloat(text.replaceAll(",", "").replace("\u2212", "-"));
    return Number.isNaN(number) ? text : number;
  };
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    const order = typeof a === "number" && typeof b === "number"
      ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
    return descending ? -order : order;
  });
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const [column, heading] of [...table.tHead.rows[0].cells].entries()) {
    if (!heading.textContent.trim()) continue;
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortRows(table, column, descending);
    });
  }
  if (table.tBodies[0].rows.length < 8) continue;
  const filter = document.createElement("input");
  filter.type = "search";
  filter.placeholder = "Filter";
  filter.setAttribute("aria-label", `Filter: ${table.dataset.about}`);
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of table.tBodies[0].rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    }
  });
  table.closest(".scroll").before(filter);
}

const dialog = document.getElementById("cell");
for (const button of document.querySelectorAll("button.cell")) {
  button.addEventListener("click", () => {
    dialog.querySelector("h3").textContent = button.getAttribute("aria-label");
    dialog.querySelector(".pictures").replaceChildren(
      document.getElementById(`cell-${button.dataset.cell}`).content.cloneNode(true));
    dialog.showModal();
  });
}
dialog?.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside it
});

const thresholds = valuesOf("thresholds");
if (thresholds) {
  const [label, slider] = [document.getElementById("label"), document.getElementById("threshold")];
  const show = () => {
    const { positives, negatives, thresholds: at, hits, alarms } = thresholds[label.value];
    const value = Number(slider.value);
    let place = -1; // the last score that is not below the threshold
    while (place + 1 < at.length && at[place + 1] >= value) place += 1;
    const [right, wrong] = place < 0 ? [0, 0] : [hits[place], alarms[place]];
    const share = (part, whole) => (whole ? (part / whole).toFixed(3) : "\u2013");
    const values = {
      threshold: value.toFixed(2),
      precision: share(right, right + wrong),
      recall: share(right, positives),
      f1: share(2 * right, right + wrong + positives),
      alarms: share(wrong, negatives),
      found: `${right + wrong} of ${positives + negatives}`,
    };
    for (const [name, text] of Object.entries(values)) {
      document.getElementById(`at-${name}`).textContent = text;
    }
  };
  label.addEventListener("input", () => {
    slider.value = thresholds[label.value].threshold;
    show();
  });
  slider.addEventListener("input", show);
  show();
}
