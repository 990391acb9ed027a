// What the environment says: settings that travel as THAW_* variables.
import os from 'node:os';
import { chooseDevice, deviceChoice } from '../engine/device.js';
import { findRuntime } from '../engine/runtime.js';
import { ThawError } from '../protocol/errors.js';

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

function positiveNumber(environment: NodeJS.ProcessEnv, name: string): number | undefined {
  const text = environment[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) {
    throw new ThawError('input', 'bad-environment', `${name} is ${JSON.stringify(text)}, which is not a number above 0`, `Unset ${name}, or give it a number`);
  }
  return value;
}
