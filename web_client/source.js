/** What the avatar speaks: the microphone or a sound file, as is chosen under Voice, or dropped on the page. */

import { Meter, SoundFile, openMicrophone } from "./sound.js";

const element = (id) => document.getElementById(id);

export class Source {
  #tell;
  #meter = new Meter((level) => element("level").style.setProperty("--level", level.toFixed(3)));
  #microphone = null;
  #opening = null;
  #muted = false;
  #file = null;

  /**
   * Calls `changed()` when somebody chooses another source or file, `waiting()` while the browser asks for the
   * microphone, and `gone()` when it is pulled out.
   */
  constructor({ changed, waiting, gone }) {
    this.#tell = { changed, waiting, gone };
    for (const choice of document.querySelectorAll("[name=source]")) {
      choice.onchange = () => {
        element("file-row").hidden = !this.isFile;
        this.#choose();
      };
    }
    element("file").onchange = ({ target }) => this.#read(target.files[0]);
    element("replay").onclick = () => this.play();
    addEventListener("drop", (event) => {
      const file = event.dataTransfer?.files[0];
      if (!file?.type.startsWith("audio/")) return;
      event.preventDefault();
      element("file").files = event.dataTransfer.files;
      this.#read(file);
      if (!this.isFile) document.querySelector("[name=source][value=file]").click();
    });
  }

  get isFile() {
    return document.querySelector("[name=source]:checked").value === "file";
  }

  /** The track to be sent. Throws an `Error` that says what to do when there is none. */
  async open() {
    if (this.isFile) {
      if (!this.#file) throw new Error("Choose a sound file first, under Voice.");
      this.#release();
      this.mute(this.#muted);
      this.#meter.watch(this.#file.track);
      return this.#file.track;
    }
    this.#halt();
    if (this.#microphone?.readyState !== "live") {
      this.#tell.waiting();
      // Who presses Start again while the browser still asks waits for the same answer.
      this.#microphone = await (this.#opening ??= openMicrophone().finally(() => (this.#opening = null)));
      const track = this.#microphone;
      track.onended = () => track === this.#microphone && this.#tell.gone();
    }
    this.mute(this.#muted);
    this.#meter.watch(this.#microphone);
    return this.#microphone;
  }

  /** Nothing is heard any more, and the browser shows that the microphone is off. */
  close() {
    this.#release();
    this.#meter.stop();
    this.#halt();
  }

  /** Send silence instead, or the voice again. */
  mute(on) {
    this.#muted = on;
    for (const track of [this.#microphone, this.#file?.track]) if (track) track.enabled = !on;
  }

  /** Play the file from its beginning, where it is the source. */
  play() {
    if (!this.isFile || !this.#file) return;
    element("file-note").textContent = "Playing.";
    element("replay").hidden = false;
    this.#file.play(() => (element("file-note").textContent = "The file has ended; silence follows."));
  }

  /** Stop the file; the microphone goes on. */
  hush() {
    if (this.isFile) this.#halt("Stopped; silence follows.");
  }

  /** The file is at its beginning again. */
  #halt(note) {
    if (!this.#file) return;
    this.#file.stop();
    element("file-note").textContent = note ?? `${this.#file.seconds.toFixed(1)} s. It plays when you press Start.`;
    element("replay").hidden = !note;
  }

  #release() {
    this.#microphone?.stop();
    this.#microphone = null;
  }

  async #read(file) {
    if (!file) return;
    this.#file?.stop();
    this.#file = null;
    element("file-name").textContent = file.name;
    element("file-note").textContent = "Reading…";
    element("replay").hidden = true;
    const sound = await SoundFile.open(file).catch(({ message }) => ({ message }));
    if (element("file").files[0] !== file) return; // another one was chosen meanwhile
    if (sound.track) {
      this.#file = sound;
      this.#halt();
      this.#choose();
    } else element("file-note").textContent = sound.message;
  }

  #choose() {
    if (!this.isFile || this.#file) this.#tell.changed();
  }
}
