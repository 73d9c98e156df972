// The picture of the roles: nodes and labels are a list, lines and dots are drawn behind it.

import { formatShort } from "./charts.js";
import { byId, el, fill, health, reducedMotion, svg } from "./elements.js";

const FRAME_MS = 100; // drawing may have to share a processor with the training
const TRAVEL_S = 1.4;
const MOST_DOTS_PER_S = 5;
const NAMES = { transitions: "transitions", samples: "transitions sampled", weights: "weights, back to collectors",
  snapshots: "snapshots" };

export class Picture {
  constructor(container, button) {
    this.links = new Map();
    this.nodes = new Map();
    this.paused = reducedMotion.matches;
    this.list = el("ol", { id: "roles" });
    this.wires = svg("svg", { "aria-hidden": "true" });
    container.append(this.wires, this.list);
    new ResizeObserver(() => this.lay()).observe(container);
    this.button = button;
    button.addEventListener("click", () => this.pause(!this.paused));
    reducedMotion.addEventListener("change", () => this.pause(reducedMotion.matches));
    this.pause(this.paused);
    setInterval(() => this.move(), FRAME_MS);
  }

  pause(paused) {
    this.paused = paused;
    this.button.setAttribute("aria-pressed", String(paused));
    if (paused) for (const link of this.links.values()) this.clear(link);
  }

  show({ nodes, links }) {
    if (!this.nodes.size) this.build(nodes, links);
    for (const node of nodes) this.showNode(node);
    for (const link of links) this.showLink(link);
    this.lay();
  }

  build(nodes, links) {
    for (const node of nodes) this.nodes.set(node.role, el("li", { class: "node" }));
    for (const { name, from, to } of links) {
      const above = el("span", { class: "above" }, NAMES[name]);
      const below = el("span", { class: "below" });
      const item = el("li", { class: `link ${name}`, "aria-label": `${NAMES[name]} to ${to}` },
        above, below);
      const path = svg("path", { class: "wire" });
      const dots = svg("g");
      this.wires.append(path, dots);
      const link = { name, from, to, item, below, path, dots, moving: [], owed: 0, perS: 0, count: null };
      link.head = svg("path", { class: "head-of-wire", d: "M0 0L-9 -5L-9 5Z" });
      this.wires.append(link.head);
      this.links.set(name, link);
    }
    const link = (name) => this.links.get(name).item;
    this.list.append(this.nodes.get("collector"), link("transitions"), this.nodes.get("memory"),
      link("samples"), this.nodes.get("learner"), link("snapshots"), this.nodes.get("evaluator"),
      link("weights"));
  }

  showNode({ role, title, health: state, lines, place }) {
    const item = this.nodes.get(role);
    const key = JSON.stringify([title, state, lines, place]);
    if (item.dataset.shown === key) return;
    item.dataset.shown = key;
    item.dataset.health = state;
    item.replaceChildren(el("h3", {}, title), health(state),
      ...lines.map((line) => el("p", {}, line)), ...(place ? [el("p", { class: "note" }, place)] : []));
  }

  showLink({ name, per_s: perS, text, count }) {
    const link = this.links.get(name);
    link.perS = perS ?? 0;
    link.unit = unitOf(link.perS);
    const legend = link.perS > 0 ? ` (● = ${formatShort(link.unit)})` : "";
    fill(link.below, [perS === 0 ? "none now" : text, legend], ([words, dots]) =>
      [el("span", {}, words), el("span", { class: "legend-of-dots" }, dots)]);
    if (link.count !== null && count > link.count && !this.still()) link.owed += 1;
    link.count = count;
  }

  still() {
    return this.paused || document.hidden;
  }

  // Puts lines where the nodes are now.
  lay() {
    if (!this.nodes.size) return;
    const origin = this.wires.getBoundingClientRect();
    const box = (role) => {
      const r = this.nodes.get(role).getBoundingClientRect();
      return { left: r.left - origin.left, right: r.right - origin.left, top: r.top - origin.top,
        bottom: r.bottom - origin.top, x: (r.left + r.right) / 2 - origin.left,
        y: (r.top + r.bottom) / 2 - origin.top };
    };
    const narrow = box("memory").top >= box("collector").bottom;
    for (const link of this.links.values()) {
      const [a, b] = [box(link.from), box(link.to)];
      const [d, x, y, turn] = link.name === "weights" ? backward(a, b, narrow) : forward(a, b, narrow);
      link.path.setAttribute("d", d);
      link.head.setAttribute("transform", `translate(${x} ${y}) rotate(${turn})`);
    }
  }

  clear(link) {
    link.moving = [];
    link.dots.replaceChildren();
  }

  move() {
    if (this.still()) return;
    for (const link of this.links.values()) {
      const step = FRAME_MS / 1000;
      link.owed = Math.min(link.owed + (link.perS / link.unit || 0) * step, 3);
      if (!link.moving.length && link.owed < 1) continue;
      const length = link.path.getTotalLength();
      while (link.owed >= 1) {
        link.owed -= 1;
        const dot = svg("circle", { class: "dot", r: 4.5 });
        link.dots.append(dot);
        link.moving.push({ dot, at: 0 });
      }
      for (const each of link.moving) {
        each.at += step / TRAVEL_S;
        const { x, y } = link.path.getPointAtLength(Math.min(each.at, 1) * length);
        each.dot.setAttribute("cx", x);
        each.dot.setAttribute("cy", y);
        if (each.at >= 1) each.dot.remove();
      }
      link.moving = link.moving.filter((each) => each.at < 1);
    }
  }
}

// So many that a dot stands for, a power of ten, that few dots a second are all that goes by.
function unitOf(perS) {
  let unit = 1;
  while (perS / unit > MOST_DOTS_PER_S) unit *= 10;
  return unit;
}

function forward(a, b, narrow) {
  if (narrow) {
    const x = a.left + 26;
    return [`M${x} ${a.bottom}L${x} ${b.top}`, x, b.top, 90];
  }
  const y = Math.min((a.top + a.bottom) / 2, (b.top + b.bottom) / 2);
  return [`M${a.right} ${y}L${b.left} ${y}`, b.left, y, 0];
}

function backward(a, b, narrow) {
  if (narrow) {
    const x = Math.max(a.right, b.right) + 24;
    return [`M${a.right} ${a.y}H${x - 10}Q${x} ${a.y} ${x} ${a.y - 10}V${b.y + 10}` +
      `Q${x} ${b.y} ${x - 10} ${b.y}H${b.right}`, b.right, b.y, 180];
  }
  const y = Math.max(a.bottom, b.bottom) + 26;
  return [`M${a.x} ${a.bottom}V${y - 10}Q${a.x} ${y} ${a.x - 10} ${y}H${b.x + 10}` +
    `Q${b.x} ${y} ${b.x} ${y - 10}V${b.bottom}`, b.x, b.bottom, -90];
}

export function makePicture() {
  return new Picture(byId("picture"), byId("motion"));
}
