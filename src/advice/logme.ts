// LogME (You, Liu, Wang, Long, 'LogME: Practical Assessment of Pre-trained Models for Transfer Learning', ICML 2021): how probable the labels are
// under a Bayesian linear model on the features, its two precisions chosen to make them most probable. Higher is better; only values for the
// same images and labels compare.
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { gramMatrix, type FeatureMatrix } from './features.js';

/** The authors' guard against a division by zero. */
const EPSILON = 1e-5;
/** Relative change of the ratio of the precisions at which the iteration has ended, and steps at most: the authors stop at 1e-2, after 11. */
const TOLERANCE = 1e-8;
const MOST_STEPS = 1000;
/** Eigenvalues below this share of the largest are rounding. */
const RANK_TOLERANCE = 1e-10;

/**
 * Mean over the classes of the log evidence an image of 'is this class or not', nats. α, the precision of the weights, and β, that of the noise,
 * by MacKay's fixed point: γ = Σ σ/(σ + α/β), α = γ/‖m‖², β = (N − γ)/‖y − Fm‖².
 * The evidence has as many dimensions as the features, those without variance too, as in the ICML paper. A class without an image among these, of which
 * nothing can be learned, is left out of the mean; the authors' guard against a division by zero alone would give it its value.
 */
export function logme(features: FeatureMatrix, labels: Int32Array, classes: number): number {
  const { images } = features;
  const { sigma, vectors } = spectrum(features);
  let total = 0;
  let present = 0;
  for (let label = 0; label < classes; label++) {
    const positives = labels.reduce((sum, each) => sum + (each === label ? 1 : 0), 0);
    if (positives === 0) continue;
    present++;
    // Of the targets, the square of the part along each eigenvector; what remains no weights explain.
    const along = vectors.map((vector) => labels.reduce((sum, each, row) => sum + (each === label ? vector[row] as number : 0), 0) ** 2);
    const rest = Math.max(0, positives - along.reduce((sum, value) => sum + value, 0));
    total += evidence(sigma, along, rest, images);
  }
  return total / present / images;
}

/** @returns log p(y | F, α, β), nats, at the fixed point */
function evidence(sigma: readonly number[], along: readonly number[], rest: number, images: number): number {
  let [alpha, beta, ratio] = [1, 1, 1];
  let [weights, residual] = [0, 0];
  for (let step = 0; step < MOST_STEPS; step++) {
    let effective = 0;
    [weights, residual] = [0, rest];
    for (const [index, value] of sigma.entries()) {
      const part = along[index] ?? 0;
      effective += value / (value + ratio);
      weights += (value * part) / (value + ratio) ** 2;
      residual += part / (1 + value / ratio) ** 2;
    }
    alpha = effective / (weights + EPSILON);
    beta = (images - effective) / (residual + EPSILON);
    const next = alpha / beta;
    const change = Math.abs(next - ratio) / ratio;
    ratio = next;
    if (change < TOLERANCE) break;
  }
  // channels · ln α − ln|αI + βFᵀF|, in which dimensions without variance cancel, all of them where features are constant zeros.
  const determinants = -sigma.reduce((sum, value) => sum + Math.log1p((beta * value) / alpha), 0);
  return 0.5 * (determinants + images * Math.log(beta) - beta * residual - alpha * weights - images * Math.log(2 * Math.PI));
}

/** Squared singular values of the features, and their left singular vectors, `[images]` each: from whichever of the two products is smaller. */
function spectrum(features: FeatureMatrix): { sigma: number[]; vectors: Float64Array[] } {
  const { values, images, channels } = features;
  const wide = channels >= images;
  const product = wide ? gramMatrix(features) : gramMatrix(transposed(features));
  const size = wide ? images : channels;
  const rows = Array.from({ length: size }, (_, row) => Array.from(product.subarray(row * size, (row + 1) * size)));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(new Matrix(rows), { assumeSymmetric: true });
  const largest = Math.max(...realEigenvalues);
  const sigma: number[] = [];
  const vectors: Float64Array[] = [];
  for (const [index, value] of realEigenvalues.entries()) {
    if (!(value > largest * RANK_TOLERANCE)) continue;
    sigma.push(value);
    const vector = Float64Array.from(eigenvectorMatrix.getColumn(index));
    vectors.push(wide ? vector : Float64Array.from({ length: images }, (_, image) => {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++) sum += (values[image * channels + channel] as number) * (vector[channel] as number);
      return sum / Math.sqrt(value);
    }));
  }
  return { sigma, vectors };
}

function transposed({ values, images, channels }: FeatureMatrix): FeatureMatrix {
  const turned = new Float32Array(values.length);
  for (let image = 0; image < images; image++) for (let channel = 0; channel < channels; channel++) turned[channel * images + image] = values[image * channels + channel] as number;
  return { values: turned, images: channels, channels: images };
}
