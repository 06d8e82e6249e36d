import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import { languageCode, languages } from '../../../lib/whisper/languages.js';

const file = join(packageRoot(), 'test', 'fixtures', 'whisper', 'tokenizer.json');
const goldens = JSON.parse(await readFile(file, 'utf8')) as Record<
  string,
  { lang_tokens: Record<string, number> }
>;

describe('languages', () => {
  it('are the hundred of openai-whisper, in the order of its vocabulary', () => {
    const tokens = Object.entries(goldens['multilingual100']?.lang_tokens ?? {});
    const ordered = tokens.sort(([, a], [, b]) => a - b).map(([code]) => code);
    assert.deepEqual([...languages.keys()], ordered);
    assert.equal(languages.get('yue'), 'cantonese');
  });

  it('are found by code, name and further names, in any case', () => {
    const cases = [
      ['de', 'de'],
      ['German', 'de'],
      [' ENGLISH ', 'en'],
      ['mandarin', 'zh'],
      ['haitian creole', 'ht'],
      ['Haitian', 'ht'],
      ['castilian', 'es'],
      ['jv', 'jw'],
    ];
    for (const [given = '', code = ''] of cases) assert.equal(languageCode(given), code);
  });

  it('are refused with near ones named', () => {
    assert.throws(() => languageCode('germn'), {
      code: 'LANGUAGE_UNKNOWN',
      message: /Did you mean german/,
    });
    assert.throws(() => languageCode('xx'), { code: 'LANGUAGE_UNKNOWN' });
    assert.throws(() => languageCode(''), { code: 'LANGUAGE_UNKNOWN' });
    assert.throws(() => languageCode('q'.repeat(100)), { code: 'LANGUAGE_UNKNOWN' });
  });
});
