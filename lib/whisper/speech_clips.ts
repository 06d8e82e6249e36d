/** The parts of a recording that hold speech, found while it is read. */
import { SpeechChunks } from '../vad/chunks.js';
import { SpeechSpans } from '../vad/speech_spans.js';
import type { DetectorStream, SpeechDetector, SpeechSpan, VadOptions } from '../vad/types.js';
import type { PcmListener, Recording } from './recording.js';
import { framesPerSecond, windowFrames, type Clip } from './segments.js';

/** Seconds of silence that clips are parted by where they may be long: as faster-whisper's filter. */
const longSilence = 2;
const samplesPerFrame = 160;

/** Listens to a recording, and gives its clips in order, each as soon as it is final. */
export class SpeechClips {
  readonly #stream: DetectorStream;
  readonly #spans: SpeechSpans;
  /** Absent where clips may be longer than a window. */
  readonly #chunks: SpeechChunks | undefined;
  readonly #found: Clip[] = [];
  #samples = 0;

  /** @param pack whether clips fill a window at most, and windows well. */
  constructor(detector: SpeechDetector, vad: VadOptions, pack: boolean, signal: AbortSignal) {
    this.#stream = detector.stream(signal);
    this.#spans = new SpeechSpans(
      pack ? vad : { minSilence: longSilence, maxSpeech: Infinity, ...vad },
    );
    this.#chunks = pack ? new SpeechChunks() : undefined;
  }

  readonly listen: PcmListener = async (block) => {
    this.#samples += block.length;
    this.#take(this.#spans.push(await this.#stream.push(block)));
  };

  /** Reads the recording as far as it has to. */
  async *of(recording: Recording): AsyncGenerator<Clip, void, undefined> {
    for (;;) {
      for (let clip = this.#found.shift(); clip !== undefined; clip = this.#found.shift()) {
        yield clip;
      }
      if (recording.frames !== undefined) break;
      await recording.ensure(Math.floor(this.#samples / samplesPerFrame) + 1);
    }
    this.#take(this.#spans.push(await this.#stream.finish()));
    this.#take(this.#spans.finish(this.#samples));
    if (this.#chunks !== undefined) this.#add(this.#chunks.finish());
    yield* this.#found.splice(0);
  }

  #take(spans: SpeechSpan[]): void {
    const chunks = this.#chunks;
    this.#add(chunks === undefined ? spans : spans.flatMap((span) => chunks.push(span)));
  }

  #add(clips: SpeechSpan[]): void {
    for (const { start, end } of clips) {
      const first = Math.floor(start * framesPerSecond);
      const last = Math.ceil(end * framesPerSecond);
      const longest = this.#chunks === undefined ? Infinity : windowFrames;
      this.#found.push([first, Math.min(last, first + longest)]);
    }
  }
}
