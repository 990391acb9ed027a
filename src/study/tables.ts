// A study as rows of text, for every way of showing it.
import { formatAccuracy, formatClock, formatCount, formatDifference, formatInterval, formatP, MISSING } from '../metrics/format.js';
import type { Localiser } from '../protocol/localiser.js';
import type { Colour, Strategy } from '../protocol/run.js';
import type { StudyCell, StudyPair, StudySnapshot } from '../protocol/study.js';
import { strategyName } from '../runs/strategyName.js';
import { cellKey } from './plan.js';
import { REFERENCE, referenceAccuracy } from './reference.js';
import { differenceInterval, intervalName, isMixed, isTestedPair, outcomeOf, pairVerdict, placeName, seedTests, speedUp, testName } from './verdict.js';

/** A column of the table of accuracies. */
export interface StudyColumn {
  readonly strategy: Strategy;
  readonly colour: Colour;
  /** `freeze`, `freeze gray` */
  readonly name: string;
}

export interface StudyRow {
  readonly dataset: number;
  readonly name: string;
  /** `244 train, 153 val, 2 classes`; empty before the first run has read it. */
  readonly facts: string;
  readonly backbone: string;
  /** One for each column. */
  readonly cells: readonly StudyCell[];
  /** Which cell has the highest mean of the row and is better, by a test, than each that it is held against: no winner is called within noise. */
  readonly best: readonly boolean[];
  /** One for each column, where the reference has this dataset. */
  readonly reference: readonly (number | undefined)[];
}

export function studyColumns({ record: { plan } }: StudySnapshot, l10n: Localiser): StudyColumn[] {
  return plan.strategies.flatMap((strategy) => plan.colours.map((colour) => ({ strategy, colour, name: strategyName({ strategy, colour }, l10n) })));
}

/** A row for each dataset and backbone. */
export function studyRows(study: StudySnapshot, l10n: Localiser): StudyRow[] {
  const { record, datasets } = study;
  const columns = studyColumns(study, l10n);
  const byKey = new Map(record.cells.map((cell) => [cellKey(cell), cell]));
  return record.plan.datasets.flatMap(({ name }, dataset) => record.plan.backbones.map((backbone) => {
    const known = datasets[dataset];
    const cells = columns.map(({ strategy, colour }): StudyCell => byKey.get(cellKey({ dataset, backbone, strategy, colour })) ?? { dataset, backbone, strategy, colour, seeds: [], accuracies: [] });
    const highest = Math.max(...cells.map(({ mean }) => mean ?? -1));
    const isOf = (cell: StudyCell, side: StudyPair['first']): boolean => side.strategy === cell.strategy && side.colour === cell.colour;
    const scored = (side: StudyPair['first']): boolean => cells.some((cell) => isOf(cell, side) && cell.mean !== undefined);
    // Better than each that it is held against: among cells that no test tells apart none is named.
    const wins = (cell: StudyCell): boolean => {
      const held = record.pairs.filter((pair) => pair.dataset === dataset && pair.backbone === backbone && (isOf(cell, pair.first) || isOf(cell, pair.second)) && scored(pair.first) && scored(pair.second));
      return held.length > 0 && held.every((pair) => {
        const outcome = outcomeOf(pair);
        return (outcome === 'first' || outcome === 'second') && isOf(cell, pair[outcome]);
      });
    };
    return {
      dataset, name, backbone, cells,
      facts: known === undefined ? '' : datasetFacts(known, l10n),
      best: cells.map((cell) => cell.mean !== undefined && cell.mean === highest && wins(cell)),
      reference: columns.map(({ strategy, colour }) => referenceAccuracy(name, strategy, colour)),
    };
  }));
}

function datasetFacts({ train, validation, test, classes }: NonNullable<StudySnapshot['datasets'][number]>, l10n: Localiser): string {
  const counts = [formatCount(train), formatCount(validation), formatCount(classes)] as const;
  return test > 0 ? l10n.t('{0} train, {1} val, {3} test, {2} classes', ...counts, formatCount(test)) : l10n.t('{0} train, {1} val, {2} classes', ...counts);
}

/** How many times longer a cell takes than freeze on the same images; undefined for freeze itself, and where there is nothing to compare. */
export function timesFreeze({ cells }: Pick<StudyRow, 'cells'>, cell: StudyCell): number | undefined {
  return cell.strategy === 'freeze' ? undefined : speedUp(cell, cells.find((other) => other.strategy === 'freeze' && other.colour === cell.colour));
}

/** `0:06`, `1:02, cached`, `1:11, 18 times freeze` */
export function timeText(row: Pick<StudyRow, 'cells'>, cell: StudyCell, l10n: Localiser): string {
  const { time } = cellTexts(cell, l10n);
  const times = timesFreeze(row, cell);
  return times === undefined ? time : l10n.t('{0}, {1} times freeze', time, times < 10 ? times.toFixed(1) : formatCount(times));
}

/** `.956` or `not averaged`, `[.931–.978]`, `bootstrap, 3 seeds`, `0:06` */
export function cellTexts(cell: StudyCell, l10n: Localiser): { readonly mean: string; readonly interval: string; readonly method: string; readonly time: string } {
  return {
    mean: isMixed(cell) ? l10n.t('not averaged') : formatAccuracy(cell.mean), interval: formatInterval(cell.interval), method: intervalName(cell, l10n),
    time: cell.cached === true ? l10n.t('{0}, cached', formatClock(cell.seconds)) : formatClock(cell.seconds),
  };
}

export interface PairRow {
  readonly pair: StudyPair;
  /** `hymenoptera, gray: finetune against freeze` */
  readonly place: string;
  readonly sides: string;
  readonly difference: string;
  readonly interval: string;
  readonly p: string;
  readonly test: string;
  /** `McNemar by seed: .012, .31`; undefined where one seed is all. */
  readonly bySeed?: string;
  readonly verdict: string;
}

export function pairRows({ record }: StudySnapshot, l10n: Localiser): PairRow[] {
  return record.pairs.map((pair) => {
    const words = {
      pair, place: placeName(pair, record, l10n), sides: l10n.t('{0} against {1}', strategyName(pair.first, l10n), strategyName(pair.second, l10n)), verdict: pairVerdict(pair, l10n),
    };
    if (!isTestedPair(pair)) return { ...words, difference: MISSING, interval: MISSING, p: MISSING, test: MISSING };
    const bySeed = seedTests(pair, l10n);
    return {
      ...words, difference: formatDifference(pair.difference), interval: differenceInterval(pair, l10n) ?? MISSING, p: formatP(pair.pHolm), test: testName(pair, l10n),
      ...(bySeed !== undefined && { bySeed }),
    };
  });
}

/** `4 datasets, freeze and finetune, colour and gray, 3 seeds, recipe default` */
export function studyFacts({ record: { plan, trimmedTo } }: StudySnapshot, l10n: Localiser): string[] {
  return [
    plan.datasets.length === 1 ? plan.datasets[0]?.name ?? '' : l10n.t('{0} datasets', plan.datasets.length),
    plan.strategies.join(', '),
    plan.colours.length === 2 ? l10n.t('colour and gray') : plan.colours[0] === 'gray' ? l10n.t('gray') : l10n.t('colour'),
    plan.backbones.join(', '),
    (trimmedTo ?? plan.seeds) === 1 ? l10n.t('1 seed') : l10n.t('{0} seeds', trimmedTo ?? plan.seeds),
    l10n.t('recipe {0}', plan.recipe),
  ];
}

/** What stands under a table with the reference beside it. */
export function referenceNote(l10n: Localiser): string {
  return l10n.t('Reference: the study that Thaw grew from, {0}, so without an interval.', REFERENCE.source);
}
