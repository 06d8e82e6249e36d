import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../src/log.js';

function record(env: NodeJS.ProcessEnv): { lines: string[]; log: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  return { lines, log: createLogger({ env, write: (line) => lines.push(line) }) };
}

test('JSON lines with the request id under RunPod', () => {
  const { lines, log } = record({ RUNPOD_ENDPOINT_ID: 'e' });
  log.info('two\nlines');
  log.forRequest('job-1').error('bad');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      { requestId: null, message: 'two\nlines', level: 'INFO' },
      { requestId: 'job-1', message: 'bad', level: 'ERROR' },
    ],
  );
  assert.ok(lines.every((line) => line.indexOf('\n') === line.length - 1));
});

test('plain lines elsewhere', () => {
  const { lines, log } = record({});
  log.warn('careful');
  log.forRequest('job-1').info('Started.');
  assert.deepEqual(lines, ['WARN   | careful\n', 'INFO   | job-1 | Started.\n']);
});

test('levels: RUNPOD_LOG_LEVEL before RUNPOD_DEBUG_LEVEL, INFO without both', () => {
  const shown = (env: NodeJS.ProcessEnv): string => {
    const { lines, log } = record(env);
    log.trace('t');
    log.debug('d');
    log.info('i');
    log.warn('w');
    log.error('e');
    return lines.map((line) => line.at(-2)).join('');
  };
  assert.equal(shown({}), 'iwe');
  assert.equal(shown({ RUNPOD_LOG_LEVEL: 'trace' }), 'tdiwe');
  assert.equal(shown({ RUNPOD_DEBUG_LEVEL: 'DEBUG' }), 'diwe');
  assert.equal(shown({ RUNPOD_LOG_LEVEL: 'ERROR', RUNPOD_DEBUG_LEVEL: 'DEBUG' }), 'e');
  assert.equal(shown({ RUNPOD_LOG_LEVEL: 'NOTSET' }), '');
});

test('an unknown level is said once and INFO is taken', () => {
  const { lines, log } = record({ RUNPOD_LOG_LEVEL: '2' });
  log.debug('d');
  log.info('i');
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? '', /WARN.*RUNPOD_LOG_LEVEL.*"2"/);
});

test('no secret gets into a line', () => {
  const { lines, log } = record({
    RUNPOD_AI_API_KEY: 'rpa_0123456789',
    AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI',
    HF_TOKEN: 'hf_abcdefgh',
    SHORT_KEY: 'a',
  });
  log.info(
    'key rpa_0123456789 secret wJalrXUtnFEMI token hf_abcdefgh at https://b/x?X-Amz-Signature=deadbeef&part=1',
  );
  assert.equal(
    lines[0],
    'INFO   | key *** secret *** token *** at https://b/x?X-Amz-Signature=***&part=1\n',
  );
});

test('a long message loses its middle', () => {
  const { lines, log } = record({});
  log.info(`start${'x'.repeat(10_000)}end`);
  assert.match(lines[0] ?? '', /start[^]*\.\.\.TRUNCATED 5912 CHARACTERS\.\.\.[^]*end\n$/);
  assert.ok((lines[0] ?? '').length < 4200);
});
