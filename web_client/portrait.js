/**
 * An avatar of your own: choose or drop a photo, look at the points that were found, move those that are off, keep it.
 * Or choose a clip of a few seconds: then there are no points to move.
 *
 * The server says by OPTIONS whether it takes them. A photo is turned upright, made smaller and stripped of its
 * metadata here already, before it is sent; a clip goes as it is.
 */

import { Points } from "./points.js";

const LARGEST_SIDE = 3000; // pixels of the photo that is sent
const LARGEST_CLIP = 64 * 1024 * 1024; // bytes
const MOST_WAITS = 40; // times that a server which is busy with others is asked again
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
  #points;
  #fitted = null;
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
    const layer = html("div", { className: "layer" }, this.picture);
    this.board = html("div", { className: "board" }, layer);
    this.#points = new Points(this.board, layer, this.picture, (places) => this.#fit(places));
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
    addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
    addEventListener("drop", async (event) => {
      const file = event.dataTransfer?.files[0];
      if (!file || file.type.startsWith("audio/")) return; // that is the voice
      event.preventDefault();
      if (await this.ready) this.#take(file);
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
    this.next.disabled = this.back.disabled = this.#points.frozen = busy;
  }

  /* A new photo. */

  async #take(file) {
    if (this.dialog.classList.contains("busy")) return; // one after the other
    this.#discard();
    this.#points.show();
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
    this.#points.show();
    this.#say("One moment", "", { busy: true });
    this.#isNew = false;
    const fitted = await this.#ask(`/v1/avatars/${id}/points`);
    if (fitted) await this.#review(fitted);
  }

  /* The points. */

  async #review(fitted) {
    const { id, points, handles, notes } = (this.#fitted = fitted);
    this.#id = id;
    const picture = await this.#ask(`/v1/avatars/${id}/picture?v=${Date.now()}`, { as: "blob" });
    if (!picture) return;
    this.#show(URL.createObjectURL(picture));
    const still = handles.length > 0; // nothing can be moved in a clip
    this.#points.show(points, handles);
    const advice = still ? "Do eyes, lips and chin lie on the lines? Move any point that is off." : "It moves as in your clip.";
    this.#say(still ? "Does it fit?" : "There it is", [...notes, advice].join(" "), { next: "Looks right" });
    this.back.textContent = this.#isNew ? "Discard" : "Close";
    this.next.onclick = () => this.#close(this.#id);
    if (!this.board.contains(document.activeElement)) this.next.focus();
  }

  #show(url) {
    URL.revokeObjectURL(this.picture.src);
    this.picture.src = url;
  }

  async #fit(places) {
    this.#say("Fitting anew", "The head follows your point…", { busy: true });
    const body = JSON.stringify({ points: places });
    const fitted = await this.#ask(`/v1/avatars/${this.#id}/points`, { method: "PUT", body, type: "application/json" });
    if (fitted) await this.#review(fitted);
    else this.#points.show(this.#fitted.points, this.#fitted.handles); // as it was
  }

  /** The answer, or null after saying what is wrong. */
  async #ask(url, { type = "image/jpeg", as = "json", ...options } = {}) {
    const headers = { ...this.#headers(), ...(options.body && { "Content-Type": type }) };
    const ask = () => fetch(url, { ...options, headers }).catch(() => null);
    let response = await ask();
    for (let waits = 0; response?.status === 429 && waits < MOST_WAITS; waits++) {
      this.text.textContent = "The server is busy with others: waiting for your turn…";
      const seconds = Number(response.headers.get("Retry-After")) || 3;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      response = await ask();
    }
    const answer = response?.ok && (await response[as]().catch(() => null));
    if (answer) return answer;
    const { message } = (await response?.json().catch(() => null)) ?? {};
    this.#fail("That did not work", message ?? "The server does not answer.");
    return null;
  }

  #fail(title, text) {
    const id = this.#id;
    this.#say(title, text, { failed: true, next: id ? "Keep it as it was" : "Another photo" });
    this.next.onclick = () => (id ? this.#close(id) : this.input.click());
  }

  /* The end. */

  async #leave() {
    if (this.dialog.classList.contains("busy")) return;
    const kept = this.#isNew ? null : this.#id;
    await this.#discard();
    this.#close(kept, kept !== null);
  }

  /** Who was not said to look right is not kept. */
  async #discard() {
    const [id, isNew] = [this.#id, this.#isNew];
    this.#id = null;
    this.#isNew = false;
    if (id && isNew) await fetch(`/v1/avatars/${id}`, { method: "DELETE", headers: this.#headers() }).catch(() => {});
  }

  #close(id, changed = true) {
    this.dialog.close();
    this.back.textContent = "Cancel";
    this.#id = this.#photo = null;
    this.#isNew = false;
    if (changed) this.#changed(id);
  }
}
