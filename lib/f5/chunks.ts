/**
 * Cuts a text into what is spoken in one go. Lengths are bytes of UTF-8, by which the reference counts:
 * a Chinese character takes about three times as long to say as a Latin letter.
 */
import { PYTHON_SPACE, strip } from '../text/python.js';

export interface ChunkOptions {
  /** Of a chunk, at most; see `chunkBytes`. */
  maxBytes: number;
  /** Of the first chunk, where sentences allow it: a stream's sound starts the earlier. Default maxBytes. */
  firstBytes?: number;
  /**
   * Cut a sentence that is longer than maxBytes: at commas of enumerations, then spaces, then between
   * Chinese characters, then anywhere. The reference leaves it whole, and the model then swallows words.
   * Default true.
   */
  splitLong?: boolean;
}

/** A limit below it would cut within words. */
const LEAST_BYTES = 20;

/** Speech and its reference, which a model has seen together in training, in seconds. */
const TOTAL_SECONDS = 22;

/**
 * How much text fits beside a reference (f5_tts/infer/utils_infer.py, infer_process).
 * @param referenceBytes of the text that the reference says.
 * @param referenceSeconds it takes for it.
 */
export function chunkBytes(referenceBytes: number, referenceSeconds: number, speed = 1): number {
  const rate = referenceBytes / referenceSeconds;
  const bytes = Math.trunc(rate * (TOTAL_SECONDS - referenceSeconds) * speed);
  return Number.isFinite(bytes) ? Math.max(LEAST_BYTES, bytes) : LEAST_BYTES;
}

const sentenceEnds = new RegExp(`(?<=[;:,.!?])${PYTHON_SPACE}+|(?<=[；：，。！？])`, 'u');

/** Chunks in the order of the text, none of them empty (f5_tts/infer/utils_infer.py, chunk_text). */
export function chunkText(text: string, options: ChunkOptions): string[] {
  const { maxBytes, firstBytes = maxBytes, splitLong = true } = options;
  const chunks: string[] = [];
  let chunk = '';
  const close = (): void => {
    // Cut off, white space alone is nothing to speak; the reference would.
    if (chunk !== '' && (!splitLong || strip(chunk) !== '')) chunks.push(strip(chunk));
    chunk = '';
  };
  for (const sentence of text.split(sentenceEnds)) {
    if (sentence === '') continue;
    const limit = chunks.length === 0 ? Math.min(firstBytes, maxBytes) : maxBytes;
    if (byteLength(chunk) + byteLength(sentence) > limit) close();
    const tooLong = splitLong && byteLength(strip(sentence)) > maxBytes;
    const parts = tooLong ? splitAtBest(strip(sentence), maxBytes) : [sentence];
    for (const [i, part] of parts.entries()) {
      if (i > 0) close();
      chunk += /[\0-\x7f]$/.test(part) ? `${part} ` : part;
    }
  }
  close();
  return chunks;
}

function byteLength(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

const HAN_OR_KANA = '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\ue000-\\uf8ff';

/** Where a sentence may be cut, best first; a mark stays with what is before it. */
const places = [
  /(?<=[、…—])(?![、…—])/u,
  /(?<=\s)(?!\s)/u,
  new RegExp(`(?<=[${HAN_OR_KANA}])(?![\\p{P}\\p{M}])|(?<![\\p{P}])(?=[${HAN_OR_KANA}])`, 'u'),
  /(?!\p{M})(?:)/u,
];

/** Parts of no more than `limit` bytes and of about the same size, cut at the best places that do. */
function splitAtBest(text: string, limit: number, place = 0): string[] {
  const pattern = places[place];
  if (byteLength(text) <= limit || pattern === undefined) return [text];
  const pieces = text
    .split(pattern)
    .flatMap((piece) =>
      byteLength(piece) > limit ? splitAtBest(piece, limit, place + 1) : [piece],
    );
  const total = byteLength(text);
  const even = total / Math.ceil(total / limit);
  const parts: string[] = [];
  let size = Infinity;
  for (const piece of pieces) {
    const more = byteLength(piece);
    if (size + more > limit || size >= even) {
      parts.push(piece);
      size = more;
    } else {
      parts.push((parts.pop() ?? '') + piece);
      size += more;
    }
  }
  return parts.map(strip).filter((part) => part !== '');
}
