import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import { strip } from '../../../lib/text/python.js';
import { compressionRatio } from '../../../lib/whisper/compression.js';

const fixtures = join(packageRoot(), 'test', 'fixtures', 'whisper');

describe('compressionRatio', () => {
  it('equals the reference on its own examples', async () => {
    const { compression_ratio: cases } = JSON.parse(
      await readFile(join(fixtures, 'units.json'), 'utf8'),
    ) as { compression_ratio: { text: string; ratio: number }[] };
    for (const { text, ratio } of cases) assert.equal(compressionRatio(text), ratio, text);
  });

  it('equals the reference on transcripts of speech', async () => {
    const cases = JSON.parse(await readFile(join(fixtures, 'texts.json'), 'utf8')) as {
      text: string;
      ratio: number;
    }[];
    assert.ok(cases.length > 5);
    for (const { text, ratio } of cases) assert.equal(compressionRatio(strip(text)), ratio, text);
  });

  it("finds the matches of three bytes that Node's own zlib overlooks", () => {
    // Python 3.11, zlib 1.2.13: 62 bytes; Node 20: 64.
    const text = " It may not be a holiday, but it's the best day of the year.";
    assert.equal(compressionRatio(text), 60 / 62);
  });
});
