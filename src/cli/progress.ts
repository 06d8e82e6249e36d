/** A progress bar on a terminal's standard error; nothing at all elsewhere. */
import cliProgress from 'cli-progress';
import { formatBytes } from '../storage/disk.js';

type Unit = 'bytes' | 'seconds' | 'chunks';

export class ProgressBar {
  readonly #stream: NodeJS.WriteStream;
  #bar: cliProgress.SingleBar | undefined;
  #label = '';

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** Shows how far `label` has come; another label starts another bar. */
  update(label: string, value: number, total: number, unit: Unit): void {
    if (!this.#stream.isTTY || total <= 0) return;
    if (this.#bar !== undefined && this.#label !== label) this.clear();
    const shown = {
      label,
      of: `${format(value, unit)} of ${format(total, unit)}${unit === 'chunks' ? ' chunks' : ''}`,
    };
    if (this.#bar === undefined) {
      this.#label = label;
      this.#bar = new cliProgress.SingleBar({
        format: '{label} [{bar}] {percentage}% {of}',
        stream: this.#stream,
        barsize: 30,
        hideCursor: true,
        clearOnComplete: true,
        linewrap: false,
        // cli-progress would install handlers that swallow the interrupt.
        gracefulExit: false,
      });
      this.#bar.start(total, value, shown);
    }
    this.#bar.setTotal(total);
    this.#bar.update(value, shown);
  }

  /** Takes the bar off the screen. */
  clear(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  /** Prints a line above whatever bar there is. */
  line(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }
}

function format(value: number, unit: Unit): string {
  if (unit === 'chunks') return `${Math.floor(value)}`;
  if (unit === 'bytes') return formatBytes(Math.round(value));
  const minutes = Math.floor(value / 60);
  return `${minutes}:${String(Math.floor(value % 60)).padStart(2, '0')}`;
}
