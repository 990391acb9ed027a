// Finetune: every layer learns, from a head that was trained first on the frozen features (LP-FT, Kumar et al. 2022), so that a random
// last layer doesn't tear up the backbone in its first steps. A recipe may say otherwise: a random head, or a network that runs in training mode
// while the last layer alone learns.
import type { Scalar, Tensor, Tensor1D, Variable } from '@tensorflow/tfjs';
import { cropInto, drawResizedCrop, resizedCropInto } from '../dataset/augment.js';
import type { Engine } from '../engine/load.js';
import { isBetter } from '../metrics/bestEpoch.js';
import { foldBatchNorm, inferenceForward, normalise, trainingForward } from '../network/forward.js';
import { parameterSpecs, type Graph } from '../network/graph.js';
import type { Parameters } from '../network/parameters.js';
import { ThawError } from '../protocol/errors.js';
import type { Recipe } from '../protocol/run.js';
import type { ContentImage, Pixels, WholePixels } from './features.js';
import { batchBounds, evaluateLogits, remainderBounds, type Evaluation, type LoopHooks } from './loop.js';
import { clippingFactor, SgdMomentum, stepDecay, warmUpCosine } from './optimizer.js';
import type { SeededRandom } from './random.js';

export interface LabelledImage extends ContentImage {
  /** Index into the classes. */
  readonly class: number;
}

export interface FinetuneResult {
  /** Of the best validation epoch; the caller's to dispose. Absent when no epoch ended. */
  readonly parameters?: Parameters;
  readonly bestEpoch: number;
  readonly epochs: number;
  readonly validation?: Evaluation;
  /** Training images a second, over all epochs. */
  readonly imagesPerSecond: number;
}

/** What finetune draws: the order of images, crops, mirror images. */
export type Draws = Pick<SeededRandom, 'permutation' | 'integer' | 'uniform'>;

/** What finetune needs of a recipe. */
export interface FinetuneRecipe {
  readonly epochs: number;
  readonly batch: number;
  readonly body: NonNullable<Recipe['body']>;
}

/**
 * Trains every layer, or the last one as the recipe says, through the whole network: SGD with momentum, warm-up, half a cosine or steps,
 * gradients clipped by their global norm. After each epoch the running statistics are estimated anew (if the recipe says so) and the validation
 * images scored by the folded network. Keeps the best epoch.
 * @param parameters the start, head included; copied, so they stay the caller's
 * @throws ThawError `diverged` when the loss is no longer a number, `image-gone` when an image can't be read any more
 */
export async function finetune(
  engine: Engine,
  graph: Graph,
  parameters: Parameters,
  train: readonly LabelledImage[],
  validation: readonly LabelledImage[],
  source: WholePixels,
  recipe: FinetuneRecipe,
  random: Draws,
  hooks: LoopHooks,
): Promise<FinetuneResult> {
  const { body } = recipe;
  const network = new TrainableNetwork(engine, graph, parameters, body);
  const optimizer = new SgdMomentum(engine, { momentum: body.momentum, weightDecay: (name) => (network.decays(name) ? body.weightDecay : 0) });
  const bounds = (body.batches === 'remainder' ? remainderBounds : batchBounds)(train.length, recipe.batch);
  const steps = bounds.length - 1;
  const classes = network.classes;

  let best: { parameters: Parameters; epoch: number; validation: Evaluation } | undefined;
  let done = 0;
  let seen = 0;
  let spent = 0;
  const result = (): FinetuneResult => ({
    bestEpoch: best?.epoch ?? 0, epochs: done, imagesPerSecond: spent > 0 ? seen / spent : 0,
    ...(best !== undefined && { parameters: best.parameters, validation: best.validation }),
  });

  try {
    for (let epoch = 1; epoch <= recipe.epochs; epoch++) {
      const began = performance.now();
      const order = [...random.permutation(train.length)].flatMap((index) => train[index] ?? []);
      const batches = body.resizedCrop === undefined ? new BatchReader(graph, source, order, augmented)
        : new ResizedCropReader(graph, source, order, body.resizedCrop, body.flip, random);
      let step = 0;
      let correct = 0;
      let lossSum = 0;
      let rate = 0;
      let trained = 0;
      for await (const { pixels, labels } of batches.read(bounds)) {
        if (hooks.stopRequested()) return result();
        rate = rateOf(epoch, (epoch - 1) * steps + step);
        const current = rate;
        const { loss, logits, gradients } = network.gradients(pixels, labels);
        const score = evaluateLogits(logits, labels, classes).score;
        if (!Number.isFinite(loss)) {
          for (const gradient of gradients.values()) gradient.dispose();
          throw new ThawError('run', 'diverged', `The loss stopped being a number in epoch ${String(epoch)}, step ${String(step + 1)}`,
            'Train with a smaller learning rate or a larger batch, or use freeze');
        }
        const factor = body.clipNorm > 0 ? clippingFactor(engine, gradients, body.clipNorm) : undefined;
        optimizer.step(network.variables, gradients, (name) => (network.isHead(name) ? current * body.headLearningRateFactor : current), factor);
        factor?.dispose();
        for (const gradient of gradients.values()) gradient.dispose();
        step++;
        trained += labels.length;
        correct += score.correct;
        lossSum += score.loss * labels.length;
        hooks.onStep?.({ epoch, step, steps, loss: score.loss, imagesPerSecond: trained / ((performance.now() - began) / 1000) });
      }
      const trainSeconds = (performance.now() - began) / 1000;
      seen += trained;
      spent += trainSeconds;

      if (body.batchNorm === 'batch' && body.reestimateImages > 0) {
        const sample = [...random.permutation(train.length)].slice(0, body.reestimateImages).flatMap((index) => train[index] ?? []);
        if (await network.reestimateStatistics(new BatchReader(graph, source, sample, centre), recipe.batch, hooks)) return result();
      }
      const scored = await network.evaluate(validation, source, hooks);
      if (scored === undefined) return result();
      if (isBetter(scored.score, best?.validation.score)) {
        disposeParameters(best?.parameters);
        best = { parameters: network.snapshot(), epoch, validation: scored };
      }
      done = epoch;
      await hooks.onEpoch({
        epoch, epochs: recipe.epochs, train: { accuracy: correct / trained, loss: lossSum / trained, correct, total: trained },
        validation: scored.score, seconds: (performance.now() - began) / 1000, imagesPerSecond: trained / trainSeconds, learningRate: rate,
      });
    }
    return result();
  } catch (error) {
    disposeParameters(best?.parameters);
    throw error;
  } finally {
    optimizer.dispose();
    network.dispose();
  }

  function rateOf(epoch: number, step: number): number {
    const all = recipe.epochs * steps;
    if (body.schedule === 'cosine') return body.learningRate * warmUpCosine(step, all, body.warmupShare);
    const warmup = Math.round(all * body.warmupShare);
    return body.learningRate * (step < warmup ? (step + 1) / warmup : 1) * stepDecay(epoch, body.decayEpochs, body.decayFactor);
  }

  function augmented(margin: number): Crop {
    const flip = body.flip && random.integer(2) === 1;
    return body.crop ? { top: random.integer(margin + 1), left: random.integer(margin + 1), flip } : { ...centre(margin), flip };
  }
}

/** Scores images under given parameters with the folded network; `undefined` when stopped. */
export async function evaluateNetwork(
  engine: Engine,
  graph: Graph,
  parameters: Parameters,
  images: readonly LabelledImage[],
  source: Pixels,
  hooks: Pick<LoopHooks, 'stopRequested'> & { onProgress?(done: number, total: number): void },
): Promise<Evaluation | undefined> {
  const { tf } = engine;
  const folded = foldBatchNorm(engine, graph, parameters);
  const classes = classCount(graph, parameters);
  const logits = new Float32Array(images.length * classes);
  try {
    let row = 0;
    for await (const { pixels, labels } of new BatchReader(graph, source, images, centre).read(batchBounds(images.length, 16))) {
      if (hooks.stopRequested()) return undefined;
      const output = tf.tidy(() => inferenceForward(engine, graph, folded, normalise(engine, graph, pixels, labels.length)));
      logits.set(output.dataSync<'float32'>(), row * classes);
      output.dispose();
      row += labels.length;
      hooks.onProgress?.(row, images.length);
    }
  } finally {
    folded.dispose();
  }
  return evaluateLogits(logits, images.map((image) => image.class), classes);
}

/**
 * Mean cross-entropy, in nats, as `torch.nn.CrossEntropyLoss(label_smoothing)`: a share `smoothing` of the target is spread evenly over all classes.
 * @param logits [images, classes]
 * @param labels [images]
 */
export function crossEntropy(tf: Engine['tf'], logits: Tensor, labels: Int32Array, smoothing: number): Scalar {
  return tf.tidy(() => {
    const classes = logits.shape.at(-1) ?? 0;
    const truth = tf.oneHot(tf.tensor1d(labels, 'int32'), classes);
    const target = smoothing === 0 ? truth : tf.add(tf.mul(truth, 1 - smoothing), smoothing / classes);
    return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), target), 1)));
  });
}

export function disposeParameters(parameters: Parameters | undefined): void {
  for (const tensor of parameters?.values() ?? []) tensor.dispose();
}

interface Crop {
  readonly top: number;
  readonly left: number;
  readonly flip: boolean;
}

function centre(margin: number): Crop {
  return { top: Math.floor(margin / 2), left: Math.floor(margin / 2), flip: false };
}

interface Batch {
  /** `[batch, crop, crop, 3]`, valid until the next batch is read. */
  readonly pixels: Uint8Array;
  readonly labels: Int32Array;
}

/** Turns images into batches of pixels, in order. */
abstract class Reader {
  constructor(protected readonly graph: Graph, protected readonly source: WholePixels, readonly images: readonly LabelledImage[]) {}

  /** Each image in turn: a function that writes its `[crop, crop, 3]` bytes into a batch, or why it can't be read. */
  protected abstract items(): AsyncGenerator<{ readonly index: number; readonly reason?: string; write?(target: Uint8Array, offset: number): void }>;

  /** Batches between the bounds given (from batchBounds). */
  async *read(bounds: readonly number[]): AsyncGenerator<Batch> {
    const bytes = this.graph.preprocessing.crop ** 2 * 3;
    let part = 1;
    let first = 0;
    let next = bounds[part] ?? 0;
    let pixels = new Uint8Array(next * bytes);
    let labels = new Int32Array(next);
    for await (const item of this.items()) {
      const image = this.images[item.index];
      if (image === undefined) continue;
      if (item.write === undefined) {
        throw new ThawError('run', 'image-gone', `${image.path} can't be read any more: ${item.reason ?? 'it is gone'}`, 'Put the image back, or train again without it');
      }
      const slot = item.index - first;
      item.write(pixels, slot * bytes);
      labels[slot] = image.class;
      if (item.index + 1 < next) continue;
      yield { pixels, labels };
      first = next;
      next = bounds[++part] ?? next;
      if ((next - first) * bytes !== pixels.length) pixels = new Uint8Array((next - first) * bytes);
      labels = new Int32Array(next - first);
    }
  }
}

/** Squares out of the stored squares. */
class BatchReader extends Reader {
  /** @param crop chooses the crop of an image, given by how much the stored square is larger than the crop */
  constructor(graph: Graph, source: Pixels, images: readonly LabelledImage[], private readonly crop: (margin: number) => Crop) {
    super(graph, source, images);
  }

  protected async *items(): ReturnType<Reader['items']> {
    const size = this.graph.preprocessing.crop;
    const stored = this.source.preprocessing.size;
    for await (const { index, pixels, reason } of this.source.stream(this.images)) {
      if (pixels === undefined) yield { index, ...(reason !== undefined && { reason }) };
      else yield { index, write: (target, offset) => { cropInto(target, offset, pixels, { stored, size, ...this.crop(stored - size) }); } };
    }
  }
}

/** torchvision's RandomResizedCrop and RandomHorizontalFlip, of whole images. */
class ResizedCropReader extends Reader {
  constructor(
    graph: Graph, source: WholePixels, images: readonly LabelledImage[],
    private readonly bounds: NonNullable<NonNullable<Recipe['body']>['resizedCrop']>,
    private readonly flip: boolean,
    private readonly random: Draws,
  ) {
    super(graph, source, images);
  }

  protected async *items(): ReturnType<Reader['items']> {
    const size = this.graph.preprocessing.crop;
    if (this.source.streamWhole === undefined) throw new Error('this source has no whole images');
    for await (const { index, image, reason } of this.source.streamWhole(this.images)) {
      if (image === undefined) {
        yield { index, ...(reason !== undefined && { reason }) };
        continue;
      }
      const box = drawResizedCrop(image, this.bounds, this.random);
      const flip = this.flip && this.random.integer(2) === 1;
      yield { index, write: (target, offset) => { resizedCropInto(target, offset, image, box, size, flip); } };
    }
  }
}

/** The network with its trainable tensors as variables, and batch norm's running statistics beside them. */
class TrainableNetwork {
  readonly variables = new Map<string, Variable>();
  readonly classes: number;
  private readonly statistics = new Map<string, Tensor1D>();
  /** What doesn't learn. */
  private readonly constants = new Map<string, Tensor>();
  private readonly decaying = new Set<string>();
  private readonly head = new Set<string>();
  /** Node → its running mean's and variance's names. */
  private readonly running = new Map<string, { mean: string; variance: string }>();

  constructor(private readonly engine: Engine, private readonly graph: Graph, start: Parameters, private readonly body: NonNullable<Recipe['body']>) {
    const { tf } = engine;
    for (const spec of parameterSpecs(graph)) {
      const tensor = start.get(spec.name);
      if (tensor === undefined) throw new Error(`parameter ${spec.name} is missing`);
      if (spec.role === 'mean' || spec.role === 'variance') this.statistics.set(spec.name, tensor.clone() as Tensor1D);
      else if (body.trains === 'all' || spec.node === graph.head) this.variables.set(spec.name, tf.variable(tensor, true));
      else this.constants.set(spec.name, tensor.clone());
      if (spec.role === 'weight') this.decaying.add(spec.name);
      if (spec.node === graph.head) this.head.add(spec.name);
      if (spec.role === 'mean' || spec.role === 'variance') {
        const names = this.running.get(spec.node) ?? { mean: '', variance: '' };
        this.running.set(spec.node, { ...names, [spec.role]: spec.name });
      }
    }
    this.classes = classCount(graph, start);
  }

  isHead(name: string): boolean {
    return this.head.has(name);
  }

  /** Weight decay is for weights: on batch norm's scale and on offsets it only distorts. */
  decays(name: string): boolean {
    return this.decaying.has(name);
  }

  /** Mean cross-entropy of a batch, with the recipe's label smoothing, its logits, and the gradient of every trainable tensor. Moves the running statistics. */
  gradients(pixels: Uint8Array, labels: Int32Array): { loss: number; logits: Float32Array; gradients: Map<string, Tensor> } {
    const { tf } = this.engine;
    let logits: Tensor | undefined;
    const x = normalise(this.engine, this.graph, pixels, labels.length);
    const { batchNorm, batchNormMomentum, trains } = this.body;
    // Where only the last layer learns, what comes before it needs no gradient, and its results no memory.
    const below = trains === 'head' ? this.forward(x, batchNorm, batchNormMomentum, { until: this.graph.features }) : undefined;
    const { value, grads } = tf.variableGrads((): Scalar => {
      const output = below === undefined ? this.forward(x, batchNorm, batchNormMomentum) : this.forward(below, batchNorm, batchNormMomentum, { from: this.graph.features });
      logits = tf.keep(output);
      return crossEntropy(tf, output, labels, this.body.labelSmoothing);
    }, [...this.variables.values()]);
    x.dispose();
    below?.dispose();
    const byName = new Map<string, Tensor>();
    for (const [name, variable] of this.variables) {
      const gradient = grads[variable.name];
      if (gradient === undefined) throw new Error(`no gradient for ${name}`);
      byName.set(name, gradient);
    }
    const loss = value.dataSync()[0] ?? NaN;
    const rows = logits?.dataSync<'float32'>() ?? new Float32Array();
    value.dispose();
    logits?.dispose();
    return { loss, logits: rows, gradients: byName };
  }

  /** Running statistics as the plain average over batches of the images given, weights untouched. True when stopped. */
  async reestimateStatistics(reader: BatchReader, batch: number, hooks: LoopHooks): Promise<boolean> {
    const { tf } = this.engine;
    let batches = 0;
    for await (const { pixels, labels } of reader.read(batchBounds(reader.images.length, batch))) {
      if (hooks.stopRequested()) return true;
      batches++;
      const x = normalise(this.engine, this.graph, pixels, labels.length);
      tf.tidy(() => { this.forward(x, 'batch', 1 / batches); });
      x.dispose();
    }
    return false;
  }

  /** Scores images with the folded network; `undefined` when stopped. */
  evaluate(images: readonly LabelledImage[], source: Pixels, hooks: LoopHooks): Promise<Evaluation | undefined> {
    return evaluateNetwork(this.engine, this.graph, this.all(), images, source, hooks);
  }

  /** A copy of every tensor; cheap, since a later assignment replaces the variable's tensor and leaves the copy's alone. */
  snapshot(): Parameters {
    return new Map([...this.all()].map(([name, tensor]) => [name, tensor.clone()]));
  }

  dispose(): void {
    for (const tensor of this.all().values()) tensor.dispose();
  }

  private all(): Parameters {
    return new Map<string, Tensor>([...this.variables, ...this.constants, ...this.statistics]);
  }

  private forward(x: Tensor, batchNorm: 'frozen' | 'batch', momentum: number, part: { from?: string; until?: string } = {}): Tensor {
    const { tf } = this.engine;
    return trainingForward(this.engine, this.graph, this.all(), x, {
      batchNorm, ...part,
      onStatistics: (node, mean, variance) => {
        const names = this.running.get(node);
        if (names === undefined) throw new Error(`statistics of ${node}, which has none`);
        for (const [name, value] of [[names.mean, mean], [names.variance, variance]] as const) {
          const before = this.statistics.get(name);
          if (before === undefined) throw new Error(`running statistics ${name} are missing`);
          this.statistics.set(name, tf.tidy(() => tf.keep(tf.add<Tensor1D>(tf.mul(before, 1 - momentum), tf.mul(value, momentum)))));
          before.dispose();
          value.dispose();
        }
      },
    });
  }
}

function classCount(graph: Graph, parameters: Parameters): number {
  const spec = parameterSpecs(graph).find((candidate) => candidate.node === graph.head && candidate.role === 'weight');
  const classes = spec === undefined ? undefined : parameters.get(spec.name)?.shape.at(-1);
  if (classes === undefined) throw new Error(`${graph.name} has no head`);
  return classes;
}
