// How long a run takes here: measured on a few batches, not looked up.
import path from 'node:path';
import { ContentCache } from '../dataset/contentCache.js';
import { hashImages } from '../dataset/hashing.js';
import { listDataset, type Listing } from '../dataset/listing.js';
import { pixelKey, PixelSource } from '../dataset/pixelSource.js';
import type { Engine } from '../engine/load.js';
import { graphFor } from '../network/architectures.js';
import { ThawError } from '../protocol/errors.js';
import type { Colour, Recipe } from '../protocol/run.js';
import { cacheFolder } from '../storage/folders.js';
import { extractFeatures, featureKey } from '../training/features.js';
import { disposeParameters, finetune, type LabelledImage } from '../training/finetune.js';
import { featureShape, startHead, trainHead } from '../training/freeze.js';
import { SeededRandom } from '../training/random.js';
import { batchFor, needsFeatures, recipeNamed } from '../training/recipes.js';
import { loadBackbone, preprocessingFor, randomBackbone, withHead, type Backbone, type Pretrained } from './backbone.js';
import { cacheCapBytes } from './environment.js';

/** Of a dataset and a backbone, seconds. */
export interface Pace {
  /** Images of the folder; those that train, and those that are scored after each epoch. */
  readonly images: number;
  readonly trained: number;
  readonly held: number;
  /** Of any run: listing, hashing, the backbone, writing the model. */
  readonly perRun: number;
  /** Share of the images whose features have to be computed, and what one takes: decoding, the network. */
  readonly missing: number;
  readonly perFeature: number;
  /** Of an image that is scored. */
  readonly perScored: number;
  /** Of an image that the last layer alone sees once. */
  readonly perHeadImage: number;
}

export interface PaceOptions {
  readonly engine: Engine;
  readonly folder: string;
  readonly network: Pretrained;
  /** Measures with a network at random: where everything is trained from scratch, which needs no weights on this machine. */
  readonly random?: boolean;
  readonly environment: NodeJS.ProcessEnv;
  /** Ends the look at the images. */
  readonly signal?: AbortSignal;
}

/** Share of images that train, where the folder doesn't say: the rest is validation. */
const TRAIN_SHARE = 0.8;
/** Images looked up to see how much of the folder is in the cache already. */
const SAMPLE = 256;
const BATCH = 16;
/** Batches that are measured, after one that pays for TensorFlow's own start. */
const BATCHES = 3;
/** Writing weights and predictions at a run's end. */
const WRITING_SECONDS = 0.2;

/** A dataset and a backbone, looked at closely enough to measure. The caller disposes. */
export class PaceMeter {
  /** Images that could be decoded: a training step takes no others. */
  private usable: readonly LabelledImage[] = [];

  private constructor(
    private readonly options: PaceOptions,
    private readonly listing: Listing,
    private readonly network: Omit<Backbone, 'weights'>,
    /** Undefined of a network at random, whose features nobody keeps. */
    private readonly weights: Backbone['weights'] | undefined,
    private readonly source: PixelSource,
    private readonly cache: ContentCache,
    private readonly sample: readonly LabelledImage[],
    private readonly perRun: number,
  ) {}

  /** @throws ThawError as training would; the signal's reason once it is aborted */
  static async open(options: PaceOptions): Promise<PaceMeter> {
    const { engine, folder, network: pretrained, environment } = options;
    const stop = options.signal && { signal: options.signal };
    const { backbone } = pretrained;
    const began = performance.now();
    const listing = await listDataset(folder, stop);
    const listed = performance.now();
    const loadedBackbone = options.random === true ? undefined : await loadBackbone(engine, { ...pretrained, colour: 'rgb' }, environment);
    const network = loadedBackbone ?? randomBackbone(engine, backbone);
    const loaded = performance.now();
    try {
      const order = [...new SeededRandom(0, 'estimate').permutation(listing.images.length)].flatMap((index) => listing.images[index] ?? []);
      const some: Listing = { ...listing, images: order.slice(0, SAMPLE) };
      const hashes = await hashImages(some, { splitSeed: 0, ...stop });
      const hashing = (performance.now() - loaded) / some.images.length * listing.images.length;
      const cache = new ContentCache({ folder: path.join(cacheFolder(environment), 'images'), capBytes: cacheCapBytes(environment) });
      const source = new PixelSource({ root: listing.root, preprocessing: preprocessingFor(backbone), cache });
      const sample = some.images.flatMap((image) => {
        const content = hashes.get(image.path);
        return content === undefined ? [] : [{ path: image.path, sha256: content.sha256, class: image.class }];
      });
      return new PaceMeter(options, listing, network, loadedBackbone?.weights, source, cache, sample, (listed - began + (loaded - listed) + hashing) / 1000 + WRITING_SECONDS);
    } catch (error) {
      network.dispose();
      throw error;
    }
  }

  dispose(): void {
    this.network.dispose();
  }

  /** Images of the folder. */
  get images(): number {
    return this.listing.images.length;
  }

  async measure(): Promise<Pace> {
    const { listing, sample, source, network, options } = this;
    const stored = await Promise.all(sample.map(({ sha256 }) => this.cache.has('pixels', pixelKey(sha256, source.preprocessing))));
    const extract = { engine: options.engine, graph: network.graph, folded: network.folded, weightsSha256: this.weights?.sha256 ?? '', source, cache: undefined };
    const first = await extractFeatures(sample.slice(0, BATCH), extract);
    // Images whose pixels are in the cache cost less than those that have to be decoded: each at its own pace, by their shares.
    const toDecode = sample.filter((_, index) => stored[index] !== true && index >= BATCH);
    const some = toDecode.length >= BATCH ? toDecode : sample;
    const chosen = some.slice(0, BATCHES * BATCH);
    const pass = await extractFeatures(chosen, extract);
    const again = await extractFeatures(chosen, extract);
    this.usable = [...sample.slice(0, BATCH), ...chosen].filter(({ path: file }) => !first.unusable.has(file) && !pass.unusable.has(file));
    if (pass.computed === 0 || this.usable.length === 0) throw new ThawError('input', 'no-usable-images', `None of the images tried in ${options.folder} can be decoded`, 'Run `thaw inspect` on the folder to see why');
    const cold = stored.filter((kept) => !kept).length / sample.length;
    const trained = listing.layout === 'given' ? listing.images.filter((image) => image.split === 'train').length : Math.round(listing.images.length * TRAIN_SHARE);
    return {
      images: listing.images.length, trained, held: listing.images.length - trained, perRun: this.perRun, missing: await this.missing('rgb'),
      perFeature: (cold * pass.seconds + (1 - cold) * again.seconds) / pass.computed, perScored: again.seconds / pass.computed, perHeadImage: await this.headImage(),
    };
  }

  /** Share of the images whose features are not in the cache. */
  async missing(colour: Colour): Promise<number> {
    const { sample, source, weights, options } = this;
    if (weights === undefined) return 1;
    const graph = graphFor(options.network.backbone, weights.classes, colour);
    const found = await Promise.all(sample.map(({ sha256 }) => this.cache.has('features', featureKey(sha256, source.preprocessing.id, weights.sha256, graph, options.engine))));
    return found.filter((kept) => !kept).length / Math.max(1, found.length);
  }

  /** Seconds of a training image in a recipe's body, on a few batches, whose rate is 0 so that nothing is learned. After `measure`. */
  async trainingImage(recipe: Recipe): Promise<number> {
    const { body } = recipe;
    if (body === undefined) throw new Error('a recipe without a body');
    const { options: { engine, network: { backbone } }, listing, network, usable, source } = this;
    if (usable.length === 0) throw new Error('nothing was measured yet');
    const graph = graphFor(backbone, listing.classes.length);
    const random = new SeededRandom(0, 'estimate');
    const start = withHead(engine, graph, network, startHead(graph, listing.classes.length, random));
    const batch = Math.min(batchFor(recipe, listing.images.length), BATCH);
    const images = Array.from({ length: (BATCHES + 1) * batch }, (_, index) => usable[index % usable.length]).filter((image) => image !== undefined);
    const ends: number[] = [];
    try {
      const result = await finetune(engine, graph, start, images, [], source, { epochs: 1, batch, body: { ...body, learningRate: 0 } }, random, {
        onStep: () => { ends.push(performance.now()); },
        onEpoch: () => undefined,
        stopRequested: () => ends.length > BATCHES,
      });
      disposeParameters(result.parameters);
    } finally {
      disposeParameters(start);
    }
    return ((ends.at(-1) ?? 0) - (ends[0] ?? 0)) / 1000 / Math.max(1, ends.length - 1) / batch;
  }

  /** An epoch of the last layer on features of no meaning. */
  private async headImage(): Promise<number> {
    const { options: { engine, network: { backbone } }, listing } = this;
    const graph = graphFor(backbone, listing.classes.length);
    const shape = featureShape(graph);
    const count = 8 * BATCH;
    const rows = Int32Array.from({ length: count }, (_, index) => index);
    const labels = rows.map((row) => row % listing.classes.length);
    const set = { values: new Float32Array(count * shape.positions * shape.channels).fill(0.1), shape, rows, labels };
    const random = new SeededRandom(0, 'estimate');
    const recipe: Recipe['head'] = { ...recipeNamed('default', 'freeze', backbone).head, epochs: 4, batch: 32, leastSteps: 1 };
    const seconds: number[] = [];
    await trainHead(engine, set, { ...set, rows: rows.subarray(0, BATCH), labels: labels.subarray(0, BATCH) }, listing.classes.length, startHead(graph, listing.classes.length, random), recipe, random, {
      stopRequested: () => false, onEpoch: (report) => { seconds.push(report.seconds); },
    });
    return Math.min(...seconds) / count;
  }
}

/**
 * Seconds of a run at a pace.
 * @param perTrained of a training image through the whole network; unused without a body
 * @param fresh whether this run computes the features: a later one finds them in the cache; `decoded` where an earlier run has decoded the images
 */
export function runSeconds(pace: Pace, recipe: Recipe, perTrained: number, fresh: boolean | 'decoded'): { readonly seconds: number; readonly featureSeconds: number } {
  const withFeatures = needsFeatures(recipe);
  // Without features images are only decoded, whose cost is what a feature takes beyond an image that lies decoded in the cache.
  const decoding = fresh === 'decoded' ? 0 : Math.max(0, pace.perFeature - pace.perScored);
  const featureSeconds = fresh === false ? 0 : pace.images * pace.missing * (decoding + (withFeatures ? pace.perScored : 0));
  const head = withFeatures ? pace.trained * recipe.head.epochs * pace.perHeadImage : 0;
  const { body } = recipe;
  const again = body?.batchNorm === 'batch' ? Math.min(body.reestimateImages, pace.trained) : 0;
  const epochs = body === undefined ? 0 : recipe.epochs * (pace.trained * perTrained + (pace.held + again) * pace.perScored);
  return { seconds: pace.perRun + featureSeconds + head + epochs, featureSeconds };
}
