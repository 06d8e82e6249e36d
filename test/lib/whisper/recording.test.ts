/** A recording read as a stream, through the features of a small model. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { loadNative } from '../../../lib/binding.js';
import type { EncodedWindow, WhisperModel } from '../../../lib/native.js';
import { Call } from '../../../lib/calls.js';
import { Recording, WindowSource } from '../../../lib/whisper/recording.js';
import { secondsAt, windowFrames } from '../../../lib/whisper/segments.js';
import type { AudioSource } from '../../../lib/audio/source.js';
import type { TranscribeProgress } from '../../../lib/whisper/types.js';
import { Whisper } from '../../../lib/whisper/whisper.js';
import { tone, wavBytes } from '../audio/wav_bytes.js';
import { collectGarbage } from '../../support/garbage.js';
import { folderFrom, skipUnless } from '../../support/needs.js';
import { byteLayout, goldenModel } from './support.js';

const goldens = folderFrom('VOXPOD_GOLDENS');
const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const needsFfmpeg = hasFfmpeg ? {} : { skip: 'ffmpeg is not installed' };
const sampleRate = 16_000;

describe('a recording', { skip: skipUnless(['VOXPOD_GOLDENS', goldens]) }, () => {
  let folder = '';
  let golden = '';
  let model: WhisperModel;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'voxpod-recording-'));
    golden = await goldenModel(join(goldens ?? '', 'whisper', 'tiny80'));
    model = await loadNative().loadWhisper(golden, {
      ...{ device: 'cpu', dtype: 'float32', threads: 0, maxBatch: 8, maxQueue: 64 },
    });
  });
  after(async () => {
    await model.dispose();
    await rm(folder, { recursive: true });
    await rm(golden, { recursive: true });
  });

  async function withCall<Result>(
    work: (call: Call) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    const native = loadNative();
    const call = new Call(new native.Cancellation(), signal);
    try {
      return await work(call);
    } finally {
      call.finish();
    }
  }

  /** Numbers that differ where windows do. */
  async function fingerprint(window: EncodedWindow): Promise<number[]> {
    const tokens = Int32Array.from({ length: 300 }, (_, i) => i);
    return [...(await model.detectLanguage(window, byteLayout.SOT, tokens))];
  }

  /** A WAV of silence that takes no disk, with a tone at its start. */
  async function sparseWav(name: string, seconds: number): Promise<string> {
    const path = join(folder, name);
    const data = tone(5 * sampleRate);
    const bytes = wavBytes({ data, dataSize: seconds * sampleRate * 2 });
    const file = await open(path, 'w');
    await file.write(bytes);
    await file.truncate(44 + seconds * sampleRate * 2);
    await file.close();
    return path;
  }

  it('is read no further than is asked, and heard in order', async () => {
    const bytes = wavBytes({ data: tone(100 * sampleRate) });
    const samples = await decodeAudio(bytes);
    await withCall(async (call) => {
      let heard = 0;
      let isBusy = false;
      const recording = await Recording.open(model, call, bytes, async (block, start) => {
        assert.equal(isBusy, false);
        isBusy = true;
        assert.equal(start, heard);
        assert.deepEqual(block, samples.subarray(start, start + block.length));
        heard += block.length;
        await sleep(1);
        isBusy = false;
      });
      assert.equal(heard, 0);
      await Promise.all([recording.ensure(100), recording.ensure(1), recording.ensure(1500)]);
      assert.ok(heard >= 1500 * 160 && heard < 3500 * 160, `${heard} samples`);
      assert.deepEqual(
        [recording.frames, recording.duration, recording.isEstimate],
        [undefined, 100, false],
      );
      assert.equal(await recording.reach(9000), 9000);
      assert.equal(await recording.reach(20_000), 10_000);
      assert.deepEqual([recording.frames, heard], [10_000, 100 * sampleRate]);
      assert.equal(recording.secondsAt(9999), 99.99);
      assert.equal(recording.secondsAt(12_000), 100);
    });
  });

  it('gives the same windows whoever asks when, and however they are read', async () => {
    const path = await sparseWav('places.wav', 1500);
    const places = [0, 2000, 70_000, 149_990];
    const size = (start: number): number => Math.min(windowFrames, 150_000 - start);
    const alone: number[][] = [];
    for (const start of places) {
      await withCall(async (call) => {
        const recording = await Recording.open(model, call, path);
        alone.push(await fingerprint(await recording.encode(start, size(start))));
      });
    }
    assert.notDeepEqual(alone[0], alone[1]);
    const sources: AudioSource[] = [path, { samples: await decodeAudio(path), sampleRate }];
    for (const source of sources) {
      await withCall(async (call) => {
        const recording = await Recording.open(model, call, source);
        const together = await Promise.all(
          places.toReversed().map((start) => recording.encode(start, size(start))),
        );
        const found = await Promise.all(together.toReversed().map(fingerprint));
        assert.deepEqual(found, alone);
      });
    }
  });

  it('keeps the window of whoever decodes it', async () => {
    await withCall(async (call) => {
      const recording = await Recording.open(model, call, wavBytes({ data: tone(800_000) }));
      const [one, other] = [new WindowSource(call, recording), new WindowSource(call, recording)];
      const first = await one.window(0, 3000);
      const second = await other.window(1000, 3000);
      assert.equal(await one.window(0, 3000), first);
      assert.equal(await other.window(1000, 3000), second);
      const before = await fingerprint(second);
      assert.notEqual(await one.window(0, 2999), first);
      await assert.rejects(fingerprint(first), { code: 'DISPOSED' });
      assert.deepEqual(await fingerprint(second), before);
    });
  });

  it('fails for all who wait and all who come later, with what is wrong', async () => {
    const samples = new Float32Array(900_000);
    samples[700_000] = NaN;
    await withCall(async (call) => {
      const recording = await Recording.open(model, call, { samples, sampleRate });
      await recording.ensure(3000);
      const expected = { code: 'AUDIO_INVALID', message: /Sample 700000 / };
      const waiting = [recording.ensure(5000), recording.encode(0, 3000), recording.measure()];
      for (const { status } of await Promise.allSettled(waiting.slice(0, 2))) {
        assert.equal(status, 'rejected');
      }
      await assert.rejects(recording.ensure(5000), expected);
    });
    for (const length of [1, 159]) {
      await withCall(async (call) => {
        const source = { samples: new Float32Array(length), sampleRate };
        const recording = await Recording.open(model, call, source);
        await assert.rejects(recording.ensure(1), { code: 'AUDIO_EMPTY' });
      });
    }
    await withCall(async (call) => {
      const recording = await Recording.open(model, call, wavBytes({ data: tone(99_999) }), () =>
        Promise.reject(new Error('the listener fell ill')),
      );
      await assert.rejects(recording.ensure(1), /fell ill/);
    });
  });

  it('lets go of what is released', async () => {
    await withCall(async (call) => {
      const recording = await Recording.open(model, call, await sparseWav('released.wav', 1000));
      recording.release(50_000);
      await assert.rejects(recording.encode(40_000, 3000), { code: 'INVALID_ARGUMENT' });
      await recording.encode(50_000, 3000);
    });
  });

  it('ends with the reason of its signal, in whatever it does', async () => {
    const path = await sparseWav('aborted.wav', 3600);
    const reason = new Error('enough');
    const works: ((recording: Recording, call: Call) => Promise<unknown>)[] = [
      (recording) => recording.ensure(Infinity),
      (recording) => recording.encode(200_000, 3000),
      async (recording) => {
        for (;;) await recording.encode(0, 3000);
      },
      async (recording, call) => {
        const windows = new WindowSource(call, recording);
        await windows.window(0, 3000);
        // Nothing runs when it is stopped.
        await sleep(300);
        return recording.ensure(Infinity);
      },
    ];
    for (const work of works) {
      const controller = new AbortController();
      setTimeout(() => {
        controller.abort(reason);
      }, 150);
      const running = withCall(async (call) => {
        const recording = await Recording.open(model, call, path);
        await work(recording, call);
      }, controller.signal);
      await assert.rejects(running, reason);
    }
  });

  it('takes the memory of its lookahead, however long it is', async () => {
    const path = await sparseWav('two_hours.wav', 7200);
    const growth = await withCall(async (call) => {
      const recording = await Recording.open(model, call, path);
      await recording.encode(0, windowFrames);
      collectGarbage();
      const before = process.memoryUsage().rss;
      let most = 0;
      for (let seek = 0; seek < 720_000; seek += windowFrames) {
        await recording.ensure(seek + 63_000);
        recording.release(seek);
        most = Math.max(most, process.memoryUsage().rss - before);
      }
      assert.equal(recording.frames, 720_000);
      return most;
    });
    // The samples alone would be 460 MB, the features 230 MB.
    assert.ok(growth < 60e6, `${growth} bytes`);
  });

  it('is twelve hours of silence: no text, and no memory that grows', async () => {
    const path = await sparseWav('twelve_hours.wav', 43_200);
    const whisper = await Whisper.load(golden);
    try {
      collectGarbage();
      const before = process.memoryUsage().rss;
      let most = 0;
      const { segments, duration } = await whisper.transcribe(path, {
        // The small model does not know silence: every window is taken for it.
        ...{ language: 'en', temperature: 0, suppressTokens: [5], sampleLength: 1 },
        ...{ logProbThreshold: null, noSpeechThreshold: 0 },
        onProgress: () => {
          most = Math.max(most, process.memoryUsage().rss - before);
        },
      });
      assert.deepEqual([segments, duration], [[], 43_200]);
      // The samples alone would be 2.8 GB, the features 1.4 GB.
      assert.ok(most < 120e6, `${most} bytes`);
    } finally {
      await whisper.dispose();
    }
  });

  describe('from ffmpeg', needsFfmpeg, () => {
    it('is transcribed as its samples are, with an estimate of what is left', async () => {
      const path = join(folder, 'tone.flac');
      const wav = join(folder, 'tone.wav');
      await writeFile(wav, wavBytes({ data: tone(100 * sampleRate) }));
      spawnSync('ffmpeg', ['-v', 'error', '-i', wav, path]);
      const whisper = await Whisper.load(golden, { dtype: 'float32' });
      try {
        const progress: TranscribeProgress[] = [];
        const options = {
          ...{ language: 'en', temperature: 0, suppressTokens: [5], sampleLength: 20 },
          ...{ logProbThreshold: null, noSpeechThreshold: null, compressionRatioThreshold: null },
        };
        const onProgress = (next: TranscribeProgress): void => void progress.push(next);
        const transcript = await whisper.transcribe(path, { ...options, onProgress });
        assert.equal(transcript.duration, 100);
        assert.deepEqual(transcript, await whisper.transcribe(wav, options));
        assert.ok(progress.length >= 4);
        assert.ok(progress.every(({ duration }) => duration === 100));
        const left = progress.map(({ estimatedSecondsLeft }) => estimatedSecondsLeft ?? NaN);
        assert.equal(left.at(-1), 0);
        assert.ok(left.slice(0, -1).every((seconds) => seconds > 0 && seconds < 60));
        // A clip of it: only the end tells the duration.
        const clip = await whisper.transcribe(path, { ...options, clipTimestamps: [1, 3] });
        assert.equal(clip.duration, 100);
        assert.ok(clip.segments.every(({ seek }) => secondsAt(seek) < 3));
      } finally {
        await whisper.dispose();
      }
    });

    it('ends ffmpeg when a consumer leaves the loop, or the signal aborts meanwhile', async () => {
      const path = join(folder, 'long.flac');
      const source = ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=16000:duration=1800'];
      spawnSync('ffmpeg', ['-v', 'error', ...source, path]);
      const children = (): string[] =>
        readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean);
      const whisper = await Whisper.load(golden);
      const others = children();
      try {
        const controller = new AbortController();
        const options = { language: 'en', temperature: 0, sampleLength: 10 };
        for await (const segment of whisper.segments(path, options)) {
          assert.equal(segment.id, 0);
          assert.equal(children().length, others.length + 1);
          break;
        }
        const paused = whisper.segments(path, { ...options, signal: controller.signal });
        await paused.next();
        controller.abort(new Error('enough'));
        for (let i = 0; i < 100 && children().length > others.length; i++) await sleep(20);
        assert.deepEqual(children(), others);
        await assert.rejects(async () => {
          for (;;) if ((await paused.next()).done === true) return;
        }, /enough/);
        const killed = whisper.segments(path, options);
        await killed.next();
        await whisper.dispose();
        for (let i = 0; i < 100 && children().length > others.length; i++) await sleep(20);
        assert.deepEqual(children(), others);
      } finally {
        await whisper.dispose();
      }
    });
  });
});
