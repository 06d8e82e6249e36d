import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { VoiceLibrary, readVoiceFolder } from '../../../src/voices/voice_library.js';
import { temporaryFolder } from '../storage/temporary.js';

async function voices(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

test('a voice is a folder, or files of one name', async (t) => {
  const folder = await voices(t, {
    ...{ 'anna/reference.wav': '', 'anna/what she says.txt': ' Hello. \n' },
    ...{ 'anna/settings.json': '{"speed": 1.2, "seed": 7}', 'anna.b.mp3': '' },
    ...{ 'ben.flac': '', 'ben.txt': '', 'ben.json': '{"text": "Good day."}' },
    ...{ 'notes.txt': '', '.hidden.wav': '', 'a b.wav': '' },
  });
  const library = new VoiceLibrary(folder);
  assert.deepEqual(await library.names(), ['anna', 'anna.b', 'ben']);
  assert.deepEqual(await library.find('anna'), {
    ...{ name: 'anna', audio: join(folder, 'anna', 'reference.wav'), text: 'Hello.' },
    settings: { speed: 1.2, seed: 7 },
  });
  assert.deepEqual(await library.find('anna.b'), {
    ...{ name: 'anna.b', audio: join(folder, 'anna.b.mp3'), text: undefined, settings: {} },
  });
  assert.deepEqual(await library.find('ben'), {
    ...{ name: 'ben', audio: join(folder, 'ben.flac'), text: 'Good day.', settings: {} },
  });
  assert.equal((await readVoiceFolder(join(folder, 'anna'))).text, 'Hello.');
  // Voices come while a worker runs.
  await writeFile(join(folder, 'cleo.wav'), '');
  assert.equal((await library.find('cleo')).name, 'cleo');
});

test('what is no voice is told so', async (t) => {
  const folder = await voices(t, {
    ...{ 'two/a.wav': '', 'two/b.mp3': '', 'none/a.txt': 'Hello' },
    ...{ 'bad/a.wav': '', 'bad/a.json': '{"speed": 0, "sped": 1}' },
    ...{ 'broken/a.wav': '', 'broken/a.json': '{', 'anna.wav': '' },
  });
  const library = new VoiceLibrary(folder);
  const rows: [string, string, RegExp][] = [
    ['two', 'VOICE_INVALID', /more than one recording: a\.wav, b\.mp3/],
    ['none', 'VOICE_INVALID', /no recording/],
    ['bad', 'VOICE_INVALID', /wrong settings: speed .*sped/],
    ['broken', 'VOICE_INVALID', /JSON/],
    ['ana', 'VOICE_UNKNOWN', /Did you mean anna\?/],
    ['..', 'VOICE_UNKNOWN', /no voice/],
    ['../anna', 'VOICE_UNKNOWN', /no voice/],
  ];
  for (const [name, code, message] of rows) {
    await assert.rejects(library.find(name), { code, message }, name);
  }
  await assert.rejects(new VoiceLibrary('/none').names(), { code: 'VOICE_INVALID' });
  const without = VoiceLibrary.fromEnvironment({});
  assert.deepEqual(await without.names(), []);
  await assert.rejects(without.find('anna'), { code: 'VOICE_UNKNOWN', message: /VOXPOD_VOICES/ });
});
