/** One process of an isolated handler: what goes in, what comes out, and how it died. */
import { fork, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { compiledFile } from '../../lib/package_root.js';
import { isMessage, type ChildMessage, type ParentMessage } from './isolated_protocol.js';

export interface Death {
  /** "signal SIGSEGV", "exit code 3". */
  how: string;
  /** The last lines of its standard error; empty without any. */
  lastWords: string;
}

export interface ProcessEvents {
  message(message: ChildMessage): void;
  /** A line that the process has written past the log: libtorch's and OpenMP's, say. */
  line(text: string, stream: 'stdout' | 'stderr'): void;
  /** After all that it had sent was read. */
  died(death: Death): void;
}

const LAST_LINES = 20;
/** Longer lines are cut in pieces, so that output without line breaks is not held in memory. */
const MAX_LINE = 4096;
/** For the ends of its pipes: what inherited them may hold them open for long. */
const PIPES_MS = 500;

export class IsolatedProcess {
  readonly #child: ChildProcess;
  readonly #events: ProcessEvents;
  readonly #lastLines: string[] = [];
  #pinged = 0;
  #answered = 0;
  #dead = false;

  constructor(env: NodeJS.ProcessEnv, events: ProcessEvents) {
    this.#events = events;
    this.#child = fork(compiledFile(import.meta.url, 'src/runpod/isolated_child.js'), {
      env,
      execArgv: execArguments(process.execArgv),
      // Structured cloning: strings of many megabytes cross without being escaped.
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Out of the terminal's process group: Ctrl-C would end what the handler has started (ffmpeg).
      detached: true,
    });
    this.#child.on('message', (message) => {
      if (isMessage(message)) this.#receive(message as ChildMessage);
    });
    readLines(this.#child.stdout, (text) => events.line(text, 'stdout'));
    readLines(this.#child.stderr, (text) => {
      this.#lastLines.push(text);
      if (this.#lastLines.length > LAST_LINES) this.#lastLines.shift();
      events.line(text, 'stderr');
    });
    this.#child.on('error', (error) => this.#died(`an error: ${error.message}`));
    this.#child.on('exit', (code, signal) => {
      const how = signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
      this.#child.once('close', () => this.#died(how));
      setTimeout(() => this.#died(how), PIPES_MS);
    });
    // A process without its channel can neither be told nor tell anything.
    this.#child.on('disconnect', () => this.kill());
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  send(message: ParentMessage): void {
    // Where the channel has gone, the process's end tells.
    this.#child.send(message, undefined, {}, () => undefined);
  }

  /** Asks for a sign of life. The function that is returned says whether it has come. */
  ping(): () => boolean {
    const serial = ++this.#pinged;
    this.send({ type: 'ping', serial });
    return () => this.#answered >= serial;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #receive(message: ChildMessage): void {
    if (message.type === 'pong') this.#answered = message.serial;
    else this.#events.message(message);
  }

  #died(how: string): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#child.kill('SIGKILL');
    this.#events.died({ how, lastWords: this.#lastLines.join('\n') });
  }
}

/** Node's options for another file: not the script on the command line, nor the debugger's port. */
function execArguments(all: readonly string[]): string[] {
  const evaluated = /^(-e|-p|-pe|--eval|--print)$/;
  return all.filter(
    (option, i) =>
      !evaluated.test(option) &&
      !evaluated.test(all[i - 1] ?? '') &&
      !/^--(input-type|inspect)/.test(option),
  );
}

function readLines(stream: Readable | null, take: (line: string) => void): void {
  if (stream === null) return;
  let rest = '';
  const cut = (final: boolean): void => {
    const lines = rest.split(/\r?\n/);
    rest = final ? '' : (lines.pop() ?? '');
    while (rest.length > MAX_LINE) {
      lines.push(rest.slice(0, MAX_LINE));
      rest = rest.slice(MAX_LINE);
    }
    for (const line of lines) if (line.trim() !== '') take(line);
  };
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    rest += text;
    cut(false);
  });
  stream.on('end', () => cut(true));
  stream.on('error', () => undefined);
}
