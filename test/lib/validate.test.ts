import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArgumentError } from '../../lib/errors.js';
import {
  checkBoolean,
  checkFunction,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkSignal,
  checkString,
  nearest,
} from '../../lib/validate.js';

function refuses(check: () => unknown, message: RegExp): void {
  assert.throws(
    check,
    (error: unknown) =>
      error instanceof ArgumentError &&
      error.code === 'INVALID_ARGUMENT' &&
      message.test(error.message),
  );
}

describe('checks of options', () => {
  it('name an unknown option and what it may have meant', () => {
    const known = ['temperature', 'language', 'task'];
    refuses(() => checkOptions('options', { temprature: 0 }, known), /"temprature".*temperature\?/);
    refuses(() => checkOptions('options', { zzz: 0 }, known), /temperature, language, task/);
    refuses(() => checkOptions('options', [], known), /an object/);
    refuses(() => checkOptions('options', null, known), /an object .* of type null/);
    assert.deepEqual(checkOptions('options', undefined, known), {});
    assert.deepEqual(checkOptions('options', { task: 1 }, known), { task: 1 });
  });

  it('state the bounds of a number', () => {
    assert.equal(checkNumber('n', 3, { min: 1, max: 3, integer: true }), 3);
    refuses(
      () => checkNumber('n', 4, { min: 1, max: 3, integer: true }),
      /an integer between 1 and 3 for n but received 4 of type number/,
    );
    refuses(() => checkNumber('n', 1.5, { integer: true }), /an integer for n/);
    refuses(() => checkNumber('n', NaN), /a number for n but received NaN/);
    refuses(() => checkNumber('n', '3', { min: 0 }), /at least 0 for n but received "3"/);
    refuses(() => checkNumber('n', Infinity, { max: 5 }), /at most 5/);
  });

  it('tell other types apart', () => {
    refuses(() => checkBoolean('b', 'true'), /true or false for b/);
    refuses(() => checkString('s', 7, 10), /a string for s/);
    refuses(() => checkString('s', 'abc', 2), /at most 2 characters/);
    refuses(() => checkOneOf('o', 'c', ['a', 'b']), /one of a, b for o/);
    refuses(() => checkSignal('signal', {}), /an AbortSignal/);
    refuses(() => checkFunction('f', 1 as never), /a function/);
  });

  it('find near names, the nearest first', () => {
    assert.deepEqual(nearest('laguage', ['task', 'language']), ['language']);
    assert.deepEqual(nearest('threats', ['threat', 'threads']), ['threat', 'threads']);
    assert.deepEqual(nearest('x'.repeat(5000), ['x']), []);
  });
});
