/** Figures of the call as this browser sees it, beside those that the server sends. */

const CAPTURE_MS = 30; // device buffer and a 20 ms Opus packet: an assumption, no interface tells
const DISPLAY_MS = 12; // half a picture and half a refresh of a 60 Hz screen

/** Rows of the drawer: key, name, unit, digits. */
const GROUPS = {
  "In this browser": [
    ["fps", "Frames per second", "", 1],
    ["roundTrip", "Round trip", "ms", 1],
    ["videoBuffer", "Jitter buffer, picture", "ms", 0],
    ["audioBuffer", "Jitter buffer, voice", "ms", 0],
    ["skew", "Lips after voice", "ms", 0],
    ["micToPhoton", "Microphone to picture (estimate)", "ms", 0],
    ["decode", "Decoding a frame", "ms", 1],
    ["kbps", "Received", "kb/s", 0],
    ["lost", "Packets lost", "", 0],
    ["freezes", "Freezes", "", 0],
    ["concealed", "Voice concealed", "ms", 0],
  ],
  "In the server": [
    ["server.fps", "Frames per second", "", 1],
    ["server.new", "New ones among them", "", 1],
    ["server.late_frames", "Late frames", "", 0],
    ["server.jitter_ms", "Jitter buffer, microphone", "ms", 0],
    ["server.delay_ms", "Delay of the avatar", "ms", 0],
    ["server.compute_ms", "Making a frame", "ms", 1],
    ["server.encode_ms", "Encoding a frame", "ms", 1],
    ["server.loop_lag_ms", "Waiting of the event loop", "ms", 1],
    ["server.concealed_ms", "Microphone concealed", "ms", 0],
    ["server.bitrate_kbps", "Sent", "kb/s", 0],
  ],
};

/** The reports of `getStats` that matter here. */
function pick(reports) {
  const picked = {};
  for (const report of reports.values()) {
    if (report.type === "inbound-rtp") picked[report.kind] = report;
    if (report.type === "candidate-pair" && report.nominated && report.state === "succeeded") picked.pair = report;
  }
  return picked;
}

/** Mean over the time between two reports, in ms: the growth of a sum in seconds by the growth of its count. */
function mean(now, before, sum, count) {
  const steps = (now?.[count] ?? 0) - (before?.[count] ?? 0);
  return steps > 0 ? (1000 * (now[sum] - (before?.[sum] ?? 0))) / steps : undefined;
}

/** Figures between two picks of reports; undefined where the browser does not tell. */
function figuresBetween(now, before) {
  const { audio, video, pair } = now;
  const seconds = video && before.video ? (video.timestamp - before.video.timestamp) / 1000 : 0;
  const received = (video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0);
  const receivedBefore = (before.video?.bytesReceived ?? 0) + (before.audio?.bytesReceived ?? 0);
  const bothPlay = audio?.estimatedPlayoutTimestamp && video?.estimatedPlayoutTimestamp;
  return {
    fps: seconds > 0 ? (video.framesDecoded - before.video.framesDecoded) / seconds : undefined,
    roundTrip: pair?.currentRoundTripTime !== undefined ? 1000 * pair.currentRoundTripTime : undefined,
    videoBuffer: mean(video, before.video, "jitterBufferDelay", "jitterBufferEmittedCount"),
    audioBuffer: mean(audio, before.audio, "jitterBufferDelay", "jitterBufferEmittedCount"),
    // What plays now, on the clock of the server's sender reports: the voice's moment less the picture's.
    skew: bothPlay ? audio.estimatedPlayoutTimestamp - video.estimatedPlayoutTimestamp : undefined,
    decode: mean(video, before.video, "totalDecodeTime", "framesDecoded"),
    kbps: seconds > 0 ? (8 * (received - receivedBefore)) / seconds / 1000 : undefined,
    lost: (video?.packetsLost ?? 0) + (audio?.packetsLost ?? 0),
    freezes: video?.freezeCount,
    concealed: audio ? ((audio.concealedSamples - (audio.silentConcealedSamples ?? 0)) / 48_000) * 1000 : undefined,
  };
}

/** How many pictures of the last second were new: one that is late is the last one again. */
export class Pace {
  #late = 0;

  of({ fps, late_frames: late }) {
    const pictures = Math.max(0, fps - (late - this.#late));
    this.#late = late;
    return pictures;
  }
}

/** Reads a call's figures once a second and keeps the drawer up to date while it is open. */
export class Statistics {
  #call;
  #drawer;
  #cells = new Map();
  #before = {};
  #server = {};
  #pace = new Pace();
  #timer = 0;

  /** `drawer` is the <details>, `body` its empty element for the figures. */
  constructor(call, drawer, body) {
    this.#call = call;
    this.#drawer = drawer;
    for (const [title, rows] of Object.entries(GROUPS)) {
      const heading = Object.assign(document.createElement("h2"), { textContent: title });
      const list = document.createElement("dl");
      for (const [key, name, unit, digits] of rows) {
        const cell = Object.assign(document.createElement("dd"), { textContent: "–" });
        cell.dataset.figure = key;
        list.append(Object.assign(document.createElement("dt"), { textContent: name }), cell);
        this.#cells.set(key, { cell, unit, digits });
      }
      const group = document.createElement("section");
      group.append(heading, list);
      body.append(group);
    }
    call.addEventListener("message", ({ detail }) => {
      if (detail.type === "stats") Object.assign(this.#server, detail, { new: this.#pace.of(detail) });
      if (detail.type === "state" && detail.delay_ms !== undefined) this.#server.delay_ms = detail.delay_ms;
    });
    drawer.addEventListener("toggle", () => this.#sample());
  }

  start() {
    clearInterval(this.#timer);
    this.#before = {};
    this.#timer = setInterval(() => this.#sample(), 1000);
  }

  stop() {
    clearInterval(this.#timer);
    this.#server = {};
    this.#pace = new Pace();
    for (const { cell } of this.#cells.values()) cell.textContent = "–";
  }

  async #sample() {
    const peer = this.#call.peer;
    if (!peer || !this.#drawer.open) return;
    const now = pick(await peer.getStats());
    const figures = figuresBetween(now, this.#before);
    this.#before = now;
    figures.roundTrip ??= this.#call.roundTrip ?? undefined;
    const server = this.#server;
    if (server.delay_ms !== undefined && figures.videoBuffer !== undefined) {
      figures.micToPhoton =
        CAPTURE_MS + (figures.roundTrip ?? 0) + (server.jitter_ms ?? 0) + server.delay_ms +
        figures.videoBuffer + (figures.decode ?? 0) + DISPLAY_MS;
    }
    for (const [key, { cell, unit, digits }] of this.#cells) {
      const value = key.startsWith("server.") ? server[key.slice(7)] : figures[key];
      cell.textContent = Number.isFinite(value) ? `${value.toFixed(digits)} ${unit}`.trim() : "–";
    }
  }
}
