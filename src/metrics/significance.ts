// Whether two classifiers, or two ways of making them, differ, and what many comparisons cost.
import { studentTwoSided } from './studentT.js';

/**
 * McNemar's exact test, two-sided: the chance that `onlyFirst` and `onlySecond`, the images that only one of two classifiers got right,
 * are at least as unequal as they are, were each as likely (binomial, 1/2). 1 when they never disagree.
 * Q. McNemar, 'Note on the sampling error of the difference between correlated proportions or percentages', Psychometrika 12 (1947).
 */
export function mcnemarExact(onlyFirst: number, onlySecond: number): number {
  for (const value of [onlyFirst, onlySecond]) {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`mcnemarExact: ${String(value)} is no count`);
  }
  const disagreements = onlyFirst + onlySecond;
  const fewer = Math.min(onlyFirst, onlySecond);
  if (2 * fewer >= disagreements) return 1;
  // The binomial's term at `fewer`. Halving is exact and keeps the product near 1, so that neither end of the range is met before the result is.
  let term = 1;
  let halvings = disagreements;
  for (let i = 1; i <= fewer; i++) {
    term *= (disagreements - fewer + i) / i;
    while (term > 1 && halvings > 0) {
      term /= 2;
      halvings -= 1;
    }
  }
  // In two steps: 2^-halvings alone may be 0 where its product with the term is not.
  const first = Math.min(halvings, 1000);
  term = term * 2 ** -first * 2 ** -(halvings - first);
  // The tail below it, by the ratio of neighbouring terms.
  let ratio = 1;
  let tail = 1;
  for (let i = fewer; i > 0 && ratio > tail * Number.EPSILON * 1e-3; i--) {
    ratio *= i / (disagreements - i + 1);
    tail += ratio;
  }
  return Math.min(1, 2 * term * tail);
}

/**
 * The exact sign-flip test, two-sided: `differences` holds for each image by how many seeds more the first way is right on it than the second
 * (whole numbers); were the two alike, each would as likely have the other sign. The chance that their sum is at least as far from 0 as it is. Images
 * are independent, the seeds of one image need not be; the seeds are taken as given. With one seed this is McNemar's exact test.
 * E. J. G. Pitman, 'Significance Tests Which May be Applied to Samples from any Populations', Supplement to the JRSS 4 (1937).
 */
export function signFlipExact(differences: ArrayLike<number>): number {
  const sizes: number[] = [];
  let forFirst = 0;
  for (let image = 0; image < differences.length; image++) {
    const difference = differences[image] ?? 0;
    if (!Number.isSafeInteger(difference)) throw new RangeError(`signFlipExact: ${String(difference)} is no whole number`);
    if (difference !== 0) sizes.push(Math.abs(difference));
    if (difference > 0) forFirst += difference;
  }
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const least = Math.min(forFirst, total - forFirst);
  if (2 * least >= total) return 1;
  // Chance of each sum of the differences that fall to the first, up to the smaller of the two sums that were seen.
  const chance = new Float64Array(least + 1);
  chance[0] = 1;
  for (const size of sizes) {
    for (let sum = least; sum >= 0; sum--) chance[sum] = ((chance[sum] ?? 0) + (sum >= size ? chance[sum - size] ?? 0 : 0)) / 2;
  }
  return Math.min(1, 2 * chance.reduce((sum, value) => sum + value, 0));
}

/**
 * Student's paired test, two-sided: whether the mean of `differences`, one for each seed, is 0. Differences that are all alike leave no doubt: p is 0,
 * or 1 when they are all 0.
 * Student, 'The Probable Error of a Mean', Biometrika 6 (1908).
 * @throws RangeError for fewer than two
 */
export function pairedT(differences: readonly number[]): { readonly t: number; readonly p: number } {
  const count = differences.length;
  if (count < 2) throw new RangeError(`pairedT: ${count} differences have no spread`);
  const mean = differences.reduce((sum, value) => sum + value, 0) / count;
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  if (differences.every((value) => value === differences[0])) return mean === 0 ? { t: 0, p: 1 } : { t: mean > 0 ? Infinity : -Infinity, p: 0 };
  const t = mean / Math.sqrt(variance / count);
  return { t, p: studentTwoSided(t, count - 1) };
}

/**
 * Holm's correction of p-values that are read together; the result is in the order given, at most 1, and never below the p-value it corrects.
 * S. Holm, 'A Simple Sequentially Rejective Multiple Test Procedure', Scandinavian Journal of Statistics 6 (1979).
 */
export function holm(pValues: readonly number[]): number[] {
  for (const p of pValues) if (!(p >= 0 && p <= 1)) throw new RangeError(`holm: ${String(p)} is no p-value`);
  const ascending = pValues.map((p, index) => ({ p, index })).sort((a, b) => a.p - b.p);
  const corrected = new Array<number>(pValues.length).fill(1);
  let highest = 0;
  for (const [rank, { p, index }] of ascending.entries()) {
    highest = Math.max(highest, Math.min(1, p * (pValues.length - rank)));
    corrected[index] = highest;
  }
  return corrected;
}
