// Confidence intervals of a proportion.

/**
 * Wilson's score interval for `correct` of `total`, `[low, high]`, at a confidence in (0, 1). `[0, 1]` when nothing was counted.
 * E. B. Wilson, 'Probable Inference, the Law of Succession, and Statistical Inference', JASA 22 (1927).
 */
export function wilsonInterval(correct: number, total: number, confidence = 0.95): [number, number] {
  if (!Number.isSafeInteger(correct) || !Number.isSafeInteger(total) || correct < 0 || correct > total) {
    throw new RangeError(`wilsonInterval: ${String(correct)} of ${String(total)} is no proportion`);
  }
  if (!(confidence > 0 && confidence < 1)) throw new RangeError(`wilsonInterval: a confidence of ${String(confidence)} is not between 0 and 1`);
  if (total === 0) return [0, 1];
  const z = normalQuantile(0.5 + confidence / 2);
  return [wilsonLow(correct, total, z), 1 - wilsonLow(total - correct, total, z)];
}

/** The lower end from the upper one (their product is p²·n/(n + z²)): the textbook difference cancels when `correct` is small. */
function wilsonLow(correct: number, total: number, z: number): number {
  const square = z * z;
  const root = z * Math.sqrt(square + (4 * correct * (total - correct)) / total);
  const high = (2 * correct + square + root) / (2 * (total + square));
  return (correct * (correct / total)) / ((total + square) * high);
}

/**
 * The standard normal distribution's quantile of `p` in (0, 1), to about 16 digits.
 * M. J. Wichura, 'Algorithm AS 241: The Percentage Points of the Normal Distribution', Applied Statistics 37 (1988).
 */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`normalQuantile: ${String(p)} is not between 0 and 1`);
  const centred = p - 0.5;
  if (Math.abs(centred) <= 0.425) {
    const r = 0.180625 - centred * centred;
    return centred * polynomial(r, CENTRE_ABOVE) / polynomial(r, CENTRE_BELOW);
  }
  const r = Math.sqrt(-Math.log(centred < 0 ? p : 1 - p));
  const size = r <= 5
    ? polynomial(r - 1.6, MIDDLE_ABOVE) / polynomial(r - 1.6, MIDDLE_BELOW)
    : polynomial(r - 5, TAIL_ABOVE) / polynomial(r - 5, TAIL_BELOW);
  return centred < 0 ? -size : size;
}

/** Coefficients from the constant upwards. */
function polynomial(x: number, coefficients: readonly number[]): number {
  return coefficients.reduceRight((sum, coefficient) => sum * x + coefficient, 0);
}

const CENTRE_ABOVE = [3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
  4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3];
const CENTRE_BELOW = [1, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
  2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3];
const MIDDLE_ABOVE = [1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
  1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4];
const MIDDLE_BELOW = [1, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
  1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9];
const TAIL_ABOVE = [6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
  2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7];
const TAIL_BELOW = [1, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
  7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15];
