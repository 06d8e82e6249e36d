/** Resolves when standard output has taken the data, at its reader's pace. */
export function writeOut(data: string | Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (error) => {
      if (signal.aborted) reject(signal.reason as Error);
      else if (error) reject(error);
      else resolve();
    });
  });
}
