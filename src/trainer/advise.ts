// Advice before training: measures a dataset on features, and says which strategy to choose, why, and how sure that is. A thousand training images
// at the most are looked at, fewer where the network takes long for them, so that it takes about as long on any dataset; validation images only by a pilot.
import path from 'node:path';
import { pooledFeatures } from '../advice/features.js';
import { stratifiedSample, type LabelledSet } from '../advice/folds.js';
import { logme } from '../advice/logme.js';
import { crossValidate, proportion } from '../advice/measure.js';
import { highestProbabilities, meanWithInterval, nearness } from '../advice/nearness.js';
import { confidenceReference } from '../advice/references.js';
import { decide } from '../advice/rule.js';
import { reasonText } from '../advice/words.js';
import { assembleDataset, type Dataset, type DatasetImage } from '../dataset/assemble.js';
import { ContentCache } from '../dataset/contentCache.js';
import { requireDiskSpace } from '../dataset/diskSpace.js';
import { missingPixelBytes, PixelSource } from '../dataset/pixelSource.js';
import { readDataset } from '../dataset/readDataset.js';
import { loadEngine, type Engine } from '../engine/load.js';
import { mcnemarExact } from '../metrics/significance.js';
import { graphFor } from '../network/architectures.js';
import { findWeights } from '../network/weights/cache.js';
import type { Advice, Measurements, Pilot } from '../protocol/advice.js';
import { ThawError } from '../protocol/errors.js';
import { ENGLISH } from '../protocol/localiser.js';
import { BACKBONES, type BackboneName } from '../protocol/run.js';
import { cacheFolder } from '../storage/folders.js';
import { extractFeatures, extractStages, featureKey, headLogits, type FeatureOptions } from '../training/features.js';
import { disposeParameters, finetune } from '../training/finetune.js';
import { featureShape, startHead, trainHead, type FeatureSet } from '../training/freeze.js';
import type { Evaluation } from '../training/loop.js';
import { SeededRandom } from '../training/random.js';
import { recipeNamed } from '../training/recipes.js';
import { loadBackbone, preprocessingFor, withHead, type Backbone, type NetworkChoice } from './backbone.js';
import { cacheCapBytes, configuredThreads } from './environment.js';
import { estimate } from './estimate.js';

/** Training images that are measured. */
const MOST_MEASURED = 1000;
/** Seconds that their features may take; the fewest that are measured all the same. */
const FEATURE_SECONDS = 15;
const LEAST_MEASURED = 200;
/** Images of the first batch, whose time is TensorFlow's start, and of those by which the pace is known. */
const WARM_UP = 16;
const PACED = 64;
/** No other network is compared once so many seconds are over. */
const COMPARE_WITHIN_SECONDS = 22;
/** Of these, those that go through every network up to each cut point: LogME of 128 images by 1,280 channels takes a tenth of a second. */
const MOST_STAGED = 128;
/** Training and validation images of a pilot. */
const MOST_PILOTED = 300;

export interface AdviseRequest {
  /** Absolute path of the dataset folder. */
  readonly dataset: string;
  readonly network: NetworkChoice;
  readonly environment: NodeJS.ProcessEnv;
  /** Train a few epochs, too. */
  readonly pilot: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: AdviceProgress) => void;
}

/** What it is doing, and how far it is where that counts. */
export interface AdviceProgress {
  readonly message: string;
  readonly done?: number;
  readonly total?: number;
}

/**
 * Advice on a dataset folder; undefined when the signal ended it.
 * @throws ThawError as training would, `no-usable-images` when none of the images tried can be decoded
 */
export async function advise(request: AdviseRequest): Promise<Advice | undefined> {
  const began = performance.now();
  const { network, environment, signal, onProgress } = request;
  const stopped = (): boolean => signal?.aborted === true;
  onProgress?.({ message: 'Reading the dataset' });
  const read = await readDataset(request.dataset, { splitSeed: 0, signal, onProgress: (done, total) => { onProgress?.({ message: 'Reading images', done, total }); } });
  if (read === undefined) return undefined;
  const { listing, hashes } = read;
  const listed = assembleDataset(listing, hashes, new Map(), { splitSeed: 0 });
  onProgress?.({ message: 'Loading TensorFlow' });
  const engine = await loadEngine({ environment, threads: configuredThreads(environment) });
  const backbone = await loadBackbone(engine, network, environment);
  try {
    const job = new AdviceJob(engine, backbone, listed, (unusable) => assembleDataset(listing, hashes, unusable, { splitSeed: 0 }), request);
    const measured = await job.measure();
    if (measured === undefined || stopped()) return undefined;
    const { dataset } = job;
    onProgress?.({ message: 'Estimating how long training takes' });
    const recipes = (['freeze', 'finetune'] as const).map((strategy) => recipeNamed('default', strategy, network.backbone));
    const { seconds: [freeze = NaN, finetune = NaN] } = await estimate(request.dataset, network, recipes, environment);
    const pilot = request.pilot && !stopped() ? await job.pilot() : undefined;
    if (stopped()) return undefined;
    const measurements: Measurements = { ...measured, ...(pilot !== undefined && { pilot }), seconds: { freeze, finetune } };
    const decision = decide(measurements);
    const { recommendation, confidence } = decision;
    return {
      schemaVersion: 1,
      dataset: { name: dataset.name, path: dataset.root }, network, device: engine.device.name,
      recommendation, reason: reasonText({ decision, measurements }, ENGLISH), confidence,
      minutes: (recommendation === 'finetune' ? finetune : freeze) / 60,
      decision, measurements, seconds: (performance.now() - began) / 1000,
    };
  } finally {
    backbone.dispose();
  }
}

class AdviceJob {
  private readonly began = performance.now();
  private readonly cache: ContentCache;
  private train: readonly DatasetImage[] = [];

  /**
   * @param dataset as listed; `measure` replaces it by what is left without the images that it could not decode
   * @param without the dataset without some images, by path, as training would find it
   */
  constructor(
    private readonly engine: Engine,
    private readonly backbone: Backbone,
    public dataset: Dataset,
    private readonly without: (unusable: ReadonlyMap<string, string>) => Dataset,
    private readonly request: AdviseRequest,
  ) {
    this.cache = new ContentCache({ folder: path.join(cacheFolder(request.environment), 'images'), capBytes: cacheCapBytes(request.environment) });
    this.use(dataset);
  }

  private use(dataset: Dataset): void {
    this.dataset = dataset;
    this.train = dataset.images.filter(({ split }) => split === 'train');
  }

  async measure(): Promise<Omit<Measurements, 'seconds'> | undefined> {
    const { engine, backbone, request } = this;
    const { graph, folded } = backbone;
    const options = this.options(backbone, request.network);
    const unusable = new Map<string, string>();
    let sample: DatasetImage[];
    let found: Awaited<ReturnType<typeof extractFeatures>>;
    for (let most: number | undefined; ;) {
      await requireDiskSpace(cacheFolder(request.environment), await missingPixelBytes(this.sampled(MOST_MEASURED), options.source.preprocessing, this.cache));
      most ??= await this.mostMeasured(this.options(backbone, request.network, false));
      sample = this.sampled(most);
      found = await extractFeatures(sample, options);
      if (found.stopped) return undefined;
      if (found.unusable.size === 0) break;
      // What is left is another dataset, split anew where Thaw splits it: its training images are others, some not looked at yet.
      for (const [file, reason] of found.unusable) unusable.set(file, reason);
      this.use(this.without(unusable));
    }
    const { dataset } = this;
    const images = sample;
    if (images.length < 2) throw noUsableImages(dataset.root);
    const positions = graph.featurePositions;
    const width = graph.featureCount * positions;
    const raw = { values: found.values, images: images.length, channels: width };
    const set = setOf(images, dataset);

    request.onProgress?.({ message: 'Measuring the features' });
    const crossed = crossValidate(pooledFeatures(raw.values, raw.images, positions, graph.featureCount), set);
    const { network } = request;
    const certain = network.weights !== undefined ? undefined : meanWithInterval(highestProbabilities(headLogits(engine, graph, folded, raw.values), backbone.weights.classes));
    const reference = confidenceReference(network.backbone, backbone.weights.sha256);
    const staged = await this.stages(stratifiedSample(set, MOST_STAGED).flatMap((row) => images[row] ?? []));
    if (staged === undefined) return undefined;

    const counts = dataset.counts.map(({ train }) => train).sort((a, b) => a - b);
    const middle = (counts.length - 1) / 2;
    return {
      classes: dataset.classes.length, train: this.train.length, validation: dataset.images.filter(({ split }) => split === 'validation').length,
      perClass: { least: counts[0] ?? 0, median: ((counts[Math.floor(middle)] ?? 0) + (counts[Math.ceil(middle)] ?? 0)) / 2, most: counts.at(-1) ?? 0 },
      measured: images.length, ...crossed,
      ...(certain !== undefined && { headConfidence: certain }),
      ...(certain !== undefined && reference !== undefined && { nearness: { ...nearness(certain, reference), ...reference } }),
      ...staged,
    };
  }

  /** A part of the training images, each class with its share; a smaller one is part of a larger one. */
  private sampled(most: number): DatasetImage[] {
    return stratifiedSample(setOf(this.train, this.dataset), most).flatMap((row) => this.train[row] ?? []);
  }

  /** How many images there is time for: those whose features are cached cost nothing, the others what the first of them take. */
  private async mostMeasured(options: FeatureOptions & { readonly source: PixelSource }): Promise<number> {
    const { graph, weightsSha256, source, engine } = options;
    const missing = new Set<DatasetImage>();
    for (const image of this.sampled(MOST_MEASURED)) {
      if (!await this.cache.has('features', featureKey(image.sha256, source.preprocessing.id, weightsSha256, graph, engine))) missing.add(image);
    }
    const within = (most: number): number => largest(MOST_MEASURED, (count) => this.sampled(count).filter((image) => missing.has(image)).length <= most);
    if (missing.size <= WARM_UP + PACED) return MOST_MEASURED;
    await extractFeatures(this.sampled(within(WARM_UP)), options);
    const { computed, unusable, seconds } = await extractFeatures(this.sampled(within(WARM_UP + PACED)), options);
    const perImage = seconds / Math.max(1, computed + unusable.size);
    return Math.max(LEAST_MEASURED, within(WARM_UP + PACED + Math.floor(FEATURE_SECONDS / perImage)));
  }

  /** LogME at each cut point of the chosen network and of every other whose published weights are here; undefined when it was stopped. */
  private async stages(images: readonly DatasetImage[]): Promise<Pick<Measurements, 'logme' | 'notCompared'> | undefined> {
    const { request, engine, dataset } = this;
    const labels = setOf(images, dataset).labels;
    const measured: Measurements['logme'] = [];
    const notCompared: BackboneName[] = [];
    const others = BACKBONES.filter((name) => name !== request.network.backbone && findWeights(name, request.environment) !== undefined);
    for (const [index, name] of [request.network.backbone, ...others].entries()) {
      if (index > 0 && performance.now() - this.began > COMPARE_WITHIN_SECONDS * 1000) {
        notCompared.push(name);
        continue;
      }
      request.onProgress?.({ message: 'Comparing networks', done: index, total: others.length + 1 });
      const network: NetworkChoice = index === 0 ? request.network : { backbone: name, colour: request.network.colour };
      const backbone = index === 0 ? this.backbone : await loadBackbone(engine, network, request.environment);
      try {
        const found = await extractStages(images, this.options(backbone, network, false));
        if (found.stopped) return undefined;
        if (found.unusable.size > 0) continue; // an image went away, or changed, while it was measured: nothing would compare
        const cuts = found.stages.map(({ cut, values }) => ({ ...cut, logme: logme({ values, images: images.length, channels: cut.channels }, labels, dataset.classes.length) }));
        measured.push({ backbone: name, images: images.length, cuts });
      } finally {
        if (index > 0) backbone.dispose();
      }
    }
    return { logme: measured, ...(notCompared.length > 0 && { notCompared }) };
  }

  /** The recipe `fast` on at most 300 training images, and the head that it begins from, both scored on at most 300 validation images. */
  async pilot(): Promise<Pilot | undefined> {
    const { engine, backbone, dataset, request } = this;
    const { network, onProgress } = request;
    const began = performance.now();
    const chosen = (split: DatasetImage['split']): DatasetImage[] => {
      const images = dataset.images.filter((image) => image.split === split);
      return stratifiedSample(setOf(images, dataset), MOST_PILOTED).flatMap((row) => images[row] ?? []);
    };
    const [train, validation] = [chosen('train'), chosen('validation')];
    const options = this.options(backbone, network);
    const found = await extractFeatures([...train, ...validation], options);
    if (found.stopped) return undefined;
    const usable = (image: DatasetImage): boolean => !found.unusable.has(image.path);
    const graph = graphFor(network.backbone, dataset.classes.length, network.colour);
    const select = (images: readonly DatasetImage[], from: number): FeatureSet => {
      const rows = images.flatMap((image, index) => (usable(image) ? [{ row: from + index, label: image.class }] : []));
      return { values: found.values, shape: featureShape(graph), rows: Int32Array.from(rows, ({ row }) => row), labels: Int32Array.from(rows, ({ label }) => label) };
    };
    const [fit, held] = [select(train, 0), select(validation, train.length)];
    if (fit.labels.length === 0 || held.labels.length === 0) throw noUsableImages(dataset.root);
    const recipe = recipeNamed('fast', 'finetune', network.backbone);
    const { body, epochs } = recipe;
    if (body === undefined) throw new Error('the finetune recipe has no body');
    const stopRequested = (): boolean => request.signal?.aborted === true;
    const head = await trainHead(engine, fit, held, dataset.classes.length, startHead(graph, dataset.classes.length, new SeededRandom(0, 'head')), recipe.head, new SeededRandom(0, 'order'),
      { stopRequested, onEpoch: () => undefined });
    const start = withHead(engine, graph, backbone, head.head);
    const result = await finetune(engine, graph, start, train.filter(usable), validation.filter(usable), options.source, { epochs, batch: recipe.batch, body }, new SeededRandom(0, 'finetune'), {
      stopRequested, onEpoch: () => undefined,
      onStep: ({ epoch, step, steps }) => { onProgress?.({ message: 'Training a pilot', done: (epoch - 1) * steps + step, total: epochs * steps }); },
    }).finally(() => { disposeParameters(start); });
    disposeParameters(result.parameters);
    if (head.validation === undefined || result.validation === undefined) return undefined;
    const [first, second] = [head.validation, result.validation].map((evaluation) => rightOf(evaluation, held.labels));
    const only = (a: readonly boolean[] = [], b: readonly boolean[] = []): number => a.filter((right, index) => right && b[index] === false).length;
    const [onlyFreezeRight, onlyFinetuneRight] = [only(first, second), only(second, first)];
    const scored = ({ score }: Evaluation) => proportion(score.correct, score.total);
    return {
      epochs, trained: fit.labels.length, freeze: scored(head.validation), finetune: scored(result.validation), onlyFreezeRight, onlyFinetuneRight,
      p: mcnemarExact(onlyFreezeRight, onlyFinetuneRight), seconds: (performance.now() - began) / 1000,
    };
  }

  /** `told`: whether its progress is the job's. */
  private options(backbone: Backbone, network: NetworkChoice, told = true): FeatureOptions & { readonly source: PixelSource } {
    const { engine, cache, dataset, request } = this;
    return {
      engine, cache, graph: backbone.graph, folded: backbone.folded, weightsSha256: backbone.weights.sha256,
      source: new PixelSource({ root: dataset.root, preprocessing: preprocessingFor(network.backbone), cache }),
      stopRequested: () => request.signal?.aborted === true,
      ...(told && { onProgress: (done: number, total: number) => { request.onProgress?.({ message: 'Computing features', done, total }); } }),
    };
  }
}

function setOf(images: readonly DatasetImage[], { classes }: Dataset): LabelledSet {
  return { labels: Int32Array.from(images, (image) => image.class), groups: images.map(({ sha256 }) => sha256), classes: classes.length };
}

/** Whether each row's most probable class is the true one. */
function rightOf({ probabilities }: Evaluation, labels: Int32Array): boolean[] {
  const classes = probabilities.length / labels.length;
  return Array.from(labels, (label, row) => {
    const own = probabilities.subarray(row * classes, (row + 1) * classes);
    return own.indexOf(Math.max(...own)) === label;
  });
}

/** The largest number up to `most` that fits, where with one that fits every smaller one does. */
function largest(most: number, fits: (count: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

function noUsableImages(folder: string): ThawError {
  return new ThawError('input', 'no-usable-images', `None of the images tried in ${folder} can be decoded`, 'Run `thaw inspect` on the folder to see why');
}
