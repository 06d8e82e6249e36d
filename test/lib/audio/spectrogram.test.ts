import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { spectrogramPng } from '../../../lib/audio/spectrogram.js';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const needsFfmpeg = hasFfmpeg ? {} : { skip: 'ffmpeg is not installed' };

/** Red, green and blue of each pixel, as ffmpeg reads them. */
function pixelsOf(png: Uint8Array): Buffer {
  const options = ['-v', 'error', '-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'];
  const { stdout, status, stderr } = spawnSync('ffmpeg', options, { input: png });
  assert.equal(status, 0, stderr.toString());
  assert.equal(stderr.length, 0, stderr.toString());
  return stdout;
}

const size = (png: Uint8Array): [number, number] => {
  const head = Buffer.from(png);
  return [head.readUInt32BE(16), head.readUInt32BE(20)];
};

describe('the picture of a mel', () => {
  it('has low frequencies at the bottom and time to the right', needsFfmpeg, async () => {
    // Bright where band = 3 * frame.
    const mel = new Float32Array(10 * 30);
    for (let frame = 0; frame < 10; frame++) mel[frame * 30 + 3 * frame] = 1;
    const png = await spectrogramPng(mel, 30, { height: 30 });
    assert.deepEqual(size(png), [40, 30]);
    const pixels = pixelsOf(png);
    for (let frame = 0; frame < 10; frame++) {
      for (let band = 0; band < 30; band++) {
        const at = 3 * ((29 - band) * 40 + 4 * frame);
        const colour = [...pixels.subarray(at, at + 3)];
        const expected = band === 3 * frame ? [0xfd, 0xe7, 0x25] : [0x44, 0x01, 0x54];
        assert.deepEqual(colour, expected, `frame ${frame}, band ${band}`);
      }
    }
  });

  it('has its width bounded, and shows the mean then', needsFfmpeg, async () => {
    const mel = new Float32Array(4000 * 2).map((_, i) => (i % 4 < 2 ? 0 : 1));
    mel[0] = -1;
    const png = await spectrogramPng(mel, 2, { maxWidth: 100, height: 2 });
    assert.deepEqual(size(png), [100, 2]);
    const pixels = pixelsOf(png);
    // Half of -1 to 1 would be 0, and the mean of 0 and 1 is three quarters.
    const [first, last] = [pixels.subarray(3, 6), pixels.subarray(597, 600)];
    assert.deepEqual(first, last);
    assert.ok(first[1]! > 0xad && first[1]! < 0xdc);
  });

  it('is small, and the same each time', async () => {
    const mel = new Float32Array(3000 * 100).map((_, i) => Math.sin(i * i));
    const png = await spectrogramPng(mel, 100);
    assert.deepEqual(size(png), [1600, 400]);
    assert.ok(png.length < 400_000, `${png.length} bytes`);
    assert.deepEqual(await spectrogramPng(mel, 100), png);
  });

  it('draws what is all the same', async () => {
    assert.deepEqual(size(await spectrogramPng(new Float32Array(100).fill(-11.5), 100)), [4, 400]);
  });

  it('refuses what is no mel', async () => {
    const code = { code: 'INVALID_ARGUMENT' };
    await assert.rejects(spectrogramPng(new Float32Array(150), 100), code);
    await assert.rejects(spectrogramPng(new Float32Array(0), 100), code);
    await assert.rejects(spectrogramPng(Float32Array.of(1, NaN), 2), code);
    await assert.rejects(spectrogramPng(new Float32Array(100), 100, { height: 1e6 }), code);
    await assert.rejects(spectrogramPng(new Float32Array(100), 0), code);
  });
});
