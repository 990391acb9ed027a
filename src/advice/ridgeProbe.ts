// A linear classifier on features, exact and quick: least squares on ±1 targets with a ridge penalty, solved among the images instead of among the
// channels, since there are fewer of them.
import { CholeskyDecomposition, Matrix } from 'ml-matrix';

/**
 * The penalty as a share of the features' mean squared distance from their mean. Of .001 to 3, tried on Hymenoptera, dogs and cats, and emoji with
 * three EfficientNet-Lites, .1 to 1 were best and within .015 of each other.
 */
export const RIDGE_SHARE = 0.3;

/**
 * Classes that a ridge classifier, trained on the images at `train`, gives those at `test`. Features and targets are centred, so that the
 * intercept isn't penalised; the class with the highest output wins, a tie goes to the lower class. It is scikit-learn's `RidgeClassifier` in
 * its dual form (Saunders, Gammerman and Vovk 1998).
 * @param gram `[images, images]`, inner products of the features of all images
 * @param penalty added to the eigenvalues of the centred products; `ridgePenalty` chooses it
 */
export function ridgePredictions(gram: Float64Array, labels: Int32Array, classes: number, train: readonly number[], test: readonly number[], penalty: number): Int32Array {
  const images = labels.length;
  const { centred, columnMeans, mean } = centredProducts(gram, images, train);
  for (let i = 0; i < train.length; i++) centred.set(i, i, centred.get(i, i) + penalty);
  const shares = Array.from({ length: classes }, (_, label) => train.reduce((sum, row) => sum + (labels[row] === label ? 1 : -1), 0) / train.length);
  const targets = new Matrix(train.map((row) => shares.map((share, label) => (labels[row] === label ? 1 : -1) - share)));
  const weights = new CholeskyDecomposition(centred).solve(targets).to2DArray();
  return Int32Array.from(test, (row) => {
    const outputs = [...shares];
    const rowMean = train.reduce((sum, other) => sum + (gram[row * images + other] as number), 0) / train.length;
    for (const [i, other] of train.entries()) {
      const product = (gram[row * images + other] as number) - rowMean - (columnMeans[i] as number) + mean;
      const weight = weights[i] as number[];
      for (let label = 0; label < classes; label++) outputs[label] = (outputs[label] as number) + product * (weight[label] as number);
    }
    return outputs.indexOf(Math.max(...outputs));
  });
}

/** `RIDGE_SHARE` of the mean squared distance of the images at `train` from their mean, for `ridgePredictions`. */
export function ridgePenalty(gram: Float64Array, images: number, train: readonly number[], share = RIDGE_SHARE): number {
  let own = 0;
  let all = 0;
  for (const row of train) {
    own += gram[row * images + row] as number;
    for (const other of train) all += gram[row * images + other] as number;
  }
  // Features that are all the same have no distance but what rounding leaves; a penalty well above that keeps the system solvable, and every class then
  // looks alike.
  return Math.max(share * (own - all / train.length) / train.length, (1e-9 * own) / train.length, Number.MIN_VALUE ** 0.5);
}

function centredProducts(gram: Float64Array, images: number, rows: readonly number[]): { centred: Matrix; columnMeans: Float64Array; mean: number } {
  const count = rows.length;
  const columnMeans = Float64Array.from(rows, (row) => rows.reduce((sum, other) => sum + (gram[row * images + other] as number), 0) / count);
  const mean = columnMeans.reduce((sum, value) => sum + value, 0) / count;
  const centred = new Matrix(count, count);
  for (let i = 0; i < count; i++) {
    const from = (rows[i] as number) * images;
    // The means are added first, so that rounding leaves the matrix symmetric.
    for (let j = 0; j < count; j++) centred.set(i, j, (gram[from + (rows[j] as number)] as number) - ((columnMeans[i] as number) + (columnMeans[j] as number)) + mean);
  }
  return { centred, columnMeans, mean };
}
