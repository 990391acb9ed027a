// `thaw predict`: what a run's network says of images; of a folder as a CSV file.
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { formatAccuracy, formatCount, formatSpeed } from '../../metrics/format.js';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { predict, type ImagePrediction } from '../predict.js';
import { findRun, InterruptSignal, printJson, requiredArgument, type Command } from './command.js';
import { ProgressLine } from './progressLine.js';

export const predictCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: { csv: { type: 'string' }, thumbnails: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  });
  const run = findRun(requiredArgument(positionals, 0, 'RUN'));
  requiredArgument(positionals, 1, 'IMAGE');
  const images = positionals.slice(1);
  const interrupt = new InterruptSignal();
  const table = values.csv === undefined ? undefined : await CsvTable.create(path.resolve(values.csv));
  const progress = new ProgressLine(process.stdout);
  let done = 0;
  const began = performance.now();
  const onImage = async (prediction: ImagePrediction): Promise<void> => {
    done++;
    await table?.add(prediction);
    if (table !== undefined) {
      if (!values.json) progress.count(`${formatCount(done)} images, ${formatSpeed(done / ((performance.now() - began) / 1000))}`);
      return;
    }
    if (values.json) await printJsonInTurn(lineOf(prediction));
    else progress.line(textOf(prediction));
  };
  const summary = await predict({
    run, images, environment: process.env, thumbnails: values.thumbnails, signal: interrupt.signal, onImage,
  }).catch(async (error: unknown) => {
    await table?.abandon();
    throw error;
  });
  const imagesPerSecond = summary.seconds > 0 ? (summary.images + summary.unreadable) / summary.seconds : 0;
  const csv = await (summary.stopped ? table?.abandon() : table?.finish());
  if (values.json) {
    printJson({ type: 'result', run, images: summary.images, unreadable: summary.unreadable, seconds: summary.seconds, imagesPerSecond, device: summary.device, peakMemoryBytes: summary.peakMemoryBytes, ...(csv !== undefined && { csv }) });
  } else if (done !== 1 || table !== undefined || summary.stopped) {
    progress.line(`${formatCount(summary.images)} images${summary.unreadable === 0 ? '' : `, ${formatCount(summary.unreadable)} unreadable`}, ${formatSpeed(imagesPerSecond)}${csv === undefined ? '' : `, ${csv}`}`);
  }
  if (summary.stopped) return EXIT.stopped;
  if (summary.images + summary.unreadable === 0) throw new ThawError('input', 'no-images', `There is no image in ${images.join(', ')}`, 'Give image files, or folders that hold some');
  return summary.images === 0 ? EXIT.badInput : EXIT.done;
};

function lineOf({ path: file, top, thumbnail, reason }: ImagePrediction): unknown {
  if (top === undefined) return { type: 'unreadable', path: file, reason };
  const [first] = top;
  return {
    type: 'prediction', path: file, label: first?.label ?? '', probability: first?.probability ?? 0, top,
    ...(thumbnail !== undefined && { thumbnail: Buffer.from(thumbnail).toString('base64') }),
  };
}

function textOf({ path: file, top, reason }: ImagePrediction): string {
  const shown = path.relative(process.cwd(), file);
  if (top === undefined) return `${shown}  ${reason ?? ''}`;
  const [first, ...others] = top.map(({ label, probability }) => `${label} ${formatAccuracy(probability)}`);
  return `${shown}  ${first ?? ''}${others.length === 0 ? '' : `  (${others.join(', ')})`}`;
}

/** Waits while whoever reads is slower than we are: lines of thumbnails would fill the memory. */
async function printJsonInTurn(value: unknown): Promise<void> {
  if (!process.stdout.write(`${JSON.stringify(value)}\n`)) await once(process.stdout, 'drain');
}

const COLUMNS = ['image', 'label', 'probability', 'label_2', 'probability_2', 'label_3', 'probability_3', 'label_4', 'probability_4', 'label_5', 'probability_5', 'error'] as const;

/** A CSV file (RFC 4180), written beside its name and moved there when it is whole. */
class CsvTable {
  private constructor(private readonly target: string, private readonly temporary: string, private readonly stream: WriteStream) {}

  /** @throws ThawError `csv-unwritable` */
  static async create(target: string): Promise<CsvTable> {
    const temporary = `${target}.part`;
    try {
      await mkdir(path.dirname(target), { recursive: true });
      const handle = await open(temporary, 'w');
      const table = new CsvTable(target, temporary, createWriteStream(temporary, { fd: handle }));
      await table.write(COLUMNS);
      return table;
    } catch (error) {
      throw new ThawError('input', 'csv-unwritable', `${target} can't be written: ${error instanceof Error ? error.message : String(error)}`, 'Name another file after --csv', { cause: error });
    }
  }

  async add({ path: file, top = [], reason = '' }: ImagePrediction): Promise<void> {
    const cells = Array.from({ length: 5 }, (_, rank) => {
      const found = top[rank];
      return found === undefined ? ['', ''] : [found.label, found.probability.toPrecision(7)];
    });
    await this.write([path.relative(process.cwd(), file), ...cells.flat(), reason]);
  }

  /** @returns the file's path */
  async finish(): Promise<string> {
    await this.close();
    await rename(this.temporary, this.target);
    return this.target;
  }

  /** Closes the unfinished file and leaves it under its temporary name, which says so. @returns that path */
  async abandon(): Promise<string> {
    await this.close();
    return this.temporary;
  }

  private async close(): Promise<void> {
    this.stream.end();
    await finished(this.stream);
  }

  private async write(cells: readonly string[]): Promise<void> {
    const line = cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',');
    if (this.stream.errored !== null) throw this.stream.errored;
    if (!this.stream.write(`${line}\r\n`)) await once(this.stream, 'drain');
  }
}
