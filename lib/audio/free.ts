/**
 * Frees an array's memory now: a recording's samples are tens of megabytes, which V8 collects late,
 * if at all before the transcription ends. The array is empty from then on.
 *
 * A buffer that is transferred to a closed port belongs to nobody and is freed. (What says so by
 * name, ArrayBuffer.prototype.transfer, came with Node 21.)
 */
export function freeArray({ buffer }: Float32Array | Uint8Array): void {
  if (buffer instanceof ArrayBuffer) closed.postMessage(null, [buffer]);
}

const { port1: closed } = new MessageChannel();
closed.close();
