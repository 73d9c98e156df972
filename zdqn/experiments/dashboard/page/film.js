// An episode: frames cut out of one picture, played, paused, or moved through.

import { el, reducedMotion, setText } from "./elements.js";

const LEAST_FRAME_MS = 40;

export class Film {
  constructor(container) {
    this.canvas = el("canvas", { role: "img" });
    this.button = el("button", { type: "button" }, "Play");
    this.slider = el("input", { type: "range", min: "0", value: "0", "aria-label": "frame" });
    this.text = el("p");
    this.why = el("p", { class: "note" });
    this.controls = el("div", { class: "head" }, this.button, this.slider);
    container.append(this.canvas, this.controls, this.text, this.why);
    this.canvas.hidden = this.controls.hidden = true;
    this.number = 0;
    this.frame = 0;
    this.timer = null;
    this.wanted = !reducedMotion.matches;
    this.visible = false;
    this.button.addEventListener("click", () => { this.wanted = !this.wanted; this.run(); });
    this.slider.addEventListener("input", () => { this.wanted = false; this.run(); this.draw(Number(this.slider.value)); });
    reducedMotion.addEventListener("change", () => { this.wanted = !reducedMotion.matches; this.run(); });
    new IntersectionObserver(([entry]) => { this.visible = entry.isIntersecting; this.run(); }).observe(container);
    document.addEventListener("visibilitychange", () => this.run());
  }

  show(told) {
    setText(this.why, told.why);
    this.why.hidden = !told.why;
    if (told.number === undefined) return;
    setText(this.text, `Played by this dashboard ${told.age} ago, with ${told.text}.`);
    if (told.number !== this.number) this.load(told);
  }

  load(told) {
    this.number = told.number;
    const image = new Image();
    image.onload = () => {
      Object.assign(this, { image, told });
      this.canvas.width = told.width;
      this.canvas.height = told.height;
      this.canvas.hidden = this.controls.hidden = false;
      this.canvas.setAttribute("aria-label", `Frames of an episode: ${told.text}`);
      this.slider.max = String(told.frames - 1);
      this.draw(0);
      this.run();
    };
    image.src = `film/${told.number}`;
  }

  run() {
    clearInterval(this.timer);
    setText(this.button, this.wanted ? "Pause" : "Play");
    if (!this.wanted || !this.visible || document.hidden || !this.image) return;
    const wait = Math.max(this.told.frame_s * 1000, LEAST_FRAME_MS);
    this.timer = setInterval(() => this.draw((this.frame + 1) % this.told.frames), wait);
  }

  draw(frame) {
    const { width, height, columns } = this.told;
    this.frame = frame;
    this.slider.value = String(frame);
    const [x, y] = [(frame % columns) * width, Math.floor(frame / columns) * height];
    this.canvas.getContext("2d").drawImage(this.image, x, y, width, height, 0, 0, width, height);
  }
}
