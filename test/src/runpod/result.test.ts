import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobError } from '../../../lib/errors.js';
import { doneBody, failureOf, progressBody, resultOf } from '../../../src/runpod/result.js';

const REPORTER = { workerId: 'w', hostname: 'h', version: '1.2.3' };
const resultBody = (value: unknown, refresh: boolean): string => doneBody(resultOf(value, refresh));
const parsed = (text: string): unknown => JSON.parse(text);

test("results have the bodies of RunPod's SDK", () => {
  const rows: [unknown, unknown][] = [
    ['text', { output: 'text' }],
    [0, { output: 0 }],
    [undefined, { output: null }],
    [[1, 2], { output: [1, 2] }],
    [{ a: 1 }, { output: { a: 1 } }],
    [{}, {}],
    [{ error: 'bad' }, { error: 'bad' }],
    [
      { error: 'bad', a: 1 },
      { output: { a: 1 }, error: 'bad' },
    ],
    [{ error: '', a: 1 }, { output: { a: 1 } }],
    [{ error: { why: 1 } }, { error: '{"why":1}' }],
    [
      { refresh_worker: true, a: 1 },
      { output: { a: 1 }, stopPod: true },
    ],
    [{ refresh_worker: false, a: 1 }, { output: { a: 1 } }],
    [new Date(0), { output: '1970-01-01T00:00:00.000Z' }],
    ['é\n', { output: 'é\n' }],
  ];
  for (const [value, body] of rows) assert.deepEqual(parsed(resultBody(value, false)), body);
  assert.deepEqual(parsed(resultBody('x', true)), { output: 'x', stopPod: true });
  assert.deepEqual(parsed(progressBody(undefined)), { status: 'IN_PROGRESS', output: null });
});

test('what has no JSON form is an error, not silence', () => {
  const ring: Record<string, unknown> = {};
  ring['self'] = ring;
  for (const value of [ring, { big: 1n }, () => 1, Symbol('x')]) {
    assert.throws(() => resultBody(value, false), { code: 'RESULT_INVALID' });
  }
});

test('an error carries its type, message, traceback, code and who reports it', () => {
  const cause = new Error('socket closed');
  const body: unknown = parsed(
    doneBody(failureOf(new JobError('JOB_INVALID', 'no input', { cause }), REPORTER)),
  );
  assert.ok(typeof body === 'object' && body !== null && 'error' in body);
  assert.deepEqual(Object.keys(body), ['error']);
  assert.ok(typeof body.error === 'string');
  const report = JSON.parse(body.error) as Record<string, string>;
  assert.match(report['error_traceback'] ?? '', /JobError: no input[^]*socket closed/);
  delete report['error_traceback'];
  assert.deepEqual(report, {
    error_type: 'JobError',
    error_message: 'no input',
    hostname: 'h',
    worker_id: 'w',
    runpod_version: '1.2.3',
    code: 'JOB_INVALID',
  });
});

test('anything that can be thrown becomes a small error', () => {
  const ring: Record<string, unknown> = {};
  ring['self'] = ring;
  for (const thrown of ['text', 7, null, undefined, { a: 1 }, ring, new Error('x'.repeat(1e6))]) {
    const text = doneBody(failureOf(thrown, REPORTER));
    assert.ok(text.length < 60_000);
    const body = JSON.parse(text) as { error: string };
    assert.equal(typeof JSON.parse(body.error), 'object');
  }
});
