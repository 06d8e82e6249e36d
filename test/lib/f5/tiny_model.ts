/**
 * Models of F5-TTS and E2-TTS, a Vocos and a BigVGAN so small that tests can compute them: random weights
 * under the real names of their tensors. What they say is noise, and the same noise each time.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { tensorBytes, type Tensor } from './safetensors.js';

const width = 64;
const layers = 2;
const inner = 128;
const textWidth = 32;
const mels = 100;
const vocoderWidth = 32;

/** Printable ASCII, and some syllables and characters of Chinese. The first is the space. */
const tokens = [
  ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)),
  ...['ni3', 'hao3', 'shi4', 'jie4', '，', '。', '！', 'é'],
];

export const tinyVocabulary = `${tokens.join('\n')}\n`;

/** Random tensors by name; the numbers depend on the order alone. */
class Tensors {
  readonly all = new Map<string, Tensor>();
  #state = 1;

  /** Between -1 and 1 (xorshift32). */
  #next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state / 2 ** 31;
  }

  random(name: string, shape: number[], scale: number, mean = 0): void {
    const size = shape.reduce((product, length) => product * length, 1);
    const values = Float32Array.from({ length: size }, () => mean + scale * this.#next());
    this.all.set(name, { shape, values });
  }

  /** Outputs about as large as inputs. */
  linear(name: string, rows: number, columns: number): void {
    this.random(`${name}.weight`, [rows, columns], Math.sqrt(3 / columns));
    this.random(`${name}.bias`, [rows], 0.1);
  }

  convolution(name: string, channels: number, group: number, kernel: number): void {
    const scale = Math.sqrt(3 / (group * kernel));
    this.random(`${name}.weight`, [channels, group, kernel], scale);
    this.random(`${name}.bias`, [channels], 0.1);
  }

  norm(name: string, size: number): void {
    this.random(`${name}.weight`, [size], 0.1, 1);
    this.random(`${name}.bias`, [size], 0.1);
  }
}

const root = 'ema_model.transformer';

function checkpoint(backbone: 'dit' | 'unett', vocabulary: number): Map<string, Tensor> {
  const t = new Tensors();
  // The text of a UNetT has the width of a mel, and no layers.
  const textSize = backbone === 'dit' ? textWidth : mels;
  t.linear(`${root}.time_embed.time_mlp.0`, width, 256);
  t.linear(`${root}.time_embed.time_mlp.2`, width, width);
  t.random(`${root}.text_embed.text_embed.weight`, [vocabulary + 1, textSize], 1);
  if (backbone === 'dit') textLayer(t, `${root}.text_embed.text_blocks.0`);
  t.linear(`${root}.input_embed.proj`, width, 2 * mels + textSize);
  for (const i of [0, 2]) {
    t.convolution(`${root}.input_embed.conv_pos_embed.conv1d.${i}`, width, width / 16, 31);
  }
  if (backbone === 'dit') transformer(t);
  else flatUNet(t);
  t.linear(`${root}.proj_out`, mels, width);
  return t.all;
}

function textLayer(t: Tensors, name: string): void {
  t.convolution(`${name}.dwconv`, textWidth, 1, 7);
  t.norm(`${name}.norm`, textWidth);
  t.linear(`${name}.pwconv1`, 2 * textWidth, textWidth);
  t.random(`${name}.grn.gamma`, [1, 1, 2 * textWidth], 0.3);
  t.random(`${name}.grn.beta`, [1, 1, 2 * textWidth], 0.3);
  t.linear(`${name}.pwconv2`, textWidth, 2 * textWidth);
}

function attention(t: Tensors, name: string): void {
  for (const part of ['to_q', 'to_k', 'to_v', 'to_out.0'])
    t.linear(`${name}.${part}`, width, width);
}

function forward(t: Tensors, name: string): void {
  t.linear(`${name}.ff.0.0`, inner, width);
  t.linear(`${name}.ff.2`, width, inner);
}

/** F5-TTS's DiT. */
function transformer(t: Tensors): void {
  for (let i = 0; i < layers; i++) {
    const block = `${root}.transformer_blocks.${i}`;
    t.linear(`${block}.attn_norm.linear`, 6 * width, width);
    attention(t, `${block}.attn`);
    forward(t, `${block}.ff`);
  }
  t.linear(`${root}.norm_out.linear`, 2 * width, width);
}

/** E2-TTS's UNetT: the later half of its layers sees what the earlier half began with. */
function flatUNet(t: Tensors): void {
  for (let i = 0; i < layers; i++) {
    const layer = `${root}.layers.${i}`;
    if (i >= layers / 2) {
      t.random(`${layer}.0.weight`, [width, 2 * width], Math.sqrt(1.5 / width));
    }
    t.random(`${layer}.1.g`, [width], 0.1, 1);
    attention(t, `${layer}.2`);
    t.random(`${layer}.3.g`, [width], 0.1, 1);
    forward(t, `${layer}.4`);
  }
  t.random(`${root}.norm_out.g`, [width], 0.1, 1);
}

function vocos(): Map<string, Tensor> {
  const t = new Tensors();
  t.convolution('backbone.embed', vocoderWidth, mels, 7);
  t.norm('backbone.norm', vocoderWidth);
  const block = 'backbone.convnext.0';
  t.convolution(`${block}.dwconv`, vocoderWidth, 1, 7);
  t.norm(`${block}.norm`, vocoderWidth);
  t.linear(`${block}.pwconv1`, 3 * vocoderWidth, vocoderWidth);
  t.linear(`${block}.pwconv2`, vocoderWidth, 3 * vocoderWidth);
  t.random(`${block}.gamma`, [vocoderWidth], 0.1);
  t.norm('backbone.final_layer_norm', vocoderWidth);
  t.linear('head.out', 1026, vocoderWidth);
  t.random('head.istft.window', [1024], 0);
  return t.all;
}

/** Of a BigVGAN that is small: fewer and narrower layers, the published one's kind of everything. */
const bigVganConfig = {
  ...{ num_mels: mels, sampling_rate: 24_000, hop_size: 256, resblock: '1' },
  ...{ upsample_rates: [16, 16], upsample_kernel_sizes: [32, 32] },
  ...{ resblock_kernel_sizes: [3], resblock_dilation_sizes: [[1, 3]] },
  ...{ activation: 'snakebeta', snake_logscale: true },
  ...{ use_bias_at_final: false, use_tanh_at_final: false },
};

function bigVgan(): Map<string, Tensor> {
  const t = new Tensors();
  const snake = (name: string, size: number): void => {
    for (const part of ['alpha', 'beta']) t.random(`${name}.act.${part}`, [size], 0.1);
  };
  let size = 16;
  t.convolution('conv_pre', size, mels, 7);
  for (const [i, kernel] of bigVganConfig.upsample_kernel_sizes.entries()) {
    const scale = Math.sqrt(3 / (2 * size));
    t.random(`ups.${i}.0.weight`, [size, size / 2, kernel], scale);
    size /= 2;
    t.random(`ups.${i}.0.bias`, [size], 0.1);
    for (const j of [0, 1]) {
      for (const part of ['convs1', 'convs2'])
        t.convolution(`resblocks.${i}.${part}.${j}`, size, size, 3);
    }
    for (const j of [0, 1, 2, 3]) snake(`resblocks.${i}.activations.${j}`, size);
  }
  snake('activation_post', size);
  // Quiet, for there is nothing but a limit at its end.
  t.random('conv_post.weight', [1, size, 7], 0.05);
  return t.all;
}

/** Folders and files of the hub, by what is in them. */
const places = {
  v1: join('F5TTS_v1_Base', 'model_1250000.safetensors'),
  v0: join('F5TTS_Base', 'model_1200000.safetensors'),
  bigvgan: join('F5TTS_Base_bigvgan', 'model_1250000.safetensors'),
  e2: join('E2TTS_Base', 'model_1200000.safetensors'),
};

export interface TinyModel {
  /** Default "v1". */
  kind?: keyof typeof places;
  /** Default "pinyin". Another is said in a config.yaml, and bytes have no vocabulary. */
  tokenizer?: 'pinyin' | 'char' | 'byte';
  change?: (tensors: Map<string, Tensor>) => void;
}

/** Puts a model as it lies on the hub, and its vocoder beside it, into a folder. */
export async function writeTinyModel(folder: string, options: TinyModel = {}): Promise<void> {
  const { kind = 'v1', tokenizer = 'pinyin', change } = options;
  const file = join(folder, places[kind]);
  const vocoder = join(folder, 'vocoder');
  await mkdir(dirname(file), { recursive: true });
  await mkdir(vocoder, { recursive: true });
  const size = tokenizer === 'byte' ? 256 : tokens.length;
  const tensors = checkpoint(kind === 'e2' ? 'unett' : 'dit', size);
  change?.(tensors);
  await writeFile(file, tensorBytes(tensors));
  if (tokenizer !== 'byte') await writeFile(join(dirname(file), 'vocab.txt'), tinyVocabulary);
  if (tokenizer !== 'pinyin') {
    await writeFile(
      join(dirname(file), 'config.yaml'),
      `model: {tokenizer: ${tokenizer}, arch: {}}\n`,
    );
  }
  if (kind === 'bigvgan') {
    await writeFile(join(vocoder, 'config.json'), JSON.stringify(bigVganConfig));
    await writeFile(join(vocoder, 'bigvgan_generator.safetensors'), tensorBytes(bigVgan()));
  } else {
    await writeFile(join(vocoder, 'model.safetensors'), tensorBytes(vocos()));
  }
}
