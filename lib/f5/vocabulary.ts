/** A model's vocab.txt: a token in each line, whose number is its id. */
import { readFile, stat } from 'node:fs/promises';
import { ModelError, messageOf } from '../errors.js';

/** Those of the authors' models have 12 kB and 2545 tokens. */
const MAX_BYTES = 8 << 20;
const MAX_TOKENS = 200_000;
/** Of a token; the longest of pinyin has six. */
const MAX_LENGTH = 64;

export interface Vocabulary {
  ids: ReadonlyMap<string, number>;
  /** Different tokens: a checkpoint has an embedding for each and one for what is filled up. */
  size: number;
}

function invalid(file: string, reason: string, cause?: unknown): ModelError {
  return new ModelError(
    'TOKENIZER_INVALID',
    `${file} is no vocabulary of F5-TTS: ${reason}. Download the model's vocab.txt again.`,
    { cause },
  );
}

/** @throws ModelError TOKENIZER_INVALID */
export async function readVocabulary(file: string): Promise<Vocabulary> {
  let bytes: Uint8Array;
  try {
    const { size } = await stat(file);
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes, more than ${MAX_BYTES}`);
    bytes = await readFile(file);
  } catch (error) {
    throw invalid(file, messageOf(error), error);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw invalid(file, 'it is not UTF-8', error);
  }
  return parseVocabulary(file, text);
}

/**
 * Lines end as Python's universal newlines do. Of a token that comes twice the last line counts, as in
 * the reference, where its ids then reach beyond the embeddings; here those are unknown tokens.
 */
export function parseVocabulary(file: string, text: string): Vocabulary {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === '') lines.pop();
  if (lines.length === 0) throw invalid(file, 'it is empty');
  if (lines.length > MAX_TOKENS) {
    throw invalid(file, `it has ${lines.length} lines, more than ${MAX_TOKENS}`);
  }
  if (lines[0] !== ' ') {
    throw invalid(file, 'its first line is not a space, which unknown characters are read as');
  }
  const ids = new Map<string, number>();
  for (const [id, token] of lines.entries()) {
    if (token.length > MAX_LENGTH) throw invalid(file, `line ${id + 1} is too long for a token`);
    ids.set(token, id);
  }
  const size = ids.size;
  if (size < lines.length * 0.9) {
    throw invalid(file, `${lines.length - size} of its ${lines.length} lines come twice`);
  }
  for (const [token, id] of ids) if (id >= size) ids.delete(token);
  return { ids, size };
}
