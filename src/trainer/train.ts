// The training job, from a folder of images to a result: list, decode, features, head, and for finetune every layer. It writes all that it
// does into the run folder; whoever wants to know reads it there.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { assembleDataset, requireTrainable, runData, type Dataset } from '../dataset/assemble.js';
import { ContentCache } from '../dataset/contentCache.js';
import { requireDiskSpace } from '../dataset/diskSpace.js';
import { hashImages, type ContentHashes } from '../dataset/hashing.js';
import { listDataset, type Listing } from '../dataset/listing.js';
import { missingPixelBytes, PixelSource } from '../dataset/pixelSource.js';
import { loadEngine, type Engine } from '../engine/load.js';
import { wilsonInterval } from '../metrics/intervals.js';
import { graphFor } from '../network/architectures.js';
import { parameterSpecs, type Graph } from '../network/graph.js';
import { toStateDict, type Parameters } from '../network/parameters.js';
import { writeSafetensors } from '../network/weights/safetensors.js';
import { ThawError } from '../protocol/errors.js';
import type { EpochScore, Phase, TrainerEvent } from '../protocol/events.js';
import type { Prediction, RunRecord, RunResult, Score } from '../protocol/run.js';
import { waitForDevice } from '../runs/deviceQueue.js';
import type { RunWriter } from '../runs/runWriter.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { cacheFolder } from '../storage/folders.js';
import { extractFeatures, featureKey, featureWidth, requireFeatureMemory, type ContentImage, type FeatureExtraction } from '../training/features.js';
import { disposeParameters, evaluateNetwork, finetune, type LabelledImage } from '../training/finetune.js';
import { evaluateHead, featureShape, startHead, trainHead, type FeatureSet, type FeatureShape } from '../training/freeze.js';
import { newHead, type EpochReport, type Evaluation, type LoopHooks } from '../training/loop.js';
import { SeededRandom } from '../training/random.js';
import { batchFor, learningPart, needsFeatures, requireFit } from '../training/recipes.js';
import { loadBackbone, preprocessingFor, randomStart, withHead, type Backbone } from './backbone.js';
import { GpuSamplerProcess } from './gpuSampler.js';
import { cacheCapBytes, configuredThreads, deviceQueue } from './environment.js';
import { describeEnvironment } from './runEnvironment.js';
import { Stopped, unlessStopped } from './stopping.js';

export interface TrainOptions {
  /** Absolute path of the dataset folder. */
  readonly dataset: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Asked at every batch, and ten times a second while images are read, beside the run folder's stop file. */
  stopRequested?(): boolean;
  /** Every event, as it is written. */
  onEvent?(event: TrainerEvent): void;
}

/**
 * Runs the job of an open run folder to its end. Always leaves a final state behind: `finished`, `stopped` (with the best epoch's weights
 * and result, if one ended) or `failed` with what happened and what to do; a failure is thrown again for the caller's exit code.
 */
export async function train(writer: RunWriter, options: TrainOptions): Promise<RunRecord> {
  const job = new TrainingJob(writer, options);
  try {
    await job.run();
  } catch (error) {
    if (error instanceof Stopped) {
      await writer.update({ state: 'stopped', endedAt: new Date().toISOString() });
    } else {
      const failure = error instanceof ThawError
        ? { code: error.code, message: error.message, next: error.next }
        : { code: 'unexpected', message: `Training ended by an error that Thaw did not expect: ${error instanceof Error ? error.message : String(error)}`.slice(0, 4000), next: 'Open the log, and report it with what stands there' };
      await writer.update({ state: 'failed', endedAt: new Date().toISOString(), failure });
      throw error;
    }
  }
  return writer.record;
}

class TrainingJob {
  private began = performance.now();

  constructor(private readonly writer: RunWriter, private readonly options: TrainOptions) {}

  async run(): Promise<void> {
    const { writer, options } = this;
    const { configuration } = writer.record;
    requireFit(configuration.recipe, configuration.strategy);
    requireStart(configuration);
    // Before the device: a folder that is no dataset is refused at once, also where TensorFlow is not set up yet.
    let listing = await this.listed();
    const waitingSince = performance.now();
    this.phase('waiting', 'Waiting for the device');
    const queue = await deviceQueue(options.environment);
    let line = 0;
    const device = await waitForDevice(queue.name, {
      onPosition: (ahead) => {
        if (ahead === 0) return;
        line = ahead;
        this.phase('waiting', `Waiting for the device, ${String(ahead)} ahead`, 0, ahead);
      },
      stopRequested: () => this.stopRequested(),
    });
    if (device === undefined) throw new Stopped();
    this.began += performance.now() - waitingSince;
    const reading = new AbortController();
    let sampler: GpuSamplerProcess | undefined;
    let engine: Engine | undefined;
    let backbone: Backbone | undefined;
    try {
      await writer.update({ state: 'starting', startedAt: new Date().toISOString() });
      if (line > 0) listing = await this.listed(); // the folder may have changed meanwhile
      let loading = true;
      let read = 0;
      const total = listing.images.length;
      const tellRead = (): void => { this.phase('scanning', `Reading images, ${String(read)} of ${String(total)}`, read, total); };
      const hashing = unlessStopped(() => this.stopRequested(), (signal) => hashImages(listing, {
        splitSeed: configuration.splitSeed, signal,
        onProgress: (done) => {
          read = done;
          if (!loading) tellRead();
        },
      }), reading.signal);
      hashing.catch(() => undefined); // awaited below; a failure before that must not end the process
      this.phase('loading', 'Loading TensorFlow');
      engine = await loadEngine({ environment: queue.environment, threads: configuredThreads(options.environment) });
      this.throwIfStopped();
      if (configuration.strategy !== 'scratch') backbone = await loadBackbone(engine, configuration, options.environment);
      if (engine.uncapped === true) this.event({ type: 'message', time: Date.now(), level: 'warning', text: 'GPU memory is not capped: nvidia-smi doesn\'t say how much this GPU has' });
      if (engine.gpuUuid !== undefined) sampler = this.sampleGpu(engine.gpuUuid);
      const environment = describeEnvironment(engine, backbone?.weights);
      loading = false;
      if (read < total) tellRead();
      const hashes = await hashing;
      this.throwIfStopped();
      await writer.update({ state: 'running', environment });

      const cache = new ContentCache({ folder: path.join(cacheFolder(options.environment), 'images'), capBytes: cacheCapBytes(options.environment) });
      const source = new PixelSource({ root: listing.root, preprocessing: preprocessingFor(configuration.backbone), cache, onCacheProblem: (text) => { this.event({ type: 'message', time: Date.now(), level: 'warning', text }); } });
      const contents = listing.images.flatMap((image) => {
        const content = hashes.get(image.path);
        return content?.sha256 === undefined ? [] : [{ path: image.path, sha256: content.sha256 }];
      });
      const outcome = await (backbone !== undefined && needsFeatures(configuration.recipe) ? this.fromFeatures(engine, backbone, listing, hashes, contents, source, cache)
        : this.fromImages(engine, backbone, listing, hashes, contents, source, cache));
      await this.conclude(backbone, outcome.dataset, outcome);
      outcome.dispose();
      void cache.trim().catch(() => undefined); // housekeeping only: the next run tries again
    } finally {
      reading.abort();
      sampler?.stop();
      backbone?.dispose();
      await device.release();
    }
  }

  /** @throws ThawError as `listDataset` and `requireTrainable` */
  private async listed(): Promise<Listing> {
    this.phase('scanning', 'Reading the dataset');
    const listing = await unlessStopped(() => this.stopRequested(), (signal) => listDataset(this.options.dataset, { signal }));
    requireTrainable(listing);
    return listing;
  }

  /** Features of all images first: the dataset is what has them. */
  private async fromFeatures(
    engine: Engine, backbone: Backbone, listing: Listing, hashes: ContentHashes, contents: readonly ContentImage[], source: PixelSource, cache: ContentCache,
  ): Promise<Outcome> {
    const { graph, weights } = backbone;
    const featureKeys = contents.map(({ sha256 }) => featureKey(sha256, source.preprocessing.id, weights.sha256, graph, engine));
    await requireDiskSpace(cacheFolder(this.options.environment), await missingPixelBytes(contents, source.preprocessing, cache)
      + await cache.missingBytes('features', featureKeys, featureWidth(graph) * 4));
    requireFeatureMemory(graph, contents.length);
    const features = await extractFeatures(contents, {
      engine, graph: backbone.graph, folded: backbone.folded, weightsSha256: backbone.weights.sha256, source, cache,
      onProgress: (done, total) => { this.phase('features', `Computing features, ${String(done)} of ${String(total)} images`, done, total); },
      stopRequested: () => this.stopRequested(),
    });
    if (features.stopped) throw new Stopped();
    const dataset = await this.assembled(listing, hashes, features.unusable);
    return this.learn(engine, backbone, dataset, contents, features, source);
  }

  /**
   * No features: every image is decoded once, to know which can be, and the whole network learns from a random last layer, or, without a backbone,
   * from nothing.
   */
  private async fromImages(
    engine: Engine, backbone: Backbone | undefined, listing: Listing, hashes: ContentHashes, contents: readonly ContentImage[], source: PixelSource, cache: ContentCache,
  ): Promise<Outcome> {
    await requireDiskSpace(cacheFolder(this.options.environment), await missingPixelBytes(contents, source.preprocessing, cache));
    const unusable = new Map<string, string>();
    for await (const { index, pixels, reason } of source.stream(contents)) {
      this.throwIfStopped();
      if (pixels === undefined) unusable.set(contents[index]?.path ?? '', reason ?? 'it could not be decoded');
      if ((index + 1) % 16 === 0) this.phase('features', `Decoding, ${String(index + 1)} of ${String(contents.length)} images`, index + 1, contents.length);
    }
    const dataset = await this.assembled(listing, hashes, unusable);
    const { backbone: name, colour, seed } = this.writer.record.configuration;
    const graph = graphFor(name, dataset.classes.length, colour);
    const beginning = backbone === undefined ? randomStart(engine, graph, new SeededRandom(seed, 'start'))
      : withHead(engine, graph, backbone, newHead(graph.featureCount, dataset.classes.length, new SeededRandom(seed, 'head')));
    return this.learnWhole(engine, graph, beginning, dataset, source);
  }

  private async assembled(listing: Listing, hashes: ContentHashes, unusable: ReadonlyMap<string, string>): Promise<Dataset> {
    const { writer } = this;
    const dataset = assembleDataset(listing, hashes, unusable, { splitSeed: writer.record.configuration.splitSeed });
    await writer.update({ data: runData(dataset) });
    await writer.writeSplit({ schemaVersion: 1, images: dataset.images.map(({ path: file, class: index, split, sha256 }) => ({ path: file, class: index, split, sha256 })) });
    return dataset;
  }

  /** The last layer on features first; where the recipe has a body, then through the whole network. */
  private async learn(engine: Engine, backbone: Backbone, dataset: Dataset, contents: readonly { path: string }[], features: FeatureExtraction, source: PixelSource): Promise<Outcome> {
    const { configuration } = this.writer.record;
    const { recipe, seed } = configuration;
    const classes = dataset.classes.length;
    const rows = new Map(contents.map((content, index) => [content.path, index]));
    const graph = graphFor(configuration.backbone, classes, configuration.colour);
    const select = (split: 'train' | 'validation' | 'test'): Selection => selectSplit(dataset, split, rows, features, featureShape(graph));
    const [fit, held, test] = [select('train'), select('validation'), select('test')];
    const start = startHead(graph, classes, new SeededRandom(seed, 'head'));
    const featuresComputed = features.computed;
    const featureSpeed = features.computed > 0
      ? { imagesPerSecond: features.computed / features.seconds, imagesPerSecondOf: 'features' as const }
      : undefined;

    if (recipe.body === undefined) this.phase('training', 'Training the last layer');
    else this.phase('head', 'Training the last layer first');
    let headImages = 0;
    let headSeconds = 0;
    const head = await trainHead(engine, fit.features, held.features, classes, start, recipe.head, new SeededRandom(seed, 'order'), {
      stopRequested: () => this.stopRequested(),
      onEpoch: async (report) => {
        headImages += report.train.total;
        headSeconds += report.seconds;
        if (recipe.body === undefined) await this.epoch(engine, report);
      },
    });
    if (recipe.body === undefined) {
      return {
        dataset, graph, validation: head.validation, bestEpoch: head.bestEpoch, epochs: head.epochs,
        stopped: head.epochs < recipe.head.epochs,
        speed: featureSpeed ?? { imagesPerSecond: headSeconds > 0 ? headImages / headSeconds : 0, imagesPerSecondOf: 'cached features' }, featuresComputed,
        parameters: () => withHead(engine, graph, backbone, head.head),
        test: () => Promise.resolve(test.images.length === 0 ? undefined : evaluateHead(engine, test.features, head.head, classes)),
        images: { validation: held.images, test: test.images },
        dispose: () => undefined,
      };
    }
    if (head.epochs < recipe.head.epochs) throw new Stopped();

    return { ...await this.learnWhole(engine, graph, withHead(engine, graph, backbone, head.head), dataset, source), featuresComputed };
  }

  /** Through the whole network, from the start given, which is disposed. */
  private async learnWhole(engine: Engine, graph: Graph, beginning: Parameters, dataset: Dataset, source: PixelSource): Promise<Outcome> {
    const { recipe, seed } = this.writer.record.configuration;
    const { body } = recipe;
    if (body === undefined) throw new Error('a recipe without a body');
    const [train, validation, test] = (['train', 'validation', 'test'] as const).map((split) => dataset.images.filter((image) => image.split === split));
    if (train === undefined || validation === undefined || test === undefined) throw new Error('three splits');
    this.phase('training', body.trains === 'all' ? 'Training all layers' : 'Training the last layer through the whole network');
    const result = await finetune(engine, graph, beginning, train, validation, source, { epochs: recipe.epochs, batch: batchFor(recipe, train.length), body },
      new SeededRandom(seed, 'finetune'), this.hooks(engine)).finally(() => { disposeParameters(beginning); });
    return {
      dataset, graph, validation: result.validation, bestEpoch: result.bestEpoch, epochs: result.epochs,
      stopped: result.epochs < recipe.epochs,
      speed: { imagesPerSecond: result.imagesPerSecond, imagesPerSecondOf: 'training' },
      parameters: () => new Map([...(result.parameters ?? [])].map(([key, tensor]) => [key, tensor.clone()])),
      test: () => (test.length === 0 || result.parameters === undefined ? Promise.resolve(undefined)
        : evaluateNetwork(engine, graph, result.parameters, test, source, {
          stopRequested: lateStop(() => this.stopRequested()),
          onProgress: (done, total) => { this.phase('finishing', `Scoring the test images, ${String(done)} of ${String(total)}`, done, total); },
        })),
      images: { validation, test },
      dispose: () => { disposeParameters(result.parameters); },
    };
  }

  /** Writes predictions, weights and the result of the best epoch, then the final state. */
  private async conclude(backbone: Backbone | undefined, dataset: Dataset, outcome: Outcome): Promise<void> {
    const { writer } = this;
    const { configuration } = writer.record;
    if (outcome.validation === undefined) throw new Stopped();
    this.phase('finishing', 'Writing the result');
    const parameters = outcome.parameters();
    await this.writeModel(backbone, outcome.graph, parameters, dataset.classes); // first: whatever happens to the rest, the weights are there
    disposeParameters(parameters);
    const test = await outcome.test();
    const predictions = [
      ...predictionsOf(outcome.images.validation, 'validation', outcome.validation, dataset.classes.length),
      ...(test === undefined ? [] : predictionsOf(outcome.images.test, 'test', test, dataset.classes.length)),
    ];
    await writer.writePredictions(predictions);

    const specs = parameterSpecs(outcome.graph).filter((spec) => spec.trainable);
    const sizeOf = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);
    const count = (chosen: typeof specs): number => chosen.reduce((sum, spec) => sum + sizeOf(spec.shape), 0);
    const headline = scoreOf(test?.score ?? outcome.validation.score);
    const result: RunResult = {
      accuracy: headline.accuracy, correct: headline.correct, total: headline.total, interval: headline.interval,
      accuracySplit: test === undefined ? 'validation' : 'test',
      bestEpoch: outcome.bestEpoch, epochs: outcome.epochs,
      seconds: (performance.now() - this.began) / 1000,
      ...outcome.speed, ...(outcome.featuresComputed !== undefined && { featuresComputed: outcome.featuresComputed }),
      validation: scoreOf(outcome.validation.score),
      ...(test !== undefined && { test: scoreOf(test.score) }),
      parameters: { total: count(specs), trained: learningPart(configuration.strategy) === 'head' ? count(specs.filter((spec) => spec.node === outcome.graph.head)) : count(specs) },
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    };
    const untested = test === undefined && outcome.images.test.length > 0;
    await writer.update({ state: outcome.stopped || untested ? 'stopped' : 'finished', endedAt: new Date().toISOString(), result });
  }

  private async writeModel(backbone: Backbone | undefined, graph: Graph, parameters: Parameters, classes: readonly string[]): Promise<void> {
    const folder = path.join(this.writer.directory, 'model');
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(path.join(folder, 'model.safetensors'), writeSafetensors(toStateDict(graph, parameters)));
    const { configuration } = this.writer.record;
    await writeFileAtomic(path.join(folder, 'model.json'), `${JSON.stringify({
      schemaVersion: 1, backbone: configuration.backbone, classes, preprocessing: graph.preprocessing,
      ...(backbone !== undefined && { pretrained: { name: backbone.weights.name, sha256: backbone.weights.sha256 } }),
    }, undefined, 2)}\n`);
  }

  private hooks(engine: Engine): LoopHooks {
    return {
      stopRequested: () => this.stopRequested(),
      onStep: (report) => { this.event({ type: 'step', time: Date.now(), ...report }); },
      onEpoch: (report) => this.epoch(engine, report),
    };
  }

  private async epoch(engine: Engine, report: EpochReport): Promise<void> {
    this.event({
      type: 'epoch', time: Date.now(), ...report,
      interval: wilsonInterval(report.validation.correct, report.validation.total),
      memoryBytes: process.memoryUsage.rss(), tensors: engine.tf.memory().numTensors,
    });
    await new Promise((resolve) => { setImmediate(resolve); }); // lets signals, the heartbeat and file writes through
  }

  private sampleGpu(uuid: string): GpuSamplerProcess {
    return new GpuSamplerProcess({
      uuid, environment: this.options.environment, program: { execPath: process.execPath, script: path.join(__dirname, 'trainer.js') },
      onSample: ({ time, utilization, usedBytes, totalBytes }) => { this.event({ type: 'gpu', time, ...(utilization !== undefined && { utilization }), usedBytes, totalBytes }); },
      onGivenUp: () => { this.event({ type: 'message', time: Date.now(), level: 'warning', text: 'nvidia-smi no longer answers: how busy and how full the GPU is stays unknown' }); },
    });
  }

  private phase(phase: Phase, message: string, done?: number, total?: number): void {
    this.event({ type: 'phase', time: Date.now(), phase, message, ...(done !== undefined && { done }), ...(total !== undefined && { total }) });
  }

  private event(event: TrainerEvent): void {
    this.writer.event(event);
    this.options.onEvent?.(event);
  }

  private stopRequested(): boolean {
    return this.options.stopRequested?.() === true || this.writer.stopRequested();
  }

  private throwIfStopped(): void {
    if (this.stopRequested()) throw new Stopped();
  }
}

/** How long a run that is asked to stop still scores test images, which most test sets are done in: less than a stop waits for who has answered it. */
const MOST_SCORING_MS = 20_000;

function lateStop(requested: () => boolean): () => boolean {
  const began = performance.now();
  return () => performance.now() - began > MOST_SCORING_MS && requested();
}

/** @throws ThawError `unfit-weights` */
function requireStart({ strategy, weights }: RunRecord['configuration']): void {
  if (strategy === 'scratch' && weights !== undefined) {
    throw new ThawError('input', 'unfit-weights', `Scratch starts from random values, so the weights ${weights} would do nothing`, 'Name the network alone, or use another strategy');
  }
}

/** What training left behind, whichever strategy it was. */
interface Outcome {
  readonly dataset: Dataset;
  readonly graph: Graph;
  readonly validation: Evaluation | undefined;
  readonly bestEpoch: number;
  readonly epochs: number;
  readonly stopped: boolean;
  readonly speed: Pick<RunResult, 'imagesPerSecond' | 'imagesPerSecondOf'>;
  readonly featuresComputed?: number;
  readonly images: { readonly validation: readonly LabelledImage[]; readonly test: readonly LabelledImage[] };
  /** Whole network of the best epoch, head included; the caller disposes. */
  parameters(): Parameters;
  test(): Promise<Evaluation | undefined>;
  dispose(): void;
}

interface Selection {
  readonly images: readonly LabelledImage[];
  readonly features: FeatureSet;
}

function selectSplit(dataset: Dataset, split: 'train' | 'validation' | 'test', rows: ReadonlyMap<string, number>, features: FeatureExtraction, shape: FeatureShape): Selection {
  const images = dataset.images.filter((image) => image.split === split);
  const chosen = Int32Array.from(images, (image) => {
    const row = rows.get(image.path);
    if (row === undefined) throw new Error(`no features of ${image.path}`);
    return row;
  });
  return { images, features: { values: features.values, shape, rows: chosen, labels: Int32Array.from(images, (image) => image.class) } };
}

function predictionsOf(images: readonly LabelledImage[], split: 'validation' | 'test', evaluation: Evaluation, classes: number): Prediction[] {
  return images.map((image, row) => {
    const probabilities = [...evaluation.probabilities.subarray(row * classes, (row + 1) * classes)];
    return { path: image.path, sha256: image.sha256, split, truth: image.class, predicted: probabilities.indexOf(Math.max(...probabilities)), probabilities };
  });
}

function scoreOf(score: EpochScore): Score {
  return { ...score, interval: wilsonInterval(score.correct, score.total) };
}
