// What is looked up when it is opened: the configuration, and the other runs of the folder.

import { byId, el, setText, table } from "./elements.js";

const MOST_CHOSEN = 4;

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

export class Configuration {
  constructor() {
    this.rows = [];
    this.why = "";
    this.search = byId("config-search");
    this.differs = byId("config-differs");
    this.search.addEventListener("input", () => this.show());
    this.differs.addEventListener("change", () => this.show());
    byId("configuration").addEventListener("toggle", () => this.load());
  }

  async load() {
    if (!byId("configuration").open) return;
    try {
      const { rows, why } = await fetched("config");
      Object.assign(this, { rows, why });
      this.show();
    } catch (error) {
      setText(byId("config-count"), `The dashboard does not tell it: ${error.message}`);
    }
  }

  show() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.rows.filter((row) => (!this.differs.checked || row.differs)
      && words.every((word) => `${row.key} ${row.value} ${row.meaning}`.toLowerCase().includes(word)));
    setText(byId("config-count"), this.rows.length
      ? `${found.length} of ${this.rows.length} keys`
      : this.why);
    const body = found.map((row) => el("tr", { class: row.differs ? "differs" : null },
      ...[row.key, row.value, row.default, row.meaning].map((text) => el("td", {}, text))));
    const head = ["key", "value", "default", "meaning"].map((text) => el("th", { scope: "col" }, text));
    byId("config").replaceChildren(...(found.length ? [el("table", { "aria-label": "configuration" },
      el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body))] : []));
  }
}

const COLUMNS = [["environment", "environment"], ["best evaluation", "best", true],
  ["environment steps", "steps", true], ["time", "time", true], ["how it ended", "end"]];

export class OtherRuns {
  // `changed` is called with the chosen runs: [{name, curves}].
  constructor(changed) {
    this.changed = changed;
    this.chosen = new Map();
    byId("compare").addEventListener("toggle", () => this.load());
  }

  async load() {
    if (!byId("compare").open) return;
    const place = byId("runs");
    try {
      this.show(place, await fetched("runs"));
    } catch (error) {
      place.replaceChildren(el("p", {}, `The dashboard does not tell them: ${error.message}`));
    }
  }

  show(place, { rows: runs, why }) {
    if (!runs.length) {
      place.replaceChildren(el("p", {}, why));
      return;
    }
    const made = table([["run", "choice"], ...COLUMNS],
      runs.map((run) => ({ ...run, choice: this.choice(run) })), "other runs");
    place.replaceChildren(el("p", { class: "note" },
      `Up to ${MOST_CHOSEN} are drawn into every chart above, dashed.`), made);
  }

  choice(run) {
    const box = el("input", { type: "checkbox" });
    box.checked = this.chosen.has(run.key);
    box.addEventListener("change", () => this.choose(run, box));
    return el("label", {}, box, ` ${run.name}`);
  }

  async choose(run, box) {
    if (!box.checked) {
      this.chosen.delete(run.key);
    } else if (this.chosen.size >= MOST_CHOSEN) {
      box.checked = false;
      return;
    } else {
      try {
        this.chosen.set(run.key, { name: run.name, curves: await fetched(`runs/${run.key}`) });
      } catch {
        box.checked = false;
      }
    }
    this.changed([...this.chosen.values()]);
  }
}
