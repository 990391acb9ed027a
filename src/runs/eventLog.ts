// events.ndjson, read piece by piece as it grows.
import * as v from 'valibot';
import { trainerEventSchema, type EpochEvent, type GpuEvent, type PhaseEvent, type StepEvent, type TrainerEvent } from '../protocol/events.js';
import type { GpuUse } from '../protocol/snapshot.js';
import { MAX_LINE_BYTES } from './guardedFiles.js';

const NEWLINE = 0x0a;
/** More epochs than a recipe can ask for; what claims to be a later one is damaged. */
const MAX_EPOCH = 10_000;
/** A trainer leaves at most a torn line where it was killed; a file with more lines than these that are no event is none of ours. */
const MAX_OTHER_LINES = 1000;

/**
 * What the lines so far come to. A last line without its end is left for the next piece, since it may be half written; a line that is no
 * event is counted and passed over, up to a thousand: then no more is read. Of two records of one epoch the later stands, and epochs are in order whatever the file's order is.
 */
export class EventLog {
  readonly #epochs = new Map<number, EpochEvent>();
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #tooLong = false;
  #phase: PhaseEvent | undefined;
  #step: StepEvent | undefined;
  #gpu: { last: GpuEvent; peakBytes: number; busy: number; told: number } | undefined;
  #damagedLines = 0;
  #blankLines = 0;
  #lastEventAt: number | undefined;

  /** Takes the next bytes of the file. */
  feed(bytes: Uint8Array): void {
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      if (this.givenUp) return;
      this.#keep(rest.subarray(0, end));
      this.#line();
      rest = rest.subarray(end + 1);
    }
    this.#keep(Buffer.from(rest)); // kept beyond this call
  }

  /** It holds so much that is no event that nothing more is taken. */
  get givenUp(): boolean {
    return this.#damagedLines + this.#blankLines >= MAX_OTHER_LINES;
  }

  /** By epoch, ascending. */
  get epochs(): EpochEvent[] {
    return [...this.#epochs.values()].sort((a, b) => a.epoch - b.epoch);
  }

  get phase(): PhaseEvent | undefined {
    return this.#phase;
  }

  /** The last step event, unless an epoch ended after it. */
  get step(): StepEvent | undefined {
    return this.#step;
  }

  /** What the samples so far come to. */
  get gpu(): GpuUse | undefined {
    if (this.#gpu === undefined) return undefined;
    const { last, peakBytes, busy, told } = this.#gpu;
    return { last, peakBytes, ...(told > 0 && { meanUtilization: busy / told }) };
  }

  get damagedLines(): number {
    return this.#damagedLines;
  }

  /** Milliseconds since 1970. */
  get lastEventAt(): number | undefined {
    return this.#lastEventAt;
  }

  #keep(part: Buffer): void {
    if (part.length === 0 || this.#tooLong) return;
    if (this.#pendingBytes + part.length > MAX_LINE_BYTES) {
      this.#tooLong = true;
      this.#pending = [];
      this.#pendingBytes = 0;
      return;
    }
    this.#pending.push(part);
    this.#pendingBytes += part.length;
  }

  #line(): void {
    const [text, tooLong] = [Buffer.concat(this.#pending).toString('utf8'), this.#tooLong];
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#tooLong = false;
    if (text.trim() === '' && !tooLong) {
      this.#blankLines += 1;
      return;
    }
    const event = tooLong ? undefined : parseEvent(text);
    if (event === undefined) {
      this.#damagedLines += 1;
      return;
    }
    this.#lastEventAt = Math.max(this.#lastEventAt ?? 0, event.time);
    switch (event.type) {
      case 'phase': this.#phase = event; break;
      case 'step': this.#step = event; break;
      case 'epoch':
        this.#epochs.set(event.epoch, event);
        this.#step = undefined;
        break;
      case 'gpu': {
        const { peakBytes = 0, busy = 0, told = 0 } = this.#gpu ?? {};
        this.#gpu = {
          last: event, peakBytes: Math.max(peakBytes, event.usedBytes),
          busy: busy + (event.utilization ?? 0), told: told + (event.utilization === undefined ? 0 : 1),
        };
        break;
      }
      case 'message': break;
    }
  }
}

function parseEvent(text: string): TrainerEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = v.safeParse(trainerEventSchema, value);
  if (!parsed.success) return undefined;
  const event = parsed.output;
  return event.type === 'epoch' && (event.epoch < 1 || event.epoch > MAX_EPOCH) ? undefined : event;
}
