/**
 * The drawer "Direct": every part of the face by itself.
 *
 * A part that nobody holds lives by itself, and its sliders show what it does. What a slider is moved to holds from then
 * on, until the part is let live again. What somebody else sets (over HTTP) is shown too.
 */

const EMOTIONS = ["happy", "tender", "surprised", "curious", "sad", "afraid", "angry", "disgusted"];
const DEGREE = Math.PI / 180;
const ECHO_MS = 800; // after a message of ours, what the server tells of it is no news

const LIVES = "What you move, you hold. The rest lives by itself.";
const DRIVEN = "A tracker moves what you do not hold.";

const percent = (value) => `${Math.round(100 * value)} %`;
const degrees = (before, after) => (value) => {
  const size = Math.round(Math.abs(value));
  return size === 0 ? "0°" : `${size}° ${value < 0 ? before : after}`;
};

/* A slider per row. `field` is [control, axis] of what travels, `scale` how many of it are 1 on the slider. */
const PARTS = [
  {
    name: "Mouth",
    rows: [
      { id: "alpha", label: "Opening", title: "Mouth opening", field: ["alpha"], min: 0, max: 1.5, step: 0.05, rest: 1 },
      { id: "pucker", label: "Pucker", title: "Pucker of the lips", field: ["pucker"], min: 0, max: 2, step: 0.05, rest: 1 },
      { id: "spread", label: "Spread", title: "Spread of the lips", field: ["spread"], min: 0, max: 2, step: 0.05, rest: 1 },
    ],
  },
  {
    name: "Head",
    lives: ["pose"],
    rows: [
      { id: "yaw", label: "Turn", title: "Head turn", field: ["pose", "yaw"], reach: 20, text: degrees("left", "right") },
      { id: "pitch", label: "Nod", title: "Head nod", field: ["pose", "pitch"], reach: 15, text: degrees("up", "down") },
      { id: "roll", label: "Tilt", title: "Head tilt", field: ["pose", "roll"], reach: 15, scale: -DEGREE, text: degrees("left", "right") },
    ],
  },
  {
    name: "Eyes",
    lives: ["gaze", "blink"],
    rows: [
      { id: "gaze-yaw", label: "Aside", title: "Look aside", field: ["gaze", "yaw"], reach: 25, text: degrees("left", "right") },
      { id: "gaze-pitch", label: "Up, down", title: "Look up or down", field: ["gaze", "pitch"], reach: 20, text: degrees("up", "down") },
      { id: "blink", label: "Lids", title: "Eyelids", field: ["blink"], min: 0, max: 1, step: 0.05, rest: 0, text: (value) => (value === 0 ? "open" : percent(value)) },
    ],
  },
];
const NATURAL = { alpha: 1, pucker: 1, spread: 1, pose: null, gaze: null, blink: null, emotion: null };
const REMEMBERED = ["alpha", "pucker", "spread"];

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** A titled group; `tools` stand beside its title. */
function makeGroup(name, ...tools) {
  const title = make("h2", { id: `part-${name.toLowerCase()}`, textContent: name });
  const group = make("div", { className: "part" }, make("div", { className: "head" }, title, ...tools));
  group.setAttribute("role", "group");
  group.setAttribute("aria-labelledby", title.id);
  return group;
}

export class Direct {
  #call;
  #remembered;
  #drawer;
  #controls = { ...NATURAL };
  #rows = [];
  #parts = [];
  #emotion = null;
  #intensity = null;
  #reset = null;
  #note = null;
  #changed = new Set();
  #waiting = false;
  #sentAt = -ECHO_MS;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  /** `drawer` is the <details>, `body` its empty element; `remembered` keeps values by key for the next visit. */
  constructor(call, drawer, body, remembered) {
    this.#call = call;
    this.#drawer = drawer;
    this.#remembered = remembered;
    this.#reset = make("button", { type: "button", className: "small", textContent: "Let it all live" });
    this.#reset.onclick = () => this.#hold(NATURAL);
    this.#note = make("p", { className: "hint", textContent: LIVES });
    this.#note.setAttribute("role", "status");
    body.append(
      this.#note,
      this.#makeEmotions(),
      ...PARTS.map((part) => this.#makePart(part)),
      this.#reset,
    );
    const stored = REMEMBERED.map((name) => [name, remembered.get(name)]).filter(([, value]) => value !== null);
    this.#hold({ ...NATURAL, ...Object.fromEntries(stored.map(([name, value]) => [name, Number(value)])) });
    call.addEventListener("message", ({ detail }) => this.#hear(detail));
    drawer.addEventListener("toggle", () => this.#watch());
  }

  /** Show what the face does by itself, while somebody looks. */
  #watch() {
    this.#call.subscribe(this.#drawer.open && !this.#still.matches);
  }

  #makePart({ name, lives = [], rows }) {
    const release = make("button", { type: "button", className: "live", textContent: "Let live" });
    release.setAttribute("aria-label", `Let the ${name.toLowerCase()} live`);
    release.onclick = () => this.#hold(Object.fromEntries(lives.map((control) => [control, null])));
    const group = makeGroup(name, ...(lives.length ? [release] : []));
    group.append(...rows.map((row) => this.#makeRow(row)));
    this.#parts.push({ group, lives, release });
    return group;
  }

  #makeRow({ id, label, title, field, reach, min = -reach, max = reach, step = 1, rest = 0, scale, text = percent }) {
    const input = make("input", { id, type: "range", min, max, step, value: rest });
    input.setAttribute("aria-label", title);
    // The slider says its value itself: what lives must not chatter to who cannot see it.
    const output = make("span", { id: `${id}-value`, className: "value", ariaHidden: "true" });
    const row = { input, output, field, text, rest, scale: scale ?? (reach ? DEGREE : 1) };
    input.oninput = () => this.#move(row);
    input.ondblclick = () => {
      input.value = rest;
      this.#move(row);
    };
    this.#rows.push(row);
    this.#show(row, rest);
    return make("div", { className: "row" }, make("label", { htmlFor: id, textContent: label }), input, output);
  }

  #makeEmotions() {
    const chips = make("div", { className: "chips" });
    for (const name of ["", ...EMOTIONS]) {
      const input = make("input", { type: "radio", name: "emotion", value: name, checked: name === "" });
      input.onchange = () => this.#feel();
      chips.append(make("label", {}, input, make("span", { textContent: name || "none" })));
    }
    this.#emotion = chips;
    this.#intensity = make("input", { id: "intensity", type: "range", min: 0.05, max: 1, step: 0.05, value: 0.7 });
    this.#intensity.setAttribute("aria-label", "Intensity of the emotion");
    this.#intensity.oninput = () => this.#feel();
    const output = make("span", { id: "intensity-value", className: "value", ariaHidden: "true" });
    const row = make("div", { className: "row" }, make("label", { htmlFor: "intensity", textContent: "Intensity" }), this.#intensity, output);
    const group = makeGroup("Emotion");
    group.append(chips, row);
    return group;
  }

  /* What the person does. */

  #feel() {
    const name = this.#emotion.querySelector(":checked").value;
    this.#hold({ emotion: name ? { [name]: Number(this.#intensity.value) } : null });
  }

  #move({ field: [control, axis], input, scale }) {
    if (!axis) return this.#hold({ [control]: Number(input.value) });
    const whole = {};
    for (const row of this.#rows) {
      // The other axes stay where they are at this moment.
      if (row.field[0] === control) whole[row.field[1]] = Number(row.input.value) * row.scale;
    }
    whole[axis] = Number(input.value) * scale;
    this.#hold({ [control]: whole });
  }

  #hold(values) {
    Object.assign(this.#controls, values);
    for (const name of Object.keys(values)) {
      if (REMEMBERED.includes(name)) this.#remembered.set(name, values[name]);
      this.#changed.add(name);
    }
    this.#refresh();
    if (this.#waiting) return; // At most one message per picture on the screen.
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      const changes = Object.fromEntries([...this.#changed].map((name) => [name, this.#controls[name]]));
      this.#changed.clear();
      this.#sentAt = performance.now();
      this.#call.set(changes);
    });
  }

  /* What is shown. */

  #hear(message) {
    if (message.type === "set" && performance.now() - this.#sentAt > ECHO_MS) {
      const { type, ...values } = message;
      Object.assign(this.#controls, values);
      this.#call.adopt(values);
      this.#refresh();
    } else if (message.type === "expression" && this.#drawer.open) {
      const { eyeBlinkLeft = 0, eyeBlinkRight = 0 } = message.values;
      this.#follow({ pose: message.pose, gaze: message.gaze, blink: Math.max(eyeBlinkLeft, eyeBlinkRight) });
    } else if (message.type === "drive") this.#note.textContent = message.driving ? DRIVEN : LIVES;
    else if (message.type === "state") {
      this.#note.textContent = LIVES;
      if (message.state === "live") this.#watch();
    }
  }

  /** Sliders of what lives move with it, except one that is just being used. */
  #follow(motion) {
    for (const row of this.#rows) {
      const [control, axis] = row.field;
      if (!(control in motion) || this.#controls[control] !== null || row.input === document.activeElement) continue;
      this.#show(row, (axis ? motion[control][axis] : motion[control]) / row.scale);
    }
  }

  #refresh() {
    for (const row of this.#rows) {
      const [control, axis] = row.field;
      const value = this.#controls[control];
      if (value !== null) this.#show(row, (axis ? (value[axis] ?? 0) : value) / row.scale);
      else if (row.input !== document.activeElement) this.#show(row, row.rest);
    }
    for (const { group, lives, release } of this.#parts) {
      const held = lives.some((control) => this.#controls[control] !== null);
      group.classList.toggle("held", held);
      release.hidden = !held;
    }
    const [[name, intensity] = ["", Number(this.#intensity.value)]] = Object.entries(this.#controls.emotion ?? {});
    for (const chip of this.#emotion.querySelectorAll("input")) chip.checked = chip.value === name;
    this.#intensity.value = intensity;
    this.#intensity.disabled = name === "";
    this.#intensity.closest(".row").querySelector(".value").textContent = name ? percent(intensity) : "";
    this.#reset.disabled = Object.keys(NATURAL).every((key) => this.#controls[key] === NATURAL[key]);
  }

  #show({ input, output, text, field: [control] }, value) {
    input.value = value;
    const lives = this.#controls[control] === null;
    const said = text(Number(input.value));
    output.textContent = said;
    input.setAttribute("aria-valuetext", lives ? "lives by itself" : said.replace("%", "percent"));
    input.classList.toggle("alive", lives);
  }
}
