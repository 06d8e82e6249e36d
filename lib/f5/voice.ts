/** A voice to speak with: a recording made ready, and what is said in it. */
import { ArgumentError, AudioError, messageOf } from '../errors.js';
import type { AudioSource } from '../audio/source.js';
import { resolveVoiceOptions } from './defaults.js';
import { byteLength, sampleRate } from './duration.js';
import { prepareReference, type ReferenceAudio } from './reference_audio.js';
import { referenceText, textForKeptAudio, type KeptText } from './reference_text.js';
import type { Transcriber, VoiceOptions } from './types.js';

/** Bytes of text a second: outside of it the text is hardly that of the recording. */
const slowest = 4;
const fastest = 45;

/** Made by `Voice.prepare` or `F5TTS.voice`; serves every model, as often as one likes. */
export class Voice {
  /** What is said in the part of the recording that is used, as the model gets it. */
  readonly text: string;
  /** Mono at 24 kHz, at most 12.05 s. Not to be changed. */
  readonly samples: Float32Array;
  /** What the recording was multiplied by; what is spoken is divided by it. */
  readonly gain: number;
  /** Why the voice may come out badly: sentences. Mostly none. */
  readonly warnings: readonly string[];

  constructor(
    text: string,
    { samples, gain }: Pick<ReferenceAudio, 'samples' | 'gain'>,
    warnings: readonly string[] = [],
  ) {
    this.text = text;
    this.samples = samples;
    this.gain = gain;
    this.warnings = warnings;
  }

  /** Seconds of the recording that are used. */
  get duration(): number {
    return this.samples.length / sampleRate;
  }

  /**
   * Cuts a recording to 12 s at most, and keeps its text in step with what is kept.
   * @throws ArgumentError INVALID_ARGUMENT; what `prepareReference` and the transcriber
   * throw; the signal's reason where that aborts.
   */
  static async prepare(audio: AudioSource, options?: VoiceOptions): Promise<Voice> {
    const { text, transcriber, targetRms, signal } = resolveVoiceOptions(options);
    const reference = await prepareReference(audio, {
      ...{ sampleRate, targetRms },
      ...(signal === undefined ? {} : { signal }),
    });
    const warnings = [...reference.warnings];
    const kept =
      text === undefined
        ? await hear(reference, transcriber, signal)
        : await follow(text, reference, transcriber, signal);
    warnings.push(...kept.warnings);
    const pace = byteLength(kept.text) / (reference.samples.length / sampleRate);
    if (pace < slowest || pace > fastest) {
      warnings.push(
        `The reference has ${pace.toFixed(1)} bytes of text a second, and speech mostly has ${slowest} to ${fastest}: check that its text is what is said in it.`,
      );
    }
    return new Voice(referenceText(kept.text), reference, warnings);
  }
}

type Heard = Pick<KeptText, 'text' | 'warnings'>;

/** Only what is used of it, so that the text needs no cutting. */
async function hear(
  { samples }: ReferenceAudio,
  transcriber: Transcriber | undefined,
  signal: AbortSignal | undefined,
): Promise<Heard> {
  if (transcriber === undefined) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      'A reference needs its text: give what is said in it as text, or a transcriber that hears it.',
    );
  }
  const { text } = await transcriber({ samples, sampleRate }, { words: false, signal });
  signal?.throwIfAborted();
  if (/[\p{L}\p{N}]/u.test(text)) return { text: text.trim(), warnings: [] };
  throw new AudioError(
    'AUDIO_INVALID',
    'Nothing is heard to be said in the reference. Give a recording of speech, or its text.',
  );
}

async function follow(
  text: string,
  reference: ReferenceAudio,
  transcriber: Transcriber | undefined,
  signal: AbortSignal | undefined,
): Promise<Heard> {
  const guess = textForKeptAudio(text, reference);
  if (guess.method === 'whole' || transcriber === undefined) return guess;
  try {
    const { words } = await transcriber(reference.head, { words: true, signal });
    signal?.throwIfAborted();
    return words === undefined ? guess : textForKeptAudio(text, reference, words);
  } catch (error) {
    signal?.throwIfAborted();
    const why = `It could not be heard what of the text is kept: ${messageOf(error)}`;
    return { text: guess.text, warnings: [...guess.warnings, why] };
  }
}
