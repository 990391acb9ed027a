// What features of training images say of a dataset: classifiers that cost nothing, cross-validated, and how the best of them grows with the images.
import { wilsonInterval } from '../metrics/intervals.js';
import type { Measurements, Proportion } from '../protocol/advice.js';
import { gramMatrix, type FeatureMatrix } from './features.js';
import { stratifiedFolds, stratifiedShare, type LabelledSet } from './folds.js';
import { nearestMeanPredictions } from './nearestMean.js';
import { ridgePenalty, ridgePredictions } from './ridgeProbe.js';

export const FOLDS = 5;
const SHARES = [0.25, 0.5, 1] as const;

/**
 * Accuracies of the probe and of the nearest class mean over five folds in which each image is judged once, by a classifier that has seen neither
 * it nor a copy of it. Intervals are Wilson's of the counts; folds share training images, so they are a little narrow.
 * The learning curve trains on a share of each fold's training images and judges the same images.
 */
export function crossValidate(features: FeatureMatrix, set: LabelledSet): Pick<Measurements, 'probe' | 'nearestMean' | 'learningCurve'> {
  const folds = stratifiedFolds(set, FOLDS);
  const gram = gramMatrix(features);
  const { labels, classes } = set;
  const all = Array.from(labels, (_, row) => row);
  const right = SHARES.map(() => 0);
  let nearestMean = 0;
  for (let fold = 0; fold < FOLDS; fold++) {
    const [train, test] = [all.filter((row) => folds[row] !== fold), all.filter((row) => folds[row] === fold)];
    if (test.length === 0 || train.length === 0) continue;
    const count = (predictions: Int32Array): number => test.filter((row, index) => predictions[index] === labels[row]).length;
    nearestMean += count(nearestMeanPredictions(features, set, train, test));
    for (const [index, share] of SHARES.entries()) {
      const part = stratifiedShare(set, train, share);
      right[index] = (right[index] ?? 0) + count(ridgePredictions(gram, labels, classes, part, test, ridgePenalty(gram, labels.length, part)));
    }
  }
  const learningCurve = SHARES.map((share, index) => ({ share, ...proportion(right[index] ?? 0, labels.length) }));
  return { probe: proportion(right.at(-1) ?? 0, labels.length), nearestMean: proportion(nearestMean, labels.length), learningCurve };
}

export function proportion(correct: number, total: number): Proportion {
  return { accuracy: total === 0 ? 0 : correct / total, correct, total, interval: wilsonInterval(correct, total) };
}
