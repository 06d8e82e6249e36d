/** pypinyin's dictionaries, read once per folder and process, on a thread of its own. */
import { Worker } from 'node:worker_threads';
import { ModelError } from '../../errors.js';
import { compiledFile } from '../../package_root.js';
import type { PinyinTable } from './pinyin_table.js';
import type { PinyinReply } from './pinyin_thread.js';

const tables = new Map<string, Promise<PinyinTable>>();

/**
 * @param folder with phrases_dict.json and pinyin_dict.json of pypinyin 0.55.0.
 * @throws ModelError TOKENIZER_INVALID; the next call reads anew.
 */
export async function loadPinyin(folder: string): Promise<PinyinTable> {
  let table = tables.get(folder);
  if (table === undefined) {
    table = readInThread(folder);
    tables.set(folder, table);
    table.catch(() => tables.delete(folder));
  }
  return table;
}

function readInThread(folder: string): Promise<PinyinTable> {
  return new Promise((resolve, reject) => {
    const fail = (problem: string, cause?: unknown): void =>
      reject(new ModelError('TOKENIZER_INVALID', problem, { cause }));
    const thread = new Worker(
      compiledFile(import.meta.url, 'lib/text/chinese/pinyin_thread.js'),
      // Flags of the caller's own program, such as --input-type, would be taken for the thread's.
      { workerData: folder, name: 'voxpod-pinyin', execArgv: [] },
    );
    thread.on('message', (reply: PinyinReply) => {
      if ('table' in reply) resolve(reply.table);
      else fail(reply.problem);
    });
    thread.on('error', (error) =>
      fail(`The dictionaries in ${folder} could not be read: ${error.message}.`, error),
    );
    // Where it has said nothing.
    thread.on('exit', () => fail(`The dictionaries in ${folder} could not be read.`));
  });
}
