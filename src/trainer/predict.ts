// Prediction: what a trained network says of images. Decoded and cut as in training, by the same code; any number of images in bounded memory.
import sharp from 'sharp';
import { centreCrop, cropInto } from '../dataset/augment.js';
import { decodeImage, type Preprocessing } from '../dataset/decode.js';
import { errorCode } from '../dataset/listing.js';
import { readAhead } from '../dataset/readAhead.js';
import { unlabelledImages } from '../dataset/unlabelled.js';
import { loadEngine } from '../engine/load.js';
import { foldBatchNorm, inferenceForward, normalise } from '../network/forward.js';
import { grayPixels } from '../network/gray.js';
import { ThawError } from '../protocol/errors.js';
import type { Colour } from '../protocol/run.js';
import { preprocessingFor } from './backbone.js';
import { configuredThreads } from './environment.js';
import { readTrainedParameters, readTrainedRecord } from './trainedModel.js';

export interface PredictRequest {
  /** Absolute path of the run folder. */
  readonly run: string;
  /** Files and folders. */
  readonly images: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** Makes a small picture of each image, as the network saw it before the last crop. */
  readonly thumbnails?: boolean;
  readonly signal?: AbortSignal;
  /** Called for each image, in order, and waited for. */
  onImage(prediction: ImagePrediction): void | Promise<void>;
}

/** `classes` or `reason`, never both. */
export interface ImagePrediction {
  /** Absolute. */
  readonly path: string;
  /** The most probable first, at most five. */
  readonly top?: readonly ClassProbability[];
  /** JPEG. */
  readonly thumbnail?: Uint8Array;
  /** Why the image could not be classified: a sentence that stands after its name. */
  readonly reason?: string;
}

export interface ClassProbability {
  readonly label: string;
  readonly probability: number;
}

export interface PredictSummary {
  /** Classified. */
  readonly images: number;
  readonly unreadable: number;
  /** From the first image on, loading left out. */
  readonly seconds: number;
  readonly device: string;
  /** Of this process. */
  readonly peakMemoryBytes: number;
  /** Broken off by the signal. */
  readonly stopped: boolean;
}

const TOP = 5;
const BATCH = 16;
/** Images being decoded or waiting for the network: four batches. */
const READ_AHEAD = 4 * BATCH;
/** Side of a thumbnail, pixels: 72 CSS pixels on a dense screen. */
const THUMBNAIL = 144;

interface Decoded {
  readonly path: string;
  /** `[size, size, 3]` bytes. */
  readonly pixels?: Uint8Array;
  readonly thumbnail?: Uint8Array;
  readonly reason?: string;
}

/**
 * Classifies images by the network of a run. One that can't be decoded is named with its reason, and the others go on.
 * @throws ThawError as `readTrainedRecord`, `loadEngine`, `readTrainedParameters` and `unlabelledImages`
 */
export async function predict(request: PredictRequest): Promise<PredictSummary> {
  const { environment, signal } = request;
  const record = await readTrainedRecord(request.run);
  const engine = await loadEngine({ environment, threads: configuredThreads(environment) });
  const { graph, parameters } = await readTrainedParameters(engine, request.run, record);
  const folded = foldBatchNorm(engine, graph, parameters);
  for (const tensor of parameters.values()) tensor.dispose();
  const preprocessing = preprocessingFor(record.configuration.backbone);
  const began = performance.now();
  const size = graph.preprocessing.crop;
  const bytes = size * size * 3;
  const pixels = new Uint8Array(BATCH * bytes);
  let waiting: Decoded[] = [];
  let used = 0;
  let images = 0;
  let unreadable = 0;
  let stopped = false;

  const flush = async (): Promise<void> => {
    const rows = used === 0 ? [] : topOfEach(record.data.classes, engine.tf.tidy(() =>
      inferenceForward(engine, graph, folded, normalise(engine, graph, pixels.subarray(0, used * bytes), used)).dataSync<'float32'>()));
    let row = 0;
    for (const { path, pixels: seen, thumbnail, reason } of waiting) {
      if (seen === undefined) {
        unreadable++;
        await request.onImage({ path, reason: reason ?? '' });
      } else {
        images++;
        await request.onImage({ path, top: rows[row++] ?? [], ...(thumbnail !== undefined && { thumbnail }) });
      }
    }
    waiting = [];
    used = 0;
  };

  try {
    const decoding = readAhead(unlabelledImages(request.images), READ_AHEAD, (file) => decode(file, preprocessing, request.thumbnails === true ? graph.preprocessing.colour : undefined));
    for await (const image of decoding) {
      if (signal?.aborted === true) {
        stopped = true;
        break;
      }
      waiting.push(image);
      if (image.pixels !== undefined) {
        cropInto(pixels, used * bytes, image.pixels, centreCrop(preprocessing.size, size));
        used++;
      }
      if (used === BATCH || waiting.length >= READ_AHEAD) await flush();
    }
    if (!stopped) await flush();
  } finally {
    folded.dispose();
  }
  return { images, unreadable, seconds: (performance.now() - began) / 1000, device: engine.device.name, peakMemoryBytes: process.resourceUsage().maxRSS * 1024, stopped };
}

/** Never rejects. */
async function decode(file: string, preprocessing: Preprocessing, thumbnailColour: Colour | undefined): Promise<Decoded> {
  try {
    const pixels = await decodeImage(file, preprocessing);
    if (thumbnailColour === undefined) return { path: file, pixels };
    const { size } = preprocessing;
    const shown = thumbnailColour === 'gray' ? grayPixels(pixels) : pixels;
    const thumbnail = await sharp(shown, { raw: { width: size, height: size, channels: 3 } }).resize(THUMBNAIL, THUMBNAIL).jpeg({ quality: 80 }).toBuffer();
    return { path: file, pixels, thumbnail };
  } catch (error) {
    return { path: file, reason: error instanceof ThawError ? error.message : `It can't be decoded (${errorCode(error)})` };
  }
}

/** The most probable classes of each row of logits, softmax in float64. */
function topOfEach(classes: readonly string[], logits: Float32Array): ClassProbability[][] {
  const count = classes.length;
  return Array.from({ length: logits.length / count }, (_, row) => {
    const values = logits.subarray(row * count, (row + 1) * count);
    const highest = values.reduce((most, value) => Math.max(most, value), -Infinity);
    const weights = Array.from(values, (value) => Math.exp(value - highest));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights
      .map((weight, index) => ({ label: classes[index] ?? '', probability: weight / sum }))
      .sort((a, b) => b.probability - a.probability)
      .slice(0, TOP);
  });
}
