/** Where the voice comes from: the microphone or a sound file, and a meter on either. */

/** A sentence for each reason that a browser gives for not opening a microphone. */
const MICROPHONE_PROBLEMS = {
  NotAllowedError: "Allow the microphone for this page: the lock or camera sign in the address bar. Then press Start again.",
  NotFoundError: "No microphone was found. Connect one, or choose a sound file.",
  NotReadableError: "Another program holds the microphone. Close it, then press Start again.",
  insecure: "Browsers give a microphone to https:// pages and to localhost only. Open the page so, or choose a sound file.",
};

export class MicrophoneRefused extends Error {
  constructor(reason) {
    super(MICROPHONE_PROBLEMS[reason] ?? `The microphone does not open (${reason}). Choose a sound file instead.`);
  }
}

/**
 * The microphone as a mono track. Echo cancellation is on because the voice comes back out of the loudspeaker; noise
 * suppression because lips move on noise too. Throws `MicrophoneRefused`, which says what to do.
 */
export async function openMicrophone() {
  if (!navigator.mediaDevices) throw new MicrophoneRefused("insecure");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    return stream.getAudioTracks()[0];
  } catch (error) {
    throw new MicrophoneRefused(error.name);
  }
}

/**
 * The sound as it is; or its loudest channel alone where the channels cancel each other out when they are mixed to one,
 * as where one wire of a microphone is the wrong way round.
 */
export function keepVoice(buffer) {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, index) => buffer.getChannelData(index));
  const powers = channels.map(() => 0);
  let mixed = 0;
  for (let at = 0; at < buffer.length; at += 1) {
    let sum = 0;
    for (let index = 0; index < channels.length; index += 1) {
      const sample = channels[index][at];
      powers[index] += sample * sample;
      sum += sample;
    }
    mixed += (sum / channels.length) ** 2;
  }
  const loudest = powers.indexOf(Math.max(...powers));
  if (!(mixed < 0.01 * powers[loudest])) return buffer;
  const alone = new AudioBuffer({ length: buffer.length, sampleRate: buffer.sampleRate });
  alone.copyToChannel(channels[loudest], 0);
  return alone;
}

let context;

/** The page's AudioContext, running; to be called from a click or a key press. */
function audioContext() {
  context ??= new AudioContext({ latencyHint: "interactive" });
  if (context.state !== "running") context.resume();
  return context;
}

/** A decoded sound file that plays into a track; silence follows its end. */
export class SoundFile {
  #buffer;
  #node = null;
  #output = audioContext().createMediaStreamDestination();

  constructor(buffer) {
    this.#buffer = buffer;
    this.#output.channelCount = 1;
    this.track = this.#output.stream.getAudioTracks()[0];
  }

  /** Decode `file`. Throws an `Error` that says what to do when it holds no sound that this browser knows. */
  static async open(file) {
    try {
      return new SoundFile(keepVoice(await audioContext().decodeAudioData(await file.arrayBuffer())));
    } catch {
      throw new Error(`${file.name} holds no sound that this browser can read. Try a WAV, MP3, Ogg or M4A file.`);
    }
  }

  get seconds() {
    return this.#buffer.duration;
  }

  /** Play from the beginning; `ended` is called at the end, but not after `stop`. */
  play(ended) {
    this.stop();
    const node = (this.#node = audioContext().createBufferSource());
    node.buffer = this.#buffer;
    node.connect(this.#output);
    node.onended = () => {
      if (this.#node === node) ended();
    };
    node.start();
  }

  stop() {
    const node = this.#node;
    this.#node = null;
    node?.stop();
    node?.disconnect();
  }
}

/** Shows the loudness of a track: calls `show` with 0..1 (-60 dB to 0 dB full scale) with every picture. */
export class Meter {
  #show;
  #node = null;
  #source = null;
  #frame = 0;

  constructor(show) {
    this.#show = show;
  }

  watch(track) {
    this.stop();
    this.#source = audioContext().createMediaStreamSource(new MediaStream([track]));
    this.#node = new AnalyserNode(audioContext(), { fftSize: 1024 });
    this.#source.connect(this.#node);
    const samples = new Float32Array(this.#node.fftSize);
    let level = 0;
    const step = () => {
      this.#node.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const loudness = Math.min(1, Math.max(0, 1 + Math.log10(power + 1e-12) / 6));
      level = Math.max(loudness, level - 0.03);
      this.#show(level);
      this.#frame = requestAnimationFrame(step);
    };
    step();
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#source?.disconnect();
    this.#source = null;
    this.#show(0);
  }
}
