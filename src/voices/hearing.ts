/** What is said in a reference, heard by Whisper. */
import type { Transcriber } from '../../lib/index.js';
import type { WhisperPool } from '../jobs/transcription.js';

/**
 * Leases a Whisper model for as long as it listens. Whoever uses it must hold no other lease: there
 * may be room for one model alone.
 */
export function whisperTranscriber(pool: WhisperPool, model: string): Transcriber {
  return async (audio, { words, signal }) => {
    const lease = await pool.acquireWhisper(model, signal === undefined ? {} : { signal });
    try {
      const transcript = await lease.whisper.transcribe(audio, {
        ...{ temperature: [0], wordTimestamps: words },
        ...(signal === undefined ? {} : { signal }),
      });
      const found = transcript.segments.flatMap((segment) => segment.words ?? []);
      return { text: transcript.text.trim(), ...(words ? { words: found } : {}) };
    } finally {
      lease.release();
    }
  };
}
