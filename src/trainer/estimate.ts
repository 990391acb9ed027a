// How long would it take? Measured here and now, on two batches, not looked up.
import path from 'node:path';
import { ContentCache } from '../dataset/contentCache.js';
import { hashImages } from '../dataset/hashing.js';
import { listDataset, type Listing } from '../dataset/listing.js';
import { PixelSource } from '../dataset/pixelSource.js';
import { loadEngine } from '../engine/load.js';
import { graphFor } from '../network/architectures.js';
import { ThawError } from '../protocol/errors.js';
import type { Recipe } from '../protocol/run.js';
import { cacheFolder } from '../storage/folders.js';
import { extractFeatures, featureKey } from '../training/features.js';
import { disposeParameters, finetune, type LabelledImage } from '../training/finetune.js';
import { startHead } from '../training/freeze.js';
import { SeededRandom } from '../training/random.js';
import { defaultRecipe } from '../training/recipes.js';
import { loadBackbone, preprocessingFor, withHead, type NetworkChoice } from './backbone.js';
import { cacheCapBytes, configuredThreads } from './environment.js';

export interface Estimate {
  readonly freeze: { readonly seconds: number };
  readonly finetune: { readonly seconds: number };
  readonly scratch: { readonly seconds: number };
  /** The recipe that it is for. */
  readonly recipe: string;
  readonly device: string;
  readonly images: number;
}

const BATCHES = 2;
/** Share of images that train, where the folder doesn't say: the rest is validation. */
const TRAIN_SHARE = 0.8;
/** Images looked up to see how much of the folder is in the cache already. */
const PROBES = 64;

/** Seconds for the default recipes on a dataset folder. @throws ThawError as training would */
export async function estimate(folder: string, network: NetworkChoice, environment: NodeJS.ProcessEnv): Promise<Estimate> {
  const began = performance.now();
  const listing = await listDataset(folder);
  const engine = await loadEngine({ environment, threads: configuredThreads(environment) });
  const { backbone: backboneName, colour } = network;
  const backbone = await loadBackbone(engine, network, environment);
  const startSeconds = (performance.now() - began) / 1000;
  try {
    const recipe = defaultRecipe('finetune', backboneName);
    const scratchRecipe = defaultRecipe('scratch', backboneName);
    const random = new SeededRandom(0, 'estimate');
    const order = [...random.permutation(listing.images.length)].flatMap((index) => listing.images[index] ?? []);
    const wanted = Math.max(PROBES, (BATCHES + 1) * recipe.batch);
    const sampled: Listing = { ...listing, images: order.slice(0, wanted) };
    const hashes = await hashImages(sampled, { splitSeed: 0 });
    const cache = new ContentCache({ folder: path.join(cacheFolder(environment), 'images'), capBytes: cacheCapBytes(environment) });
    const source = new PixelSource({ root: listing.root, preprocessing: preprocessingFor(backboneName), cache });
    const sample: LabelledImage[] = sampled.images.flatMap((image) => {
      const content = hashes.get(image.path);
      return content === undefined ? [] : [{ path: image.path, sha256: content.sha256, class: image.class }];
    });

    let present = 0;
    for (const image of sample.slice(0, PROBES)) {
      if (await cache.read('features', featureKey(image.sha256, source.preprocessing.id, backbone.weights.sha256, backbone.graph, engine)) !== undefined) present++;
    }
    const missingShare = 1 - present / Math.max(1, Math.min(PROBES, sample.length));

    // The first batch pays for TensorFlow's own start; the two after it are measured. Nothing is kept: features must not be found here later.
    const options = { engine, graph: backbone.graph, folded: backbone.folded, weightsSha256: backbone.weights.sha256, source, cache: undefined };
    await extractFeatures(sample.slice(0, 16), options);
    const pass = await extractFeatures(sample.slice(16, 16 * (1 + BATCHES)), options);
    const usable = sample.filter((image) => !pass.unusable.has(image.path));
    const perFeature = pass.computed === 0 ? 0 : pass.seconds / pass.computed;
    const classes = listing.classes.length;
    const graph = graphFor(backboneName, classes, colour);
    const start = withHead(engine, graph, backbone, startHead(graph, classes, random));
    const secondsOf: Record<'finetune' | 'scratch', number> = { finetune: 0, scratch: 0 };
    try {
      // Where a network starts makes no difference to how long it takes; how batch norm works does.
      secondsOf.finetune = await measureImages(recipe, usable);
      secondsOf.scratch = await measureImages(scratchRecipe, usable);
    } finally {
      disposeParameters(start);
    }

    const images = listing.images.length;
    const trained = listing.layout === 'given' ? listing.images.filter((image) => image.split === 'train').length : images * TRAIN_SHARE;
    const held = images - trained;
    const head = trained * recipe.head.epochs * HEAD_SECONDS_PER_IMAGE;
    const freeze = startSeconds + images * missingShare * perFeature + head;
    const epochs = ({ epochs: count, body }: Recipe, perImage: number): number => count * (trained * perImage + (held + Math.min(body?.reestimateImages ?? 0, trained)) * perFeature);
    return {
      freeze: { seconds: freeze },
      finetune: { seconds: freeze + epochs(recipe, secondsOf.finetune) },
      scratch: { seconds: startSeconds + epochs(scratchRecipe, secondsOf.scratch) },
      recipe: recipe.name, device: engine.device.name, images,
    };

    /** Seconds for a training image. */
    async function measureImages({ batch, body }: Recipe, available: readonly LabelledImage[]): Promise<number> {
      if (body === undefined) throw new Error('a recipe without a body');
      if (available.length === 0) throw new ThawError('input', 'no-usable-images', `None of the images tried in ${folder} can be decoded`, 'Run `thaw inspect` on the folder to see why');
      const needed = (BATCHES + 1) * batch;
      const batchImages = Array.from({ length: needed }, (_, index) => available[index % available.length]).filter((image) => image !== undefined);
      const ends: number[] = [];
      const result = await finetune(engine, graph, start, batchImages, [], source, { epochs: 1, batch, body: { ...body, learningRate: 0 } }, random, {
        onStep: () => { ends.push(performance.now()); },
        onEpoch: () => undefined,
        stopRequested: () => ends.length > BATCHES,
      });
      disposeParameters(result.parameters);
      return ((ends.at(-1) ?? 0) - (ends[0] ?? 0)) / 1000 / (Math.max(1, ends.length - 1) * batch);
    }
  } finally {
    backbone.dispose();
  }
}

/** The head's share is small: 0.2 s for 15 epochs of 244 images were measured on 2 cores. */
const HEAD_SECONDS_PER_IMAGE = 0.2 / (15 * 244);
