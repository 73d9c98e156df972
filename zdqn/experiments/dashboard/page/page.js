// Listens to the dashboard, and puts what it tells where it belongs.

import { Chart, formatNumber, formatTime } from "./charts.js";
import { byId, el, fill, health, setText, table } from "./elements.js";
import { Film } from "./film.js";
import { makePicture } from "./picture.js";
import { Configuration, OtherRuns } from "./tables.js";

const SILENT_MS = 20000; // longer than servers that do not answer take, one after the other
const AGAIN_MS = 3000;

const CHARTS = [
  { title: "Return", note: "of an episode; the band is from the lowest to the highest", wide: true },
  { title: "Environment steps per second", key: "environment_steps_per_s", style: 3 },
  { title: "Updates per second", key: "updates_per_s", style: 4 },
  { title: "Loss", key: "loss", style: 2, mayBeLog: true },
  { title: "Staleness", key: "staleness_mean", style: 5, note: "versions between acting and learning" },
  { title: "Mean |TD error|", key: "td_error_mean", style: 2, mayBeLog: true },
  { title: "Mean max Q", key: "q_mean", style: 0 },
  { title: "Gradient norm", key: "gradient_norm", style: 4, mayBeLog: true, note: "before clipping" },
  { title: "Epsilon", key: "epsilon", style: 3, note: "mean over collectors" },
];
const OTHER_STYLES = [2, 4, 3, 5, 0];
const NAMES_X = { environment_steps: " environment steps", wall_s: "", updates: " updates" };

const picture = makePicture();
const film = new Film(byId("film"));
const charts = CHARTS.map((spec) => [spec, new Chart({ note: "", ...spec })]);
byId("charts").append(...charts.map(([, chart]) => chart.figure));
let curves = { metrics: {}, evaluations: {} };
let others = [];
let goal = null;
let heardAt = Date.now();
let told = null; // the last state

new Configuration();
new OtherRuns((chosen) => { others = chosen; drawCharts(); });
byId("over").addEventListener("change", drawCharts);

// --- the present ---------------------------------------------------------------------------------

function showState(state) {
  const { run } = state;
  setText(byId("environment"), run.environment);
  setText(byId("run-name"), run.name);
  setText(byId("doing"), [run.doing, run.time].filter(Boolean).join(", "));
  setText(byId("directory"), run.directory);
  document.title = `${run.doing} · ${run.environment} · zdqn`;
  showContact(state.contact.kind, state.contact.text);
  fill(byId("warnings"), state.warnings, (texts) => texts.map((text) => el("li", {}, text)));
  byId("warnings").hidden = !state.warnings.length;
  showWay(state.way);
  fill(byId("tiles"), state.tiles, (tiles) => tiles.map(({ name, value, note }) =>
    el("div", {}, el("dt", {}, name), el("dd", { class: "value" }, value), el("dd", { class: "note" }, note))));
  setText(byId("verdict"), state.verdict);
  picture.show(state.picture);
  byId("limits").hidden = !state.gauges.length;
  byId("places").hidden = !state.hosts.length;
  byId("pair").hidden = !(state.gauges.length || state.hosts.length);
  byId("members-section").hidden = state.contact.kind === "over";
  fill(byId("gauges"), state.gauges, (gauges) => gauges.map(gauge));
  fill(byId("hosts"), state.hosts, (hosts) => hosts.map((host) =>
    el("li", {}, health(host.health), el("b", {}, host.name), host.roles)));
  showTable("evaluations", EVALUATIONS, state.evaluations.map((row) =>
    ({ ...row, best: row.best ? "★ best" : "", marked: row.best })), state.unevaluated);
  showTable("members", MEMBERS, state.members, "None yet.");
  setText(byId("no-curves"), state.undrawn);
  film.show(state.film);
  if (state.goal !== goal) {
    goal = state.goal;
    drawCharts();
  }
}

// What a state says when it may hold no longer: what was counted, but nobody is well, and nothing flows.
// What has ended has ended.
function untold(state) {
  return state.contact.kind === "over" ? state : forgotten(state);
}

function forgotten({ run, way, picture: { nodes, links }, hosts, members, ...rest }) {
  const unknown = (row) => ({ ...row, health: "unknown" });
  return {
    ...rest, run: { ...run, doing: "not known now" }, way: { ...way, share: null }, hosts: hosts.map(unknown),
    picture: { nodes: nodes.map(unknown), links: links.map((link) => ({ ...link, per_s: null, text: "" })) },
    members: members.map((member) => ({ ...unknown(member), state: "" })),
  };
}

function showLost(text) {
  if (told) showState(untold(told));
  showContact("lost", text);
}

function showContact(kind, text) {
  byId("contact").dataset.kind = kind;
  setText(byId("contact"), text);
  document.body.classList.toggle("stale", kind === "away" || kind === "lost");
}

function showWay({ share, text }) {
  byId("way").hidden = share === null;
  if (share === null) return;
  byId("bar").firstElementChild.style.width = `${100 * share}%`;
  byId("bar").setAttribute("aria-valuenow", String(Math.round(100 * share)));
  setText(byId("way-text"), text);
}

function gauge({ name, share, text }) {
  const meter = share === null ? [] : [el("meter", { min: 0, max: 1, value: share, "aria-hidden": "true" })];
  return el("div", {}, el("dt", {}, name), el("dd", {}, text), ...meter);
}

const EVALUATIONS = [["after steps", "steps", true], ["mean", "mean", true], ["", "best"], ["deviation", "deviation", true],
  ["lowest", "lowest", true], ["highest", "highest", true], ["episodes", "episodes", true]];
const MEMBERS = [["name", "name"], ["host", "host"], ["health", "health"], ["state", "state"], ["steps/s", "rate", true],
  ["steps or evaluations", "done", true], ["return", "return", true], ["epsilon", "epsilon", true],
  ["held back", "held", true], ["does", "doing"]];

function showTable(id, columns, rows, none) {
  fill(byId(id), [rows, none], () => [rows.length
    ? table(columns, rows.map((row) => (row.health ? { ...row, health: health(row.health) } : row)), id)
    : el("p", { class: "quiet" }, none)]);
}

// --- the past ------------------------------------------------------------------------------------

function drawCharts() {
  const over = byId("over").value;
  const axis = { formatX: over === "wall_s" ? formatTime : formatNumber, nameX: NAMES_X[over] };
  for (const [spec, chart] of charts) {
    const series = spec.key
      ? [curve("this run", curves.metrics, over, spec.key, spec.style)]
      : returns(over);
    const free = OTHER_STYLES.filter((style) => style !== spec.style);
    others.forEach(({ name, curves: of }, place) => {
      const other = spec.key ? points(of.metrics, over, spec.key) : otherReturns(of, over);
      series.push({ label: name, style: free[place % free.length], other: true, points: other });
    });
    chart.show(series, { ...axis, goal: spec.key ? null : goal });
  }
  const nothing = charts.every(([, chart]) => chart.figure.hidden);
  byId("no-curves").hidden = !nothing;
  byId("axis").hidden = nothing;
}

function returns(over) {
  const evaluation = curve("evaluation", curves.evaluations, over, "mean", 0);
  if (curves.best) evaluation.mark = { x: curves.best[over], y: curves.best.mean, name: "best" };
  const { minimum = [], maximum = [] } = curves.evaluations;
  evaluation.band = (curves.evaluations[over] ?? [])
    .map((x, i) => [x, minimum[i], maximum[i]])
    .filter(([, low, high]) => low !== null && high !== null);
  if (!evaluation.points.length) { // only an address is known, and no file
    evaluation.points = points(curves.metrics, over, "last_evaluation_return");
    evaluation.band = [];
  }
  return [evaluation, curve("while exploring", curves.metrics, over, "episode_return_mean", 1)];
}

function otherReturns(of, over) {
  const scores = points(of.evaluations, over, "mean");
  return scores.length ? scores : points(of.metrics, over, "episode_return_mean");
}

function curve(label, columns, over, key, style) {
  return { label, style, points: points(columns, over, key) };
}

function points(columns, over, key) {
  const [xs, ys] = [columns[over] ?? [], columns[key] ?? []];
  return xs.map((x, i) => [x, ys[i]]).filter(([x, y]) => x !== null && y !== null && y !== undefined);
}

// --- listening -----------------------------------------------------------------------------------

function listen() {
  const source = new EventSource("events");
  const take = (handle) => (event) => { heardAt = Date.now(); handle(JSON.parse(event.data)); };
  source.addEventListener("state", take((state) => { told = state; showState(state); }));
  source.addEventListener("curves", take((told) => { curves = told; drawCharts(); }));
  source.addEventListener("error", () => {
    const again = told?.run.directory ? ` \`zdqn dashboard ${told.run.directory}\` shows the run by another.` : "";
    showLost("The dashboard itself does not answer: it has ended, as one beside a run does with it, or the way to "
      + `it is cut. What is below is the last that it told.${again} Trying again …`);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

setInterval(() => {
  const isLost = byId("contact").dataset.kind === "lost"; // and why was said
  if (Date.now() - heardAt > SILENT_MS && !isLost) showLost("The dashboard has not told anything for a while. What is below is the last that it told.");
}, AGAIN_MS);
listen();
