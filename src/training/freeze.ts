// Freeze: the backbone has turned every image into features once; only the last layer learns, on those.
import type { Tensor1D, Tensor2D, Variable } from '@tensorflow/tfjs';
import type { Engine } from '../engine/load.js';
import type { Recipe } from '../protocol/run.js';
import { isBetter } from '../metrics/bestEpoch.js';
import { batchBounds, evaluateLogits, fittedBatch, type Evaluation, type Head, type LoopHooks } from './loop.js';
import { AdamW, SgdMomentum, warmUpCosine, type Optimizer } from './optimizer.js';
import type { SeededRandom } from './random.js';

/** Features of images with their classes. */
export interface FeatureSet {
  /** `[images, width]`. */
  readonly values: Float32Array;
  readonly width: number;
  /** `[images]`, class indices. */
  readonly labels: Int32Array;
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
  const features = tf.tensor2d(train.values, [images, train.width]);
  const held = tf.tensor2d(validation.values, [validation.labels.length, validation.width]);
  const weight = tf.variable(tf.tensor2d(start.weight, [train.width, classes]));
  const bias = tf.variable(tf.tensor1d(start.bias));
  const variables = new Map<string, Variable>([['weight', weight], ['bias', bias]]);
  const optimizer: Optimizer = recipe.optimizer === 'adam'
    ? new AdamW(tf, { weightDecay: recipe.weightDecay })
    : new SgdMomentum(tf, { momentum: 0.9, weightDecay: recipe.weightDecay });
  const logitsOf = (x: Tensor2D): Tensor2D => tf.add<Tensor2D>(tf.matMul(x, weight), bias);
  const evaluate = (x: Tensor2D, labels: Int32Array): Evaluation => {
    const logits = tf.tidy(() => logitsOf(x));
    const values = logits.dataSync<'float32'>();
    logits.dispose();
    return evaluateLogits(values, labels, classes);
  };

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
        rate = recipe.learningRate * warmUpCosine((epoch - 1) * steps + step, recipe.epochs * steps, 0);
        const picked = order.subarray(bounds[step], bounds[step + 1]);
        const gradients = tf.tidy(() => {
          const x = tf.gather(features, tf.tensor1d(Int32Array.from(picked), 'int32'));
          const y = tf.oneHot(tf.tensor1d(Int32Array.from(picked, (index) => train.labels[index] ?? 0), 'int32'), classes);
          // The gradient of the mean cross-entropy with respect to the logits is (softmax − truth) / batch.
          const error = tf.div<Tensor2D>(tf.sub(tf.softmax(logitsOf(x)), y), picked.length);
          return { weight: tf.matMul(x, error, true, false), bias: tf.sum<Tensor1D>(error, 0) };
        });
        optimizer.step(variables, new Map(Object.entries(gradients)), () => rate);
        gradients.weight.dispose();
        gradients.bias.dispose();
      }
      const seconds = (performance.now() - began) / 1000;
      const scored = evaluate(held, validation.labels);
      const fitted = evaluate(features, train.labels);
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
    for (const tensor of [features, held, weight, bias]) tensor.dispose();
  }

  function result(): HeadResult {
    return best === undefined
      ? { head: start, bestEpoch: 0, epochs: done }
      : { head: best.head, bestEpoch: best.epoch, epochs: done, validation: best.validation };
  }
}

/** Logits of features under a head, scored. */
export function evaluateHead(engine: Engine, set: FeatureSet, head: Head, classes: number): Evaluation {
  const { tf } = engine;
  const logits = tf.tidy(() => tf.add(
    tf.matMul(tf.tensor2d(set.values, [set.labels.length, set.width]), tf.tensor2d(head.weight, [set.width, classes])),
    tf.tensor1d(head.bias),
  ));
  const values = logits.dataSync<'float32'>();
  logits.dispose();
  return evaluateLogits(values, set.labels, classes);
}
