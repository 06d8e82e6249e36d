/**
 * A model of F5-TTS and a Vocos so small that tests can compute them: random weights under the real
 * names of their tensors. What they say is noise, and the same noise each time.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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

function checkpoint(vocabulary: number): Map<string, Tensor> {
  const t = new Tensors();
  const root = 'ema_model.transformer';
  t.linear(`${root}.time_embed.time_mlp.0`, width, 256);
  t.linear(`${root}.time_embed.time_mlp.2`, width, width);
  t.random(`${root}.text_embed.text_embed.weight`, [vocabulary + 1, textWidth], 1);
  const text = `${root}.text_embed.text_blocks.0`;
  t.convolution(`${text}.dwconv`, textWidth, 1, 7);
  t.norm(`${text}.norm`, textWidth);
  t.linear(`${text}.pwconv1`, 2 * textWidth, textWidth);
  t.random(`${text}.grn.gamma`, [1, 1, 2 * textWidth], 0.3);
  t.random(`${text}.grn.beta`, [1, 1, 2 * textWidth], 0.3);
  t.linear(`${text}.pwconv2`, textWidth, 2 * textWidth);
  t.linear(`${root}.input_embed.proj`, width, 2 * mels + textWidth);
  for (const i of [0, 2]) {
    t.convolution(`${root}.input_embed.conv_pos_embed.conv1d.${i}`, width, width / 16, 31);
  }
  for (let i = 0; i < layers; i++) {
    const block = `${root}.transformer_blocks.${i}`;
    t.linear(`${block}.attn_norm.linear`, 6 * width, width);
    for (const part of ['to_q', 'to_k', 'to_v', 'to_out.0']) {
      t.linear(`${block}.attn.${part}`, width, width);
    }
    t.linear(`${block}.ff.ff.0.0`, inner, width);
    t.linear(`${block}.ff.ff.2`, width, inner);
  }
  t.linear(`${root}.norm_out.linear`, 2 * width, width);
  t.linear(`${root}.proj_out`, mels, width);
  return t.all;
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

/** Puts a model as it lies on the hub, and its vocoder beside it, into a folder. */
export async function writeTinyModel(
  folder: string,
  change: (tensors: Map<string, Tensor>) => void = () => undefined,
): Promise<void> {
  const model = join(folder, 'F5TTS_v1_Base');
  await mkdir(model, { recursive: true });
  await mkdir(join(folder, 'vocoder'), { recursive: true });
  const tensors = checkpoint(tokens.length);
  change(tensors);
  await writeFile(join(model, 'model_1250000.safetensors'), tensorBytes(tensors));
  await writeFile(join(model, 'vocab.txt'), tinyVocabulary);
  await writeFile(join(folder, 'vocoder', 'model.safetensors'), tensorBytes(vocos()));
}
