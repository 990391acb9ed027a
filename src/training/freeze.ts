// Freeze: the backbone has turned every image into features once; only the last layer learns, on those.
import type { Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs';
import type { Engine } from '../engine/load.js';
import type { Recipe } from '../protocol/run.js';
import { isBetter } from '../metrics/bestEpoch.js';
import type { Graph } from '../network/graph.js';
import { batchBounds, evaluateLogits, fittedBatch, newHead, type Evaluation, type Head, type LoopHooks } from './loop.js';
import { AdamW, SgdMomentum, headRate, type Optimizer } from './optimizer.js';
import type { SeededRandom } from './random.js';

/** Features of some of the images of an extraction, with their classes. */
export interface FeatureSet {
  /** Of all images, `[images, positions, channels]`. */
  readonly values: Float32Array;
  readonly shape: FeatureShape;
  /** `[chosen]`: where each image's features stand among `values`. */
  readonly rows: Int32Array;
  /** `[chosen]`, class indices. */
  readonly labels: Int32Array;
}

/** Features of one image: a vector, or, before a head that is a convolution, a vector at each position of a map. */
export interface FeatureShape {
  readonly positions: number;
  readonly channels: number;
}

export function featureShape(graph: Graph): FeatureShape {
  return { positions: graph.featurePositions, channels: graph.featureCount };
}

export interface HeadResult {
  /** Of the best validation epoch. */
  readonly head: Head;
  /** From 1; 0 when the loop was stopped before its first epoch ended. */
  readonly bestEpoch: number;
  readonly epochs: number;
  /** Validation under the best head; absent when no epoch ended. */
  readonly validation?: Evaluation;
}

/**
 * Trains the last layer on cached features: softmax cross-entropy, mini-batches in an order drawn anew each epoch, rate by half a cosine.
 * Keeps the best validation epoch (accuracy, then loss, then the earlier). Leaves no tensor behind.
 * A head on a map of features is SqueezeNet's: weighed at each position, rectified, averaged.
 */
export async function trainHead(
  engine: Engine,
  train: FeatureSet,
  validation: FeatureSet,
  classes: number,
  start: Head,
  recipe: Recipe['head'],
  random: SeededRandom,
  hooks: LoopHooks,
): Promise<HeadResult> {
  const { tf } = engine;
  const images = train.labels.length;
  const { positions, channels } = train.shape;
  const features = new FeatureReader(engine, train);
  const held = new FeatureReader(engine, validation);
  const weight = tf.variable(tf.tensor2d(start.weight, [channels, classes]));
  const bias = tf.variable(tf.tensor1d(start.bias));
  const variables = new Map<string, Variable>([['weight', weight], ['bias', bias]]);
  const optimizer: Optimizer = recipe.optimizer === 'adam'
    ? new AdamW(tf, recipe)
    : new SgdMomentum(engine, { momentum: recipe.momentum, weightDecay: recipe.weightDecay });
  const evaluate = (reader: FeatureReader): Evaluation => evaluateLogits(reader.logits(weight, bias), reader.set.labels, classes);

  let best: { head: Head; epoch: number; validation: Evaluation } | undefined;
  let done = 0;
  try {
    const bounds = batchBounds(images, fittedBatch(images, recipe.batch, recipe.leastSteps));
    const steps = bounds.length - 1;
    for (let epoch = 1; epoch <= recipe.epochs; epoch++) {
      const began = performance.now();
      const order = random.permutation(images);
      let rate = 0;
      for (let step = 0; step < steps; step++) {
        if (hooks.stopRequested()) return result();
        rate = recipe.learningRate * headRate(recipe, (epoch - 1) * steps + step, recipe.epochs * steps);
        const picked = order.subarray(bounds[step], bounds[step + 1]);
        const gradients = tf.tidy(() => {
          const x = features.batch(Int32Array.from(picked));
          const y = tf.oneHot(tf.tensor1d(Int32Array.from(picked, (index) => train.labels[index] ?? 0), 'int32'), classes);
          const weighed = tf.add<Tensor2D>(tf.matMul(x, weight), bias);
          // The gradient of the mean cross-entropy with respect to the logits is (softmax − truth) / batch.
          const error = tf.div<Tensor2D>(tf.sub(tf.softmax(pooled(tf, weighed, positions)), y), picked.length);
          const spread = positions === 1 ? error : unpooled(tf, error, weighed, positions);
          return { weight: tf.matMul(x, spread, true, false), bias: tf.sum<Tensor1D>(spread, 0) };
        });
        optimizer.step(variables, new Map(Object.entries(gradients)), () => rate);
        gradients.weight.dispose();
        gradients.bias.dispose();
      }
      const seconds = (performance.now() - began) / 1000;
      const scored = evaluate(held);
      const fitted = evaluate(features);
      if (isBetter(scored.score, best?.validation.score)) {
        best = { head: { weight: await weight.data<'float32'>(), bias: await bias.data<'float32'>() }, epoch, validation: scored };
      }
      done = epoch;
      await hooks.onEpoch({
        epoch, epochs: recipe.epochs, train: fitted.score, validation: scored.score,
        seconds: (performance.now() - began) / 1000, imagesPerSecond: images / seconds, learningRate: rate,
      });
    }
    return result();
  } finally {
    optimizer.dispose();
    for (const holder of [features, held, weight, bias]) holder.dispose();
  }

  function result(): HeadResult {
    return best === undefined
      ? { head: start, bestEpoch: 0, epochs: done }
      : { head: best.head, bestEpoch: best.epoch, epochs: done, validation: best.validation };
  }
}

/** A rectified class that is below zero at every position of every image has no gradient and stays there: it starts well above. */
const RECTIFIED_BIAS = 1;

/** Where the last layer of a graph begins: PyTorch's default, and for a head that is rectified a bias that keeps it alive. */
export function startHead(graph: Graph, classes: number, random: SeededRandom): Head {
  const head = newHead(graph.featureCount, classes, random);
  return graph.featurePositions === 1 ? head : { ...head, bias: head.bias.map(() => RECTIFIED_BIAS) };
}

/** Logits of features under a head, scored. */
export function evaluateHead(engine: Engine, set: FeatureSet, head: Head, classes: number): Evaluation {
  const { tf } = engine;
  const reader = new FeatureReader(engine, set);
  const weight = tf.tensor2d(head.weight, [set.shape.channels, classes]);
  const bias = tf.tensor1d(head.bias);
  try {
    return evaluateLogits(reader.logits(weight, bias), set.labels, classes);
  } finally {
    for (const holder of [reader, weight, bias]) holder.dispose();
  }
}

/** Images whose maps are in the engine at once while scoring: 22 MB of SqueezeNet's. */
const SCORED_AT_ONCE = 64;

/** Hands out features as tensors. Vectors lie in the engine as a whole; maps, which are a hundred times as large, go there batch by batch. */
class FeatureReader {
  private readonly whole: Tensor2D | undefined;

  constructor(private readonly engine: Engine, readonly set: FeatureSet) {
    const { rows, shape } = set;
    if (shape.positions === 1) this.whole = engine.tf.tensor2d(this.copied(rows), [rows.length, shape.channels]);
  }

  /** `[picked · positions, channels]` of the images at these places of the set; the caller disposes. */
  batch(picked: Int32Array): Tensor2D {
    const { tf } = this.engine;
    if (this.whole !== undefined) return tf.gather(this.whole, tf.tensor1d(picked, 'int32'));
    const { rows, shape } = this.set;
    return tf.tensor2d(this.copied(picked.map((index) => rows[index] ?? 0)), [picked.length * shape.positions, shape.channels]);
  }

  /** `[chosen, classes]`, row by row. */
  logits(weight: Tensor2D, bias: Tensor1D): Float32Array {
    const { tf } = this.engine;
    const { positions } = this.set.shape;
    const of = (x: Tensor2D): Float32Array => {
      const output = tf.tidy(() => pooled(tf, tf.add<Tensor2D>(tf.matMul(x, weight), bias), positions));
      const values = output.dataSync<'float32'>();
      output.dispose();
      return values;
    };
    if (this.whole !== undefined) return of(this.whole);
    const total = this.set.rows.length;
    const values = new Float32Array(total * (bias.shape[0]));
    for (let from = 0; from < total; from += SCORED_AT_ONCE) {
      const x = this.batch(Int32Array.from({ length: Math.min(SCORED_AT_ONCE, total - from) }, (_, index) => from + index));
      values.set(of(x), from * bias.shape[0]);
      x.dispose();
    }
    return values;
  }

  dispose(): void {
    this.whole?.dispose();
  }

  private copied(rows: Int32Array): Float32Array {
    const { values, shape } = this.set;
    const width = shape.positions * shape.channels;
    const target = new Float32Array(rows.length * width);
    for (const [index, row] of rows.entries()) target.set(values.subarray(row * width, (row + 1) * width), index * width);
    return target;
  }
}

/** `[images · positions, classes]` → logits `[images, classes]`. */
function pooled(tf: Engine['tf'], weighed: Tensor2D, positions: number): Tensor2D {
  if (positions === 1) return weighed;
  return tf.mean<Tensor2D>(tf.reshape(tf.relu(weighed), [-1, positions, weighed.shape[1]]), 1);
}

/** The gradient of `pooled`: `[images, classes]` → `[images · positions, classes]`. */
function unpooled(tf: Engine['tf'], error: Tensor2D, weighed: Tensor2D, positions: number): Tensor2D {
  const classes = weighed.shape[1];
  const active = tf.reshape(tf.step(weighed), [-1, positions, classes]);
  return tf.reshape(tf.mul(tf.expandDims(tf.div(error, positions), 1), active), [-1, classes]);
}
