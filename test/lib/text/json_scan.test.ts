/** Finding the members of an object without parsing it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eachMember, skipSpace, skipValue } from '../../../lib/text/json_scan.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function members(text: string): [string, unknown][] {
  const bytes = utf8(text);
  const found: [string, unknown][] = [];
  const part = (start: number, end: number): string =>
    new TextDecoder().decode(bytes.subarray(start, end));
  const object = skipSpace(bytes, 0);
  const end = eachMember(bytes, object, (keyStart, keyEnd, value) => {
    const valueEnd = skipValue(bytes, value);
    const key = JSON.parse(`"${part(keyStart, keyEnd)}"`) as string;
    found.push([key, JSON.parse(part(value, valueEnd))]);
    return valueEnd;
  });
  assert.equal(skipValue(bytes, object), end);
  return found;
}

describe('the members of an object', () => {
  for (const value of [
    {},
    { a: 1 },
    { a: -1.5e3, b: true, c: null, d: 'x' },
    { 'quo"te': '\\', '\\': '"}', 'é你😀': '\n' },
    { nested: { list: [1, [2, { '}': ']' }], {}, []], text: '[{' }, last: '' },
  ]) {
    it(`are those of ${JSON.stringify(value)}`, () => {
      assert.deepEqual(members(JSON.stringify(value)), Object.entries(value));
      assert.deepEqual(members(` ${JSON.stringify(value, null, '\t')}\r\n`), Object.entries(value));
    });
  }

  for (const [text, message] of [
    ['', /an object where the text ends/],
    ['[1]', /an object at byte 0/],
    ['{', /a string where the text ends/],
    ['{"a"}', /a colon at byte 4/],
    ['{"a":}', /a value at byte 5/],
    ['{"a":1 "b":2}', /a comma at byte 7/],
    ['{"a":1,}', /a string at byte 7/],
    ['{"a":"b', /closing quote where the text ends/],
    ['{"a":"b\\', /closing quote where the text ends/],
    ['{"a":[1,', /end of a value where the text ends/],
    ['{"a":1', /a comma where the text ends/],
  ] as const) {
    it(`are none of ${JSON.stringify(text)}`, () => {
      assert.throws(() => members(text), { name: 'SyntaxError', message });
    });
  }

  it('nest as deeply as they like', () => {
    const deep = utf8(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
    assert.equal(skipValue(deep, 0), deep.length);
  });
});
