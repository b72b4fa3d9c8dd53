/**
 * An avatar of your own: choose or drop a photo, look at the points that were found, drag those that are off, keep it.
 * Or choose a clip of a few seconds: then there are no points to drag.
 *
 * The server says by OPTIONS whether it takes them. A photo is turned upright, made smaller and stripped of its
 * metadata here already, before it is sent; a clip goes as it is.
 */

const LARGEST_SIDE = 3000; // pixels of the photo that is sent
const REACH = 28; // pixels on the screen from which a handle can be grasped
const LARGEST_CLIP = 64 * 1024 * 1024; // bytes
const CHAINS = [
  ...["left", "right"].flatMap((side) => [
    [0, 1, 2, 3, 4, 5, 6, 7, 0].map((n) => `lid_${side}_${n}`),
    [0, 1, 2].map((n) => `brow_${side}_${n}`),
  ]),
  ["mouth_corner_left", "lip_upper_outer_left_2", "lip_upper_outer_left_1", "lip_upper_outer_left_0", "lip_upper_outer_middle",
    "lip_upper_outer_right_0", "lip_upper_outer_right_1", "lip_upper_outer_right_2", "mouth_corner_right",
    "lip_lower_outer_right_1", "lip_lower_outer_right_0", "lip_lower_outer_middle", "lip_lower_outer_left_0",
    "lip_lower_outer_left_1", "mouth_corner_left"],
  ["lip_upper_inner_left_1", "lip_upper_inner_left_0", "lip_upper_inner_middle", "lip_upper_inner_right_0", "lip_upper_inner_right_1"],
  ["lip_lower_inner_left_1", "lip_lower_inner_left_0", "lip_lower_inner_middle", "lip_lower_inner_right_0", "lip_lower_inner_right_1"],
  ["outline_left_1", "outline_left_2", "outline_left_3", "outline_left_4", "chin", "outline_right_4", "outline_right_3",
    "outline_right_2", "outline_right_1"],
  ["nose_bridge", "nose_mid", "nose_tip", "nose_base"],
  ["alar_left", "nose_base", "alar_right"],
];

const svg = (name, attributes = {}) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};
const html = (name, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
};

/** Upright, at most `LARGEST_SIDE`, without metadata. */
async function prepare(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = html("canvas", { width, height });
  const paper = canvas.getContext("2d");
  paper.fillStyle = "white"; // under what is transparent
  paper.fillRect(0, 0, width, height);
  paper.drawImage(bitmap, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}

export class Portrait {
  #headers;
  #changed;
  #id = null;
  #isNew = false;
  #points = {};
  #handles = [];
  #held = null;
  #photo = null;

  /** `headers()` are those of every request; `changed(id)` is called when an avatar came, changed or went (null). */
  constructor({ headers, changed }) {
    this.#headers = headers;
    this.#changed = changed;
    this.#build();
    this.ready = fetch("/v1/avatars", { method: "OPTIONS", headers: headers() })
      .then((response) => /POST/.test(response.headers.get("Allow") ?? ""))
      .catch(() => false);
  }

  /** The tile among the faces with which a photo is chosen, or nothing where the server takes none. */
  async tiles() {
    if (!(await this.ready)) return [];
    const input = (this.input = html("input", { type: "file", accept: "image/*,video/*" }));
    input.onchange = () => {
      if (input.files[0]) this.#take(input.files[0]);
      input.value = "";
    };
    const sign = html("span", { className: "plus" });
    sign.setAttribute("aria-hidden", "true");
    return [html("label", { className: "face add", title: "Choose a photo or a short clip, or drop one anywhere" }, input, sign, "Your own")];
  }

  /** What can be done with the chosen avatar, for those made of photos. */
  actions(avatar) {
    if (!avatar.own) return [];
    const adjust = html("button", { className: "link", textContent: "Adjust", onclick: () => this.#adjust(avatar.id) });
    const remove = html("button", { className: "link", textContent: "Delete" });
    remove.onclick = async () => {
      if (!confirm(`Delete ${avatar.name} for good?`)) return;
      const response = await fetch(`/v1/avatars/${avatar.id}`, { method: "DELETE", headers: this.#headers() }).catch(() => null);
      if (!response?.ok) alert((await response?.json().catch(() => null))?.message ?? "The server does not answer.");
      this.#changed(null);
    };
    return avatar.moves ? [remove] : [adjust, remove];
  }

  #build() {
    this.picture = html("img", { alt: "" });
    this.net = svg("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.layer = html("div", { className: "layer" }, this.picture, this.net);
    this.board = html("div", { className: "board" }, this.layer);
    this.title = html("h2");
    this.text = html("p", { className: "hint" });
    this.text.setAttribute("role", "status");
    this.name = html("input", { type: "text", maxLength: 40, value: "Me", autocomplete: "off" });
    this.naming = html("label", { className: "naming" }, "Name", this.name);
    this.back = html("button", { textContent: "Cancel", onclick: () => this.#leave() });
    this.next = html("button", { className: "primary" });
    const buttons = html("div", { className: "buttons" }, this.back, this.next);
    this.dialog = html("dialog", { className: "portrait" }, this.board, html("div", { className: "side" }, this.title, this.text, this.naming, buttons));
    this.dialog.setAttribute("aria-label", "An avatar from your photo");
    this.dialog.oncancel = (event) => {
      event.preventDefault();
      this.#leave();
    };
    document.body.append(this.dialog);
    this.board.onpointerdown = (event) => this.#grasp(event);
    this.board.onpointermove = (event) => this.#drag(event);
    this.board.onpointerup = this.board.onpointercancel = () => this.#drop();
    addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
    addEventListener("drop", async (event) => {
      const file = event.dataTransfer?.files[0];
      if (!file) return;
      event.preventDefault();
      if (/^(image|video)\//.test(file.type) && (await this.ready)) this.#take(file);
    });
  }

  #say(title, text, { busy = false, failed = false, next = "", naming = false } = {}) {
    this.title.textContent = title;
    this.text.textContent = text;
    this.naming.hidden = !naming;
    this.next.hidden = !next;
    this.next.textContent = next;
    this.dialog.classList.toggle("busy", busy);
    this.dialog.classList.toggle("failed", failed);
    this.next.disabled = this.back.disabled = busy;
  }

  /* A new photo. */

  async #take(file) {
    if (this.dialog.classList.contains("busy")) return; // one after the other
    this.#id = null;
    this.net.replaceChildren();
    this.#zoom(null);
    if (!this.dialog.open) this.dialog.showModal();
    if (file.type.startsWith("video/")) return this.#takeClip(file);
    this.#say("One moment", "Reading the photo…", { busy: true });
    try {
      this.#photo = await prepare(file);
    } catch {
      this.picture.removeAttribute("src");
      return this.#fail("This is no photo", "Your browser cannot read the file. Choose a JPEG, PNG or WebP picture.");
    }
    this.#show(URL.createObjectURL(this.#photo));
    this.#say("A new avatar", "Best is one person from the front, well lit, the mouth closed. The photo stays on this server.", { next: "Make avatar", naming: true });
    this.next.onclick = () => this.#send();
    this.next.focus();
  }

  #takeClip(file) {
    this.picture.removeAttribute("src");
    if (file.size > LARGEST_CLIP) return this.#fail("The clip is too long", `It has more than ${LARGEST_CLIP >> 20} MB: cut it to a few seconds.`);
    this.#photo = file;
    this.#say(
      "A new avatar",
      "The first 10 seconds are used, without their sound. Best is one person from the front who listens, the mouth closed, without cuts. The clip stays on this server.",
      { next: "Make avatar", naming: true },
    );
    this.next.onclick = () => this.#send();
    this.next.focus();
  }

  async #send() {
    const time = this.#photo.type.startsWith("video/") ? "A clip takes about a minute…" : "This takes a few seconds…";
    this.#say("Finding the face", time, { busy: true });
    const fitted = await this.#ask(`/v1/avatars?${new URLSearchParams({ name: this.name.value })}`, { method: "POST", body: this.#photo, type: this.#photo.type });
    if (!fitted) return;
    this.#isNew = true;
    await this.#review(fitted);
  }

  async #adjust(id) {
    if (!this.dialog.open) this.dialog.showModal();
    this.net.replaceChildren();
    this.#say("One moment", "", { busy: true });
    this.#isNew = false;
    const fitted = await this.#ask(`/v1/avatars/${id}/points`);
    if (fitted) await this.#review(fitted);
  }

  /* The points. */

  async #review({ id, points, handles, notes }) {
    this.#id = id;
    this.#points = points;
    this.#handles = handles;
    const picture = await this.#ask(`/v1/avatars/${id}/picture?v=${Date.now()}`, { as: "blob" });
    if (!picture) return;
    this.#show(URL.createObjectURL(picture));
    const still = handles.length > 0; // nothing can be moved in a clip
    if (still) this.#draw();
    this.#zoom(still ? handles.map((name) => points[name]) : null);
    const advice = still ? "Do eyes, lips and chin lie on the lines? Drag any point that is off." : "It moves as in your clip.";
    this.#say(still ? "Does it fit?" : "There it is", [...notes, advice].join(" "), { next: "Looks right" });
    this.back.textContent = this.#isNew ? "Discard" : "Close";
    this.next.onclick = () => this.#close(this.#id);
  }

  #show(url) {
    URL.revokeObjectURL(this.picture.src);
    this.picture.src = url;
  }

  /** Come near enough to the face to see each point; or back to the whole picture. */
  #zoom(places) {
    if (!places) return (this.layer.style.transform = "");
    const [low, high] = [Math.min, Math.max].map((pick) => [0, 1].map((axis) => pick(...places.map((place) => place[axis]))));
    const scale = Math.min(0.86 / Math.max(high[0] - low[0], high[1] - low[1]), 3);
    const shift = [0, 1].map((axis) => Math.min(0, Math.max(1 - scale, 0.5 - (scale * (low[axis] + high[axis])) / 2)));
    this.layer.style.transform = `translate(${shift.map((share) => `${100 * share}%`).join(",")}) scale(${scale})`;
  }

  #draw() {
    const at = (name) => this.#points[name].map((value) => value.toFixed(4)).join(",");
    const lines = CHAINS.map((names) => svg("polyline", { points: names.map(at).join(" ") }));
    const handles = this.#handles.map((name) => {
      const [cx, cy] = this.#points[name];
      return svg("circle", { cx, cy, r: 0.005, class: name === this.#held ? "held" : "" });
    });
    this.net.replaceChildren(...lines, ...handles);
  }

  #place({ clientX, clientY }) {
    const { left, top, width, height } = this.layer.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height, width];
  }

  #grasp(event) {
    if (!this.#id || this.dialog.classList.contains("busy")) return;
    const [x, y, width] = this.#place(event);
    if (!this.#handles.length) return;
    const distance = (name) => Math.hypot(this.#points[name][0] - x, this.#points[name][1] - y) * width;
    const nearest = this.#handles.reduce((best, name) => (distance(name) < distance(best) ? name : best));
    if (distance(nearest) > REACH) return;
    event.preventDefault();
    this.#held = nearest;
    this.board.setPointerCapture(event.pointerId);
    this.#draw();
  }

  #drag(event) {
    if (!this.#held) return;
    const [x, y] = this.#place(event);
    this.#points[this.#held] = [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
    this.#draw();
  }

  async #drop() {
    const name = this.#held;
    if (!name) return;
    this.#held = null;
    this.#say("Fitting anew", "The head follows your point…", { busy: true });
    const body = JSON.stringify({ points: { [name]: this.#points[name] } });
    const fitted = await this.#ask(`/v1/avatars/${this.#id}/points`, { method: "PUT", body, type: "application/json" });
    if (fitted) await this.#review(fitted);
  }

  /** The answer, or null after saying what is wrong. */
  async #ask(url, { type = "image/jpeg", as = "json", ...options } = {}) {
    const headers = { ...this.#headers(), ...(options.body && { "Content-Type": type }) };
    const response = await fetch(url, { ...options, headers }).catch(() => null);
    const answer = response?.ok && (await response[as]().catch(() => null));
    if (answer) return answer;
    const { message } = (await response?.json().catch(() => null)) ?? {};
    this.#fail("That did not work", message ?? "The server does not answer.");
    return null;
  }

  #fail(title, text) {
    this.#say(title, text, { failed: true, next: this.#id ? "" : "Another photo" });
    this.next.onclick = () => this.input.click();
  }

  /* The end. */

  async #leave() {
    if (this.dialog.classList.contains("busy")) return;
    if (this.#isNew && this.#id) {
      await fetch(`/v1/avatars/${this.#id}`, { method: "DELETE", headers: this.#headers() }).catch(() => {});
      this.#close(null, false);
    } else this.#close(this.#id, this.#id !== null);
  }

  #close(id, changed = true) {
    this.dialog.close();
    this.back.textContent = "Cancel";
    this.#id = this.#photo = null;
    this.#isNew = false;
    if (changed) this.#changed(id);
  }
}
