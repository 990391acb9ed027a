// The evaluation of the advice: for each case the advice, then freeze and finetune by the default recipe over three seeds, as `thaw` does them.
// Bundled and started by advice.mjs, which says how it is used.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual, parseArgs, promisify } from 'node:util';
import * as v from 'valibot';
import { findWeights } from '../src/network/weights/cache.js';
import { adviceSchema } from '../src/protocol/advice.js';
import { DEFAULT_BACKBONE, runRecordSchema, type Recipe, type RunRecord } from '../src/protocol/run.js';
import { readPredictions } from '../src/runs/readRun.js';
import { writeFileAtomic } from '../src/storage/atomicFile.js';
import { CASES, prepareCase, type AdviceCase } from './adviceCases.js';
import { measureReferences } from './adviceReferences.js';
import { EVALUATED_RECIPES, outcomeOf, summarySchema, withTable, type CaseResult, type CaseRun, type Summary } from './adviceTable.js';
import { contentOf, machineName } from './provenance.js';

const SEEDS = [0, 1, 2];
const COMPARED = ['freeze', 'finetune'] as const;
type Compared = (typeof COMPARED)[number];
const SUMMARY = path.resolve('bench/advice.json');
const DOCUMENT = path.resolve('docs/advice.md');
const WORK = path.resolve('.bench/advice');
const CLI = path.resolve('dist/cli.js');
const execute = promisify(execFile);

async function main(): Promise<void> {
  const { values } = parseArgs({ options: {
    data: { type: 'string' }, minutes: { type: 'string' }, only: { type: 'string' }, table: { type: 'boolean', default: false }, references: { type: 'boolean', default: false },
  } });
  if (values.table) return rebuildTable();
  if (values.data === undefined) throw new Error('--data FOLDER is missing: it holds hymenoptera/, dog_cat/ and digits/ (bench/digits.py)');
  if (values.references) {
    await writeFileAtomic(path.resolve('src/advice/references.json'), `${JSON.stringify(await measureReferences(path.resolve(values.data)), undefined, 2)}\n`);
    return;
  }
  const deadline = performance.now() + Number(values.minutes ?? Infinity) * 60_000;
  const only = values.only?.split(',');
  const unknown = only?.filter((id) => !CASES.some((known) => known.id === id)) ?? [];
  if (unknown.length > 0) throw new Error(`There is no case ${unknown.join(', ')}; there are ${CASES.map(({ id }) => id).join(', ')}`);
  const evaluation = new Evaluation(await readSummary(), path.resolve(values.data));
  // Seed by seed, so that when the time is over every case has as many as the others, or one more.
  const cases = CASES.filter(({ id }) => only?.includes(id) ?? true);
  for (const seed of SEEDS) {
    for (const chosen of cases) {
      if (performance.now() > deadline) {
        process.stdout.write('The time is over; the same command goes on from here\n');
        return rebuildTable();
      }
      await evaluation.evaluate(chosen, seed);
    }
  }
  return rebuildTable();
}

async function readSummary(): Promise<Summary> {
  try {
    return withRecipes(v.parse(summarySchema, JSON.parse(await readFile(SUMMARY, 'utf8'))));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { machine: '', recipes: EVALUATED_RECIPES, cases: {} };
    throw error;
  }
}

/** Without the runs of a recipe that is no longer the default: a table never mixes two. */
function withRecipes({ recipes, cases, ...rest }: Summary): Summary {
  const kept = <Run>(strategy: Compared, runs: Run[]): Run[] => (isDeepStrictEqual(recipes[strategy], EVALUATED_RECIPES[strategy]) ? runs : []);
  return {
    ...rest, recipes: EVALUATED_RECIPES,
    cases: Object.fromEntries(Object.entries(cases).map(([id, { advice, freeze, finetune }]) => [id, { advice, freeze: kept('freeze', freeze), finetune: kept('finetune', finetune) }])),
  };
}

async function rebuildTable(): Promise<void> {
  await writeFileAtomic(DOCUMENT, withTable(await readFile(DOCUMENT, 'utf8'), await readSummary()));
  process.stdout.write(`${DOCUMENT} holds the table of ${SUMMARY}\n`);
}

class Evaluation {
  constructor(private readonly summary: Summary, private readonly data: string) {}

  /** The case's advice and its two runs of a seed, each unless it is there already. */
  async evaluate(chosen: AdviceCase, seed: number): Promise<void> {
    const folder = path.join(WORK, 'cases', chosen.id);
    await mkdir(path.dirname(folder), { recursive: true });
    await prepareCase(chosen, chosen.dataset === 'emoji' ? path.resolve('.sample') : this.data, folder);
    const images = await contentOf(folder);
    const before = this.summary.cases[chosen.id];
    const made = this.made(images, chosen.colour);
    let result: CaseResult = { advice: before?.advice.made === made ? before.advice : { made, result: await this.advice(chosen, folder) }, freeze: before?.freeze ?? [], finetune: before?.finetune ?? [] };
    await this.keep(chosen.id, result);
    for (const strategy of COMPARED) {
      const recipe = EVALUATED_RECIPES[strategy];
      const runMade = this.made(images, chosen.colour, strategy, recipe);
      const others = result[strategy].filter((run) => run.made === runMade && run.seed !== seed);
      const kept = result[strategy].find((run) => run.made === runMade && run.seed === seed);
      const run = kept ?? await this.run(chosen, folder, strategy, recipe, seed, runMade);
      result = { ...result, [strategy]: [...others, run].sort((a, b) => a.seed - b.seed) };
      if (kept === undefined) await this.keep(chosen.id, result);
    }
    const outcome = outcomeOf(chosen.id, result);
    if (outcome !== undefined) process.stdout.write(`${chosen.id}, ${String(outcome.seeds)} seeds: ${outcome.decision.recommendation}; freeze ${outcome.freeze.toFixed(3)}, finetune ${outcome.finetune.toFixed(3)}, won ${outcome.winner}: ${outcome.verdict}\n`);
  }

  private async advice({ colour }: AdviceCase, folder: string): Promise<CaseResult['advice']['result']> {
    const { measurements, seconds } = v.parse(adviceSchema, await lastLine(['advise', folder, '--colour', colour, '--json']));
    return { measurements, seconds };
  }

  /** From the run folder if it ended there, else trained. */
  private async run({ id, colour }: AdviceCase, folder: string, strategy: Compared, recipe: Recipe, seed: number, made: string): Promise<CaseRun> {
    const runs = path.join(WORK, 'runs', id, `${strategy}-${String(seed)}-${made.slice(0, 12)}`);
    const finished = await finishedRun(runs);
    const record = finished ?? await this.train(folder, runs, [
      '--strategy', strategy, '--colour', colour, '--seed', String(seed), ...(strategy === 'finetune' ? ['--epochs', String(recipe.epochs)] : []),
    ]);
    const predictions = [...await readPredictions(path.join(runs, record.id), { within: runs })].filter(({ split }) => split === 'validation').sort((a, b) => (a.path < b.path ? -1 : 1));
    return { seed, made, right: predictions.map(({ truth, predicted }) => (truth === predicted ? '1' : '0')).join(''), epochs: record.result?.epochs ?? 0, seconds: record.result?.seconds ?? 0 };
  }

  private async train(folder: string, runs: string, options: readonly string[]): Promise<RunRecord> {
    await rm(runs, { recursive: true, force: true }); // what was interrupted
    await lastLine(['train', folder, ...options, '--runs', runs, '--json']);
    const record = await finishedRun(runs);
    if (record === undefined) throw new Error(`The run in ${runs} did not finish`);
    return record;
  }

  private async keep(id: string, result: CaseResult): Promise<void> {
    this.summary.cases[id] = result;
    const known = new Map(Object.entries(this.summary.cases));
    const cases = Object.fromEntries(CASES.flatMap((each) => (known.has(each.id) ? [[each.id, known.get(each.id)]] : [])));
    await writeFileAtomic(SUMMARY, `${JSON.stringify({ machine: machineName(), recipes: EVALUATED_RECIPES, cases }, undefined, 1)}\n`);
  }

  /** Names what numbers depend on: another recipe, other weights or other images, and they are made again. */
  private made(images: string, colour: string, strategy?: Compared, recipe?: Recipe): string {
    return createHash('sha256').update(JSON.stringify([images, colour, findWeights(DEFAULT_BACKBONE)?.sha256, strategy, recipe])).digest('hex').slice(0, 32);
  }
}

async function finishedRun(runs: string): Promise<RunRecord | undefined> {
  for (const id of await readdir(runs).catch(() => [])) {
    const text = await readFile(path.join(runs, id, 'run.json'), 'utf8').catch(() => undefined);
    const record = text === undefined ? undefined : v.safeParse(runRecordSchema, JSON.parse(text));
    if (record?.success === true && record.output.state === 'finished') return record.output;
  }
  return undefined;
}

async function lastLine(args: readonly string[]): Promise<unknown> {
  const { stdout } = await execute(process.execPath, [CLI, ...args], { maxBuffer: 64 * 2 ** 20 });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
  process.exitCode = 1;
});
