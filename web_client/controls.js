/** The page: connects what people press with the call, and says in words what is going on. */

import { Call } from "./call.js";
import { Direct } from "./direct.js";
import { Faces } from "./faces.js";
import { Source } from "./source.js";
import { Pace, Statistics } from "./stats.js";

const element = (id) => document.getElementById(id);
const [picture, video, still, start, microphone, interrupt, voice] = [
  "picture", "video", "still", "start", "microphone", "interrupt", "voice",
].map(element);

const call = new Call();
const statistics = new Statistics(call, element("statistics"), element("figures"));
const source = new Source({
  changed: changeSource,
  waiting: () => say("connecting", "Waiting for the microphone", "Your browser asks whether this page may use it."),
  gone: () => calling && say(picture.dataset.state, "The microphone is gone", "Connect it, then press Stop and Start."),
});

let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
let calling = false;
let attempt = 0; // counts Start and Stop: who was kept waiting sees whether it still counts
let live = false;
let seen = null; // the face in the call: {id, scene}
let asked = []; // ids of those that the server has not answered yet

/* What was chosen last time. A browser that stores nothing is fine. */
const remembered = {
  get: (key) => { try { return localStorage.getItem(`visavis.${key}`); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(`visavis.${key}`, value); } catch { /* private window */ } },
};

new Direct(call, element("direct"), element("director"), remembered);

/* What is going on. */

const READ_MS = 8000; // in which what went wrong can be read while somebody speaks
let readUntil = 0;
let countdown = 0;

function say(state, title, advice = "") {
  clearInterval(countdown);
  picture.dataset.state = state;
  element("state-title").textContent = title;
  element("state-advice").textContent = advice;
}

/** The seconds run in the visible text alone: a screen reader hears the sentence once. */
function sayWithCountdown(state, title, advice, seconds) {
  say(state, title, advice);
  const clock = document.createElement("span");
  clock.setAttribute("aria-hidden", "true");
  element("state-advice").append(" ", clock);
  const until = performance.now() + 1000 * seconds;
  const tick = () => (clock.textContent = `${Math.max(0, Math.ceil((until - performance.now()) / 1000))} s`);
  tick();
  countdown = setInterval(tick, 250);
}

/* By the server's reason; who pressed Stop needs none. */
const ENDINGS = {
  "maximum age": "The call has lasted as long as this server allows.",
  "ended by the page": "The call was ended from elsewhere.",
};

const STATES = {
  connecting: () => say("connecting", "Connecting…"),
  live: () => say("live", "Live", source.isFile ? "" : "Say something."),
  reconnecting: ({ unreachable, seconds }) => {
    const advice = navigator.onLine ? "Trying again by itself in" : "This device is offline. Trying again in";
    sayWithCountdown("reconnecting", unreachable ? "The server does not answer" : "Connection lost", advice, seconds);
  },
  full: ({ code, seconds }) => {
    const title = code === "draining" ? "The server restarts" : "Every place is taken";
    sayWithCountdown("full", title, "Calling again by itself in", seconds);
  },
  failed: ({ code, message }) => {
    const locked = code === "unauthorized";
    say("failed", locked ? "This server asks for a token" : "The call was refused", locked ? "" : message);
    element("token-form").hidden = !locked;
    if (code === "unknown_avatar") missFace();
  },
  ended: ({ message }) => say("idle", "Press Start and talk", ENDINGS[message] ?? ""),
};

call.addEventListener("state", ({ detail }) => {
  STATES[detail.state](detail);
  live = detail.state === "live";
  calling = !["failed", "ended"].includes(detail.state);
  start.textContent = calling ? "Stop" : "Start";
  start.classList.toggle("stop", calling);
  interrupt.disabled = !live;
  microphone.disabled = !calling;
  if (live) statistics.start();
  else {
    picture.classList.remove("showing", "speaking");
    picture.style.aspectRatio = "";
    statistics.stop();
  }
  if (live) source.play();
  if (!calling) {
    source.close();
    video.srcObject = null;
  }
  keepScreenOn(calling);
});

call.addEventListener("stream", ({ detail: stream }) => {
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  video.play().catch(() => {
    // Without a recent click some browsers play no sound: the picture may still run.
    setVoice(false);
    video.play().catch(() => {});
  });
  const reveal = () => {
    if (calling && video.srcObject === stream) picture.classList.add("showing");
  };
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(reveal);
  else video.onplaying = reveal;
});

call.addEventListener("message", ({ detail: message }) => {
  if (message.type === "speaking") {
    picture.classList.toggle("speaking", message.speaking);
    if (message.speaking && live && performance.now() > readUntil && slow < PATIENCE) element("state-advice").textContent = "";
  } else if (message.type === "stats") watchPace(message);
  else if (message.type === "state") {
    seen = { id: message.avatar, scene: false };
    asked = [];
    [slow, pace] = [0, new Pace()];
  } else if (message.type === "avatar") {
    seen = message;
    asked.splice(0, asked.indexOf(message.id) + 1);
    if (!asked.length) faces.mark(message.id); // else somebody has gone on choosing
  } else if (message.type === "interrupted") say("live", "Live", `Interrupted after ${message.position.toFixed(1)} s.`);
  else if (message.type === "error") {
    say(picture.dataset.state, element("state-title").textContent, message.message);
    readUntil = performance.now() + READ_MS;
    if (["unknown_avatar", "full", "no_scene"].includes(message.code)) asked.shift();
    if (message.code === "unknown_avatar") missFace();
    else if (["full", "no_scene"].includes(message.code) && !asked.length) faces.keep(seen);
  }
});

/* Whether the server keeps up. */

const BUSY = "The server is too busy to keep up: pictures are missing.";
const [FEW, ENOUGH] = [12, 20]; // pictures a second
const PATIENCE = 5; // seconds
let [slow, pace] = [0, new Pace()];

function watchPace(told) {
  const pictures = pace.of(told);
  const [before, advice] = [slow, element("state-advice")];
  if (pictures < FEW) slow += 1;
  else if (pictures > ENOUGH) slow = 0;
  if (slow >= PATIENCE && performance.now() > readUntil && advice.textContent !== BUSY) advice.textContent = BUSY;
  if (slow === 0 && before >= PATIENCE && advice.textContent === BUSY) advice.textContent = "";
}

/* Starting and stopping. */

async function begin() {
  const mine = ++attempt;
  calling = true;
  start.textContent = "Stop";
  start.classList.add("stop");
  element("token-form").hidden = true;
  picture.scrollIntoView({ block: "nearest", behavior: "smooth" });
  try {
    const track = await source.open();
    if (!calling) source.close();
    if (mine !== attempt) return;
    call.start({ track, avatar: faces.id, scene: faces.scene, token });
  } catch (error) {
    if (mine !== attempt) return;
    calling = false;
    start.textContent = "Start";
    start.classList.remove("stop");
    say("refused", source.isFile ? "No sound file" : "No microphone", error.message);
  }
}

function end() {
  attempt += 1;
  calling = false;
  call.stop();
  start.textContent = "Start";
  start.classList.remove("stop");
  if (picture.dataset.state !== "idle") say("idle", "Press Start and talk");
}

start.onclick = () => (calling ? end() : begin());

addEventListener("pagehide", () => call.stop());

async function changeSource() {
  if (!calling) return;
  const mine = attempt;
  try {
    const track = await source.open();
    if (!calling) source.close();
    if (mine !== attempt) return;
    await call.replaceTrack(track);
    if (!live) return;
    STATES.live();
    source.play();
  } catch (error) {
    if (mine === attempt) say(picture.dataset.state, "No microphone", error.message);
  }
}

microphone.onclick = () => {
  const muted = microphone.getAttribute("aria-pressed") !== "true";
  microphone.setAttribute("aria-pressed", muted);
  microphone.querySelector(".name").textContent = muted ? "Muted" : "Mute";
  source.mute(muted);
};

interrupt.onclick = () => {
  call.interrupt();
  source.hush();
};
addEventListener("keydown", ({ key }) => {
  // In a dialog it closes the dialog.
  if (key === "Escape" && live && !document.querySelector("dialog[open]")) interrupt.click();
});

/* The voice that comes back. */

function setVoice(on) {
  video.muted = !on;
  voice.setAttribute("aria-pressed", !on);
  voice.querySelector(".name").textContent = on ? "Voice" : "Voice off";
  element("voice-hint").textContent = on
    ? "You hear yourself in step with the lips. Wear headphones, or switch the voice off."
    : "The voice that comes back is off.";
}
voice.onclick = () => {
  setVoice(video.muted);
  remembered.set("voice", video.muted ? "off" : "on");
};
setVoice(remembered.get("voice") !== "off");

/* The face. */

const faces = new Faces({
  headers: () => (token ? { Authorization: `Bearer ${token}` } : {}),
  remembered,
  show: (id, scene) => {
    if (live) asked.push(id);
    call.show(id, scene);
  },
});

/** Somebody else has deleted the face: whoever is there now is shown. */
const missFace = () => faces.relist().catch(() => {});

video.onresize = () => {
  picture.style.aspectRatio = calling && video.videoWidth ? `${video.videoWidth} / ${video.videoHeight}` : "";
};

element("token-form").onsubmit = (event) => {
  event.preventDefault();
  token = element("token").value;
  open();
};

/* The screen stays on during a call. */

let wakeLock = null;

async function keepScreenOn(on) {
  if (on && !wakeLock && document.visibilityState === "visible") {
    wakeLock = await navigator.wakeLock?.request("screen").catch(() => null);
    wakeLock?.addEventListener("release", () => (wakeLock = null));
  } else if (!on) wakeLock?.release();
}
document.addEventListener("visibilitychange", () => keepScreenOn(calling));

/* Open the page. */

async function open() {
  element("token-form").hidden = true;
  try {
    await faces.list();
    say("idle", "Press Start and talk");
  } catch (error) {
    if (error.code === "unauthorized") STATES.failed(error);
    else say("failed", "The server does not answer", "Reload the page to try again.");
  }
}
open();
