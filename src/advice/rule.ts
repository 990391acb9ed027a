// From measurements to one recommendation. All that decides stands in the constants below, each with where it comes from; docs/advice.md says how
// often it was right.
import type { AdviceConfidence, Decision, Measurements } from '../protocol/advice.js';
import { SIGNIFICANCE } from '../runs/verdict.js';

export type Size = Decision['size'];
export type Distance = Decision['distance'];

/** Training images from which a dataset is large: between the study's small one, Hymenoptera with 244, and its next, the Simpsons with 15,638, in geometric middle. */
export const LARGE_FROM = 2000;

/** Nearness below which images are far from ImageNet's: half-way between noise and photographs. Dogs and cats lay above it, emoji below, with three networks. */
export const FAR_BELOW = 0.5;

/** Images that one must get right beyond the other, with none the other way round, before McNemar's exact test tells them apart at .05: 2 · .5⁶ = .031. */
export const TELLING_IMAGES = 6;

/**
 * Share of freeze's errors that finetune is expected to remove. Large: the study's table, colour and gray averaged; near are dogs and cats (.42, .54)
 * and Caltech256 (.29, .32), far are the Simpsons (.79, .78). Small and near: Hymenoptera (−.18, .20). Small and far: the study has none; our
 * own trials on emoji (docs/recipes.md) found no gain.
 */
export const ERRORS_REMOVED: Readonly<Record<Size, Readonly<Record<Exclude<Distance, 'unknown'>, number>>>> = {
  small: { near: 0, far: 0 },
  large: { near: 0.39, far: 0.79 },
};

/** The largest share that was ever seen. */
const MOST_REMOVED = Math.max(...Object.values(ERRORS_REMOVED).flatMap((row) => Object.values(row)));

/** What the rule looks at. */
export type RuleInput = Pick<Measurements, 'train' | 'validation' | 'probe' | 'nearness' | 'pilot'>;

/**
 * The recommendation, how it came about, and how sure it is: high where it stays the same over the measurements' intervals and with half or twice as
 * many images, low where it doesn't over the intervals alone. A pilot in which one strategy was better beyond chance decides by itself.
 */
export function decide(input: RuleInput): Decision {
  const decision = decideAt(at(input));
  const { pilot } = input;
  if (pilot !== undefined && pilot.p < SIGNIFICANCE) {
    return { ...decision, recommendation: pilot.onlyFinetuneRight > pilot.onlyFreezeRight ? 'finetune' : 'freeze', because: 'pilot', confidence: 'high' };
  }
  const contradicted = pilot !== undefined && decision.recommendation === 'finetune' && pilot.onlyFinetuneRight <= pilot.onlyFreezeRight;
  return { ...decision, confidence: contradicted ? 'low' : confidenceIn(decision, input) };
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

function decideAt({ train, validation, accuracy, nearness }: Point): Omit<Decision, 'confidence'> {
  const size: Size = train >= LARGE_FROM ? 'large' : 'small';
  const distance: Distance = nearness === undefined ? 'unknown' : nearness < FAR_BELOW ? 'far' : 'near';
  const errors = (1 - accuracy) * validation;
  const errorsRemoved = ERRORS_REMOVED[size][distance === 'unknown' ? 'near' : distance];
  const place = { size, distance, errorsRemoved, expectedImages: errorsRemoved * errors };
  if (MOST_REMOVED * errors < TELLING_IMAGES) return { recommendation: 'no-difference', because: 'ceiling', ...place };
  if (errorsRemoved === 0) return { recommendation: 'freeze', because: 'nothing-to-gain', ...place };
  if (place.expectedImages < TELLING_IMAGES) return { recommendation: 'no-difference', because: 'too-few-to-tell', ...place };
  return { recommendation: 'finetune', because: 'gain', ...place };
}

function confidenceIn({ recommendation }: Omit<Decision, 'confidence'>, input: RuleInput): AdviceConfidence {
  const point = at(input);
  const accuracies = [point.accuracy, ...input.probe.interval];
  const places = input.nearness === undefined ? [0, 1] : [input.nearness.mean, ...input.nearness.interval];
  const same = (sizes: readonly number[]): boolean => sizes.every((train) => accuracies.every((accuracy) => places.every((nearness) =>
    decideAt({ ...point, train, accuracy, nearness }).recommendation === recommendation)));
  if (!same([point.train])) return 'low';
  return same([point.train / 2, point.train * 2]) ? 'high' : 'moderate';
}
