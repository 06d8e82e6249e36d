import { readFileSync } from 'node:fs';

/** What the addon's kernels need at least (x86-64-v3's vector part): Intel since 2013, AMD since 2015. */
const REQUIRED = ['avx2', 'fma', 'f16c'] as const;

/** The model's name and flags as Linux reports them, or null where /proc/cpuinfo has none. */
export function readCpu(cpuinfo = '/proc/cpuinfo'): { model: string; flags: Set<string> } | null {
  let text: string;
  try {
    text = readFileSync(cpuinfo, 'utf8');
  } catch {
    return null;
  }
  const flags = /^flags\s*:\s*(.*)$/m.exec(text)?.[1];
  if (flags === undefined) return null;
  const model = /^model name\s*:\s*(.*)$/m.exec(text)?.[1] ?? 'unknown';
  return { model: model.trim(), flags: new Set(flags.split(/\s+/)) };
}

/** Features that voxpod needs and the CPU lacks; an unknown CPU is given the benefit of the doubt. */
export function missingCpuFeatures(cpu: ReturnType<typeof readCpu>): string[] {
  return cpu === null ? [] : REQUIRED.filter((feature) => !cpu.flags.has(feature));
}

/** What decides the speed of inference, by the names that the addon gives it (`BuildInfo`). */
export function vectorFeatures(cpu: ReturnType<typeof readCpu>): string[] {
  const names = ['avx2', 'avx512', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8'];
  return names.filter((name) => cpu?.flags.has(name === 'avx512' ? 'avx512f' : name));
}
