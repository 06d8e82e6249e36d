/** `voxpod doctor`: looks at all that a worker needs, and says of each thing that it is well or what to do. */
import type { Command } from 'commander';
import { messageOf } from '../../lib/errors.js';
import type { Check, Finding, FindingState } from '../doctor/findings.js';
import { machineChecks } from '../doctor/machine.js';
import { networkChecks } from '../doctor/network.js';
import { storageChecks } from '../doctor/storage.js';
import { untilInterrupted } from './interrupt.js';

const LABELS: Record<FindingState, string> = { ok: 'ok', note: 'note', bad: 'BAD' };

export function register(program: Command): void {
  program
    .command('doctor')
    .description(
      'check disk, tiers, bucket, hub, GPU, ffmpeg and clock; exit code 1 where one is bad',
    )
    .option('--json', 'as JSON', false)
    .action(({ json }: { json: boolean }) => untilInterrupted((signal) => examine(json, signal)));
}

async function examine(json: boolean, signal: AbortSignal): Promise<void> {
  const env = process.env;
  const checks = [...machineChecks(env), ...storageChecks(env), ...networkChecks(env)];
  const findings: Finding[] = [];
  const width = Math.max(...checks.map(({ name }) => name.length));
  for (const check of checks) {
    const finding = await look(check, signal);
    findings.push(finding);
    if (json) continue;
    const { name, state, detail } = finding;
    process.stdout.write(`${LABELS[state].padEnd(4)}  ${name.padEnd(width)}  ${detail}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
  if (findings.some(({ state }) => state === 'bad')) process.exitCode = 1;
}

async function look(check: Check, signal: AbortSignal): Promise<Finding> {
  const { name } = check;
  try {
    return { name, ...(await check.run(signal)) };
  } catch (error) {
    signal.throwIfAborted();
    return { name, state: 'bad', detail: messageOf(error) };
  }
}
