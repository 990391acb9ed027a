// Trains what trialsTable.ts lists, seed by seed, and keeps each result at once. Bundled and started by trials.mjs, which says how it is used.
import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual, parseArgs, promisify } from 'node:util';
import * as v from 'valibot';
import { recipeSchema, runRecordSchema } from '../src/protocol/run.js';
import { writeFileAtomic } from '../src/storage/atomicFile.js';
import { contentOf, machineName } from './provenance.js';
import { studySummarySchema } from './studyDocument.js';
import { recipeOfTrial, TRIALS, trialsSchema, withTrials, type Trial, type TrialRun, type Trials } from './trialsTable.js';

const SUMMARY = path.resolve('docs/trials.json');
const DOCUMENT = path.resolve('docs/recipes.md');
const WORK = path.resolve('.bench/trials');
const execute = promisify(execFile);
const resultLine = v.object({ type: v.literal('result'), run: v.string() });

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: {
    only: { type: 'string' }, seeds: { type: 'string', default: '3' }, minutes: { type: 'string' }, table: { type: 'boolean', default: false },
  } });
  if (values.table) return rebuildTable(await readTrials());
  const only = values.only?.split(',');
  const unknown = only?.filter((id) => !TRIALS.some((trial) => trial.id === id)) ?? [];
  if (positionals.length === 0 || unknown.length > 0) throw new Error(unknown.length > 0 ? `There is no trial ${unknown.join(', ')}; there are ${TRIALS.map(({ id }) => id).join(', ')}` : 'FOLDER is missing');
  const deadline = performance.now() + Number(values.minutes ?? Infinity) * 60_000;
  const folders: { readonly folder: string; readonly fingerprint: string }[] = [];
  for (const folder of positionals.map((each) => path.resolve(each))) folders.push({ folder, fingerprint: await contentOf(folder) });
  let trials = await readTrials();
  for (let seed = 0; seed < Number(values.seeds); seed++) {
    for (const trial of TRIALS.filter(({ id }) => only?.includes(id) ?? true)) {
      for (const { folder, fingerprint } of folders) {
        const dataset = path.basename(folder);
        const known = trials.trials[trial.id]?.runs ?? [];
        const isThis = (run: TrialRun): boolean => run.dataset === dataset && run.seed === seed;
        if (known.some((run) => isThis(run) && run.fingerprint === fingerprint)) continue;
        if (performance.now() > deadline) {
          process.stdout.write('The time is over; the same command goes on from here\n');
          return rebuildTable(trials);
        }
        const run = { fingerprint, ...await train(trial, folder, seed) };
        process.stdout.write(`${trial.id}, ${dataset}, seed ${String(seed)}: ${(run.correct / run.total).toFixed(3)} in epoch ${String(run.bestEpoch)}, ${run.seconds.toFixed(0)} s\n`);
        trials = { ...trials, machine: machineName(), trials: { ...trials.trials, [trial.id]: { recipe: recipeOfTrial(trial), runs: [...known.filter((other) => !isThis(other)), run] } } };
        await writeFileAtomic(SUMMARY, `${JSON.stringify(trials, undefined, 1)}\n`);
      }
    }
  }
  return rebuildTable(trials);
}

/** Without what was trained by another recipe than the trial's now. */
async function readTrials(): Promise<Trials> {
  const text = await readFile(SUMMARY, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return { machine: machineName(), trials: {} };
  const { trials, ...rest } = v.parse(trialsSchema, JSON.parse(text));
  return { ...rest, trials: Object.fromEntries(TRIALS.flatMap((trial) => {
    const known = trials[trial.id];
    return known !== undefined && isDeepStrictEqual(known.recipe, v.parse(recipeSchema, recipeOfTrial(trial))) ? [[trial.id, known]] : [];
  })) };
}

async function train({ id, strategy, recipe, set }: Trial, folder: string, seed: number): Promise<Omit<TrialRun, 'fingerprint'>> {
  const runs = path.join(WORK, id);
  await mkdir(runs, { recursive: true });
  const { stdout } = await execute(process.execPath, [
    path.resolve('dist/cli.js'), 'train', folder, '--strategy', strategy, '--recipe', recipe, ...set.flatMap((assignment) => ['--set', assignment]), '--seed', String(seed), '--runs', runs, '--json',
  ], { maxBuffer: 64 * 2 ** 20 });
  const { run } = v.parse(resultLine, JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
  const { state, result } = v.parse(runRecordSchema, JSON.parse(await readFile(path.join(run, 'run.json'), 'utf8')));
  if (state !== 'finished' || result === undefined) throw new Error(`${run} is ${state}`);
  return { dataset: path.basename(folder), seed, correct: result.correct, total: result.total, bestEpoch: result.bestEpoch, seconds: result.seconds };
}

async function rebuildTable(trials: Trials): Promise<void> {
  const study = v.parse(studySummarySchema, JSON.parse(await readFile(path.resolve('docs/study.json'), 'utf8')));
  await writeFileAtomic(DOCUMENT, withTrials(await readFile(DOCUMENT, 'utf8'), trials, study));
  process.stdout.write(`${DOCUMENT} holds the table of ${SUMMARY}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = 1;
});
