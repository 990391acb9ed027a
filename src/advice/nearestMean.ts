// The simplest classifier on features: the class whose mean is nearest.
import type { LabelledSet } from './folds.js';
import type { FeatureMatrix } from './features.js';

/** The class at whose mean of `train` each of the images at `test` lies nearest, by Euclidean distance; a tie goes to the lower class. */
export function nearestMeanPredictions({ values, channels }: FeatureMatrix, { labels, classes }: Pick<LabelledSet, 'labels' | 'classes'>, train: readonly number[], test: readonly number[]): Int32Array {
  const means = new Float64Array(classes * channels);
  const counts = new Int32Array(classes);
  for (const row of train) {
    const label = labels[row] ?? 0;
    counts[label] = (counts[label] ?? 0) + 1;
    for (let channel = 0; channel < channels; channel++) means[label * channels + channel] = (means[label * channels + channel] as number) + (values[row * channels + channel] as number);
  }
  for (let at = 0; at < means.length; at++) means[at] = (means[at] as number) / (counts[Math.floor(at / channels)] as number);
  return Int32Array.from(test, (row) => {
    let best = 0;
    let least = Infinity;
    for (let label = 0; label < classes; label++) {
      if (counts[label] === 0) continue;
      let distance = 0;
      for (let channel = 0; channel < channels; channel++) distance += ((values[row * channels + channel] as number) - (means[label * channels + channel] as number)) ** 2;
      if (distance < least) [best, least] = [label, distance];
    }
    return best;
  });
}
