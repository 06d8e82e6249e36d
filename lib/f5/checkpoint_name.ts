/** How F5-TTS's trainer names checkpoints, and which of several is meant. */

/** A .pt holds the same weights beside the optimizer's state. */
const checkpointName = /^model_(\d+|last)\.(safetensors|pt)$/;

/** The latest checkpoint among files of a folder, safetensors before .pt. */
export function latestCheckpoint(names: readonly string[]): string | undefined {
  const found = names.flatMap((name) => {
    const [, step, format] = checkpointName.exec(name) ?? [];
    if (step === undefined) return [];
    return [{ name, safe: format === 'safetensors', step: step === 'last' ? Infinity : +step }];
  });
  found.sort((a, b) => Number(b.safe) - Number(a.safe) || (b.step > a.step ? 1 : -1));
  return found[0]?.name;
}
