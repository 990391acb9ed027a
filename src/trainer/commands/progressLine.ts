// Progress in a terminal: one line that is rewritten; elsewhere plain lines, fewer of them.
import type { WriteStream } from 'node:tty';
import { formatAccuracy, formatClock, formatCount, formatInterval, formatSpeed } from '../../metrics/format.js';
import type { TrainerEvent } from '../../protocol/events.js';
import { printable } from '../../protocol/printable.js';

const WIDTH = 24;

export class ProgressLine {
  private open = false;
  private lastPhase = '';

  constructor(private readonly stream: Pick<WriteStream, 'write'> & { isTTY?: boolean; columns?: number }) {}

  show(event: TrainerEvent): void {
    switch (event.type) {
      case 'phase':
        if (event.done !== undefined && event.total !== undefined && (event.phase === 'features' || event.phase === 'scanning')) {
          this.rewrite(`${bar(event.done, event.total)} ${event.phase === 'features' ? 'features' : 'images read'} ${formatCount(event.done)} of ${formatCount(event.total)}`);
          if (event.done === event.total) this.end();
        } else if (event.message !== this.lastPhase) {
          this.line(event.message);
        }
        this.lastPhase = event.message;
        break;
      case 'step':
        this.rewrite(`${bar(event.step, event.steps)} epoch ${String(event.epoch)}, step ${String(event.step)} of ${String(event.steps)}, loss ${event.loss.toFixed(3)}, ${formatSpeed(event.imagesPerSecond)}`);
        break;
      case 'epoch':
        this.line(`epoch ${String(event.epoch)} of ${String(event.epochs)}  val ${formatAccuracy(event.validation.accuracy)} ${formatInterval(event.interval)}  train ${formatAccuracy(event.train.accuracy)}  loss ${event.validation.loss.toFixed(3)}  ${event.seconds.toFixed(1)} s`);
        break;
      case 'gpu': // for the panel and the file; a terminal has tools of its own for that
        break;
      case 'message':
        this.line(event.text);
        break;
    }
  }

  /** A whole line, after whatever is being rewritten. */
  line(text: string): void {
    this.clear();
    this.stream.write(`${printable(text)}\n`);
  }

  /** Shows bytes of a download, and how fast it goes once that is known. */
  bytes(message: string, done: number, total: number, pace: { readonly bytesPerSecond?: number; readonly secondsLeft?: number } = {}): void {
    const { bytesPerSecond, secondsLeft } = pace;
    const speed = bytesPerSecond === undefined || secondsLeft === undefined ? '' : `, ${(bytesPerSecond / 1e6).toFixed(1)} MB/s, about ${formatClock(secondsLeft)} left`;
    this.rewrite(`${bar(done, total)} ${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB${speed}  ${message}`);
  }

  /** Shows how far something is whose end is not known. */
  count(text: string): void {
    this.rewrite(text);
  }

  end(): void {
    if (this.open) this.stream.write('\n');
    this.open = false;
  }

  private rewrite(text: string): void {
    if (this.stream.isTTY !== true) return;
    this.stream.write(`\r\u001b[K${printable(text).slice(0, (this.stream.columns ?? 80) - 1)}`);
    this.open = true;
  }

  private clear(): void {
    if (this.open) this.stream.write('\r\u001b[K');
    this.open = false;
  }
}

function bar(done: number, total: number): string {
  const filled = total === 0 ? 0 : Math.round((Math.min(done, total) / total) * WIDTH);
  return `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}`;
}
