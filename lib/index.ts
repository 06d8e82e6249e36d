/** voxpod as a library: what `import ... from 'voxpod'` gives. */
export { Whisper } from './whisper/whisper.js';
export { languageCode, languages } from './whisper/languages.js';
export {
  formatTranscript,
  transcriptFormats,
  transcriptWriter,
  type TranscriptFormat,
  type TranscriptWriter,
} from './whisper/writers.js';
export type { SubtitleOptions } from './whisper/subtitles.js';
export type { AudioSource } from './audio/source.js';
export type {
  LanguageDetection,
  Segment,
  TranscribeOptions,
  TranscribeProgress,
  Transcript,
  WhisperInfo,
  WhisperOptions,
  Word,
} from './whisper/types.js';
export type { BuildInfo, F5Geometry, WhisperGeometry } from './native.js';
export { F5TTS } from './f5/f5.js';
export { Voice } from './f5/voice.js';
export type {
  EditOptions,
  F5Info,
  F5Options,
  FlowOptions,
  NamedVoice,
  SpeakOptions,
  SpeakProgress,
  Speech,
  SpeechBlock,
  SpeechSummary,
  SpokenChunk,
  StreamOptions,
  Transcriber,
  VoiceOptions,
} from './f5/types.js';
export { findEdits, type FindEditsOptions } from './f5/find_edits.js';
export type { TimedWord } from './f5/reference_text.js';
export type { SpeechEdit } from './f5/speech_edit.js';
export {
  encodeAudio,
  openEncoder,
  type AudioEncoder,
  type AudioFormat,
  type EncodeAudioOptions,
} from './audio/encode.js';
export { spectrogramPng, type SpectrogramOptions } from './audio/spectrogram.js';
export { SileroDetector } from './vad/silero.js';
export { EnergyDetector } from './vad/energy.js';
export { detectSpeech, SpeechSpans } from './vad/speech_spans.js';
export { chunkSpeech, SpeechChunks } from './vad/chunks.js';
export type {
  ChunkOptions,
  DetectorStream,
  SpeechDetector,
  SpeechSpan,
  VadOptions,
} from './vad/types.js';
export { decodeAudio, type DecodeAudioOptions } from './audio/decode.js';
export {
  ArgumentError,
  AudioError,
  DownloadError,
  JobError,
  ModelError,
  NativeError,
  VoxpodError,
  type ErrorCode,
} from './errors.js';
