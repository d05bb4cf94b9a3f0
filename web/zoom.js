// Zooms and pans a drawing inside the box that it scrolls in. The box scrolls as any other, so touch and wheels just work.

import { framed } from "./dom.js";

/** How wide a seat has to be to be meant, in CSS pixels: for a finger, and for a mouse. */
const FINGER = 20;
const MOUSE = 7;

/** How wide a seat gets at most, in CSS pixels. */
const LARGEST = 64;

export class Zoom {
  #box;
  #drawing;
  #size = { width: 1, height: 1, pitch: 1 };
  #scale = 1;
  #isFitted = true;
  #drag = null;
  #pinch = null;
  #isDragged = false;
  /** What is to be in the same place after the next frame: a scale, and a point of the box. */
  #wanted = null;
  #apply = framed(() => this.#zoomed());

  constructor(box, drawing) {
    this.#box = box;
    this.#drawing = drawing;
    new ResizeObserver(() => this.#isFitted && this.fit()).observe(box);
    box.addEventListener("wheel", (event) => this.#wheeled(event), { passive: false });
    box.addEventListener("pointerdown", (event) => this.#pressed(event));
    box.addEventListener("pointermove", (event) => this.#moved(event));
    for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => (this.#drag = null));
    box.addEventListener("touchstart", (event) => this.#touched(event), { passive: false });
    box.addEventListener("touchmove", (event) => this.#pinched(event), { passive: false });
    for (const end of ["touchend", "touchcancel"]) box.addEventListener(end, () => (this.#pinch = null));
  }

  /** The drawing is this large now, in its own units. */
  resize(width, height, pitch) {
    const isOther = this.#size.width !== width || this.#size.height !== height;
    this.#size = { width, height, pitch };
    if (isOther) this.fit();
  }

  /** All of it at once. */
  fit() {
    this.#isFitted = true;
    this.#wanted = { scale: this.#fitting() };
    this.#zoomed();
  }

  /** So much nearer, or farther; around a point of the box, or its middle. */
  by(factor, x = this.#box.clientWidth / 2, y = this.#box.clientHeight / 2) {
    const scale = (this.#wanted?.scale ?? this.#scale) * factor;
    const least = this.#fitting();
    const most = Math.max(least, LARGEST / this.#size.pitch);
    this.#wanted = { scale: Math.min(most, Math.max(least, scale)), x, y };
    this.#isFitted = this.#wanted.scale === least;
    this.#apply();
  }

  /**
   * The drawing was clicked. Whether that is used up: by the end of a drag, or because the seats are too small to tell
   * which of them was meant, so that it comes nearer instead.
   */
  tapped(event) {
    if (this.#isDragged) return true;
    const wide = this.#scale * this.#size.pitch;
    const least = event.pointerType === "touch" ? FINGER : MOUSE;
    if (wide >= least) return false;
    const { left, top } = this.#box.getBoundingClientRect();
    this.by((1.6 * FINGER) / wide, event.clientX - left, event.clientY - top);
    return true;
  }

  #fitting() {
    const { width, height } = this.#size;
    return Math.max(0.01, Math.min(this.#box.clientWidth / width, this.#box.clientHeight / height, 2.2));
  }

  #zoomed() {
    if (!this.#wanted) return;
    const { scale, x = 0, y = 0 } = this.#wanted;
    this.#wanted = null;
    const box = this.#box;
    const before = this.#drawing.getBoundingClientRect();
    const around = box.getBoundingClientRect();
    const [towardsX, towardsY] = [
      (x + around.left - before.left) / (before.width || 1),
      (y + around.top - before.top) / (before.height || 1),
    ];
    this.#scale = scale;
    this.#drawing.setAttribute("width", Math.floor(this.#size.width * scale));
    this.#drawing.setAttribute("height", Math.floor(this.#size.height * scale));
    const after = this.#drawing.getBoundingClientRect();
    box.scrollLeft += after.left + towardsX * after.width - around.left - x;
    box.scrollTop += after.top + towardsY * after.height - around.top - y;
    box.classList.toggle("is-large", after.width > box.clientWidth + 1 || after.height > box.clientHeight + 1);
  }

  #wheeled(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const { left, top } = this.#box.getBoundingClientRect();
    this.by(Math.exp(-event.deltaY / 200), event.clientX - left, event.clientY - top);
  }

  #pressed({ pointerType, button, clientX, clientY }) {
    this.#isDragged = false;
    if (pointerType === "mouse" && button === 0) this.#drag = { x: clientX, y: clientY };
  }

  #moved({ clientX, clientY, buttons }) {
    if (!this.#drag || buttons === 0) return;
    const [x, y] = [clientX - this.#drag.x, clientY - this.#drag.y];
    if (!this.#isDragged && Math.hypot(x, y) < 5) return;
    this.#isDragged = true;
    this.#box.scrollBy(-x, -y);
    this.#drag = { x: clientX, y: clientY };
  }

  #touched(event) {
    if (event.touches.length !== 2) return;
    event.preventDefault();
    this.#pinch = spread(event.touches);
  }

  #pinched(event) {
    if (!this.#pinch || event.touches.length !== 2) return;
    event.preventDefault();
    const now = spread(event.touches);
    const { left, top } = this.#box.getBoundingClientRect();
    this.by(now.distance / this.#pinch.distance, now.x - left, now.y - top);
    this.#box.scrollBy(this.#pinch.x - now.x, this.#pinch.y - now.y);
    this.#pinch = now;
  }
}

function spread([one, other]) {
  return {
    distance: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1,
    x: (one.clientX + other.clientX) / 2,
    y: (one.clientY + other.clientY) / 2,
  };
}
