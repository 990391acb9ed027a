// Student's distribution.

/**
 * The chance that Student's t with a whole number of degrees of freedom is at least as far from 0 as `t`, to about 12 digits: the regularised
 * incomplete beta function I(x; a, 1/2) at x = n / (n + t²), a = n / 2.
 * M. Abramowitz, I. A. Stegun, 'Handbook of Mathematical Functions' (1964), 26.5.8 and 26.7.1.
 */
export function studentTwoSided(t: number, degrees: number): number {
  if (!Number.isSafeInteger(degrees) || degrees < 1) throw new RangeError(`studentTwoSided: ${String(degrees)} degrees of freedom`);
  if (Number.isNaN(t)) throw new RangeError('studentTwoSided: t is no number');
  const square = t * t;
  if (square === Infinity) return 0;
  const [a, b] = [degrees / 2, 0.5];
  const x = degrees / (degrees + square);
  const rest = square / (degrees + square);
  // x^a (1 − x)^b / B(a, b), with 1 / B(a, 1/2) = Γ(a + 1/2) / (Γ(a) Γ(1/2)).
  const front = Math.exp(a * -Math.log1p(square / degrees)) * Math.sqrt(rest) * gammaRatio(degrees) / Math.sqrt(Math.PI);
  return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a : 1 - front * fraction(b, a, rest) / b;
}

/** Γ((n + 1) / 2) / Γ(n / 2), from its value at 1 upwards: the ratios at n and n + 1 multiply to n / 2. */
function gammaRatio(degrees: number): number {
  let ratio = 1 / Math.sqrt(Math.PI);
  for (let n = 1; n < degrees; n++) ratio = n / 2 / ratio;
  return ratio;
}

/** The continued fraction of the incomplete beta function, by Lentz's method. */
function fraction(a: number, b: number, x: number): number {
  const tiny = 1e-300;
  const kept = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / kept(1 - ((a + b) * x) / (a + 1));
  let product = d;
  for (let m = 1; m <= 10_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / kept(1 + even * d);
    c = kept(1 + even / c);
    product *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / kept(1 + odd * d);
    c = kept(1 + odd / c);
    product *= d * c;
    if (Math.abs(d * c - 1) < Number.EPSILON) break;
  }
  return product;
}
