/** Who can be chosen: the faces under Avatar, the still picture of the chosen one, and what can be done with it. */

import { Portrait } from "./portrait.js";

const element = (id) => document.getElementById(id);
const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);

export class Faces {
  #headers;
  #remembered;
  #show;
  #portrait;
  #avatars = [];
  #whole = false; // whether all of the photo or clip is shown, of those made of one

  /** `headers()` are those of every request; `show(id, scene)` lets a face appear in the call. */
  constructor({ headers, remembered, show }) {
    this.#headers = headers;
    this.#remembered = remembered;
    this.#show = show;
    this.#portrait = new Portrait({ headers, changed: (id) => this.relist(id).catch(() => {}) });
  }

  /** Of the chosen one. */
  get id() {
    return document.querySelector("[name=avatar]:checked")?.value;
  }

  /** Whether all of the photo or clip of the chosen one is to be seen. */
  get scene() {
    return this.#whole && Boolean(this.#find(this.id)?.scene);
  }

  /** Ask the server who there is. Throws an `Error` with the server's `code`. */
  async list() {
    const response = await fetch("/v1/avatars", { headers: this.#headers() });
    if (!response.ok) {
      const { error, message } = await response.json().catch(() => ({}));
      throw Object.assign(new Error(message ?? `The server answers ${response.status}.`), { code: error });
    }
    const avatars = await response.json();
    for (const avatar of avatars) {
      [avatar.thumbnail, avatar.picture] = await Promise.all([avatar.thumbnail, avatar.picture].map((url) => this.#load(url)));
    }
    this.#avatars = avatars;
    element("faces").replaceChildren(...avatars.map((avatar) => this.#tile(avatar)), ...(await this.#portrait.tiles()));
    element("avatars").hidden = avatars.length === 0;
    const wanted = [new URLSearchParams(location.search).get("avatar"), this.#remembered.get("avatar")];
    const known = wanted.find((id) => this.#find(id));
    this.mark(known ?? (avatars.find((one) => one.default) ?? avatars[0])?.id);
  }

  /** Ask again, and let `id` speak, or else the one that is chosen then: who was deleted does not go on talking. */
  async relist(id) {
    await this.list();
    this.choose(id ?? this.id);
  }

  choose(id) {
    this.mark(id);
    if (this.#find(id)) this.#show(id, this.scene);
  }

  /** Who is in the call stays: another was refused. */
  keep({ id, scene }) {
    if (id === this.id && scene === this.scene) return;
    this.#whole = scene;
    this.choose(id);
  }

  /** Show that this one is chosen. */
  mark(id) {
    const avatar = this.#find(id);
    if (!avatar) return;
    const input = document.querySelector(`[name=avatar][value="${CSS.escape(id)}"]`);
    if (input) input.checked = true;
    Object.assign(element("still"), { src: avatar.picture, alt: `${avatar.name}, the avatar` });
    element("avatar-description").replaceChildren(avatar.description ?? "", ...this.#sceneSwitch(avatar), ...this.#portrait.actions(avatar));
    this.#remembered.set("avatar", id);
  }

  #find(id) {
    return this.#avatars.find((one) => one.id === id);
  }

  #tile({ id, name, thumbnail }) {
    const input = make("input", { type: "radio", name: "avatar", value: id, onchange: () => this.choose(id) });
    const face = make("label", { className: "face" });
    face.append(input, Object.assign(new Image(96, 96), { src: thumbnail, alt: "" }), name);
    return face;
  }

  #sceneSwitch({ id, scene, moves }) {
    if (!scene) return [];
    const whole = moves ? "Whole clip" : "Whole photo";
    const button = make("button", { className: "link", textContent: this.#whole ? "Face only" : whole });
    button.onclick = () => {
      this.#whole = !this.#whole;
      this.choose(id);
    };
    return [button];
  }

  /** An <img> cannot carry a token: then the picture is fetched. */
  async #load(url) {
    const headers = this.#headers();
    if (!headers.Authorization) return url;
    const response = await fetch(url, { headers });
    return URL.createObjectURL(await response.blob());
  }
}
