// Features: the frozen backbone runs once an image, and what it says is kept on disk, so that a second run starts from there.
import { totalmem } from 'node:os';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import type { ContentCache } from '../dataset/contentCache.js';
import { centreCrop, cropInto } from '../dataset/augment.js';
import type { PixelSource } from '../dataset/pixelSource.js';
import type { Engine } from '../engine/load.js';
import { cutPoints, type CutPoint } from '../network/cutPoints.js';
import { inferenceAverages, inferenceForward, normalise, type FoldedParameters } from '../network/forward.js';
import { formatBytes, formatCount } from '../metrics/format.js';
import type { Graph } from '../network/graph.js';
import { ThawError } from '../protocol/errors.js';

/** An image as the caches know it. */
export interface ContentImage {
  /** Relative to the dataset folder. */
  readonly path: string;
  readonly sha256: string;
}

/** Where pixels come from. */
export type Pixels = Pick<PixelSource, 'stream' | 'preprocessing'>;

/** Where whole resized images come from too, for a recipe that crops them at random. */
export type WholePixels = Pixels & Partial<Pick<PixelSource, 'streamWhole'>>;

export interface FeatureExtraction {
  /** `[images, positions, channels]`, in the order asked for; zeros for unusable images. */
  readonly values: Float32Array;
  /** Images that can't be decoded: path and reason. */
  readonly unusable: ReadonlyMap<string, string>;
  /** Images that went through the backbone now; the others came from the cache. */
  readonly computed: number;
  /** Of that pass, decoding included. */
  readonly seconds: number;
  /** Whether it was stopped before its end. */
  readonly stopped: boolean;
}

export interface FeatureOptions {
  readonly engine: Engine;
  readonly graph: Graph;
  readonly folded: FoldedParameters;
  /** SHA-256 of the weights file: features of other weights are other features. */
  readonly weightsSha256: string;
  readonly source: Pixels;
  /** Where features are looked up and kept; none: computed, not kept. */
  readonly cache: ContentCache | undefined;
  readonly batch?: number;
  onProgress?(done: number, total: number): void;
  stopRequested?(): boolean;
}

/** The features of images: from the cache where they are, else through the backbone, decoding overlapped with the network. */
export function extractFeatures(images: readonly ContentImage[], options: FeatureOptions): Promise<FeatureExtraction> {
  const { engine, graph, folded, source } = options;
  return extract(images, options, {
    width: featureWidth(graph),
    key: (image) => featureKey(image.sha256, source.preprocessing.id, options.weightsSha256, graph, engine),
    forward: (x) => inferenceForward(engine, graph, folded, x, { until: graph.features }),
  });
}

export interface StageExtraction extends Omit<FeatureExtraction, 'values'> {
  /** Of each cut point, `[images, channels]`: its output averaged over the positions. The last one's are the features. */
  readonly stages: readonly { readonly cut: CutPoint; readonly values: Float32Array }[];
}

/** What images look like at each of a network's cut points, all from one pass, cached and computed as features are. */
export async function extractStages(images: readonly ContentImage[], options: FeatureOptions): Promise<StageExtraction> {
  const { engine, graph, folded, source } = options;
  const cuts = cutPoints(graph, folded.steps);
  const width = cuts.reduce((sum, { channels }) => sum + channels, 0);
  const layout = cuts.map(({ node, channels }) => `${node}:${String(channels)}`).join(',');
  const { values, ...extraction } = await extract(images, options, {
    width,
    key: (image) => `${featureKey(image.sha256, source.preprocessing.id, options.weightsSha256, graph, engine)}-stages-${layout}`,
    forward: (x) => engine.tf.concat(inferenceAverages(engine, graph, folded, x, cuts.map(({ node }) => node)), 1),
  });
  let from = 0;
  const stages = cuts.map((cut) => {
    const ofCut = new Float32Array(images.length * cut.channels);
    for (let image = 0; image < images.length; image++) ofCut.set(values.subarray(image * width + from, image * width + from + cut.channels), image * cut.channels);
    from += cut.channels;
    return { cut, values: ofCut };
  });
  return { ...extraction, stages };
}

/** What is kept of an image, under which key, and how a batch of normalised pixels becomes that. */
interface Extracted {
  readonly width: number;
  readonly key: (image: ContentImage) => string;
  /** `[batch, height, width, 3]` → `batch · width` numbers; within a `tidy`. */
  readonly forward: (x: Tensor4D) => Tensor;
}

async function extract(images: readonly ContentImage[], options: FeatureOptions, { width, key, forward }: Extracted): Promise<FeatureExtraction> {
  const { engine, graph, cache, source } = options;
  const values = new Float32Array(images.length * width);
  const unusable = new Map<string, string>();

  const missing: number[] = [];
  const entries = await cache?.readMany('features', images.map(key)) ?? [];
  for (const row of images.keys()) {
    const entry = entries[row];
    if (entry !== undefined && entry.byteLength === width * 4) values.set(new Float32Array(Uint8Array.from(entry).buffer), row * width);
    else missing.push(row);
  }
  const cached = images.length - missing.length;
  options.onProgress?.(cached, images.length);
  if (missing.length === 0) return { values, unusable, computed: 0, seconds: 0, stopped: false };

  const began = performance.now();
  const size = graph.preprocessing.crop;
  const stored = source.preprocessing.size;
  const batch = options.batch ?? 16;
  const bytes = size * size * 3;
  const pixels = new Uint8Array(batch * bytes);
  let rows: number[] = [];
  let computed = 0;
  const writes: Promise<void>[] = [];

  const flush = (): void => {
    if (rows.length === 0) return;
    // Always a whole batch: TensorFlow chooses its way to sum by the shape, and an image's features must not depend on how many came with it.
    for (let slot = rows.length; slot < batch; slot++) pixels.copyWithin(slot * bytes, 0, bytes);
    const features = engine.tf.tidy(() => forward(normalise(engine, graph, pixels, batch)));
    const data = features.dataSync<'float32'>();
    features.dispose();
    for (const [slot, row] of rows.entries()) {
      const feature = data.slice(slot * width, (slot + 1) * width);
      values.set(feature, row * width);
      const image = images[row];
      if (image !== undefined && cache !== undefined) writes.push(cache.write('features', key(image), new Uint8Array(feature.buffer)));
    }
    computed += rows.length;
    rows = [];
  };

  const wanted = missing.flatMap((row) => images[row] ?? []);
  let stopped = false;
  for await (const item of source.stream(wanted)) {
    if (options.stopRequested?.() === true) {
      stopped = true;
      break;
    }
    const row = missing[item.index] ?? 0;
    if (item.pixels === undefined) {
      unusable.set(images[row]?.path ?? '', item.reason ?? 'it could not be decoded');
      continue;
    }
    cropInto(pixels, rows.length * bytes, item.pixels, centreCrop(stored, size));
    rows.push(row);
    if (rows.length === batch) {
      flush();
      options.onProgress?.(cached + computed + unusable.size, images.length);
    }
  }
  if (!stopped) flush();
  await Promise.all(writes);
  options.onProgress?.(cached + computed + unusable.size, images.length);
  return { values, unusable, computed, seconds: (performance.now() - began) / 1000, stopped };
}

/**
 * What the network's own last layer says of features.
 * @param values `[images, positions, channels]`
 * @returns `[images, classes]`, logits
 */
export function headLogits(engine: Engine, graph: Graph, folded: FoldedParameters, values: Float32Array): Float32Array {
  const { tf } = engine;
  const width = featureWidth(graph);
  const side = Math.sqrt(graph.featurePositions);
  const parts: Float32Array[] = [];
  for (let from = 0; from < values.length; from += HEAD_BATCH * width) {
    const part = values.subarray(from, from + HEAD_BATCH * width);
    const images = part.length / width;
    const logits = tf.tidy(() => {
      const shape = graph.featurePositions === 1 ? [images, width] : [images, side, side, graph.featureCount];
      return inferenceForward(engine, graph, folded, tf.tensor(part, shape), { from: graph.features });
    });
    parts.push(logits.dataSync<'float32'>());
    logits.dispose();
  }
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Images whose features go through the last layer at once: 22 MB of SqueezeNet's maps. */
const HEAD_BATCH = 64;

/** Numbers that an image's features are. */
export function featureWidth(graph: Graph): number {
  return graph.featureCount * graph.featurePositions;
}

/** Of this machine's memory, what features may take. */
const MEMORY_SHARE = 0.5;

/**
 * Features of all images lie in memory while the head learns: 5 kB an image where they are pooled, 346 kB where they are SqueezeNet's maps.
 * @param totalBytes memory of this machine
 * @throws ThawError `too-many-features`, with both numbers
 */
export function requireFeatureMemory(graph: Graph, images: number, totalBytes = totalmem()): void {
  const bytes = images * featureWidth(graph) * 4;
  if (bytes <= totalBytes * MEMORY_SHARE) return;
  throw new ThawError('run', 'too-many-features',
    `The features of ${formatCount(images)} images by ${graph.name} take ${formatBytes(bytes)}, more than half of this machine's ${formatBytes(totalBytes)} of memory`,
    'Choose another backbone, or train on fewer images');
}

/**
 * Name of a cache entry: the image's bytes, how they became pixels, in colour or gray, the weights, where the network was cut, and what computed it: another
 * TensorFlow, or a GPU, differs in the last digits, and the same seed has to give the same numbers with a cold cache and a warm one.
 */
export function featureKey(sha256: string, preprocessing: string, weightsSha256: string, graph: Graph, { device, tensorflowVersion }: Pick<Engine, 'device' | 'tensorflowVersion'>): string {
  const colour = graph.preprocessing.colour === 'rgb' ? '' : `-${graph.preprocessing.colour}`;
  return `${sha256}-${preprocessing}${colour}-${graph.name}-${graph.features}-${weightsSha256.slice(0, 16)}-${device.kind}-${tensorflowVersion}`;
}
