import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { markOf } from '../../../lib/f5/pinyin_marks.js';
import { parseScript, type ScriptPart } from '../../../lib/f5/script.js';

const voices = ['town', 'Küche', 'old-man'];
const say = (text: string, voice?: string): ScriptPart => ({
  ...{ kind: 'speech', text },
  ...(voice === undefined ? {} : { voice }),
});
const pause = (seconds: number): ScriptPart => ({ kind: 'pause', seconds });
const refused = (text: string, message: RegExp, options = {}): void => {
  assert.throws(() => parseScript(text, { voices, ...options }), {
    ...{ name: 'ArgumentError', code: 'INVALID_ARGUMENT', message },
  });
};

describe('parseScript', () => {
  it('reads voices and pauses', () => {
    const cases: [string, ScriptPart[]][] = [
      ['Hello.', [say('Hello.')]],
      [' A [town] B [main] C ', [say('A'), say('B', 'town'), say('C')]],
      ['[town]a[town]b[Küche]c', [say('ab', 'town'), say('c', 'Küche')]],
      ['a[pause:0.5s]b', [say('a'), pause(0.5), say('b')]],
      ['[town]a[ Pause: 250 MS ]b', [say('a', 'town'), pause(0.25), say('b', 'town')]],
      ['[pause:10][pause:0s]x', [pause(10), pause(0), say('x')]],
      ['[old-man]x[pause:1s]', [say('x', 'old-man'), pause(1)]],
      // Nothing to say in between.
      ['[town] ... [main] Hi', [say('Hi')]],
    ];
    for (const [text, parts] of cases) assert.deepEqual(parseScript(text, { voices }), parts, text);
  });

  it('takes for text what is no tag', () => {
    const cases = [
      ['a [b c] d', 'a [b c] d'],
      ['a [open', 'a [open'],
      ['close] a', 'close] a'],
      ['[] a', '[] a'],
      ['[ ] a', '[ ] a'],
      ['[[town b', '[[town b'],
      ['a \\[town\\] b', 'a [town] b'],
      ['a [to\nwn] b', 'a [to\nwn] b'],
      ['C:\\dir', 'C:\\dir'],
    ];
    for (const [text = '', said = ''] of cases) {
      assert.deepEqual(parseScript(text, { voices }), [say(said)], text);
    }
  });

  it('reads pinyin', () => {
    const marks = `${markOf('chong2') ?? ''}${markOf('qing4') ?? ''}`;
    assert.deepEqual(parseScript('在[pinyin:chong2 qing4]。'), [say(`在${marks}。`)]);
    assert.deepEqual(parseScript("[pinyin: CHONG2'qing4 ]"), [say(marks)]);
    refused('[pinyin:xyz9]', /"xyz9" is no syllable/);
    refused('[pinyin:]', /"" is no syllable/);
    refused('[pinyin:chong2]', /no syllable/, { knowsSyllable: () => false });
  });

  it('has no marks of pinyin from outside', () => {
    assert.deepEqual(parseScript(`a${markOf('de') ?? ''}b`), [say('ab')]);
    refused(markOf('de') ?? '', /nothing to say/);
  });

  it('names the voices there are', () => {
    refused('[twon] a', /no voice "twon".*main, town, Küche, old-man.*\\\[/s);
    refused('[Old-man] a', /Did you mean old-man\?/);
    refused('[__proto__] a', /no voice/);
    assert.throws(() => parseScript('[town] a'), /Known voices: main\./);
  });

  it('refuses pauses that are none', () => {
    for (const value of ['abc', '', '11s', '10001ms', '-1s', '1e1s', '1 m']) {
      refused(`a [pause:${value}]`, /is no pause.*0 to 10 seconds/);
    }
  });

  it('refuses a text with nothing to say', () => {
    for (const text of ['', '   ', '😀!!', '...', '[pause:1s]', '[town]', '—“”']) {
      refused(text, /nothing to say.*letter or a digit/);
    }
    for (const text of ['5', 'é', '你', 'ا']) assert.equal(parseScript(text).length, 1);
  });

  it('refuses what is no text or too long, and is quick with brackets', () => {
    refused('a'.repeat(100_001), /at most 100000 characters/);
    assert.throws(() => parseScript(5 as unknown as string), { code: 'INVALID_ARGUMENT' });
    for (const unit of ['[', ']', '[a', '\\[', '[pause:', '[a b]']) {
      const start = performance.now();
      parseScript(`x${unit.repeat(Math.floor(99_000 / unit.length))}`);
      assert.ok(performance.now() - start < 5000, unit);
    }
  });
});
