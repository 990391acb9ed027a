// Runs beside each other, tested image by image on the predictions that they stored.
import { holm, mcnemarExact } from '../metrics/significance.js';
import type { Comparison, PairedTest, UntestedPair } from '../protocol/comparison.js';
import { ThawError } from '../protocol/errors.js';
import type { Prediction } from '../protocol/run.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { readPredictions } from './readRun.js';
import { capitalised, runNames, soFar, verdictOn } from './verdict.js';

/** More runs than this are not compared at once. */
const MAX_RUNS = 12;

export interface CompareOptions {
  /** The stored predictions of a run; by default read from its folder. */
  readonly predictions?: (run: RunSnapshot) => Promise<readonly Prediction[]>;
}

/**
 * Compares runs: every pair that was scored on the very same images (same split by content, and each image's path and hash equal) by McNemar's
 * exact test, p-values corrected after Holm over the pairs tested; of any other pair it says why there is no test.
 * @throws ThawError `too-many-runs`
 */
export async function compareRuns(snapshots: readonly RunSnapshot[], options: CompareOptions = {}): Promise<Comparison> {
  if (snapshots.length > MAX_RUNS) throw new ThawError('input', 'too-many-runs', `${snapshots.length} runs are too many to compare at once`, `Choose at most ${MAX_RUNS}`);
  const read = options.predictions ?? ((run: RunSnapshot): Promise<readonly Prediction[]> => readPredictions(run.directory));
  const accuracy = (run: RunSnapshot): number => run.record.result?.accuracy ?? -1;
  const distinct = snapshots.filter((run, index) => snapshots.findIndex((other) => other.directory === run.directory) === index);
  const runs = distinct.sort((a, b) => accuracy(b) - accuracy(a)); // a stable sort: ties stay as asked for
  const names = runNames(runs);
  const answers = new Map(await Promise.all(runs.map(async (run, index) => [run, await answersOf(run, names[index] ?? '', read)] as const)));

  const found: (Omit<PairedTest, 'pHolm'> | UntestedPair)[] = [];
  for (const [i, first] of runs.entries()) {
    for (const [k, second] of runs.entries()) {
      if (k <= i) continue;
      const [firstName, secondName] = [names[i] ?? '', names[k] ?? ''];
      found.push({ first: first.directory, second: second.directory, ...testPair(first, second, firstName, secondName, answers.get(first), answers.get(second)) });
    }
  }
  const corrected = holm(found.flatMap((pair) => ('p' in pair ? [pair.p] : [])));
  let next = 0;
  const pairs = found.map((pair): PairedTest | UntestedPair => ('p' in pair ? { ...pair, pHolm: corrected[next++] ?? 1 } : pair));
  return { runs, pairs, verdict: verdictOn(runs, pairs) };
}

/** Image (path and content) → whether the run is right on it; or why that isn't known. */
type Answers = { readonly right: ReadonlyMap<string, boolean> } | { readonly reason: string };

async function answersOf(run: RunSnapshot, name: string, read: (run: RunSnapshot) => Promise<readonly Prediction[]>): Promise<Answers> {
  const { result } = run.record;
  if (result === undefined) return { reason: soFar(run, name) };
  let predictions: readonly Prediction[];
  try {
    predictions = await read(run);
  } catch (error) {
    if (error instanceof ThawError) return { reason: `${error.message}.` };
    throw error;
  }
  const scored = predictions.filter(({ split }) => split === result.accuracySplit);
  const right = new Map(scored.map(({ path, sha256, truth, predicted }) => [`${sha256} ${path}`, truth === predicted]));
  const correct = [...right.values()].filter(Boolean).length;
  if (right.size !== scored.length || right.size !== result.total || correct !== result.correct) {
    return { reason: `The stored predictions of ${name} don't agree with its result: ${correct} of ${right.size} right, not ${result.correct} of ${result.total}.` };
  }
  return { right };
}

function testPair(
  first: RunSnapshot, second: RunSnapshot, firstName: string, secondName: string, firstAnswers: Answers | undefined, secondAnswers: Answers | undefined,
): Omit<PairedTest, 'first' | 'second' | 'pHolm'> | { readonly reason: string } {
  if (firstAnswers === undefined || secondAnswers === undefined) throw new Error('a run was compared that was not read');
  for (const [run, answers] of [[first, firstAnswers], [second, secondAnswers]] as const) if (run.record.result === undefined && 'reason' in answers) return answers;
  const [a, b] = [first.record, second.record];
  if (a.result !== undefined && b.result !== undefined && a.result.accuracySplit !== b.result.accuracySplit) {
    return { reason: `${capitalised(firstName)} is scored on the ${a.result.accuracySplit} images, ${secondName} on the ${b.result.accuracySplit} images.` };
  }
  if (a.data === undefined || a.data.fingerprint !== b.data?.fingerprint) {
    return { reason: `${capitalised(firstName)} and ${secondName} saw different splits of the images, so they can't be compared image by image.` };
  }
  if ('reason' in firstAnswers) return firstAnswers;
  if ('reason' in secondAnswers) return secondAnswers;
  const counts = { images: firstAnswers.right.size, bothRight: 0, onlyFirstRight: 0, onlySecondRight: 0, bothWrong: 0 };
  for (const [image, firstRight] of firstAnswers.right) {
    const secondRight = secondAnswers.right.get(image);
    if (secondRight === undefined) return { reason: `The stored predictions of ${firstName} and ${secondName} are not of the same images.` };
    counts[firstRight ? (secondRight ? 'bothRight' : 'onlyFirstRight') : secondRight ? 'onlySecondRight' : 'bothWrong'] += 1;
  }
  if (secondAnswers.right.size !== counts.images) return { reason: `The stored predictions of ${firstName} and ${secondName} are not of the same images.` };
  return { ...counts, p: mcnemarExact(counts.onlyFirstRight, counts.onlySecondRight) };
}
