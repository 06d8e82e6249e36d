import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Analytics, type AnalyticsReport } from '../../../src/analytics/analytics.js';
import type { CacheEvent } from '../../../src/cache/events.js';

const FETCHED: CacheEvent = {
  type: 'fetched',
  model: 'base',
  source: 'hub',
  tier: 'volume',
  folder: '/v/f',
  repository: 'openai/whisper-base',
  commit: 'c',
  bytes: 100e6,
  seconds: 2,
};

test('what happens is added up, by source and by tier', () => {
  const analytics = new Analytics();
  analytics.listen({ type: 'miss', model: 'base' });
  analytics.listen(FETCHED);
  analytics.listen({ ...FETCHED, bytes: 50e6, seconds: 0.5 });
  analytics.listen({ type: 'hit', model: 'base', tier: 'volume' });
  analytics.listen({ type: 'hit', model: 'base', tier: 'volume' });
  analytics.listen({ type: 'hit', model: 'base', tier: 'memory' });
  const repository = 'openai/whisper-base';
  analytics.listen({ type: 'evicted', repository, tier: 'build', bytes: 7 });
  analytics.listen({
    ...{ type: 'migrated', repository, from: 'build', to: 'volume' },
    ...{ bytes: 9, seconds: 1 },
  });
  analytics.listen({ type: 'corrupt', repository, tier: 'build', reason: 'size' });
  analytics.listen({ type: 'tier-failed', tier: 'volume', reason: 'EIO' });
  const { since, updated, ...counts } = analytics.report;
  assert.ok(updated >= since);
  assert.deepEqual(counts, {
    hits: { volume: 2, memory: 1 },
    misses: 1,
    fetched: { hub: { count: 2, bytes: 150e6, seconds: 2.5 } },
    migrated: { volume: { count: 1, bytes: 9, seconds: 1 } },
    evicted: { build: { count: 1, bytes: 7 } },
    corrupt: 1,
    tierFailures: 1,
    coldStart: [],
  });
});

test('phases are timed in their order, failed ones too, and the summary says what was fetched', async () => {
  const analytics = new Analytics();
  assert.equal(await analytics.phase('imports', () => 7), 7);
  await assert.rejects(
    analytics.phase('model', () => Promise.reject(new Error('no'))),
    /no/,
  );
  analytics.addPhase('weights', 1.25);
  analytics.listen(FETCHED);
  assert.deepEqual(
    analytics.report.coldStart.map(({ phase }) => phase),
    ['imports', 'model', 'weights'],
  );
  assert.match(
    analytics.summary(),
    /^Start: imports 0\.\d\d s, model 0\.\d\d s, weights 1\.25 s; fetched 100\.0 MB from hub at 50\.0 MB\/s\.$/,
  );
});

test('the file has it all after a flush, and a folder that cannot be written harms nothing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'voxpod-analytics-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'analytics.json');
  const analytics = new Analytics({ file });
  analytics.listen(FETCHED);
  await analytics.flush();
  const written = JSON.parse(readFileSync(file, 'utf8')) as AnalyticsReport;
  assert.deepEqual(written, analytics.report);
  const lost = new Analytics({ file: '/dev/null/analytics.json' });
  lost.listen(FETCHED);
  await lost.flush();
});
