// Intervals by resampling, where a mean has two sources of doubt: which seeds were drawn, and which images.

/** Whole numbers in [0, below), each as likely as the others. */
export interface RandomIntegers {
  integer(below: number): number;
}

export interface BootstrapOptions {
  readonly draws?: number;
  readonly confidence?: number;
}

/**
 * The percentile interval of a mean over seeds and images, `[low, high]`. `answers` [seeds, images]: 1 where a seed's run is right on an image, or the
 * difference of two runs there. Each draw takes as many seeds and, independently, as many images as there are, with replacement, and averages
 * over all pairs of them; `random` is asked for the seeds first, then for the images.
 * A. B. Owen, 'The pigeonhole bootstrap', Annals of Applied Statistics 1 (2007); on images alone (one seed) it is Efron's percentile interval.
 * @throws RangeError for no seed, no image, or rows of different lengths
 */
export function twoWayBootstrap(answers: readonly ArrayLike<number>[], random: RandomIntegers, options: BootstrapOptions = {}): [number, number] {
  const { draws = 10_000, confidence = 0.95 } = options;
  const seeds = answers.length;
  const images = answers[0]?.length ?? 0;
  if (seeds === 0 || images === 0 || answers.some((row) => row.length !== images)) {
    throw new RangeError(`twoWayBootstrap: ${seeds} seeds, ${images} images are no table of answers`);
  }
  if (!(confidence > 0 && confidence < 1)) throw new RangeError(`twoWayBootstrap: a confidence of ${confidence} is not between 0 and 1`);
  const means = new Float64Array(draws);
  const overSeeds = new Float64Array(images);
  for (let draw = 0; draw < draws; draw++) {
    overSeeds.fill(0);
    for (let seed = 0; seed < seeds; seed++) {
      const row = answers[random.integer(seeds)];
      if (row !== undefined) for (let image = 0; image < images; image++) overSeeds[image] = (overSeeds[image] ?? 0) + (row[image] ?? 0);
    }
    let sum = 0;
    for (let image = 0; image < images; image++) sum += overSeeds[random.integer(images)] ?? 0;
    means[draw] = sum / (seeds * images);
  }
  means.sort();
  return [quantile(means, (1 - confidence) / 2), quantile(means, (1 + confidence) / 2)];
}

/**
 * The quantile of ascending values, linear between the two nearest, as NumPy's default.
 * R. J. Hyndman, Y. Fan, 'Sample Quantiles in Statistical Packages', The American Statistician 50 (1996), type 7.
 */
export function quantile(ascending: ArrayLike<number>, share: number): number {
  const at = share * (ascending.length - 1);
  const below = ascending[Math.floor(at)] ?? NaN;
  const above = ascending[Math.ceil(at)] ?? NaN;
  return below + (above - below) * (at - Math.floor(at));
}
