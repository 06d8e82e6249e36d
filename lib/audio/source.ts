/**
 * A path, encoded bytes of any format, or mono samples. URLs are not fetched here: that is the
 * caller's decision.
 */
export type AudioSource = string | Uint8Array | { samples: Float32Array; sampleRate: number };
