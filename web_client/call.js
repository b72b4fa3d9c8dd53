/**
 * The call: WHIP-shaped signalling (RFC 9725), the data channel `control`, and keeping both alive.
 *
 * A `Call` lasts from Start to Stop; inside it, one `Session` after another holds a peer connection. A `Call` reports by
 * events: "state" (detail: {state, ...}), "stream" (detail: MediaStream) and "message" (detail: what the server sent).
 *
 *   connecting             the first session is being set up
 *   live                   voice and picture flow
 *   reconnecting {seconds, unreachable} the connection broke, or no server is there; the next try is in `seconds`
 *   full {seconds, message} every place is taken; the next try is in `seconds`
 *   failed {code, message} the server refuses for good
 *   ended {message}        stopped, by us or by the server
 */

const BACKOFF = [0.5, 1, 2, 4, 8]; // seconds
const CONNECT_SECONDS = 15;
const GOODBYE_SECONDS = 3;
const FETCH_ERRORS = { TypeError: "no answer", TimeoutError: "too late" };
const PINGS_UNANSWERED = 5;
const FINAL_REASONS = ["maximum age", "ended by the page"]; // of the server's "closed"; after any other we call again

class Refusal extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

/** One peer connection, from the POST to the DELETE. */
class Session {
  constructor(call, { track, avatar, token, page }) {
    this.call = call;
    this.query = new URLSearchParams({ client: page, ...(avatar && { avatar }) });
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    this.location = null;
    this.unanswered = 0;
    this.roundTrip = null;
    this.live = false;
    this.lost = new Promise((resolve) => (this.lose = resolve));

    const peer = (this.peer = new RTCPeerConnection());
    this.connected = new Promise((resolve) => {
      peer.onconnectionstatechange = () => {
        if (peer.connectionState === "connected") resolve();
        if (peer.connectionState === "failed") this.lose({ why: "connection lost" });
      };
    });
    peer.ontrack = ({ receiver, streams }) => {
      // The least delay that the network allows: the server already paces both tracks.
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      else if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
      call.emit("stream", streams[0]);
    };
    this.control = peer.createDataChannel("control");
    this.control.onmessage = ({ data }) => this.hear(JSON.parse(data));
    this.control.onopen = () => (this.pings = setInterval(() => this.ping(), 1000));
    this.control.onclose = () => this.lose({ why: "connection lost" });
    this.sender = peer.addTrack(track, new MediaStream([track]));
    peer.addTransceiver("video", { direction: "recvonly" });
  }

  /** Offer, answer, connected. Throws a `Refusal`, or another `Error` when the server cannot be reached. */
  async open() {
    const waiting = [];
    this.peer.onicecandidate = ({ candidate }) => (this.location ? this.trickle([candidate]) : waiting.push(candidate));
    await this.peer.setLocalDescription();
    const response = await fetch(`/v1/sessions?${this.query}`, {
      method: "POST",
      headers: { ...this.headers, "Content-Type": "application/sdp" },
      body: this.peer.localDescription.sdp,
      signal: AbortSignal.timeout(CONNECT_SECONDS * 1000),
    });
    if (response.status !== 201) throw await refusal(response);
    this.location = new URL(response.headers.get("Location"), response.url);
    this.etag = response.headers.get("ETag");
    await this.peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
    this.trickle(waiting);
    const late = new Promise((_, reject) => setTimeout(reject, CONNECT_SECONDS * 1000, new Error("no connection")));
    const lost = this.lost.then(({ why }) => Promise.reject(new Error(why)));
    await Promise.race([this.connected, late, lost]);
  }

  /** Send ICE candidates as an SDP fragment (RFC 8840); null stands for the end of the candidates. */
  trickle(candidates) {
    const sdp = this.peer.localDescription?.sdp;
    if (!candidates.length || !sdp) return;
    const lines = [sdp.match(/a=ice-ufrag:.*/)[0], sdp.match(/a=ice-pwd:.*/)[0], "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0"];
    for (const candidate of candidates) {
      // With BUNDLE all sections share the first one's transport.
      if (!candidate) lines.push("a=end-of-candidates");
      else if (candidate.candidate && candidate.sdpMLineIndex === 0) lines.push(`a=${candidate.candidate}`);
    }
    if (lines.length === 4) return;
    fetch(this.location, {
      method: "PATCH",
      headers: {
        ...this.headers,
        "Content-Type": "application/trickle-ice-sdpfrag",
        ...(this.etag && { "If-Match": this.etag }),
      },
      body: lines.map((line) => `${line.trim()}\r\n`).join(""),
    }).catch(() => {}); // The server answers checks from wherever they come: a candidate less is no failure.
  }

  hear(message) {
    if (message.type === "pong") {
      this.unanswered = 0;
      this.roundTrip = performance.now() - message.t;
    } else if (message.type === "state" && message.state === "closed") {
      this.lose({ why: message.reason, closed: true });
    } else if (message.type === "state" && message.state === "live") {
      this.live = true;
      this.tell({ type: "set", ...this.call.settings });
      if (this.call.subscribed) this.tell({ type: "subscribe", expression: true });
      const { avatar, scene } = this.call;
      if (avatar && (scene || avatar !== message.avatar)) this.tell({ type: "avatar", id: avatar, scene });
    }
    this.call.emit("message", message);
  }

  ping() {
    if (this.unanswered++ >= PINGS_UNANSWERED) this.lose({ why: "server silent" });
    this.tell({ type: "ping", t: performance.now() });
  }

  tell(message) {
    if (this.control.readyState === "open") this.control.send(JSON.stringify(message));
  }

  /** Tell it if the face is there already: it takes no orders before. */
  order(message) {
    if (this.live) this.tell(message);
  }

  /** Free the place on the server at once; `keepalive` lets the request outlive the page. */
  async close() {
    clearInterval(this.pings);
    this.control.onclose = null;
    const { location, headers } = this;
    this.location = null;
    const signal = AbortSignal.timeout(GOODBYE_SECONDS * 1000);
    // First: once it misses the peer, the server has no such session any more.
    const told = location && fetch(location, { method: "DELETE", headers, keepalive: true, signal }).catch(() => {});
    this.peer.close();
    await told;
  }
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const message = problem.message ?? `The server answers ${response.status} ${response.statusText}.`;
  return new Refusal(response.status, problem.error, message, Number(response.headers.get("Retry-After")) || 5);
}

export class Call extends EventTarget {
  /** What `set` has set: sent again to every new session. */
  settings = {};
  subscribed = false;
  #stopped = null;
  #session = null;
  #options = null;
  #page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** The avatar that was asked for last. */
  get avatar() {
    return this.#options?.avatar;
  }

  get peer() {
    return this.#session?.peer ?? null;
  }

  /** Milliseconds from a message to its answer on the data channel, or null. */
  get roundTrip() {
    return this.#session?.roundTrip ?? null;
  }

  /** Whether all of the photo that it was made of shall be seen around it. */
  get scene() {
    return Boolean(this.#options?.scene);
  }

  /** Call until `stop`: `track` is the voice, `avatar` an id, `token` the access token or "". */
  async start({ track, avatar, scene, token }) {
    this.stop();
    const stopped = (this.#stopped = new AbortController());
    this.#options = { track, avatar, scene, token, page: this.#page };
    let failures = 0;
    this.emit("state", { state: "connecting" });
    while (!stopped.signal.aborted) {
      const session = (this.#session = new Session(this, this.#options));
      let wait;
      try {
        stopped.signal.addEventListener("abort", () => session.lose({ why: "" }), { once: true });
        await session.open();
        if (!stopped.signal.aborted) this.emit("state", { state: "live" });
        const began = performance.now();
        const { why, closed } = await session.lost;
        if (closed && FINAL_REASONS.includes(why)) {
          if (!stopped.signal.aborted) this.#end(why);
        } else {
          if (performance.now() - began > 10_000) failures = 0;
          wait = { state: "reconnecting" };
        }
      } catch (error) {
        const temporary = !(error instanceof Refusal) || error.status >= 500 || error.status === 409;
        if (error.status === 503) wait = { state: "full", message: error.message, code: error.code, seconds: error.retryAfter };
        else if (temporary) wait = { state: "reconnecting", unreachable: error.name in FETCH_ERRORS };
        else if (!stopped.signal.aborted) {
          stopped.abort();
          this.emit("state", { state: "failed", code: error.code, message: error.message });
        }
      }
      if (wait && !stopped.signal.aborted) {
        wait.seconds ??= BACKOFF[Math.min(failures, BACKOFF.length - 1)] * (0.8 + 0.4 * Math.random());
        this.emit("state", wait);
      }
      await session.close();
      if (this.#session === session) this.#session = null;
      if (wait && !stopped.signal.aborted) {
        failures += 1;
        await pause(wait.seconds, stopped.signal);
      }
    }
  }

  /** End the call and free the place on the server. */
  stop() {
    if (this.#stopped && !this.#stopped.signal.aborted) this.#end("");
    return this.#session?.close();
  }

  #end(message) {
    this.#stopped.abort();
    this.emit("state", { state: "ended", message });
  }

  /** Change the voice while the call goes on. */
  async replaceTrack(track) {
    if (this.#options) this.#options.track = track;
    await this.#session?.sender.replaceTrack(track);
  }

  /** Change the face while the call goes on. */
  show(avatar, scene) {
    if (this.#options) Object.assign(this.#options, { avatar, scene });
    this.#session?.order({ type: "avatar", id: avatar, scene });
  }

  /** Set some of alpha, pucker, spread, pose, gaze, blink and emotion. */
  set(values) {
    if (Object.keys(values).length === 0) return;
    this.adopt(values);
    this.#session?.order({ type: "set", ...values });
  }

  /** Take over what somebody else has set. */
  adopt(values) {
    Object.assign(this.settings, values);
  }

  /** Ask for, or stop, an "expression" message with every frame. */
  subscribe(on) {
    if (on === this.subscribed) return;
    this.subscribed = on;
    this.#session?.order({ type: "subscribe", expression: on });
  }

  interrupt() {
    this.#session?.order({ type: "interrupt" });
  }
}

/** Wait, but not after `signal`, nor when the network has just come back. */
function pause(seconds, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    addEventListener("online", done);
    signal.addEventListener("abort", done, { once: true });
  });
}
