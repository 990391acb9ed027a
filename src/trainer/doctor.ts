// The doctor: each part that training needs, with its state and, where it isn't well, what to do.
import os from 'node:os';
import path from 'node:path';
import { ContentCache } from '../dataset/contentCache.js';
import { freeBytes } from '../dataset/diskSpace.js';
import { loadEngine } from '../engine/load.js';
import { findRuntime } from '../engine/runtime.js';
import { formatBytes } from '../metrics/format.js';
import { findWeights } from '../network/weights/cache.js';
import { DEFAULT_BACKBONE } from '../protocol/run.js';
import { ThawError } from '../protocol/errors.js';
import { cacheFolder } from '../storage/folders.js';
import { cacheCapBytes, configuredThreads } from './environment.js';
import { THAW_VERSION } from './version.js';

export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'missing';
  readonly detail: string;
}

/** Examines the machine; loads the engine to see what it really computes on. Never throws for what it finds. */
export async function examine(environment: NodeJS.ProcessEnv): Promise<Check[]> {
  const checks: Check[] = [
    { name: 'Thaw', state: 'ok', detail: THAW_VERSION },
    { name: 'Node', state: 'ok', detail: `${process.versions.node}${process.versions['electron'] === undefined ? '' : `, Electron ${process.versions['electron']}`}` },
    { name: 'Platform', state: 'ok', detail: `${process.platform}-${process.arch}, ${os.release()}` },
  ];
  const cache = cacheFolder(environment);
  try {
    const runtime = findRuntime({ environment });
    if (runtime === undefined) {
      checks.push({ name: 'Engine', state: 'missing', detail: 'TensorFlow is not on this machine. Run `thaw setup`, or Thaw: Set Up Engine' });
    } else {
      const engine = await loadEngine({ environment, threads: configuredThreads(environment) });
      checks.push({ name: 'Engine', state: 'ok', detail: `TensorFlow ${engine.tensorflowVersion} (${runtime.flavour}) in ${runtime.directory}` });
      checks.push({ name: 'Device', state: 'ok', detail: engine.device.reason === undefined ? engine.device.name : `${engine.device.name}: ${engine.device.reason}` });
    }
  } catch (error) {
    if (!(error instanceof ThawError)) throw error;
    checks.push({ name: 'Engine', state: 'missing', detail: `${error.message}. ${error.next}` });
  }
  checks.push({ name: 'GPU training', state: 'warning', detail: 'Training on a GPU is untested on hardware' });
  try {
    const weights = findWeights(DEFAULT_BACKBONE, environment);
    checks.push(weights === undefined
      ? { name: 'Weights', state: 'missing', detail: 'The ImageNet weights of efficientnet_lite0 are not on this machine. Run `thaw setup`, or Thaw: Set Up Engine' }
      : { name: 'Weights', state: 'ok', detail: `${weights.name}, SHA-256 ${weights.sha256.slice(0, 12)}…` });
  } catch (error) {
    if (!(error instanceof ThawError)) throw error;
    checks.push({ name: 'Weights', state: 'missing', detail: `${error.message}. ${error.next}` });
  }
  const images = new ContentCache({ folder: path.join(cache, 'images'), capBytes: cacheCapBytes(environment) });
  checks.push({ name: 'Cache', state: 'ok', detail: `${formatBytes(await images.size())} of at most ${formatBytes(cacheCapBytes(environment))} in ${cache}` });
  const free = await freeBytes(cache);
  checks.push({ name: 'Disk', state: free < 2 * 1024 ** 3 ? 'warning' : 'ok', detail: `${formatBytes(free)} free` });
  return checks;
}
