// From measurements to one recommendation. All that decides stands in the constants below, each with where it comes from; docs/advice.md says how
// often it was right.
import type { Decision, Measurements } from '../protocol/advice.js';
import { SIGNIFICANCE } from '../runs/verdict.js';

export type Size = Decision['size'];
export type Distance = Decision['distance'];

/** Training images from which a dataset is large: between the study's small one, Hymenoptera with 244, and its next, the Simpsons with 15,638, in geometric middle. */
export const LARGE_FROM = 2000;

/** Nearness below which images are far from ImageNet's: half-way between noise and photographs. Dogs and cats lay above it, emoji below, with three networks. */
export const FAR_BELOW = 0.5;

/** Images that one must get right beyond the other, with none the other way round, before McNemar's exact test tells them apart at .05: 2 · .5⁶ = .031. */
export const TELLING_IMAGES = 6;

/** Of freeze's errors, the share that finetune was seen to remove: least, most, and what is expected. Below 0 it added some. */
export interface ErrorsRemoved {
  readonly least: number;
  readonly expected: number;
  readonly most: number;
}

/**
 * Large: the study's table, in colour and in gray; near are dogs and cats (.42, .54) and Caltech256 (.29, .32), far are the Simpsons (.79, .78).
 * Small and near: the study's Hymenoptera (−.18, .20). Small and far, of which the study has none: our own trials (docs/recipes.md) on emoji (0) and on
 * enlarged digits (.75). Expected is the mean; small and near it is 0, since its two differ in sign by less than chance.
 */
export const ERRORS_REMOVED: Readonly<Record<Size, Readonly<Record<Exclude<Distance, 'unknown'>, ErrorsRemoved>>>> = {
  small: { near: { least: -0.18, expected: 0, most: 0.2 }, far: { least: 0, expected: 0.38, most: 0.75 } },
  large: { near: { least: 0.29, expected: 0.39, most: 0.54 }, far: { least: 0.78, expected: 0.79, most: 0.79 } },
};

/** The largest share that was ever seen. */
export const MOST_REMOVED = Math.max(...Object.values(ERRORS_REMOVED).flatMap((row) => Object.values(row)).map(({ most }) => most));

/** Where there are fewer validation images a gain is reckoned on so many: too few to show it are no reason to do without. */
const RECKONED_ON = 100;

/** What finetune did to freeze's errors on datasets like this one. */
export function errorsRemovedBy({ size, distance }: Pick<Decision, 'size' | 'distance'>): ErrorsRemoved {
  return ERRORS_REMOVED[size][distance === 'unknown' ? 'near' : distance];
}

/** What the rule looks at. */
export type RuleInput = Pick<Measurements, 'train' | 'validation' | 'probe' | 'nearness' | 'pilot'>;

/**
 * The recommendation, how it came about, and how sure it is. `high`: whether to finetune stays the same over the measurements' intervals, over what was
 * seen on such datasets, and with half or twice as many images; `moderate`: over the first two; else `low`. A pilot in which one strategy was
 * better beyond chance decides by itself; freeze is less sure then, since a pilot is short and finetune gains late.
 */
export function decide(input: RuleInput): Decision {
  const decision = decideAt(at(input));
  const { pilot } = input;
  if (pilot !== undefined && pilot.p < SIGNIFICANCE) {
    return pilot.onlyFinetuneRight > pilot.onlyFreezeRight ? { ...decision, recommendation: 'finetune', because: 'pilot', confidence: 'high' }
      : { ...decision, recommendation: 'freeze', because: 'pilot', confidence: 'moderate', doubt: 'short-pilot' };
  }
  if (pilot !== undefined && decision.recommendation === 'finetune' && pilot.onlyFinetuneRight <= pilot.onlyFreezeRight) return { ...decision, confidence: 'low', doubt: 'pilot' };
  return { ...decision, ...confidenceIn(decision, input) };
}

interface Point {
  readonly train: number;
  readonly validation: number;
  readonly accuracy: number;
  readonly nearness: number | undefined;
}

function at({ train, validation, probe, nearness }: RuleInput): Point {
  return { train, validation, accuracy: probe.accuracy, nearness: nearness?.mean };
}

function decideAt({ train, validation, accuracy, nearness }: Point, seen: keyof ErrorsRemoved = 'expected'): Omit<Decision, 'confidence' | 'doubt'> {
  const size: Size = train >= LARGE_FROM ? 'large' : 'small';
  const distance: Distance = nearness === undefined ? 'unknown' : nearness < FAR_BELOW ? 'far' : 'near';
  const errorsRemoved = Math.max(0, errorsRemovedBy({ size, distance })[seen]);
  const errors = (1 - accuracy) * Math.max(validation, RECKONED_ON);
  const place = { size, distance, errorsRemoved, expectedImages: errorsRemoved * (1 - accuracy) * validation };
  if (MOST_REMOVED * errors < TELLING_IMAGES) return { recommendation: 'no-difference', because: 'ceiling', ...place };
  if (errorsRemoved === 0) return { recommendation: 'freeze', because: 'nothing-to-gain', ...place };
  if (errorsRemoved * errors < TELLING_IMAGES) return { recommendation: 'no-difference', because: 'too-few-to-tell', ...place };
  return { recommendation: 'finetune', because: 'gain', ...place };
}

function confidenceIn({ recommendation }: Pick<Decision, 'recommendation'>, input: RuleInput): Pick<Decision, 'confidence' | 'doubt'> {
  const point = at(input);
  const accuracies = [point.accuracy, ...input.probe.interval];
  const places = input.nearness === undefined ? [0, 1] : [input.nearness.mean, ...input.nearness.interval];
  // To freeze because it is as good and to freeze because it is quicker are the same thing to do.
  const same = (change: Partial<Point>, seen?: keyof ErrorsRemoved): boolean =>
    (decideAt({ ...point, ...change }, seen).recommendation === 'finetune') === (recommendation === 'finetune');
  const sameWithNoise = (train: number): boolean => accuracies.every((accuracy) => places.every((nearness) => same({ train, accuracy, nearness })));
  if (!sameWithNoise(point.train)) return { confidence: 'low', doubt: 'noise' };
  if (!same({}, 'least') || !same({}, 'most')) return { confidence: 'low', doubt: 'evidence' };
  return [point.train / 2, point.train * 2].every(sameWithNoise) ? { confidence: 'high' } : { confidence: 'moderate', doubt: 'size' };
}
