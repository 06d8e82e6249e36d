import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Idle } from '../../../src/jobs/idle.js';

const never = new AbortController().signal;

test('it is quiet only when no job has run for a while', async () => {
  const idle = new Idle(100);
  await idle.quiet(never);
  const ended = idle.begin();
  let quiet = false;
  const waiting = idle.quiet(never).then(() => (quiet = true));
  await delay(200);
  assert.equal(quiet, false);
  ended();
  ended();
  const from = performance.now();
  await waiting;
  assert.ok(performance.now() - from >= 95, 'a job may follow at once');
});

test('work in a pause is interrupted by the next job, and an end of all gives up waiting', async () => {
  const idle = new Idle(20);
  const { interrupted } = idle;
  assert.equal(interrupted.aborted, false);
  const ended = idle.begin();
  assert.equal(interrupted.aborted, true);
  const end = new AbortController();
  const waiting = idle.quiet(end.signal);
  end.abort(new Error('over'));
  await assert.rejects(waiting, /over/);
  ended();
  assert.equal(idle.interrupted.aborted, false);
});
