// What the worker itself costs: an empty handler on the local platform, beside RunPod's Python SDK.
import { execFileSync, fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `node bench/worker.mjs [options]
  --jobs N           jobs of a run, default 2000
  --seconds N        end of a run whatever is left, default 20
  --concurrency A,B  jobs at once, default 16,1
  --python PATH      interpreter with runpod; default VOXPOD_BENCH_PYTHON, else python3
  --json FILE        the figures`;

const { values: options } = parseArgs({
  options: {
    jobs: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '20' },
    concurrency: { type: 'string', default: '16,1' },
    python: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (options.help) {
  console.log(HELP);
  process.exit(0);
}

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const python = options.python ?? (process.env.VOXPOD_BENCH_PYTHON || 'python3');
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** CPU milliseconds that a process has used, with its children that have ended. */
function cpuMs(pid) {
  // proc(5): the name in brackets may hold spaces; utime, stime, cutime, cstime are 14 to 17.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return (ticks * 1000) / ticksPerSecond;
}

function residentMb(pid) {
  const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(kilobytes) / 1024;
}

function percentile(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

async function ask(platform, order) {
  const reply = once(platform, 'message');
  platform.send(order);
  return (await reply)[0];
}

/** One worker on a platform of its own; figures of the worker's process alone. */
async function measure(name, program, script, concurrency) {
  const platform = fork(here('peers/platform.mjs'));
  const [environment] = await once(platform, 'message');
  const spawned = performance.now();
  const worker = spawn(program, [script, String(concurrency)], {
    env: {
      ...process.env,
      ...environment,
      // The SDK's checks of the network and of a GPU have no place here.
      RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: 'true',
      RUNPOD_SKIP_GPU_CHECK: 'true',
    },
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const exited = once(worker, 'exit');
  try {
    await ask(platform, { jobs: 1, concurrency: 1, seconds: 60 });
    const startMs = performance.now() - spawned;
    const warmUp = { jobs: 100, concurrency, seconds: 3 };
    await ask(platform, warmUp);
    const before = cpuMs(worker.pid);
    const run = await ask(platform, {
      jobs: Number(options.jobs),
      concurrency,
      seconds: Number(options.seconds),
    });
    const sorted = run.latencies.sort((a, b) => a - b);
    return {
      name,
      concurrency,
      jobs: sorted.length,
      notCompleted: run.wrong,
      jobsPerSecond: sorted.length / run.seconds,
      cpuMsPerJob: (cpuMs(worker.pid) - before) / sorted.length,
      p50Ms: percentile(sorted, 0.5),
      p99Ms: percentile(sorted, 0.99),
      residentMb: residentMb(worker.pid),
      startMs,
    };
  } finally {
    worker.kill('SIGTERM');
    const killer = setTimeout(() => worker.kill('SIGKILL'), 5000);
    await exited;
    clearTimeout(killer);
    platform.disconnect();
  }
}

const { version } = JSON.parse(readFileSync(here('../package.json'), 'utf8'));
const engines = [
  {
    name: `voxpod ${version}`,
    program: process.execPath,
    script: here('peers/runpod_worker.mjs'),
  },
];
const found = spawnSync(
  python,
  ['-c', 'import importlib.metadata as m; print(m.version("runpod"))'],
  { encoding: 'utf8' },
);
if (found.status === 0) {
  const name = `runpod-python ${found.stdout.trim()}`;
  engines.push({ name, program: python, script: here('peers/runpod_peer.py') });
} else {
  const why = found.error?.message ?? found.stderr.trim().split('\n').at(-1);
  console.log(`runpod-python is skipped: ${python}: ${why}\n`);
}

const machine = { cpu: cpus()[0]?.model, cores: cpus().length, loadBefore: loadavg()[0] };
console.log(`${machine.cpu}, ${machine.cores} cores, load before ${machine.loadBefore.toFixed(2)}`);
console.log('| worker | at once | jobs | jobs/s | CPU ms/job | p50 ms | p99 ms | MB | start ms |');
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
const rows = [];
for (const concurrency of options.concurrency.split(',').map(Number)) {
  for (const { name, program, script } of engines) {
    const row = await measure(name, program, script, concurrency);
    rows.push(row);
    const figures = [row.jobsPerSecond.toFixed(1), row.cpuMsPerJob.toFixed(2)];
    const times = [row.p50Ms.toFixed(1), row.p99Ms.toFixed(1), row.residentMb.toFixed(0)];
    const cells = [name, concurrency, row.jobs, ...figures, ...times, row.startMs.toFixed(0)];
    console.log(`| ${cells.join(' | ')} |`);
    if (row.notCompleted > 0) console.log(`${name}: ${row.notCompleted} jobs did not complete`);
  }
}
if (options.json !== undefined) {
  writeFileSync(options.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
}
