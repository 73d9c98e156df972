// Charts: polylines with axes, a reading under the pointer or the arrow keys, and a table.

import { el, setText, svg } from "./elements.js";

const LEFT = 54, RIGHT = 12, TOP = 8, BOTTOM = 22;
const MARK = 20; // room above for the words of a mark
const LOG_RATIO = 50;
const FAR_GOAL = 5; // times the range that was seen: a line so far off would flatten all others
const TABLE_ROWS = 60;

export function formatNumber(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0"; // and not -0
  if (size < 1e-3 || size >= 1e12) return value.toExponential(1);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

export function formatTime(seconds) {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds % 60)];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)} h` : m ? `${m}:${two(s)} min` : `${formatNumber(seconds)} s`;
}

export function formatShort(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return `${formatNumber(value / 1e9)}G`;
  if (size >= 1e6) return `${formatNumber(value / 1e6)}M`;
  if (size >= 1e4) return `${formatNumber(value / 1e3)}k`;
  return formatNumber(value);
}

// Round numbers from low to high, some five of them.
function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(wanted, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? raw;
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n += 1) found.push(n * step);
  return found;
}

export class Chart {
  // spec: {title, note, wide, mayBeLog}
  constructor(spec) {
    this.spec = spec;
    this.series = [];
    this.cursor = null;
    this.svg = svg("svg", { class: "chart", tabindex: "0", role: "img", height: spec.wide ? 260 : 180 });
    this.legend = el("div", { class: "legend" });
    this.reading = el("p", { class: "reading", "aria-live": "polite" });
    this.tables = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${spec.title} as a table` });
    this.details = el("details", {}, el("summary", {}, "as a table"), this.tables);
    this.details.addEventListener("toggle", () => this.tabulate());
    this.figure = el("figure", { class: spec.wide ? "wide" : null },
      el("figcaption", {}, spec.title, el("span", { class: "note" }, spec.note)),
      this.legend, this.svg, this.reading, this.details);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.read(null));
    this.svg.addEventListener("blur", () => this.read(null));
    this.svg.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  // series: [{label, style, other, points: [[x, y]], band: [[x, low, high]], mark: {x, y, name}}], of
  // which the first that has points is the one that is read.
  show(series, { goal = null, formatX = formatNumber, nameX = "" } = {}) {
    this.series = series.filter((each) => each.points.length);
    Object.assign(this, { goal, formatX, nameX });
    this.figure.hidden = !this.series.length;
    this.legend.replaceChildren(...this.labels());
    this.draw();
    this.tabulate();
  }

  labels() {
    const single = this.series.length === 1 && this.goal === null;
    const rows = single ? [] : this.series.map((each) => el("span", {},
      svg("svg", { viewBox: "0 0 24 10", "aria-hidden": "true" },
        svg("path", { class: `curve s${each.style}${each.other ? " other" : ""}`, d: "M1 5H23" })),
      each.label));
    if (this.goal !== null) rows.push(el("span", {},
      svg("svg", { viewBox: "0 0 24 10", "aria-hidden": "true" },
        svg("path", { class: "curve goal", d: "M1 5H23" })), `goal ${formatNumber(this.goal)}`));
    return rows;
  }

  // --- scales -----------------------------------------------------------------------------------

  scale() {
    const xs = [], ys = [];
    for (const { points, band, mark } of this.series) {
      for (const [x, y] of points) { xs.push(x); ys.push(y); }
      if (mark) { xs.push(mark.x); ys.push(mark.y); } // points may be means of several
      for (const [, low, high] of band ?? []) ys.push(low, high);
    }
    let [x0, x1] = [least(xs), most(xs)], [y0, y1] = [least(ys), most(ys)];
    const range = Math.max(y1 - y0, Math.abs(y1) * 0.1, 1e-9);
    this.shownGoal = this.goal !== null && this.goal <= y1 + FAR_GOAL * range && this.goal >= y0 - FAR_GOAL * range;
    if (this.shownGoal) [y0, y1] = [Math.min(y0, this.goal), Math.max(y1, this.goal)];
    this.isLog = Boolean(this.spec.mayBeLog) && y0 > 0 && y1 / y0 > LOG_RATIO;
    if (this.isLog) [y0, y1] = [Math.log10(y0), Math.log10(y1)];
    if (x1 <= x0) [x0, x1] = [x0 - 0.5, x0 + 0.5];
    const room = 0.06 * (y1 - y0) || Math.max(0.1 * Math.abs(y1), 0.5);
    [y0, y1] = [y0 >= 0 && y0 - room < 0 && !this.isLog ? 0 : y0 - room, y1 + room];
    const [width, height] = [Math.max(this.svg.clientWidth, 120), Number(this.svg.getAttribute("height"))];
    const top = this.series.some(({ mark }) => mark) ? TOP + MARK : TOP;
    const [w, h] = [width - LEFT - RIGHT, height - top - BOTTOM];
    Object.assign(this, { x0, x1, y0, y1, width, height, top, w, h });
    this.px = (x) => LEFT + ((x - x0) / (x1 - x0)) * w;
    this.py = (y) => top + h - (((this.isLog ? Math.log10(y) : y) - y0) / (y1 - y0)) * h;
  }

  // --- drawing ----------------------------------------------------------------------------------

  draw() {
    if (!this.series.length || this.figure.hidden) return;
    this.scale();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.cursorLine = svg("line", { class: "cursor", y1: this.top, y2: this.top + this.h, visibility: "hidden" });
    this.svg.replaceChildren(...this.axes(), ...this.curves(), ...this.marks(), this.cursorLine);
    this.svg.setAttribute("aria-label", this.summary());
    this.read(this.cursor);
  }

  axes() {
    const parts = [];
    const values = this.isLog
      ? ticks(this.y0, this.y1, 3).filter(Number.isInteger).map((n) => 10 ** n)
      : ticks(this.y0, this.y1, this.h / 32);
    for (const y of values) {
      const at = this.py(y);
      parts.push(svg("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: at, y2: at }),
        svg("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, formatShort(y)));
    }
    for (const x of ticks(this.x0, this.x1, this.w / 75)) {
      const text = this.formatX === formatTime ? formatTime(x) : formatShort(x);
      const at = this.px(x), edge = at > this.width - 40 ? "end" : "middle";
      parts.push(svg("text", { x: edge === "end" ? this.width - RIGHT : at, y: this.height - 6, "text-anchor": edge }, text));
    }
    if (this.shownGoal) {
      const at = this.py(this.goal);
      parts.push(svg("line", { class: "goal", x1: LEFT, x2: this.width - RIGHT, y1: at, y2: at }));
    }
    return parts;
  }

  curves() {
    const parts = [];
    for (const { points, band, style, other } of this.series) {
      if (band?.length) {
        const up = band.map(([x, , high]) => `${this.px(x)} ${this.py(high)}`);
        const down = band.map(([x, low]) => `${this.px(x)} ${this.py(low)}`).reverse();
        parts.push(svg("path", { class: `band s${style}`, d: `M${[...up, ...down].join("L")}Z` }));
      }
      const shown = this.isLog ? points.filter(([, y]) => y > 0) : points;
      const d = `M${shown.map(([x, y]) => `${this.px(x).toFixed(1)} ${this.py(y).toFixed(1)}`).join("L")}`;
      const only = shown.length === 1 ? svg("circle", { class: `s${style}`, r: 3, cx: this.px(shown[0][0]), cy: this.py(shown[0][1]) }) : null;
      parts.push(only ?? svg("path", { class: `curve s${style}${other ? " other" : ""}`, d }));
    }
    return parts;
  }

  // A ring with its words above.
  marks() {
    return this.series.filter(({ mark }) => mark).flatMap(({ mark, style }) => {
      const [x, y] = [this.px(mark.x), this.py(mark.y)];
      const side = x > this.width - 60 ? "end" : x < LEFT + 40 ? "start" : "middle";
      const at = x + { end: 5, start: -5, middle: 0 }[side];
      return [svg("circle", { class: `mark s${style}`, r: 5, cx: x, cy: y }),
        svg("text", { class: "mark", x: at, y: y - 10, "text-anchor": side }, `${mark.name} ${formatNumber(mark.y)}`)];
    });
  }

  summary() {
    const { points, label, mark } = this.series[0];
    const ys = points.map(([, y]) => y);
    const marked = mark ? `, ${mark.name} ${formatNumber(mark.y)} at ${this.formatX(mark.x)}${this.nameX}` : "";
    return `${this.spec.title}, ${label}: last ${formatNumber(ys.at(-1))}, from ` +
      `${formatNumber(least(ys))} to ${formatNumber(most(ys))}${marked}. Arrow keys read values.`;
  }

  // --- reading ----------------------------------------------------------------------------------

  point(event) {
    if (!this.series.length) return;
    const box = this.svg.getBoundingClientRect();
    const x = this.x0 + ((event.clientX - box.left - LEFT) / this.w) * (this.x1 - this.x0);
    this.read(this.series[0].points[nearest(this.series[0].points, x)][0]);
  }

  step(event) {
    const turn = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    if (turn === undefined || !this.series.length) return;
    event.preventDefault();
    const { points } = this.series[0];
    const from = this.cursor === null ? points.length : nearest(points, this.cursor);
    this.read(points[Math.min(Math.max(from + turn, 0), points.length - 1)][0]);
  }

  read(x) {
    this.cursor = x;
    this.cursorLine?.setAttribute("visibility", x === null ? "hidden" : "visible");
    if (x === null) {
      setText(this.reading, "");
      return;
    }
    this.cursorLine.setAttribute("x1", this.px(x));
    this.cursorLine.setAttribute("x2", this.px(x));
    const values = this.series.map(({ label, points }) =>
      `${label} ${formatNumber(points[nearest(points, x)][1])}`);
    setText(this.reading, `${this.formatX(x)}${this.nameX}: ${values.join(", ")}`);
  }

  tabulate() {
    if (!this.details.open || !this.series.length) return;
    const { points } = this.series[0];
    const every = Math.max(1, Math.ceil(points.length / TABLE_ROWS));
    const rows = points.filter((_, i) => i % every === 0 || i === points.length - 1).reverse();
    const head = [this.nameX.trim() || "time", ...this.series.map(({ label }) => label)];
    const cells = ([x]) => [this.formatX(x), ...this.series.map((each) =>
      formatNumber(each.points[nearest(each.points, x)][1]))];
    this.tables.replaceChildren(el("table", {},
      el("thead", {}, el("tr", {}, ...head.map((text) => el("th", { scope: "col", class: "number" }, text)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row).map((text) => el("td", { class: "number" }, text)))))));
  }
}

function least(values) {
  return values.reduce((a, b) => Math.min(a, b), Infinity);
}

function most(values) {
  return values.reduce((a, b) => Math.max(a, b), -Infinity);
}

function nearest(points, x) {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - points[low - 1][0] < points[low][0] - x ? low - 1 : low;
}
