// Making elements: text goes in as text, never as markup.

export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function byId(id) {
  return document.getElementById(id);
}

// Leaves an element alone whose text is the same, so that a selection in it stays.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Fills `parent` anew where `value` is another than last time.
export function fill(parent, value, make) {
  const key = JSON.stringify(value);
  if (parent.dataset.shown === key) return;
  parent.dataset.shown = key;
  parent.replaceChildren(...make(value));
}

// Columns: [title, key of a row, whether it is a number]. A row that is `marked` stands out.
export function table(columns, rows, label) {
  const kept = columns.filter(([, key]) => rows.some((row) => row[key] !== ""));
  const head = kept.map(([title, , number]) =>
    el("th", { scope: "col", class: number ? "number" : null }, title));
  const body = rows.map((row) => el("tr", { class: row.marked ? "marked" : null }, ...kept.map(([, key, number]) =>
    el("td", { class: number ? "number" : null }, row[key]))));
  return el("table", { "aria-label": label },
    el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body));
}

const HEALTH = {
  good: ["●", "well"], waits: ["○", "waits"], odd: ["▲", "look here"], bad: ["■", "gone or broken"],
  unknown: ["?", "not known now"], ended: ["–", "ended"],
};

// Health by shape, word and colour, so that none of them is needed to see it.
export function health(name) {
  const [mark, word] = HEALTH[name] ?? HEALTH.unknown;
  return el("span", { class: "health", "data-health": name }, `${mark} ${word}`);
}

export const reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
