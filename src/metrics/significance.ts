// Whether two classifiers differ, and what many comparisons cost.

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
