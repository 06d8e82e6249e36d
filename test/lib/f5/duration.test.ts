import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  byteLength,
  mostFrames,
  utteranceFrames,
  type UtteranceLength,
} from '../../../lib/f5/duration.js';

/** 5.33 s, as in the reference's first example. */
const reference = {
  ...{ referenceSamples: 127_987, melFrames: 500, tokens: 10, speed: 1 },
  referenceText: 'Some call me nature, others call me mother nature.  ',
};
const frames = (options: Partial<UtteranceLength>): number =>
  utteranceFrames({ text: '', ...reference, ...options });

test('the pace is that of the reference, in bytes, both blanks at its end counted', () => {
  const text = "I don't really care what you call me.";
  assert.equal(byteLength(reference.referenceText), 52);
  // 499 + int(499 / 52 * 37 / speed), by Python.
  assert.equal(frames({ text }), 499 + 355);
  assert.equal(frames({ text, speed: 1.2 }), 499 + 295);
  assert.equal(frames({ text, referenceText: reference.referenceText.trim() }), 499 + 369);
  // Three bytes for each character.
  assert.equal(frames({ text: '你好，世界。' }), 499 + 172);
});

test('texts of less than ten bytes are given more time, at any speed', () => {
  assert.equal(frames({ text: 'Nine here' }), 499 + 287);
  assert.equal(frames({ text: 'Nine here', speed: 3 }), 499 + 287);
  assert.equal(frames({ text: 'Ten, here.' }), 499 + 95);
  assert.equal(frames({ text: '你好吗' }), 499 + 287);
});

test('there is room for the reference, for every token, and for what is asked for', () => {
  assert.equal(frames({ text: 'Hi.', tokens: 900 }), 901);
  assert.equal(frames({ text: 'Hi.', speechFrames: 1 }), 501);
  assert.equal(frames({ text: 'Hi.', speechFrames: 300 }), 799);
});

test('what the models cannot hold is refused, and says why', () => {
  assert.throws(() => frames({ text: 'a'.repeat(2000) }), {
    code: 'INVALID_ARGUMENT',
    message: /would take \d+ s .*text of the whole reference/,
  });
  assert.throws(() => frames({ tokens: mostFrames }), { code: 'INVALID_ARGUMENT' });
});
