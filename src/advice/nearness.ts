// How near images are to those that a network was pretrained on: by how sure its ImageNet head is of them, on a scale from noise to photographs.

/** A mean over images and its 95 % interval. */
export interface Mean {
  readonly mean: number;
  readonly interval: [number, number];
}

/** What a backbone's own head says of photographs and of noise, measured once: references.json. */
export interface ConfidenceReference {
  readonly photographs: number;
  readonly noise: number;
}

/** Two-sided 95 % of the standard normal distribution. */
const Z95 = 1.959963984540054;

/**
 * The highest softmax probability of each row of logits, which tells images like those trained on from others (Hendrycks and Gimpel, 'A Baseline
 * for Detecting Misclassified and Out-of-Distribution Examples', ICLR 2017). In float64.
 * @param logits `[images, classes]`
 */
export function highestProbabilities(logits: Float32Array, classes: number): Float64Array {
  return Float64Array.from({ length: logits.length / classes }, (_, row) => {
    const values = logits.subarray(row * classes, (row + 1) * classes);
    const highest = values.reduce((most, value) => Math.max(most, value), -Infinity);
    return 1 / values.reduce((sum, value) => sum + Math.exp(value - highest), 0);
  });
}

/** Mean, and mean ± 1.96 standard errors. At least two values. */
export function meanWithInterval(values: Float64Array): Mean {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  const half = Z95 * Math.sqrt(variance / count);
  return { mean, interval: [mean - half, mean + half] };
}

/** A confidence on the scale on which noise is 0 and photographs are 1; beyond either end it goes on. */
export function nearness(confidence: Mean, { photographs, noise }: ConfidenceReference): Mean {
  const placed = (value: number): number => (value - noise) / (photographs - noise);
  return { mean: placed(confidence.mean), interval: [placed(confidence.interval[0]), placed(confidence.interval[1])] };
}
