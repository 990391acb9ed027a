// Runs beside each other, tested image by image on the predictions that they stored.
import { holm, mcnemarExact } from '../metrics/significance.js';
import type { Comparison, PairedTest, UntestedPair } from '../protocol/comparison.js';
import { ThawError } from '../protocol/errors.js';
import { ENGLISH, type Localiser } from '../protocol/localiser.js';
import { translateRecorded } from '../protocol/recordedText.js';
import type { Prediction } from '../protocol/run.js';
import type { RunSnapshot } from '../protocol/snapshot.js';
import { readPredictions } from './readRun.js';
import { capitalised, runNames, soFar, verdictOn } from './verdict.js';

/** More runs than this are not compared at once. */
const MAX_RUNS = 12;

export interface CompareOptions {
  /** The stored predictions of a run; by default read from its folder. */
  readonly predictions?: (run: RunSnapshot) => Promise<readonly Prediction[]>;
  /** English by default. */
  readonly l10n?: Localiser;
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
  const l10n = options.l10n ?? ENGLISH;
  const names = runNames(runs, l10n);
  const answers = new Map(await Promise.all(runs.map(async (run, index) => [run, await answersOf(run, names[index] ?? '', read, l10n)] as const)));

  const found: (Omit<PairedTest, 'pHolm'> | UntestedPair)[] = [];
  for (const [i, first] of runs.entries()) {
    for (const [k, second] of runs.entries()) {
      if (k <= i) continue;
      const [firstName, secondName] = [names[i] ?? '', names[k] ?? ''];
      found.push({ first: first.directory, second: second.directory, ...testPair([first, firstName, answers.get(first)], [second, secondName, answers.get(second)], l10n) });
    }
  }
  const corrected = holm(found.flatMap((pair) => ('p' in pair ? [pair.p] : [])));
  let next = 0;
  const pairs = found.map((pair): PairedTest | UntestedPair => ('p' in pair ? { ...pair, pHolm: corrected[next++] ?? 1 } : pair));
  return { runs, pairs, verdict: verdictOn(runs, pairs, l10n) };
}

/** Image (path and content) → whether the run is right on it; or why that isn't known. */
export type Answers = { readonly right: ReadonlyMap<string, boolean> } | { readonly reason: string };

/** The answers of a run on the images that its result counts; a reason where they are not stored, or don't add up to it. */
export async function answersOf(run: RunSnapshot, name: string, read: (run: RunSnapshot) => Promise<readonly Prediction[]>, l10n: Localiser): Promise<Answers> {
  const { result } = run.record;
  if (result === undefined) return { reason: soFar(run, name, l10n) };
  let predictions: readonly Prediction[];
  try {
    predictions = await read(run);
  } catch (error) {
    if (error instanceof ThawError) return { reason: `${translateRecorded(error.message, l10n)}.` };
    throw error;
  }
  const scored = predictions.filter(({ split }) => split === result.accuracySplit);
  const right = new Map(scored.map(({ path, sha256, truth, predicted }) => [`${sha256} ${path}`, truth === predicted]));
  const correct = [...right.values()].filter(Boolean).length;
  if (right.size !== scored.length || right.size !== result.total || correct !== result.correct) {
    return { reason: l10n.t('The stored predictions of {0} don\'t agree with its result: {1} of {2} right, not {3} of {4}.', name, correct, right.size, result.correct, result.total) };
  }
  return { right };
}

type Compared = readonly [run: RunSnapshot, name: string, answers: Answers | undefined];

function testPair(
  [first, firstName, firstAnswers]: Compared, [second, secondName, secondAnswers]: Compared, l10n: Localiser,
): Omit<PairedTest, 'first' | 'second' | 'pHolm'> | { readonly reason: string } {
  if (firstAnswers === undefined || secondAnswers === undefined) throw new Error('a run was compared that was not read');
  for (const [run, answers] of [[first, firstAnswers], [second, secondAnswers]] as const) if (run.record.result === undefined && 'reason' in answers) return answers;
  const [a, b] = [first.record, second.record];
  if (a.result !== undefined && b.result !== undefined && a.result.accuracySplit !== b.result.accuracySplit) {
    return { reason: capitalised(a.result.accuracySplit === 'test'
      ? l10n.t('{0} is scored on the test images, {1} on the validation images.', firstName, secondName)
      : l10n.t('{0} is scored on the validation images, {1} on the test images.', firstName, secondName)) };
  }
  if (a.data === undefined || a.data.fingerprint !== b.data?.fingerprint) {
    return { reason: capitalised(l10n.t('{0} and {1} saw different splits of the images, so they can\'t be compared image by image.', firstName, secondName)) };
  }
  if ('reason' in firstAnswers) return firstAnswers;
  if ('reason' in secondAnswers) return secondAnswers;
  const otherImages = { reason: l10n.t('The stored predictions of {0} and {1} are not of the same images.', firstName, secondName) };
  const counts = { images: firstAnswers.right.size, bothRight: 0, onlyFirstRight: 0, onlySecondRight: 0, bothWrong: 0 };
  for (const [image, firstRight] of firstAnswers.right) {
    const secondRight = secondAnswers.right.get(image);
    if (secondRight === undefined) return otherImages;
    counts[firstRight ? (secondRight ? 'bothRight' : 'onlyFirstRight') : secondRight ? 'onlySecondRight' : 'bothWrong'] += 1;
  }
  if (secondAnswers.right.size !== counts.images) return otherImages;
  return { ...counts, p: mcnemarExact(counts.onlyFirstRight, counts.onlySecondRight) };
}
