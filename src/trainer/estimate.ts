// How long would it take? Measured here and now, on a few batches, not looked up.
import { loadEngine } from '../engine/load.js';
import type { Recipe } from '../protocol/run.js';
import type { NetworkChoice } from './backbone.js';
import { configuredThreads } from './environment.js';
import { PaceMeter, runSeconds } from './pace.js';

export interface Estimate {
  /** Of each recipe, in the order given. */
  readonly seconds: readonly number[];
  readonly device: string;
  readonly images: number;
}

/**
 * Seconds of a run on a dataset folder by each recipe; features that the cache holds already cost nothing.
 * @throws ThawError as training would
 */
export async function estimate(folder: string, network: NetworkChoice, recipes: readonly Recipe[], environment: NodeJS.ProcessEnv): Promise<Estimate> {
  const began = performance.now();
  const engine = await loadEngine({ environment, threads: configuredThreads(environment) });
  const startSeconds = (performance.now() - began) / 1000;
  const meter = await PaceMeter.open({ engine, folder, network, environment });
  try {
    const pace = { ...await meter.measure(), missing: await meter.missing(network.colour) };
    const seconds: number[] = [];
    for (const recipe of recipes) {
      const perTrained = recipe.body === undefined ? 0 : await meter.trainingImage(recipe);
      seconds.push(startSeconds + runSeconds(pace, recipe, perTrained, true).seconds);
    }
    return { seconds, device: engine.device.name, images: meter.images };
  } finally {
    meter.dispose();
  }
}
