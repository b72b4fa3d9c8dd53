"""Free speech synthesisers that also tell when each sound is spoken: espeak-ng, flite and festival.

A voice is named "engine:name", such as "espeak:en-us+f2", "flite:slt" or "festival:ked_diphone". All three are
packages of Debian (espeak-ng, flite, festival and the festvox-* voices); a voice that is not installed is reported
by `missing`, never guessed.
"""

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from engines.expression import FloatArray
from training.speech.phonemes import ARPABET, CATALAN, CZECH, FINNISH, HINDI, ITALIAN, RUSSIAN, Phone, phones

FESTIVAL_VOICES: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "kal_diphone": ("en", ARPABET),
    "ked_diphone": ("en", ARPABET),
    "lp_diphone": ("it", ITALIAN),
    "pc_diphone": ("it", ITALIAN),
    "suo_fi_lj_diphone": ("fi", FINNISH),
    "hy_fi_mv_diphone": ("fi", FINNISH),
    "czech_ph": ("cs", CZECH),
    "czech_dita": ("cs", CZECH),
    "czech_machac": ("cs", CZECH),
    "czech_krb": ("cs", CZECH),
    "msu_ru_nsh_clunits": ("ru", RUSSIAN),
    "upc_ca_ona_hts": ("ca", CATALAN),
    "hindi_NSK_diphone": ("hi", HINDI),
}
"""Voices cut from recordings of real people (the Catalan one is trained on them): language and alphabet."""
_ENCODINGS: Final = {"cs": "iso8859-2", "ru": "utf-8", "hi": "utf-8"}
_RETUNE: Final = """
(define (retune utterance)
  (if (member 'Target (utt.relationnames utterance))
    (let ((sum 0) (count 0))
      (define (heard item) (> (item.feat item "f0") 0))
      (mapcar (lambda (item) (if (heard item) (begin
          (set! sum (+ sum (item.feat item "f0"))) (set! count (+ count 1)))))
        (utt.relation.items utterance 'Target))
      (if (> count 0) (set! sum (/ sum count)))
      (mapcar (lambda (item) (if (heard item) (item.set_feat item "f0"
          (* scale (+ sum (* spread (- (item.feat item "f0") sum)))))))
        (utt.relation.items utterance 'Target))))
  utterance)
(set! after_analysis_hooks (list retune))"""
"""Festival has no common setting of the pitch: its targets are scaled, about their mean, before the sound is made."""
FLITE_PITCH: Final = {"slt": 170.0, "rms": 105.0, "awb": 130.0, "kal16": 105.0}
"""Mean pitch of flite's voices in Hz."""


class SynthesisError(RuntimeError):
    """A synthesiser could not speak this text with this voice."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech float32 ``(n,)`` at `rate` Hz, full scale 1, and its sounds, timed in seconds from its first sample."""

    samples: FloatArray
    rate: int
    phones: tuple[Phone, ...]


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak: `tempo` stretches durations (1 is normal, 2 twice as slow), `pitch` scales the voice's pitch,
    `liveliness` (0 to 1) sets how much the pitch moves; None leaves pitch or liveliness to the voice."""

    tempo: float = 1.0
    pitch: float | None = None
    liveliness: float | None = None


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


class _Espeak:
    """The espeak-ng library in synchronous mode with phoneme events in IPA (speak_lib.h)."""

    _SYNCHRONOUS, _EVENTS_IN_IPA, _UTF8, _PHONEME_EVENT = 2, 0x1 | 0x2, 1, 7
    _RATE, _PITCH, _RANGE = 1, 3, 4
    _P_CLOSES, _P_OPENS, _B_CLOSES, _B_SHARE = 0.045, 0.012, 0.005, 0.7

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise SynthesisError("espeak-ng is not installed: install the package espeak-ng") from error
        self.rate: int = self._library.espeak_Initialize(self._SYNCHRONOUS, 200, None, self._EVENTS_IN_IPA)
        if self.rate <= 0:
            raise SynthesisError("espeak-ng did not start: its data is missing")
        self._samples: list[Any] = []
        self._events: list[tuple[str, float]] = []
        pointers = (ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        self._callback = ctypes.CFUNCTYPE(ctypes.c_int, *pointers)(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self._samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != 0:
            if events[index].type == self._PHONEME_EVENT:
                ipa = bytes(events[index].id.string).split(b"\0")[0].decode("utf-8", "ignore")
                self._events.append((ipa, events[index].sample / self.rate))
            index += 1
        return 0

    def variants(self) -> list[str]:
        """Names of the installed voice variants, sorted."""
        path = ctypes.c_char_p()
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._library.espeak_Info(ctypes.byref(path))
        return sorted(file.name for file in Path((path.value or b"").decode(), "voices", "!v").iterdir())

    def say(self, text: str, voice: str, manner: Manner) -> Utterance:
        self._samples.clear()
        self._events.clear()
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SynthesisError(f"espeak-ng has no voice {voice!r}")
        pitch = 50.0 if manner.pitch is None else 50.0 + 40.0 * np.log(manner.pitch)
        liveliness = 0.5 if manner.liveliness is None else manner.liveliness
        settings = {
            self._RATE: int(np.clip(170 / manner.tempo, 85, 320)),
            self._PITCH: int(np.clip(pitch, 0, 99)),
            self._RANGE: int(np.clip(100 * liveliness, 0, 99)),
        }
        for parameter, value in settings.items():
            self._library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, self._UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._samples:
            raise SynthesisError(f"espeak-ng said nothing for {text!r}")
        samples = (np.concatenate(self._samples) / 32768.0).astype(np.float32)
        ends = [start for _, start in self._events[1:]] + [len(samples) / self.rate]
        sounds = phones((ipa, start, end) for (ipa, start), end in zip(self._events, ends, strict=True))
        return Utterance(samples, self.rate, tuple(self._touching(phone) for phone in sounds))

    def _touching(self, phone: Phone) -> Phone:
        """With the closure where it is heard: espeak times a p by its burst, which the silence of the lips precedes."""
        if phone.symbol == "p":
            return replace(phone, start=max(0.0, phone.start - self._P_CLOSES), release=phone.start + self._P_OPENS)
        if phone.symbol == "b":
            release = phone.start + self._B_SHARE * (phone.end - phone.start)
            return replace(phone, start=max(0.0, phone.start - self._B_CLOSES), release=release)
        return phone


@functools.cache
def espeak() -> _Espeak:
    """The one espeak-ng of this process."""
    return _Espeak()


def _flite(text: str, voice: str, manner: Manner) -> Utterance:
    command = ["flite", "-voice", voice, "--setf", f"duration_stretch={manner.tempo:.2f}"]
    if manner.pitch is not None:
        command += ["--setf", f"int_f0_target_mean={FLITE_PITCH.get(voice, 120.0) * manner.pitch:.0f}"]
    if manner.liveliness is not None:
        command += ["--setf", f"int_f0_target_stddev={8 + 22 * manner.liveliness:.0f}"]
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder, "speech.wav")
        command += ["-psdur", "-t", text + " ", "-o", str(wave)]
        output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
        if not wave.exists():
            raise SynthesisError(f"flite could not speak with voice {voice!r}")
        samples, rate = soundfile.read(wave, dtype="float32")
    segments, start = [], 0.0
    for token in output.split():
        name, _, end = token.rpartition(":")
        if float(end) < start - 0.5:
            raise SynthesisError(f"flite cut {text!r} into several utterances")
        segments.append((ARPABET.get(name, ""), start, float(end)))
        start = float(end)
    if abs(start - len(samples) / rate) > 0.1:
        raise SynthesisError(f"flite's timings of {text!r} do not match its sound")
    return Utterance(samples, rate, tuple(phones(segments)))


def _festival(texts: Sequence[str], voice: str, manners: Sequence[Manner]) -> list[Utterance | None]:
    if voice not in FESTIVAL_VOICES:
        raise SynthesisError(f"unknown festival voice {voice!r}; known: {', '.join(FESTIVAL_VOICES)}")
    language, alphabet = FESTIVAL_VOICES[voice]
    with tempfile.TemporaryDirectory() as folder:
        script = [f"(voice_{voice})", _RETUNE]
        for index, (text, manner) in enumerate(zip(texts, manners, strict=True)):
            spoken = text.replace("\u2019", "'").translate({ord('"'): None, ord("\\"): None})
            spread = 1.0 if manner.liveliness is None else 0.3 + 1.4 * manner.liveliness
            script += [
                f"(set! scale {manner.pitch or 1.0:.3f}) (set! spread {spread:.3f})",
                f"(Parameter.set 'Duration_Stretch {manner.tempo:.2f})",
                f'(set! spoken (utt.synth (Utterance Text "{spoken}")))',
                f'(utt.save.wave spoken "{folder}/{index}.wav" \'riff)',
                f'(utt.save.segs spoken "{folder}/{index}.lab")',
            ]
        path = Path(folder, "script.scm")
        path.write_bytes("\n".join(script).encode(_ENCODINGS.get(language, "latin1"), "ignore"))
        subprocess.run(["festival", "-b", str(path)], capture_output=True, timeout=600, check=False)
        return [_read_festival(Path(folder, str(index)), alphabet) for index in range(len(texts))]


def _read_festival(stem: Path, alphabet: dict[str, str]) -> Utterance | None:
    wave, segments_file = stem.with_suffix(".wav"), stem.with_suffix(".lab")
    if not wave.exists() or not segments_file.exists():
        return None
    samples, rate = soundfile.read(wave, dtype="float32")
    segments, start = [], 0.0
    for line in segments_file.read_text(encoding="latin1").partition("#\n")[2].splitlines():
        end, _, name = line.split()[:3]
        ipa = alphabet.get(name, alphabet.get(name.rstrip(":"), ""))
        segments.append((ipa, start, float(end)))
        start = float(end)
    if len(samples) < rate // 4 or len(segments) < 4:
        return None
    return Utterance(samples, rate, tuple(phones(segments)))


def say(voice: str, texts: Sequence[str], manners: Sequence[Manner] | None = None) -> list[Utterance | None]:
    """Speak each text with "engine:name"; None where the engine failed on a text.

    Raises SynthesisError when the engine or the voice does not exist.
    """
    engine, _, name = voice.partition(":")
    manners = [Manner()] * len(texts) if manners is None else manners
    if engine == "festival":
        _need("festival")
        return _festival(texts, name, manners)
    if engine == "flite":
        _need("flite")
        speak = functools.partial(_flite, voice=name)
    elif engine == "espeak":
        speak = functools.partial(espeak().say, voice=name)
    else:
        raise SynthesisError(f"unknown engine in {voice!r}: use espeak:, flite: or festival:")
    result: list[Utterance | None] = []
    for text, manner in zip(texts, manners, strict=True):
        try:
            result.append(speak(text, manner=manner))
        except SynthesisError:
            if len(texts) == 1:
                raise
            result.append(None)
    return result


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise SynthesisError(f"{program} is not installed: install the package {program}")


@functools.cache
def _installed(engine: str) -> frozenset[str]:
    if shutil.which(engine) is None:
        return frozenset()
    command = ["flite", "-lv"] if engine == "flite" else ["festival", "-b", "(print (voice.list))"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    return frozenset(re.findall(r"\w+", output))


def missing(voice: str) -> bool:
    """Whether this voice ("engine:name") is not installed here."""
    engine, _, name = voice.partition(":")
    if engine == "espeak":
        try:
            espeak()
        except SynthesisError:
            return True
        return False
    return name not in _installed(engine)
