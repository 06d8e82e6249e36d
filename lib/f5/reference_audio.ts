/**
 * A recording made ready to be the voice of F5-TTS: read, checked, cut to 12 seconds, raised to the
 * loudness that the model knows, at the rate of the model.
 */
import { resample } from '../audio/resample.js';
import { amplify, rootMeanSquare } from '../audio/loudness.js';
import { LevelMeter, detectNonsilent, levelOf } from '../audio/silence.js';
import type { AudioSpan } from '../audio/spans.js';
import { checkRate, openAudio, type AudioStream } from '../audio/stream.js';
import { AudioError } from '../errors.js';
import { EnergyDetector } from '../vad/energy.js';
import { detectSpeech } from '../vad/speech_spans.js';
import { vadRate } from '../vad/types.js';
import { checkNumber, checkOptions, checkSignal, checkString } from '../validate.js';
import type { AudioSource } from '../audio/source.js';
import { clipReference, type ReferenceClip } from './reference_clip.js';

export interface ReferenceOptions {
  /** Hertz of the result, the model's: default 24000. */
  sampleRate?: number;
  /** A quieter reference is raised to this root mean square. Default 0.1, as f5-tts has it. */
  targetRms?: number;
  /** A longer recording is refused with AUDIO_TOO_LARGE; default 600 seconds. */
  maxSeconds?: number;
  /** Seconds that may be spent waiting for ffmpeg; default 60. */
  timeoutSeconds?: number;
  /** Name or path of the ffmpeg program; default "ffmpeg". */
  ffmpeg?: string;
  signal?: AbortSignal;
}

export interface ReferenceAudio {
  /** Mono, at most 12.05 s: the parts that were kept, then 50 ms of silence; raised by `gain`. */
  samples: Float32Array;
  /** Hertz. */
  sampleRate: number;
  /** At least 1. What is spoken with the reference is divided by it. */
  gain: number;
  /** Seconds of the recording. */
  duration: number;
  /** Seconds of the recording that were kept, in order and apart. */
  kept: AudioSpan[];
  /** The beginning of the recording as it is, with all that was kept and a little more. */
  head: { samples: Float32Array; sampleRate: number };
  /** Seconds of the recording where there is sound at all. */
  sounding: AudioSpan[];
  /** Why the voice may come out badly, in sentences; mostly none. */
  warnings: string[];
}

/** Seconds of sound that a voice can be taken from. */
const shortest = 0.3;
/** Seconds below which it is hardly one. */
const short = 1;
/** Beyond full scale by so much, samples are in some other scale. */
const loudest = 16;
/** Decibels: below it the loudest 10 ms are silence; below the other the recording is raised. */
const silenceLevel = -60;
const quietLevel = -30;
/** The loudest 10 ms of a recording that was raised. */
const raisedLevel = -15;
const nearFullScale = 0.999;
/** Part of the samples at full scale above which a recording sounds overdriven. */
const overdriven = 0.002;

function resolve(options: ReferenceOptions | undefined) {
  checkOptions('options of the reference', options, [
    'sampleRate',
    'targetRms',
    'maxSeconds',
    'timeoutSeconds',
    'ffmpeg',
    'signal',
  ]);
  const {
    sampleRate = 24_000,
    targetRms = 0.1,
    maxSeconds = 600,
    timeoutSeconds = 60,
    ffmpeg = 'ffmpeg',
    signal,
  } = options ?? {};
  return {
    sampleRate: checkRate(sampleRate),
    targetRms: checkNumber('targetRms', targetRms, { min: 0, max: 1 }),
    maxSeconds: checkNumber('maxSeconds', maxSeconds, { min: 0 }),
    timeoutSeconds: checkNumber('timeoutSeconds', timeoutSeconds, { min: 0.001, max: 86_400 }),
    program: checkString('ffmpeg', ffmpeg, 4096),
    signal: checkSignal('signal', signal),
  };
}

interface Recording {
  samples: Float32Array;
  meter: LevelMeter;
  isOverdriven: boolean;
}

/** All samples, clipped to full scale and measured. */
async function read(stream: AudioStream, maxSeconds: number): Promise<Recording> {
  const rate = stream.sampleRate;
  const meter = new LevelMeter(rate);
  // The length that a file claims may be anything.
  const expected = Math.ceil(Math.min(stream.duration ?? 0, maxSeconds) * rate);
  let samples = new Float32Array(expected);
  let atFullScale = 0;
  for (let block = await stream.read(); block !== undefined; block = await stream.read()) {
    const start = meter.frames;
    if (start + block.length > samples.length) {
      const wider = new Float32Array(2 * (start + block.length));
      wider.set(samples);
      samples = wider;
    }
    samples.set(block, start);
    for (let i = 0; i < block.length; i++) {
      const sample = block[i] as number;
      if (Math.abs(sample) < nearFullScale) continue;
      if (Math.abs(sample) > loudest) {
        await stream.close();
        throw new AudioError(
          'AUDIO_INVALID',
          `Sample ${start + i} of the reference is ${sample}; samples are numbers between -1 and 1.`,
        );
      }
      atFullScale++;
      samples[start + i] = Math.max(-1, Math.min(1, sample));
    }
    meter.push(samples.subarray(start, start + block.length));
  }
  const isOverdriven = atFullScale > overdriven * meter.frames;
  return { samples: samples.subarray(0, meter.frames), meter, isOverdriven };
}

/** The loudest 10 ms, as a 16-bit level. */
function peakLevel(meter: LevelMeter): number {
  let peak = 0;
  for (let start = 0; start < meter.milliseconds; start += 10) {
    const count = meter.frameAt(start + 10) - meter.frameAt(start);
    peak = Math.max(peak, meter.energy(start, start + 10) / count);
  }
  return Math.sqrt(peak);
}

const seconds = (spans: readonly AudioSpan[]): number =>
  spans.reduce((sum, { start, end }) => sum + end - start, 0);

/**
 * The clip and what it was measured with. f5-tts cuts a quiet recording down to nothing; where that
 * happens it is measured as if it were louder.
 */
function clip(
  samples: Float32Array,
  meter: LevelMeter,
): { clip: ReferenceClip; meter: LevelMeter; raised: boolean } {
  const first = clipReference(samples, meter);
  if (seconds(first.kept) >= shortest) return { clip: first, meter, raised: false };
  const peak = peakLevel(meter);
  if (peak < levelOf(silenceLevel)) {
    throw new AudioError(
      'AUDIO_EMPTY',
      'The reference is silent. Give a recording of a voice, a few seconds long.',
    );
  }
  if (peak < levelOf(quietLevel)) {
    const gain = levelOf(raisedLevel) / peak;
    const louder = new LevelMeter(meter.sampleRate, gain).push(samples);
    const second = clipReference(samples, louder, gain);
    if (seconds(second.kept) >= shortest) return { clip: second, meter: louder, raised: true };
  }
  throw new AudioError(
    'AUDIO_INVALID',
    `The reference has ${seconds(first.kept).toFixed(2)} s of sound, and a voice needs ${shortest} s at least. Give a recording of a few seconds.`,
  );
}

/** Whether anybody seems to speak. */
async function hasSpeech(
  samples: Float32Array,
  sampleRate: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const pieces = [await resample(samples, sampleRate, vadRate)];
  for await (const _ of detectSpeech(new EnergyDetector(), pieces, undefined, signal)) return true;
  return false;
}

/** Seconds behind what is kept, in which a recogniser hears its last word whole. */
const behind = 3;

const headSeconds = (kept: readonly AudioSpan[]): number => (kept.at(-1)?.end ?? 0) + behind;

const lengthOf = (kept: readonly AudioSpan[]): string => `${seconds(kept).toFixed(1)} s`;

/**
 * Prepares a recording of any format. WAV and samples are cut at the rate that they have and
 * resampled afterwards, as f5-tts does; other formats come from ffmpeg at the model's rate.
 * @throws AudioError AUDIO_NOT_FOUND, AUDIO_EMPTY (no samples, silence), AUDIO_INVALID (less than
 * 0.3 s of sound, samples that are no numbers), AUDIO_TOO_LARGE, FFMPEG_MISSING, FFMPEG_FAILED;
 * ArgumentError INVALID_ARGUMENT; the signal's reason where that aborts.
 */
export async function prepareReference(
  source: AudioSource,
  options?: ReferenceOptions,
): Promise<ReferenceAudio> {
  const { targetRms, ...open } = resolve(options);
  const stream = await openAudio(source, { ...open, keepRate: true });
  const rate = stream.sampleRate;
  const recording = await read(stream, open.maxSeconds);
  const { clip: taken, meter, raised } = clip(recording.samples, recording.meter);
  const { kept, end } = taken;
  const warnings: string[] = [];
  if (end !== 'whole') {
    const where = end === 'silence' ? 'where it is silent' : 'in the midst of speech';
    warnings.push(`The reference is too long: ${lengthOf(kept)} of it are used, cut ${where}.`);
  }
  if (seconds(kept) < short) {
    warnings.push(`The reference is short: ${lengthOf(kept)} of sound. Better are 3 s to 12 s.`);
  }
  if (raised) warnings.push('The reference is very quiet: its noise will be heard.');
  if (recording.isOverdriven)
    warnings.push('The reference is overdriven: part of it is at full scale.');
  if (!(await hasSpeech(taken.samples, rate, open.signal))) {
    warnings.push('The reference does not sound like speech.');
  }
  const rms = rootMeanSquare(taken.samples);
  const gain = rms < targetRms ? targetRms / rms : 1;
  const spans = detectNonsilent(meter, { minSilence: 100, threshold: -40, step: 10 });
  return {
    samples: await resample(amplify(taken.samples, gain), rate, open.sampleRate),
    sampleRate: open.sampleRate,
    gain,
    duration: recording.samples.length / rate,
    kept,
    head: {
      samples: recording.samples.slice(0, Math.ceil(headSeconds(kept) * rate)),
      sampleRate: rate,
    },
    sounding: spans.map((span) => ({ start: span.start / 1000, end: span.end / 1000 })),
    warnings,
  };
}
