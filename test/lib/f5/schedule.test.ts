import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { flowTimes } from '../../../lib/f5/schedule.js';
import { folderFrom } from '../../support/needs.js';
import { readTensors } from './safetensors.js';

const file = join(folderFrom('VOXPOD_GOLDENS') ?? '', 'f5', 'schedule.safetensors');
const skip = !existsSync(file) && 'VOXPOD_GOLDENS names no folder with f5/schedule.safetensors';

test("schedules are the reference's", { skip }, () => {
  const goldens = readTensors(file);
  assert.ok(goldens.size > 20);
  for (const [name, { values }] of goldens) {
    const steps = Number(/\d+$/.exec(name)?.[0]);
    const swaySamplingCoef = name.startsWith('sway-1_') ? -1 : 0;
    const times = flowTimes({ steps, swaySamplingCoef, epss: true });
    assert.equal(times.length, values.length, name);
    for (const [i, value] of values.entries()) {
      // One unit in the last place of the cosine.
      assert.ok(
        Math.abs((times[i] ?? NaN) - value) <= 1.2e-7,
        `${name}[${i}]: ${times[i]} ${value}`,
      );
    }
  }
});

test('times rise from 0 to 1, whatever the options', () => {
  for (let steps = 1; steps <= 128; steps++) {
    for (const swaySamplingCoef of [-1, -0.5, 0, 0.3, 1]) {
      for (const epss of [false, true]) {
        const times = flowTimes({ steps, swaySamplingCoef, epss });
        const name = `${steps} ${swaySamplingCoef} ${epss}`;
        assert.equal(times.length, steps + 1, name);
        assert.equal(times[0], 0, name);
        assert.ok(Math.abs((times[steps] ?? 0) - 1) < 2e-7, name);
        for (let i = 1; i <= steps; i++) assert.ok((times[i] ?? 0) > (times[i - 1] ?? 0), name);
      }
    }
  }
});

test('EPSS puts few steps early, and can be switched off', () => {
  const points = (epss: boolean): number[] =>
    [...flowTimes({ steps: 7, swaySamplingCoef: 0, epss })].map((time) => time * 32);
  assert.deepEqual(points(true), [0, 2, 4, 6, 8, 16, 24, 32]);
  assert.ok(Math.abs((points(false)[1] ?? 0) - 32 / 7) < 1e-5);
});
