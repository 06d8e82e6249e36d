/** How far a long transfer has come: a bar on a terminal, a line for every tenth in a log. */
import { formatBytes } from '../storage/disk.js';
import { ProgressBar } from './progress.js';

export class TransferDisplay {
  readonly #name: string;
  readonly #bar = new ProgressBar();
  #last = '';

  constructor(name: string) {
    this.#name = name;
  }

  update(label: string, bytes: number, total: number): void {
    if (total <= 0) return;
    this.#bar.update(label, bytes, total, 'bytes');
    if (process.stderr.isTTY) return;
    const tenths = Math.floor((bytes / total) * 10);
    this.line(`${this.#name}: ${tenths * 10}% of ${formatBytes(total)}`);
  }

  /** The same line twice in a row is written once. */
  line(text: string): void {
    if (text !== this.#last) this.#bar.line(text);
    this.#last = text;
  }

  clear(): void {
    this.#bar.clear();
  }
}
