// Set-up: TensorFlow and the weights, by one path for the terminal, the editor and the repository's own scripts.
import path from 'node:path';
import { provideRuntime, type SetUpProgress } from '../engine/provide.js';
import type { Runtime } from '../engine/runtime.js';
import type { WeightsFile } from '../network/weights/cache.js';
import { provideWeights } from '../network/weights/provide.js';
import { DEFAULT_BACKBONE } from '../protocol/run.js';

export interface SetUpOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  readonly onProgress?: (report: SetUpProgress) => void;
}

/** Fetches what is missing of TensorFlow and the weights; seconds when nothing is. Throws ThawError of kind `engine`. */
export async function setUp(options: SetUpOptions): Promise<{ runtime: Runtime; weights: WeightsFile }> {
  const { environment, signal, onProgress } = options;
  const shared = { environment, ...(signal !== undefined && { signal }), ...(onProgress !== undefined && { onProgress }) };
  const runtime = await provideRuntime({
    ...shared,
    addon: path.join(__dirname, 'tfjs_binding.node'),
    selfCheck: { execPath: process.execPath, script: path.join(__dirname, 'trainer.js') },
  });
  const weights = await provideWeights(DEFAULT_BACKBONE, shared);
  return { runtime, weights };
}
