// What a study says in words. Only what was measured: a difference within noise is called none.
import { formatClock, formatCount, formatDifference, formatP, formatPValue, MISSING } from '../metrics/format.js';
import type { Localiser } from '../protocol/localiser.js';
import type { Colour, Strategy } from '../protocol/run.js';
import type { Contrast, StudyCell, StudyPair, StudyRecord, TestedStudyPair } from '../protocol/study.js';
import { CONTRASTS } from '../protocol/study.js';
import { capitalised, SIGNIFICANCE } from '../runs/verdict.js';
import { beyondBudget } from './plan.js';

export function isTestedPair(pair: StudyPair): pair is TestedStudyPair {
  return 'p' in pair;
}

/** `colour` or `gray` */
export function colourName(colour: Colour, l10n: Localiser): string {
  return colour === 'rgb' ? l10n.t('colour') : l10n.t('gray');
}

export type Outcome = 'first' | 'second' | 'level' | 'untested';

/** Which side is better, by the p corrected over all pairs of the study. */
export function outcomeOf(pair: StudyPair): Outcome {
  if (!isTestedPair(pair)) return 'untested';
  if (pair.pHolm >= SIGNIFICANCE || pair.difference === 0) return 'level';
  return pair.difference > 0 ? 'first' : 'second';
}

/** `Finetune is better`, `No detectable difference`, `Not tested yet` */
export function pairVerdict(pair: StudyPair, l10n: Localiser): string {
  const outcome = outcomeOf(pair);
  if (outcome === 'level') return l10n.t('No detectable difference');
  if (outcome === 'untested') return whyUntested(pair, l10n);
  return capitalised(betterText(pair.contrast, pair[outcome], l10n));
}

function betterText(contrast: Contrast, { strategy, colour }: { readonly strategy: Strategy; readonly colour: Colour }, l10n: Localiser): string {
  switch (contrast) {
    case 'colour': return colour === 'rgb' ? l10n.t('colour is better') : l10n.t('gray is better');
    case 'strategy': return l10n.t('{0} is better', strategy);
    case 'pretraining': return strategy === 'finetune' ? l10n.t('the pretrained start is better') : l10n.t('the random start is better');
  }
}

function whyUntested(pair: StudyPair, l10n: Localiser): string {
  if (isTestedPair(pair)) return '';
  switch (pair.untested) {
    case 'no-result': return l10n.t('Not tested yet');
    case 'other-split': return l10n.t('Not tested: the runs saw different splits of the images');
    case 'other-images': return l10n.t('Not tested: the runs were scored on different images');
    case 'no-predictions': return l10n.t('Not tested: stored predictions can\'t be read');
  }
}

/** `+.020 [+.004 to +.037], p = .012` */
export function pairNumbers(pair: StudyPair, l10n: Localiser): string {
  if (!isTestedPair(pair)) return MISSING;
  const interval = differenceInterval(pair, l10n);
  return `${formatDifference(pair.difference)}${interval === undefined ? '' : ` ${interval}`}, ${formatP(pair.pHolm)}`;
}

/** `[+.004 to +.037]`; undefined under three seeds. */
export function differenceInterval({ interval }: TestedStudyPair, l10n: Localiser): string | undefined {
  return interval === undefined ? undefined : `[${l10n.t('{0} to {1}', formatDifference(interval[0]), formatDifference(interval[1]))}]`;
}

/** How a pair was tested: `McNemar, seed 0`, `2 seeds, over images alone`, `3 seeds, over images and seeds`. */
export function testName({ seeds }: TestedStudyPair, l10n: Localiser): string {
  if (seeds.length === 1) return l10n.t('McNemar, seed {0}', seeds[0] ?? 0);
  return seeds.length === 2 ? l10n.t('2 seeds, over images alone') : l10n.t('{0} seeds, over images and seeds', seeds.length);
}

/** McNemar's exact p of each seed, where there are several: `McNemar by seed: .012, .31`. */
export function seedTests({ perSeed }: TestedStudyPair, l10n: Localiser): string | undefined {
  return perSeed.length < 2 ? undefined : l10n.t('McNemar by seed: {0}', perSeed.map(({ p }) => formatPValue(p).replace(' ', '\u00a0')).join(', ')); // no line ends in `<`
}

/** How a cell's interval was made: `bootstrap, 3 seeds`, `Wilson, 1 run`. */
export function intervalName({ intervalBy, seeds }: StudyCell, l10n: Localiser): string {
  if (intervalBy === undefined) return MISSING;
  if (intervalBy === 'bootstrap') return l10n.t('bootstrap, {0} seeds', seeds.length);
  return seeds.length === 1 ? l10n.t('Wilson, 1 run') : l10n.t('Wilson, widest of {0} runs', seeds.length);
}

export interface StudyVerdict {
  readonly contrast: Contrast;
  /** `Finetune against freeze` */
  readonly title: string;
  /** `Finetune is better on simpsons. No detectable difference on hymenoptera.` */
  readonly text: string;
}

/** One paragraph for each thing that was held against another. */
export function studyVerdicts(record: StudyRecord, l10n: Localiser): StudyVerdict[] {
  return CONTRASTS.flatMap((contrast) => {
    const pairs = record.pairs.filter((pair) => pair.contrast === contrast);
    if (pairs.length === 0) return [];
    const where = (outcome: Outcome): string => pairs.filter((pair) => outcomeOf(pair) === outcome).map((pair) => placeName(pair, record, l10n)).join('; ');
    const sentences: string[] = [];
    for (const outcome of ['first', 'second'] as const) {
      const example = pairs.find((pair) => outcomeOf(pair) === outcome);
      if (example !== undefined) sentences.push(l10n.t('{0}: {1}.', capitalised(betterText(contrast, example[outcome], l10n)), where(outcome)));
    }
    if (where('level') !== '') sentences.push(l10n.t('No detectable difference: {0}.', where('level')));
    if (where('untested') !== '') sentences.push(l10n.t('Not tested: {0}.', where('untested')));
    return [{ contrast, title: contrastTitle(contrast, l10n), text: sentences.join(' ') }];
  });
}

export function contrastTitle(contrast: Contrast, l10n: Localiser): string {
  switch (contrast) {
    case 'colour': return l10n.t('Colour against gray');
    case 'strategy': return l10n.t('Finetune against freeze');
    case 'pretraining': return l10n.t('Pretrained against random start');
  }
}

/** `hymenoptera, gray` for strategies, `hymenoptera, freeze` for colours; with the backbone where a study has several. */
export function placeName(pair: StudyPair, { plan }: StudyRecord, l10n: Localiser): string {
  const parts = [plan.datasets[pair.dataset]?.name ?? MISSING];
  if (plan.backbones.length > 1) parts.push(pair.backbone);
  if (pair.contrast === 'colour') parts.push(pair.first.strategy);
  else if (plan.colours.length > 1) parts.push(colourName(pair.first.colour, l10n));
  return parts.join(', ');
}

/** Whether a cell's runs saw different splits of the images, so that they have no mean. */
export function isMixed({ seeds, mean }: Pick<StudyCell, 'seeds' | 'mean'>): boolean {
  return seeds.length > 0 && mean === undefined;
}

/** The datasets whose images changed between the runs. */
function changedDatasets({ plan, cells }: StudyRecord): string[] {
  return plan.datasets.flatMap(({ name }, dataset) => {
    const own = cells.filter((cell) => cell.dataset === dataset);
    return own.some(isMixed) || new Set(own.flatMap(({ fingerprint }) => fingerprint ?? [])).size > 1 ? [name] : [];
  });
}

/** What must be said beside the numbers. */
export function studyNotes(record: StudyRecord, l10n: Localiser): string[] {
  const notes: string[] = [];
  const changed = changedDatasets(record);
  if (changed.length > 0) notes.push(l10n.t('The images changed between the runs: {0}. Runs on different images are neither averaged nor tested together; a new study trains all on the same.', changed.join('; ')));
  const tested = record.pairs.filter(isTestedPair);
  if (record.cells.some(({ split }) => split === 'validation')) notes.push(l10n.t('Each accuracy is the best epoch, chosen on the same images, so slightly optimistic.'));
  if (tested.length > 1) notes.push(l10n.t('p is corrected after Holm over {0} comparisons.', formatCount(tested.length)));
  if (tested.some(({ seeds }) => seeds.length < 3)) notes.push(l10n.t('With fewer than 3 seeds a test is about these runs: other seeds may answer otherwise.'));
  const beyond = record.minutes === undefined ? undefined : beyondBudget(record.runs, record.minutes * 60);
  if (record.minutes !== undefined && beyond !== undefined) notes.push(l10n.t('One seed alone takes {0}, more than the {1} minutes given.', formatClock(beyond), record.minutes));
  if (record.trimmedTo !== undefined && record.minutes !== undefined) notes.push(l10n.t('Trimmed to {0} of {1} seeds, to fit into {2} minutes.', record.trimmedTo, record.plan.seeds, record.minutes));
  const leftOut = record.runs.filter(({ state, seed }) => state === 'leftOut' && seed < (record.trimmedTo ?? record.plan.seeds)).length;
  if (leftOut > 0) notes.push(l10n.t('{0} more runs were left out for want of time.', formatCount(leftOut)));
  if (record.cells.some(({ cached }) => cached === true)) notes.push(l10n.t('Times of cells marked as cached lack the features, which were in the cache before the study.'));
  return notes;
}

/** What all the intervals of a table are, where its cells don't say; undefined where there is none. */
export function intervalNote({ cells }: StudyRecord, l10n: Localiser): string | undefined {
  const kinds = new Set(cells.flatMap(({ intervalBy }) => intervalBy ?? []));
  if (kinds.size === 2) return l10n.t('95% intervals are a bootstrap over seeds and images, or, under 3 seeds and where the runs leave nothing to draw from, Wilson\'s over images alone.');
  if (kinds.has('bootstrap')) return l10n.t('95% intervals are a bootstrap over seeds and images.');
  return kinds.has('wilson') ? l10n.t('95% intervals are Wilson\'s, over images alone: other seeds may lie outside.') : undefined;
}

/** How many times longer one cell takes than another: `6.2 times`. Undefined where a time is missing, or only one had its features in the cache. */
export function speedUp(slow: StudyCell | undefined, fast: StudyCell | undefined): number | undefined {
  if (slow?.seconds === undefined || fast?.seconds === undefined || fast.seconds <= 0 || slow.cached !== fast.cached) return undefined;
  return slow.seconds / fast.seconds;
}
