// `thaw study`: a matrix of runs over folders, strategies, colours and seeds, and what they say together; resumed by the same command.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { requireClasses } from '../../dataset/assemble.js';
import { listDataset } from '../../dataset/listing.js';
import { formatAccuracy, formatClock, formatCount, formatInterval } from '../../metrics/format.js';
import { EXIT, ThawError } from '../../protocol/errors.js';
import { ENGLISH } from '../../protocol/localiser.js';
import { printable } from '../../protocol/printable.js';
import { BACKBONES, COLOURS, DEFAULT_BACKBONE, STRATEGIES } from '../../protocol/run.js';
import { MOST_SEEDS, type StudyCell, type StudyRecord, type StudySnapshot } from '../../protocol/study.js';
import { strategyName } from '../../runs/strategyName.js';
import { defaultWorkspace } from '../../runs/datasetFolder.js';
import { runsFolderFor } from '../../runs/runFolder.js';
import { exportStudy, STUDY_FORMATS, type StudyFormat } from '../../study/export.js';
import { referenceAccuracy } from '../../study/reference.js';
import { isUnreadableStudy, readStudySnapshot } from '../../study/snapshot.js';
import { readStudyRecord, resolveStored, studiesFolderFor, StudyWriter } from '../../study/studyFolder.js';
import { startStudy } from '../../study/startStudy.js';
import { intervalName, isMixed } from '../../study/verdict.js';
import { writeFileAtomic } from '../../storage/atomicFile.js';
import { recipeNamed } from '../../training/recipes.js';
import { sampleImages } from '../sampleImages.js';
import { runStudy, type StudyEvent } from '../study.js';
import { InterruptSignal, printJson, wholeNumber, type Command } from './command.js';
import { ProgressLine } from './progressLine.js';
import { recipeName } from './recipeOption.js';

export const studyCommand: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: {
      strategies: { type: 'string', default: 'freeze,finetune' }, colour: { type: 'string', default: 'rgb,gray' }, backbones: { type: 'string', default: DEFAULT_BACKBONE },
      seeds: { type: 'string', default: '3' }, recipe: { type: 'string', default: 'default' }, minutes: { type: 'string' }, runs: { type: 'string' },
      new: { type: 'boolean', default: false }, samples: { type: 'string' }, json: { type: 'boolean', default: false },
      export: { type: 'string' }, out: { type: 'string' }, 'compare-with': { type: 'string' },
    },
  });
  const output = outputOf(values);
  const [first] = positionals;
  if (first === undefined) throw new ThawError('input', 'bad-arguments', 'FOLDER is missing', 'Give dataset folders, or the folder of a study');
  if (existsSync(path.join(first, 'study.json'))) {
    const samples = wholeNumber(values.samples, '--samples', 1, 24);
    if (samples === undefined) await show(path.resolve(first), output);
    else await printSamples(path.resolve(first), samples);
    return EXIT.done;
  }
  const runs = values.runs === undefined ? undefined : path.resolve(values.runs);
  const datasets = await foldersOf(positionals);
  const studiesFolder = studiesFolderFor(runs ?? runsFolderFor(defaultWorkspace(datasets[0] ?? '')));
  const recipe = recipeName(values.recipe);
  const strategies = listOf(values.strategies, STRATEGIES, '--strategies');
  const backbones = listOf(values.backbones, BACKBONES, '--backbones');
  const asked = {
    datasets: datasets.map((folder) => ({ folder, runsFolder: runs ?? runsFolderFor(defaultWorkspace(folder)) })),
    strategies, backbones, colours: listOf(values.colour, COLOURS, '--colour'), seeds: wholeNumber(values.seeds, '--seeds', 1, MOST_SEEDS) ?? 3, recipe,
    recipes: strategies.flatMap((strategy) => backbones.map((backbone) => ({ strategy, backbone, recipe: recipeNamed(recipe, strategy, backbone) }))),
  };
  const minutes = minutesOf(values.minutes);
  const { directory, found } = await startStudy(studiesFolder, asked, { minutes, fresh: values.new });
  return execute(directory, { ...output, resumed: found, minutes });
};

interface Output {
  readonly json: boolean;
  readonly reference: boolean;
  readonly file: { readonly format: StudyFormat; readonly path: string } | undefined;
}

function outputOf(values: { readonly json: boolean; readonly export?: string | undefined; readonly out?: string | undefined; readonly 'compare-with'?: string | undefined }): Output {
  if (values['compare-with'] !== undefined && values['compare-with'] !== 'reference') {
    throw new ThawError('input', 'bad-arguments', `--compare-with ${JSON.stringify(values['compare-with'])} is unknown`, 'Use --compare-with reference');
  }
  const format = STUDY_FORMATS.find((known) => known === values.export);
  if (values.export !== undefined && format === undefined) throw new ThawError('input', 'bad-arguments', `--export ${JSON.stringify(values.export)} is unknown`, `Use --export ${STUDY_FORMATS.join(', --export ')}`);
  if ((format === undefined) !== (values.out === undefined)) throw new ThawError('input', 'bad-arguments', '--export and --out belong together', `Give both: --export ${format ?? 'html'} --out FILE`);
  return { json: values.json, reference: values['compare-with'] !== undefined, file: format === undefined ? undefined : { format, path: path.resolve(values.out ?? '') } };
}

async function foldersOf(given: readonly string[]): Promise<string[]> {
  const folders = await Promise.all(given.map((folder) => realpath(folder).catch((error: unknown) => {
    throw new ThawError('input', 'no-such-folder', `There is no folder ${path.resolve(folder)}`, 'Give folders with one subfolder of images per class', { cause: error });
  })));
  const distinct = [...new Set(folders)];
  for (const folder of distinct) { // one that is no dataset is refused before anything is made
    requireClasses(await listDataset(folder));
  }
  return distinct;
}

function listOf<T extends string>(text: string, known: readonly T[], option: string): T[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !known.some((one) => one === name));
  if (unknown !== undefined) throw new ThawError('input', 'bad-arguments', `${option} ${JSON.stringify(unknown)} is unknown`, `Use some of: ${known.join(', ')}, with commas between them`);
  return known.filter((one) => names.includes(one));
}

function minutesOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const minutes = Number(text);
  if (!Number.isFinite(minutes) || minutes <= 0) throw new ThawError('input', 'bad-arguments', `--minutes ${JSON.stringify(text)} is not a number above 0`, 'Give --minutes such a number');
  return minutes;
}

async function execute(directory: string, options: Output & { readonly resumed: StudyRecord | undefined; readonly minutes: number | undefined }): Promise<number> {
  const { json, resumed } = options;
  const interrupt = new InterruptSignal();
  const nonce = randomBytes(16).toString('hex');
  const progress = json ? undefined : new ProgressLine(process.stdout);
  if (json) printJson({ type: 'study', study: directory, resumed: resumed !== undefined });
  else progress?.line(resumed === undefined ? `Study ${directory}` : `${resumed.state === 'finished' ? 'Finished before' : 'Resumed'}: ${directory}; --new begins another`);
  const writer = await StudyWriter.open(directory, { nonce });
  let record: StudyRecord;
  try {
    if (writer.record.minutes !== options.minutes) await writer.update({ minutes: options.minutes });
    record = await runStudy(writer, {
      nonce, environment: process.env, stopRequested: () => interrupt.requested,
      onEvent: (event) => {
        if (json) printEvent(event, writer.record);
        else if (progress !== undefined) showStudyEvent(event, writer.record, progress);
      },
    });
  } finally {
    progress?.end();
    await writer.close();
  }
  await show(directory, options);
  if (record.state === 'stopped' || interrupt.requested) {
    process.stderr.write(record.state === 'finished' ? 'Stopped. The study had finished before.\n' : 'Stopped. The same command resumes it.\n');
    return EXIT.stopped;
  }
  return record.runs.some(({ state }) => state === 'failed') ? EXIT.failed : EXIT.done;
}

/** Prints what a study has come to, and writes the file that was asked for. */
async function show(directory: string, { json, reference, file }: Output): Promise<void> {
  const study = await readStudySnapshot(directory);
  if (isUnreadableStudy(study)) throw new ThawError('input', 'study-unreadable', `The study ${directory} can't be read: ${study.reason}`, 'Start a new study');
  const options = { l10n: ENGLISH, reference };
  if (file !== undefined) await writeFileAtomic(file.path, exportStudy(study, file.format, options));
  if (!json) {
    process.stdout.write(`\n${exportStudy(study, 'markdown', options)}${file === undefined ? '' : `\n${printable(file.path)}\n`}`);
    return;
  }
  const { record } = study;
  printJson({
    type: 'result', study: directory, state: study.state, cells: record.cells.map((cell) => ({ ...jsonCell(cell, study.record), ...(reference && { reference: referenceOf(cell, study.record) }) })), pairs: record.pairs,
    seeds: record.trimmedTo ?? record.plan.seeds, estimate: record.estimate?.seconds ?? null, seconds: record.runs.reduce((sum, { seconds, takenUp }) => sum + (takenUp === true ? 0 : seconds ?? 0), 0),
    failures: failuresOf(study), ...(file !== undefined && { file: file.path }),
  });
}

/** Some images of each dataset as small pictures, made anew: a JSON line each, for the editor, which decodes none itself. */
async function printSamples(directory: string, count: number): Promise<void> {
  const read = await readStudyRecord(directory);
  if ('reason' in read) throw new ThawError('input', 'study-unreadable', `The study ${directory} can't be read: ${read.reason}`, 'Start a new study');
  for (const [dataset, { path: stored }] of read.record.plan.datasets.entries()) {
    for await (const { class: name, jpeg } of sampleImages(resolveStored(stored, directory), count)) {
      printJson({ type: 'sample', dataset, class: name, thumbnail: Buffer.from(jpeg).toString('base64') });
    }
  }
}

function failuresOf({ record }: StudySnapshot): unknown[] {
  return record.runs.flatMap(({ state, failure, seed, ...place }) => (state === 'failed' ? [{ ...jsonPlace(place, record), seed, failure: failure ?? null }] : []));
}

function jsonPlace({ dataset, strategy, colour, backbone }: Pick<StudyCell, 'dataset' | 'strategy' | 'colour' | 'backbone'>, { plan }: StudyRecord): Record<string, unknown> {
  return { dataset: plan.datasets[dataset]?.name ?? '', strategy, colour, backbone };
}

/** The value of the study that Thaw grew from, where it had these images. */
function referenceOf({ dataset, strategy, colour }: StudyCell, { plan }: StudyRecord): number | null {
  return referenceAccuracy(plan.datasets[dataset]?.name ?? '', strategy, colour) ?? null;
}

function jsonCell(cell: StudyCell, record: StudyRecord): Record<string, unknown> {
  return {
    ...jsonPlace(cell, record), mean: cell.mean ?? null, interval: cell.interval ?? null, intervalBy: cell.intervalBy ?? null, seeds: cell.seeds.length,
    seconds: cell.seconds ?? null, images: cell.images ?? null, split: cell.split ?? null, accuracies: cell.accuracies, ...(cell.cached === true && { cached: true }),
  };
}

function printEvent(event: StudyEvent, record: StudyRecord): void {
  switch (event.type) {
    case 'cell': printJson({ type: 'cell', ...jsonCell(event.cell, record) }); break;
    case 'run': printJson({ type: 'run', run: event.directory, ...jsonPlace(event.planned, record), seed: event.planned.seed, index: event.index }); break;
    case 'failed': printJson({ type: 'failed', ...jsonPlace(event.planned, record), seed: event.planned.seed, failure: event.failure }); break;
    case 'progress': printJson({ ...event.event, run: record.runs[event.index]?.run ?? null }); break;
    default: printJson(event);
  }
}

/** A study's events as lines. */
export function showStudyEvent(event: StudyEvent, record: StudyRecord, progress: ProgressLine): void {
  const place = ({ dataset, strategy, colour, backbone }: Pick<StudyCell, 'dataset' | 'strategy' | 'colour' | 'backbone'>): string => [
    record.plan.datasets[dataset]?.name ?? '', ...(record.plan.backbones.length > 1 ? [backbone] : []), strategyName({ strategy, colour }, ENGLISH),
  ].join(', ');
  switch (event.type) {
    case 'phase': progress.line(event.message); break;
    case 'estimate': progress.line(`${formatCount(event.runs)} runs on ${event.device}, about ${formatClock(event.seconds)}`); break;
    case 'trimmed': progress.line(`Trimmed to ${String(event.seeds)} of ${String(event.of)} seeds, to fit into ${String(event.minutes)} minutes`); break;
    case 'too-long': progress.line(`One seed alone takes about ${formatClock(event.seconds)}, more than the ${String(event.minutes)} minutes given; it is begun all the same`); break;
    case 'taken-up': progress.line(`${formatCount(event.runs)} runs of an earlier study count`); break;
    case 'run': progress.line(`${String(event.index + 1)} of ${String(record.runs.length)}: ${place(event.planned)}, seed ${String(event.planned.seed)}`); break;
    case 'progress':
      // A run's own lines would drown the cells: only what is being rewritten is shown, and warnings.
      if (event.event.type === 'step' || event.event.type === 'message' || (event.event.type === 'phase' && event.event.done !== undefined)) progress.show(event.event);
      break;
    case 'cell': progress.line(`  ${place(event.cell)}  ${cellLine(event.cell)}`); break;
    case 'failed': progress.line(`  ${place(event.planned)}, seed ${String(event.planned.seed)} failed: ${event.failure.message}. ${event.failure.next}.`); break;
    case 'left-out': progress.line(`${formatCount(event.runs)} runs are left out, for want of time`); break;
  }
}

function cellLine(cell: StudyCell): string {
  if (isMixed(cell)) return 'not averaged: its runs saw different splits of the images';
  return `${formatAccuracy(cell.mean)} ${formatInterval(cell.interval)} (${intervalName(cell, ENGLISH)})  ${formatClock(cell.seconds)}`;
}
