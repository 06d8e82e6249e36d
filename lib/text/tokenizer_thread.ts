/**
 * Body of the thread that reads a tokenizer.json: two megabytes of JSON block a loop for 50 ms and
 * more and leave some 40 MB on the heap, which here end with the thread.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { ModelError, messageOf } from '../errors.js';
import { readTokenizerFile, type TokenizerContent } from './tokenizer_file.js';

/** What the thread answers: what the file holds, or what is wrong with it. */
export type TokenizerReply = { content: TokenizerContent } | { problem: string; cause: unknown };

function reply(file: string): TokenizerReply {
  try {
    return { content: readTokenizerFile(file) };
  } catch (error) {
    if (error instanceof ModelError) return { problem: error.message, cause: error.cause };
    const problem = `${file} cannot be used (${messageOf(error)}). Download the model's tokenizer.json again.`;
    return { problem, cause: error };
  }
}

if (parentPort && typeof workerData === 'string') {
  const message = reply(workerData);
  const table = 'content' in message ? message.content.table : undefined;
  const arrays = table === undefined ? [] : [table.bytes, table.offsets, table.slots];
  parentPort.postMessage(
    message,
    arrays.map(({ buffer }) => buffer),
  );
}
