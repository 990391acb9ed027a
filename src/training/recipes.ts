// Recipes: how the layers learn, as data. `default` is the best we know; docs/recipes.md has the measurements behind it.
import type { BackboneName, Recipe, Strategy } from '../protocol/run.js';

export interface RecipeOptions {
  readonly epochs?: number | undefined;
  readonly batch?: number | undefined;
}

/**
 * The best recipe we know for a strategy. `epochs` and `batch` replace the recipe's own: those of the last layer for freeze, those of all
 * layers for finetune (whose head is always trained first, by the recipe's own numbers).
 */
export function defaultRecipe(strategy: Strategy, _backbone: BackboneName, options: RecipeOptions = {}): Recipe {
  const head = { optimizer: 'adam', epochs: 15, batch: 32, leastSteps: 8, learningRate: 1e-3, weightDecay: 0 } as const;
  if (strategy === 'freeze') {
    const epochs = options.epochs ?? head.epochs;
    const batch = options.batch ?? head.batch;
    const leastSteps = options.batch === undefined ? head.leastSteps : 1; // a batch that was asked for is kept
    return { name: 'default', epochs, batch, head: { ...head, epochs, batch, leastSteps } };
  }
  return {
    name: 'default',
    epochs: options.epochs ?? 5,
    batch: options.batch ?? 16,
    head,
    body: {
      learningRate: 3e-4,
      headLearningRateFactor: 1,
      momentum: 0.9,
      weightDecay: 1e-4,
      warmupShare: 0.1,
      clipNorm: 1,
      batchNorm: 'frozen',
      batchNormMomentum: 0.1,
      reestimateImages: 0,
      flip: true,
      crop: true,
    },
  };
}
