"use strict";
// What a browser adds to the page: charts that can be read off, the chart of any slice, and in the
// live page new figures as they come.

function draw(figure, specification, words) {
  const place = document.createElement("div");
  return vegaEmbed(place, specification, { actions: false, renderer: "svg", logLevel: 1 }).then(() => {
    const drawn = place.querySelector("svg");
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", words);
    figure.querySelector(":scope > svg, :scope > div")?.remove();
    figure.append(place);
    figure.dataset.drawn = "true";
  }).catch((error) => console.error(error)); // what was drawn before stays
}

for (const figure of document.querySelectorAll("figure.chart")) {
  const still = figure.querySelector("svg");
  const drawOnce = () => {
    figure.removeEventListener("pointerenter", drawOnce);
    const specification = JSON.parse(figure.querySelector("script").textContent);
    draw(figure, specification, still.getAttribute("aria-label"));
  };
  figure.addEventListener("pointerenter", drawOnce);
}

const chooser = document.getElementById("slice-chooser");
if (chooser) {
  const { columns, slices, specification } =
    JSON.parse(document.getElementById("slices").textContent);
  const select = chooser.querySelector("select");
  const figure = chooser.querySelector("figure");
  const number = (value) => (value === null ? "\u2013" : value.toFixed(3));
  const show = () => {
    const { name, rows } = slices[select.value];
    const values = rows.map((row) => {
      const of = Object.fromEntries(columns.map((column, place) => [column, row[place]]));
      const range = of.low === null ? "\u2013" : `${number(of.low)} to ${number(of.high)}`;
      return { ...of, kind: "measured", shown: number(of.value), range };
    });
    sessionStorage.setItem("slice", name);
    draw(figure, { ...specification, data: { values } }, `Accuracy of ${name}`);
  };
  const before = slices.findIndex((one) => one.name === sessionStorage.getItem("slice"));
  if (before >= 0) select.value = String(before);
  select.addEventListener("input", show);
  chooser.hidden = false;
  show();
}

const every = Number(document.body.dataset.every);
if (every) {
  // A reload where there are other figures; the browser keeps where one was reading.
  const note = document.getElementById("live");
  const asked = () => fetch("", { method: "HEAD", cache: "no-store" });
  let shown = document.body.dataset.etag;
  const look = async () => {
    if (document.hidden) return;
    try {
      const answer = await asked();
      note.textContent = "live";
      if (answer.ok && answer.headers.get("etag") !== shown) location.reload();
    } catch {
      note.textContent = "the server does not answer: these are its last figures";
    }
  };
  setInterval(look, 1000 * every);
  document.addEventListener("visibilitychange", look);
}
