import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import { ModelPool } from '../../../src/models/pool.js';
import { ModelStore } from '../../../src/models/store.js';
import { whisperTranscriber } from '../../../src/voices/hearing.js';
import { PreparedVoices } from '../../../src/voices/prepared_voices.js';
import { wavBytes } from '../../lib/audio/wav_bytes.js';
import { words } from '../../support/word_errors.js';
import { baseFolder, whyNotReal } from '../models/real.js';
import { temporaryFolder } from '../storage/temporary.js';

const skip = whyNotReal(false);
const never = new AbortController().signal;
const clip = readFileSync(join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav'));
const said =
  'Yesterday it was raining all day long. Today the sun is shining, and the children are playing in the garden.';

test(
  'a reference that is too long keeps the text of what is kept, word by word',
  { skip },
  async (t) => {
    const pool = new ModelPool({ store: new ModelStore({ offline: true }) });
    t.after(() => pool.dispose());
    let listened = 0;
    const whisper = whisperTranscriber(pool, baseFolder);
    const hearing = {
      name: 'base',
      transcriber: (...args: Parameters<typeof whisper>) => {
        listened += 1;
        return whisper(...args);
      },
    };
    // Some 25 s.
    const pcm = clip.subarray(44);
    const audio = wavBytes({ data: Buffer.concat([pcm, pcm, pcm, pcm]) });
    const source = { audio, text: [said, said, said, said].join(' '), targetRms: undefined };
    const voices = new PreparedVoices();
    const voice = await voices.prepare(source, hearing, never);
    assert.ok(voice.duration > 6 && voice.duration <= 12.06, String(voice.duration));
    assert.match(voice.warnings.join(), /too long/);
    // What is heard in the kept part is its text.
    const kept = { samples: voice.samples, sampleRate: 24_000 };
    const { text } = await whisper(kept, { words: false, signal: undefined });
    assert.deepEqual(words(voice.text), words(text));
    assert.equal(listened, 1);

    // By its content, not by its name; bytes and a file are the same recording.
    const file = join(await temporaryFolder(t), 'voice.wav');
    await writeFile(file, audio);
    assert.equal(await voices.prepare({ ...source, audio: file }, hearing, never), voice);
    assert.equal(listened, 1);
    const [one, two] = await Promise.all([
      voices.prepare({ ...source, targetRms: 0.2 }, hearing, never),
      voices.prepare({ ...source, targetRms: 0.2 }, hearing, never),
    ]);
    assert.equal(one, two);
    assert.notEqual(one, voice);
    assert.equal(listened, 2);
    const left = new Error('left');
    const gone = voices.prepare({ ...source, targetRms: 0.3 }, hearing, AbortSignal.abort(left));
    await assert.rejects(gone, left);
  },
);
