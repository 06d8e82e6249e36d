/** Tensors of golden files, and files of tensors that tests make themselves. */
import { readFileSync } from 'node:fs';

export interface Tensor {
  shape: number[];
  /** Of F32 and F64 tensors. */
  values: Float32Array | Float64Array;
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** The float tensors of a safetensors file. */
export function readTensors(file: string): Map<string, Tensor> {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, Entry>;
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (dtype !== 'F32' && dtype !== 'F64') continue;
    const [start, end] = data_offsets.map((offset) => 8 + length + offset) as [number, number];
    // Copied, since what lies in the file is not aligned.
    const { buffer } = Uint8Array.prototype.slice.call(bytes, start, end);
    const values = dtype === 'F32' ? new Float32Array(buffer) : new Float64Array(buffer);
    tensors.set(name, { shape, values });
  }
  return tensors;
}

/** A safetensors file of float32 tensors. */
export function tensorBytes(tensors: ReadonlyMap<string, Tensor>): Buffer {
  const header: Record<string, Entry> = {};
  let offset = 0;
  for (const [name, { shape, values }] of tensors) {
    const end = offset + 4 * values.length;
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  const data = [...tensors.values()].map(({ values }) =>
    Buffer.from(Float32Array.from(values).buffer),
  );
  return Buffer.concat([size, json, ...data]);
}
