// `thaw weights`: what is in the catalogue, what of it is here, and a person's own; fetches and adds more.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { formatAccuracy, formatBytes } from '../../metrics/format.js';
import { graphFor } from '../../network/architectures.js';
import { addWeights } from '../../network/weights/add.js';
import { findOwnWeights, findWeights, IMAGENET_CLASSES, listOwnWeights } from '../../network/weights/cache.js';
import { sourceOf, WEIGHTS } from '../../network/weights/catalogue.js';
import { provideWeights } from '../../network/weights/provide.js';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { BACKBONES, type BackboneName } from '../../protocol/run.js';
import { InterruptSignal, printJson, printLines, type Command } from './command.js';
import { ProgressLine } from './progressLine.js';

export const weightsCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { json: { type: 'boolean', default: false } } });
  const [action, name, ...more] = positionals;
  if (action === 'list' && name === undefined) return list(values.json);
  if (action === 'get' && name !== undefined && more.length === 0) return get(name, values.json);
  if (action === 'add' && name !== undefined && more.length === 0) return add(name, values.json);
  throw new ThawError('input', 'bad-arguments', 'thaw weights takes list, or get and one name, or add and one file', 'Usage: thaw weights list|get NAME|add FILE [--json]');
};

/** One line of the list, which the editor reads too. */
interface WeightsRow {
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly backbone: BackboneName;
  /** Here, and of the right hash. */
  readonly present: boolean;
  readonly bytes: number;
  /** Null for a person's own, which Thaw doesn't know. */
  readonly licence: string | null;
  readonly source: string;
  /** Hexadecimal: all digits, or the eight that are published. */
  readonly sha256: string;
  readonly own: boolean;
  readonly classes: number;
  /** Share of ImageNet's validation images, as published; null for a person's own. */
  readonly top1: { readonly accuracy: number; readonly source: string } | null;
  /** Side of the square input in pixels. */
  readonly inputSize: number;
  /** How images become the input: the shorter side in pixels and the kernel; then the input is (value − mean) / std on the scale 0 to 255. */
  readonly resize: { readonly shortSide: number; readonly kernel: string };
  readonly normalisation: { readonly mean: readonly number[]; readonly std: readonly number[] };
}

function list(json: boolean): number {
  const rows: WeightsRow[] = [
    ...BACKBONES.map((backbone) => {
      const { name: title, bytes, licence, sha256, top1 } = WEIGHTS[backbone];
      return {
        name: backbone, title, backbone, present: findWeights(backbone) !== undefined, bytes, licence, source: sourceOf(WEIGHTS[backbone]), sha256, own: false,
        classes: IMAGENET_CLASSES, top1, ...preparationOf(backbone),
      };
    }),
    ...listOwnWeights().map(({ name, backbone, bytes, from, sha256, classes }) => ({
      name, title: `${backbone}, from ${from}`, backbone, present: findOwnWeights(name) !== undefined, bytes, licence: null, source: from, sha256, own: true,
      classes, top1: null, ...preparationOf(backbone),
    })),
  ];
  if (json) {
    printJson(rows);
    return EXIT.done;
  }
  const cells = rows.map(({ name, present, bytes, licence, top1, own, classes, source }) => [
    name, present ? 'here' : 'not here', formatBytes(bytes), licence ?? 'your own', top1 === null ? '' : `top-1 ${formatAccuracy(top1.accuracy)}`,
    own ? `${String(classes)} classes, ${source}` : source,
  ]);
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  printLines(cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()));
  return EXIT.done;
}

function preparationOf(backbone: BackboneName): Pick<WeightsRow, 'inputSize' | 'resize' | 'normalisation'> {
  const { inputSize, preprocessing: { resizeShortSide, kernel, mean, std } } = graphFor(backbone, 1);
  return { inputSize, resize: { shortSide: resizeShortSide, kernel }, normalisation: { mean, std } };
}

async function get(wanted: string, json: boolean): Promise<number> {
  const name = BACKBONES.find((known) => known === wanted);
  if (name === undefined) throw new ThawError('input', 'bad-arguments', `There are no weights called ${JSON.stringify(wanted)}`, `Use one of: ${BACKBONES.join(', ')}`);
  const interrupt = new InterruptSignal();
  const progress = new ProgressLine(process.stdout);
  try {
    const weights = await provideWeights(name, {
      signal: interrupt.signal,
      onProgress: ({ message, doneBytes, totalBytes }) => {
        if (json) printJson({ type: 'progress', message, doneBytes, totalBytes });
        else if (doneBytes !== undefined && totalBytes !== undefined) progress.bytes(message, doneBytes, totalBytes);
      },
    });
    progress.end();
    if (json) printJson({ type: 'result', ...weights });
    else progress.line(`Ready: ${weights.name}, from ${weights.source}`);
    return EXIT.done;
  } catch (error) {
    progress.end();
    if (!interrupt.requested) throw error;
    if (!json) progress.line('Stopped. The next call goes on from here where it can; nothing half-finished is used');
    return EXIT.stopped;
  }
}

async function add(file: string, json: boolean): Promise<number> {
  const added = await addWeights(path.resolve(file));
  if (json) printJson({ type: 'result', ...added });
  else if (added.own) printLines([`Added ${added.name}: ${added.backbone} with ${String(added.classes)} classes. Train on them with --weights ${added.name}`]);
  else printLines([`Added ${WEIGHTS[added.backbone].name}. Train on them with --backbone ${added.name}`]);
  return EXIT.done;
}
