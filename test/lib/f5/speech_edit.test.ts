import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildEdit, editedTime, type SpeechEdit } from '../../../lib/f5/speech_edit.js';

const mels = 3;
/** Frames whose values tell which frame they are. */
const melOf = (frames: number): Float32Array =>
  new Float32Array(frames * mels).map((_, i) => 1 + Math.floor(i / mels) + (i % mels) / 10);

describe('the mel of an edit', () => {
  it('is that of the example of speech_edit.py', () => {
    const mel = melOf(500);
    const edits = [
      { start: 1.42, end: 2.44, duration: 1.2 },
      { start: 4.04, end: 4.9, duration: 1 },
    ];
    const edited = buildEdit(mel, edits, { mels });
    // In frames, by Python's round(): 133.125, 228.75, 112.5 and 378.75, 459.375, 93.75.
    const [start1, end1, new1, start2, end2, new2] = [133, 229, 112, 379, 459, 94] as const;
    const condition = [
      ...mel.subarray(0, start1 * mels),
      ...new Float32Array(new1 * mels),
      ...mel.subarray(end1 * mels, start2 * mels),
      ...new Float32Array(new2 * mels),
      ...mel.subarray(end2 * mels),
    ];
    assert.deepEqual(edited.condition, Float32Array.from(condition));
    const runs = [
      [1, start1],
      [0, new1],
      [1, start2 - end1],
      [0, new2],
      [1, 500 - end2],
    ] as const;
    const keep = runs.flatMap(([flag, count]) => Array<number>(count).fill(flag));
    assert.deepEqual(edited.keep, Uint8Array.from(keep));
    assert.equal(edited.frames, keep.length);
    assert.equal(edited.frames, 530);
  });

  it('takes as long as before where nothing else is said', () => {
    const { condition, keep, frames } = buildEdit(melOf(200), [{ start: 0.5, end: 1 }], { mels });
    assert.equal(frames, 200);
    for (let frame = 0; frame < 200; frame++) {
      const anew = frame >= 47 && frame < 94;
      assert.equal(keep[frame], anew ? 0 : 1);
      assert.equal(condition[frame * mels], anew ? 0 : frame + 1);
    }
  });

  it('puts in, leaves out, and replaces the ends', () => {
    const lengths = (edits: SpeechEdit[]): number => buildEdit(melOf(100), edits, { mels }).frames;
    assert.equal(lengths([{ start: 0.5, end: 0.5, duration: 0.8 }]), 175);
    assert.equal(lengths([{ start: 0.4, end: 0.72, duration: 0 }]), 100 - (68 - 38));
    const whole = buildEdit(melOf(100), [{ start: 0, end: 100 / 93.75, duration: 2 }], { mels });
    assert.ok(whole.keep.every((flag) => flag === 0));
    assert.equal(whole.frames, 188);
    const end = buildEdit(melOf(100), [{ start: 1, end: 1.1 }], { mels });
    assert.equal(end.frames, 94 + 9);
  });

  it('maps the old times to the new ones', () => {
    const edited = buildEdit(
      melOf(938),
      [
        { start: 1.6, end: 3.2, duration: 3.2 },
        { start: 4.8, end: 6.4, duration: 0 },
      ],
      { mels },
    );
    const cases = [
      ...[
        [0, 0],
        [1, 1],
        [1.6, 1.6],
        [2.4, 3.2],
        [3.2, 4.8],
        [4, 5.6],
      ],
      ...[
        [4.8, 6.4],
        [5.5, 6.4],
        [6.4, 6.4],
        [7, 7],
        [20, 20],
      ],
    ] as [number, number][];
    for (const [old, now] of cases) {
      assert.ok(
        Math.abs(editedTime(edited, old) - now) < 1e-9,
        `${old}: ${editedTime(edited, old)}`,
      );
    }
  });

  it('refuses edits that are none', () => {
    const wrong: unknown[][] = [
      [],
      [{ start: -1, end: 1 }],
      [{ start: 1, end: 0.5 }],
      [{ start: 0.5, end: 3 }],
      [{ start: 0.5, end: 0.5 }],
      [{ start: 0.5, end: 0.8, duration: -1 }],
      [{ start: 0.5, end: NaN }],
      [
        { start: 0.2, end: 0.6 },
        { start: 0.5, end: 0.8 },
      ],
      [{ start: 0, end: 100 / 93.75, duration: 0 }],
      [{ start: 0, end: 0.5, duration: 1e6 }],
      [{ start: 0, stop: 1 }],
    ];
    for (const edits of wrong) {
      assert.throws(
        () => buildEdit(melOf(100), edits as SpeechEdit[], { mels }),
        { code: 'INVALID_ARGUMENT' },
        JSON.stringify(edits),
      );
    }
    assert.throws(() => buildEdit(new Float32Array(7), [{ start: 0, end: 0 }], { mels }), {
      code: 'INVALID_ARGUMENT',
    });
  });
});
