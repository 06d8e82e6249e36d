/** How work of Whisper ends before it is done. Models come from the environment. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { VoxpodError } from '../../../lib/errors.js';
import type { TranscribeOptions } from '../../../lib/whisper/types.js';
import { Whisper } from '../../../lib/whisper/whisper.js';
import { folderFrom, skipUnless } from '../../support/needs.js';
import { concatenate, silence, speech } from '../vad/sounds.js';
import { goldenModel, noise, plain } from './support.js';

const goldens = folderFrom('VOXPOD_GOLDENS');
const sound = noise(70);

describe('work of a small model', { skip: skipUnless(['VOXPOD_GOLDENS', goldens]) }, () => {
  let folder = '';
  let whisper: Whisper;
  before(async () => {
    folder = await goldenModel(join(goldens ?? '', 'whisper', 'tiny80'));
    whisper = await Whisper.load(folder, { dtype: 'float32' });
  });
  after(async () => {
    await whisper.dispose();
    await rm(folder, { recursive: true });
  });

  describe('stopped', () => {
    it('rejects with the reason of the signal, and goes on to work', async () => {
      const reason = new Error('the caller left');
      for (const delay of [0, 5, 30, 100]) {
        const controller = new AbortController();
        setTimeout(() => {
          controller.abort(reason);
        }, delay);
        const options = { ...plain, sampleLength: 224, temperature: 1, bestOf: 8 };
        const running = whisper.transcribe(noise(600), { ...options, signal: controller.signal });
        await assert.rejects(running, reason);
      }
      assert.ok((await whisper.transcribe(sound, plain)).segments.length > 0);
    });

    it('while a model is loaded', async () => {
      const controller = new AbortController();
      const reason = new Error('the caller left');
      const { signal } = controller;
      const onProgress = (): void => {
        controller.abort(reason);
      };
      await assert.rejects(Whisper.load(folder, { signal, onProgress }), reason);
    });

    it('in every phase: reading, finding speech and language, decoding, timing words', async () => {
      const options: TranscribeOptions = {
        ...{ ...plain, temperature: [0, 0.5], logProbThreshold: 0 },
        ...{ wordTimestamps: true, bestOf: 2 },
      };
      delete options.language;
      const clip = await speech();
      const pause = silence(3);
      const samples = concatenate(clip, pause, clip, pause, clip, pause, clip);
      const voiced = { samples, sampleRate: 16_000 };
      const reason = new Error('enough');
      for (const extra of [{}, { vad: true }, { batchSize: 4 }]) {
        const all = { ...options, ...extra };
        const started = performance.now();
        const whole = await whisper.transcribe(voiced, all);
        assert.ok(whole.segments.length > 0);
        const duration = performance.now() - started;
        let aborted = 0;
        for (let i = 0; i < 10; i++) {
          const controller = new AbortController();
          const running = whisper.transcribe(voiced, { ...all, signal: controller.signal });
          const outcome = Promise.allSettled([running]);
          await sleep((duration * i) / 10);
          controller.abort(reason);
          const [end] = await outcome;
          if (end.status === 'fulfilled') continue;
          aborted++;
          assert.equal(end.reason, reason);
        }
        assert.ok(aborted > 5, `${aborted} of 10 aborted`);
        assert.deepEqual(await whisper.transcribe(voiced, all), whole);
      }
    });

    it('does not start on a signal that has aborted', async () => {
      const signal = AbortSignal.abort();
      await assert.rejects(whisper.transcribe(sound, { signal }), { name: 'AbortError' });
      await assert.rejects(whisper.detectLanguage(sound, { signal }), { name: 'AbortError' });
      await assert.rejects(Whisper.load(folder, { signal }), { name: 'AbortError' });
    });

    it('between two segments', async () => {
      const controller = new AbortController();
      const iterator = whisper.segments(sound, { ...plain, signal: controller.signal });
      assert.equal((await iterator.next()).done, false);
      const reason = new Error('enough');
      controller.abort(reason);
      await assert.rejects(async () => {
        for (;;) if ((await iterator.next()).done === true) return;
      }, reason);
    });

    it('by leaving the loop', async () => {
      for await (const segment of whisper.segments(sound, plain)) {
        assert.equal(segment.id, 0);
        break;
      }
      assert.ok((await whisper.transcribe(sound, plain)).segments.length > 0);
    });

    it('rejects with what a progress callback throws', async () => {
      const reason = new Error('no more');
      const onProgress = (): void => {
        throw reason;
      };
      await assert.rejects(whisper.transcribe(sound, { ...plain, onProgress }), reason);
      await assert.rejects(Whisper.load(folder, { onProgress }), reason);
    });
  });

  describe('disposed', () => {
    it('rejects what runs and what comes later, with DISPOSED', async () => {
      const model = await Whisper.load(folder);
      const running = [
        model.transcribe(noise(600), { ...plain, temperature: 1, sampleLength: 224 }),
        model.transcribe(noise(600), plain),
        model.detectLanguage(noise(600)),
      ];
      const paused = model.segments(sound, plain);
      await paused.next();
      const outcomes = Promise.allSettled(running);
      await Promise.all([model.dispose(), model.dispose()]);
      for (const outcome of (await outcomes).slice(0, 2)) {
        assert.equal(outcome.status, 'rejected');
        assert.ok(outcome.reason instanceof VoxpodError && outcome.reason.code === 'DISPOSED');
      }
      await assert.rejects(
        async () => {
          for (;;) if ((await paused.next()).done === true) return;
        },
        { code: 'DISPOSED' },
      );
      await assert.rejects(model.transcribe(sound, plain), { code: 'DISPOSED' });
      await assert.rejects(model.detectLanguage(sound), { code: 'DISPOSED' });
      await model.dispose();
    });
  });
});
