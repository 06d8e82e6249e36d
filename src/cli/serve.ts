/** `voxpod serve`: RunPod's API on this machine, over the worker that RunPod would run. */
import { once } from 'node:events';
import { isIP } from 'node:net';
import { InvalidArgumentError, type Command } from 'commander';
import ipaddr from 'ipaddr.js';
import { ArgumentError } from '../../lib/errors.js';
import { withLocalEndpoint } from '../server/local_endpoint.js';
import { Interrupted, untilInterrupted } from './interrupt.js';
import { addWorkerOptions, workerCommandLine, type WorkerArguments } from './worker_options.js';

interface Options extends WorkerArguments {
  port: number;
  host: string;
}

export function register(program: Command): void {
  const command = program
    .command('serve')
    .description("RunPod's endpoint API on this machine, with a worker behind it")
    .option('--port <port>', 'port to listen on; 0 takes a free one', port, 8000)
    .option('--host <address>', 'address to listen on', address, '127.0.0.1');
  addWorkerOptions(command).action((options: Options) =>
    untilInterrupted((signal) => serve(options, signal)),
  );
}

async function serve(options: Options, interrupt: AbortSignal): Promise<void> {
  const { port, host } = options;
  const apiKey = process.env['VOXPOD_API_KEY'] || undefined;
  if (apiKey === undefined && ipaddr.parse(host).range() !== 'loopback') {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `With --host ${host} others can reach this endpoint: set VOXPOD_API_KEY to the key that they must send`,
    );
  }
  const settings = {
    ...{ port, host, say, worker: workerCommandLine(options) },
    ...(apiKey === undefined ? {} : { apiKey }),
  };
  await withLocalEndpoint(settings, interrupt, async ({ baseUrl, endpointId }, signal) => {
    const key = apiKey === undefined ? 'local' : '$VOXPOD_API_KEY';
    const url = `${baseUrl}/${endpointId}`;
    say(`RunPod's API for this machine: base URL ${baseUrl}, endpoint ${endpointId}. Try:`);
    say(
      `  curl ${url}/runsync -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" -d '{"input": {"audio": "https://example.com/talk.mp3"}}'`,
    );
    say(`  voxpod submit talk.wav --url ${url}`);
    if (!signal.aborted) await once(signal, 'abort');
    // A server that is told to end has done what it should.
    if (!(signal.reason instanceof Interrupted)) throw signal.reason;
  });
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535) {
    throw new InvalidArgumentError('Expected an integer between 0 and 65535.');
  }
  return value;
}

function address(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError('Expected an IP address such as 127.0.0.1.');
  return text;
}
