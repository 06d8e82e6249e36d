/** Body of the thread that reads pypinyin's dictionaries: 0.2 s of computing, and garbage that goes with the thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../errors.js';
import { readPinyinFiles } from './pinyin_file.js';
import type { PinyinTable } from './pinyin_table.js';

export type PinyinReply = { table: PinyinTable } | { problem: string };

if (parentPort && typeof workerData === 'string') {
  try {
    const table = readPinyinFiles(workerData);
    const { phrases, starts, readings, singles } = table;
    const reply: PinyinReply = { table };
    const buffers = [phrases, starts, readings, singles].map(({ buffer }) => buffer as ArrayBuffer);
    parentPort.postMessage(reply, buffers);
  } catch (error) {
    const reply: PinyinReply = { problem: messageOf(error) };
    parentPort.postMessage(reply);
  }
}
