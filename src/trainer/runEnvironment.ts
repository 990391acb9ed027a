// What a run is recorded to have been computed with.
import sharp from 'sharp';
import type { Engine } from '../engine/load.js';
import type { WeightsFile } from '../network/weights/cache.js';
import type { RunRecord } from '../protocol/run.js';
import { THAW_VERSION } from './version.js';

/** Versions, threads, device and weights. @param weights none: the run started at random */
export function describeEnvironment(engine: Engine, weights: WeightsFile | undefined): NonNullable<RunRecord['environment']> {
  return {
    thaw: THAW_VERSION, node: process.versions.node, platform: `${process.platform}-${process.arch}`, tensorflow: engine.tensorflowVersion,
    sharp: sharp.versions.sharp, threads: engine.threads, device: engine.device,
    ...(weights !== undefined && { weights: { name: weights.name, sha256: weights.sha256, source: weights.source } }),
  };
}
