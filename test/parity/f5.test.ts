/**
 * F5-TTS and E2-TTS through the addon's own contract, against what the reference samples with the
 * small random models in VOXPOD_GOLDENS.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadNative } from '../../lib/binding.js';
import type { F5Architecture, F5Model, FlowRequest } from '../../lib/native.js';
import { folderFrom, nativeProblem } from '../support/needs.js';

type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };

/** The tensors of a safetensors file, as whole arrays. */
class Tensors {
  readonly #data: Buffer;
  readonly #entries: Record<string, Entry>;

  constructor(path: string) {
    const file = readFileSync(path);
    const header = Number(file.readBigUInt64LE(0));
    this.#entries = JSON.parse(file.toString('utf8', 8, 8 + header)) as Record<string, Entry>;
    this.#data = file.subarray(8 + header);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#entries, name);
  }
  #bytes(name: string): ArrayBuffer {
    const entry = this.#entries[name];
    assert.ok(entry !== undefined, `no tensor ${name}`);
    return Uint8Array.from(this.#data.subarray(...entry.data_offsets)).buffer;
  }
  floats(name: string): Float32Array {
    return new Float32Array(this.#bytes(name));
  }
  bytes(name: string): Uint8Array {
    return new Uint8Array(this.#bytes(name));
  }
  integers(name: string): number[] {
    return [...new BigInt64Array(this.#bytes(name))].map(Number);
  }
}

interface Case {
  cfg_strength: number;
  method: 'euler' | 'midpoint';
  no_ref_audio?: boolean;
  duration: number[];
}

const v0: F5Architecture = {
  maskTextPadding: false,
  rotaryHeads: 'first',
  averageUpsampling: false,
};
const v1: F5Architecture = { maskTextPadding: true, rotaryHeads: 'all', averageUpsampling: false };
const models: [string, F5Architecture, number][] = [
  ['dit_v1', v1, 9],
  ['dit_v0', v0, 1],
  ['dit_extras', { ...v1, averageUpsampling: true }, 1],
  ['e2_unett', v0, 1],
];

const goldens = folderFrom('VOXPOD_GOLDENS');
const root = goldens === undefined ? undefined : join(goldens, 'f5');
const skip =
  nativeProblem() ??
  (root === undefined ? 'VOXPOD_GOLDENS is not set' : !existsSync(root) && `no folder ${root}`);

/** max |a - b| / max |b| */
function relativeError(a: Float32Array, b: Float32Array): number {
  assert.equal(a.length, b.length);
  let error = 0;
  let scale = 0;
  for (const [i, expected] of b.entries()) {
    error = Math.max(error, Math.abs((a[i] ?? NaN) - expected));
    scale = Math.max(scale, Math.abs(expected));
  }
  return error / scale;
}

/** [rows, columns] to [columns, rows]. */
function transposed(numbers: Float32Array, rows: number): Float32Array {
  const columns = numbers.length / rows;
  return Float32Array.from(
    numbers,
    (_, i) => numbers[(i % rows) * columns + Math.trunc(i / rows)] ?? 0,
  );
}

describe('sampling through the addon', { skip }, () => {
  if (root === undefined) return;
  for (const [name, architecture, count] of models) {
    describe(name, () => {
      const folder = join(root, name);
      const { cases } = JSON.parse(readFileSync(join(folder, 'samples.json'), 'utf8')) as {
        cases: Record<string, Case>;
      };
      const forward = new Tensors(join(folder, 'forward_t0.3.safetensors'));
      let model: F5Model;
      before(async () => {
        model = await loadNative().loadF5(
          join(folder, 'model.safetensors'),
          join(root, 'vocos', 'model.safetensors'),
          {
            ...{ device: 'cpu', dtype: 'float32', threads: 0 },
            ...{ maxBatchFrames: 1000, maxQueue: 16, architecture },
          },
        );
      });
      after(() => model.dispose());

      const request = (title: string): [FlowRequest, Float32Array] => {
        const options = cases[title];
        assert.ok(options !== undefined);
        const sample = new Tensors(join(folder, `sample_${title}.safetensors`));
        const condition = sample.floats('cond_mel');
        return [
          {
            condition: options.no_ref_audio === true ? condition.fill(0) : condition,
            ...(sample.has('edit_mask') ? { keep: sample.bytes('edit_mask') } : {}),
            tokens: Int32Array.from(forward.integers('in.text_ids').filter((id) => id >= 0)),
            frames: options.duration[0] ?? 0,
            noise: sample.floats('y0'),
            times: sample.floats('t_schedule'),
            method: options.method,
            guidance: options.cfg_strength,
          },
          sample.floats('out'),
        ];
      };

      it('has the cases', () => {
        assert.equal(Object.keys(cases).length, count);
      });
      for (const title of Object.keys(cases)) {
        it(title, async () => {
          const [what, expected] = request(title);
          const error = relativeError(await model.sample(what), expected);
          assert.ok(error < 1e-4, `differs by ${error}`);
        });
      }
      it('speaks and hears by Vocos', async () => {
        assert.equal(model.geometry.vocoder, 'vocos');
        const decode = new Tensors(join(root, 'vocos', 'decode.safetensors'));
        // The first of two.
        const mel = decode.floats('mel');
        const first = transposed(mel.subarray(0, mel.length / 2), model.geometry.mels);
        const wav = decode.floats('wav');
        const error = relativeError(await model.vocode(first), wav.subarray(0, wav.length / 2));
        assert.ok(error < 1e-4, `differs by ${error}`);
      });
      it('gives the same for all cases at once', async () => {
        const all = Object.keys(cases).map(request);
        const found = await Promise.all(all.map(([what]) => model.sample(what)));
        for (const [i, [, expected]] of all.entries()) {
          const error = relativeError(found[i] ?? new Float32Array(0), expected);
          assert.ok(error < 1e-4, `differs by ${error}`);
        }
      });
    });
  }
});
