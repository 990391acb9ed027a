// What the environment says, and what it is: settings that travel as THAW_* variables, and the versions a run is recorded with.
import os from 'node:os';
import sharp from 'sharp';
import { chooseDevice, deviceChoice } from '../engine/device.js';
import type { Engine } from '../engine/load.js';
import { findRuntime } from '../engine/runtime.js';
import type { WeightsFile } from '../network/weights/cache.js';
import { ThawError } from '../protocol/errors.js';
import type { RunRecord } from '../protocol/run.js';
import { THAW_VERSION } from './version.js';

const GIB = 1024 ** 3;
const DEFAULT_CACHE_GIB = 10;

/** Cap of the image cache, bytes: THAW_CACHE_GIB, default 10. */
export function cacheCapBytes(environment: NodeJS.ProcessEnv): number {
  return (positiveNumber(environment, 'THAW_CACHE_GIB') ?? DEFAULT_CACHE_GIB) * GIB;
}

/** Threads for TensorFlow: THAW_THREADS, else one a core that this process may use. */
export function configuredThreads(environment: NodeJS.ProcessEnv): number {
  return Math.floor(positiveNumber(environment, 'THAW_THREADS') ?? os.availableParallelism());
}

/**
 * The name that trainers queue under, those that share a device wait for each other; and the environment to load the engine with, in which
 * the GPU is named that was waited for. A full GPU is waited for too: what fills it may be the trainer ahead.
 */
export async function deviceQueue(environment: NodeJS.ProcessEnv): Promise<{ readonly name: string; readonly environment: NodeJS.ProcessEnv }> {
  const choice = deviceChoice(environment);
  if (choice === 'cpu' || findRuntime({ environment })?.flavour !== 'cuda') return { name: 'cpu', environment };
  const { chosen, visibleDevices } = await chooseDevice(choice, environment, { evenFull: true });
  if (chosen !== undefined) return { name: `gpu-${fileName(chosen.visibleDevice)}`, environment: { ...environment, THAW_GPU: chosen.visibleDevice } };
  return { name: visibleDevices === '-1' ? 'cpu' : `gpu-${fileName(visibleDevices)}`, environment };
}

function fileName(device: string): string {
  return device.replace(/[^A-Za-z0-9]/g, '-');
}

export function describeEnvironment(engine: Engine, weights: WeightsFile): NonNullable<RunRecord['environment']> {
  return {
    thaw: THAW_VERSION, node: process.versions.node, platform: `${process.platform}-${process.arch}`, tensorflow: engine.tensorflowVersion,
    sharp: sharp.versions.sharp, threads: engine.threads, device: engine.device,
    weights: { name: weights.name, sha256: weights.sha256, source: weights.source },
  };
}

function positiveNumber(environment: NodeJS.ProcessEnv, name: string): number | undefined {
  const text = environment[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) {
    throw new ThawError('input', 'bad-environment', `${name} is ${JSON.stringify(text)}, which is not a number above 0`, `Unset ${name}, or give it a number`);
  }
  return value;
}
