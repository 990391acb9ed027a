// Recipes: how the layers learn, as data. `default` is the best we know; docs/recipes.md has the measurements behind it.
import { ThawError } from '../protocol/errors.js';
import { STRATEGIES, type BackboneName, type Recipe, type Strategy } from '../protocol/run.js';

export const RECIPE_NAMES = ['default', 'fast', 'seed'] as const;
export type RecipeName = (typeof RECIPE_NAMES)[number];

/** A line about each. */
export const RECIPE_SUMMARIES: Readonly<Record<RecipeName, string>> = {
  default: 'the best we know; docs/recipes.md has the measurements',
  fast: 'finetune with 2 epochs of all layers instead of 6, for a first look; freeze is default\'s, and there is none for scratch',
  seed: 'the study\'s: SGD through the whole network, random resized crops; under freeze batch norm\'s statistics drift',
};

/** Epochs of all layers under `fast`. */
const FAST_EPOCHS = 2;

export interface RecipeOptions {
  readonly epochs?: number | undefined;
  readonly batch?: number | undefined;
}

/** The strategies that a recipe has a form for. */
export function strategiesOf(name: RecipeName): readonly Strategy[] {
  return name === 'fast' ? STRATEGIES.filter((strategy) => strategy !== 'scratch') : STRATEGIES;
}

/** What learns under a strategy: the last layer, or every one. */
export function learningPart(strategy: Strategy): 'head' | 'all' {
  switch (strategy) {
    case 'freeze': return 'head';
    case 'finetune':
    case 'scratch': return 'all';
  }
}

/** The recipe of a name, for a strategy and a backbone. @throws ThawError `unfit-recipe` where there is none: see `strategiesOf` */
export function recipeNamed(name: RecipeName, strategy: Strategy, backbone: BackboneName): Recipe {
  switch (name) {
    case 'default': return defaultRecipe(strategy, backbone);
    case 'fast': return fastRecipe(strategy, backbone);
    case 'seed': return seedRecipe(strategy);
  }
}

function fastRecipe(strategy: Strategy, backbone: BackboneName): Recipe {
  switch (strategy) {
    case 'freeze': return { ...defaultRecipe(strategy, backbone), name: 'fast' };
    case 'finetune': return { ...defaultRecipe(strategy, backbone, { epochs: FAST_EPOCHS }), name: 'fast' };
    case 'scratch': throw new ThawError('input', 'unfit-recipe', 'There is no recipe "fast" for scratch: from a random start a network learns next to nothing in a few epochs', 'Use default, with fewer --epochs if it has to be');
  }
}

/**
 * The best recipe we know for a strategy. `epochs` and `batch` replace the recipe's own: those of the last layer for freeze, those of all
 * layers for finetune (whose head is always trained first, by the recipe's own numbers) and for scratch.
 */
export function defaultRecipe(strategy: Strategy, backbone: BackboneName, options: RecipeOptions = {}): Recipe {
  const head = { optimizer: 'adam', epochs: 15, batch: 32, leastSteps: 8, learningRate: 1e-3, momentum: 0.9, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, warmupShare: 0, schedule: 'cosine' } as const;
  switch (strategy) {
    case 'freeze': return withOptions({ name: 'default', epochs: head.epochs, batch: head.batch, head }, options);
    case 'finetune': return withOptions({ name: 'default', epochs: 6, batch: 16, head, body: FINETUNE_BODY }, options);
    case 'scratch': return withOptions({ name: 'default', epochs: 30, batch: 16, head, body: scratchBody(backbone) }, options);
  }
}

/**
 * All layers, from the pretrained network. The rate rises slowly to one that carries far, so that the first epochs stay near the pretrained network,
 * which is best where the images are like ImageNet's, and later ones go where the images are unlike them; the best epoch is kept.
 */
const FINETUNE_BODY: NonNullable<Recipe['body']> = {
  learningRate: 3e-3,
  headLearningRateFactor: 1,
  momentum: 0.9,
  weightDecay: 1e-4,
  warmupShare: 0.4,
  schedule: 'cosine',
  decayEpochs: 10,
  decayFactor: 0.1,
  trains: 'all',
  headStart: 'trained',
  batches: 'even',
  labelSmoothing: 0.1,
  clipNorm: 1,
  batchNorm: 'frozen',
  batchNormMomentum: 0.1,
  reestimateImages: 0,
  flip: true,
  crop: true,
};

/** From a random start: batch norm by the batch, since there are no statistics yet, and estimated anew, since few steps leave them behind; a higher rate. */
function scratchBody(backbone: BackboneName): NonNullable<Recipe['body']> {
  return {
    ...FINETUNE_BODY,
    learningRate: backbone === 'squeezenet1_1' ? 5e-3 : 5e-2, // without batch norm, and rectified at the end, it dies at higher rates
    warmupShare: 0.1,
    headStart: 'random',
    labelSmoothing: 0,
    batchNorm: 'batch',
    reestimateImages: 256,
  };
}

/**
 * The study's recipe: torchvision's presets of the time. Freeze trains the last layer alone, but the network stays in training mode: batch norm
 * normalises by the batch, and its running statistics drift. Scratch is finetune from a random start.
 */
function seedRecipe(strategy: Strategy): Recipe {
  const { head } = defaultRecipe(strategy, 'resnet18');
  return {
    name: 'seed',
    epochs: 15,
    batch: 64,
    batchAbove: { images: 10_000, batch: 256 },
    head,
    body: {
      learningRate: 1e-3,
      headLearningRateFactor: 1,
      momentum: 0.9,
      weightDecay: 0,
      warmupShare: 0,
      schedule: 'step',
      decayEpochs: 10,
      decayFactor: 0.1,
      trains: learningPart(strategy),
      headStart: 'random',
      batches: 'remainder',
      labelSmoothing: 0,
      clipNorm: 0,
      batchNorm: 'batch',
      batchNormMomentum: 0.1,
      reestimateImages: 0,
      flip: true,
      crop: true,
      resizedCrop: { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] },
    },
  };
}

/** The batch for so many training images. */
export function batchFor(recipe: Recipe, images: number): number {
  return recipe.batchAbove !== undefined && images > recipe.batchAbove.images ? recipe.batchAbove.batch : recipe.batch;
}

/** Whether a run begins with the features of all images: unless its last layer begins at random. */
export function needsFeatures(recipe: Recipe): boolean {
  return recipe.body === undefined || recipe.body.headStart === 'trained';
}

/** A recipe with other epochs or another batch: those of the body, or of the last layer where that is all that learns. */
export function withOptions(recipe: Recipe, options: RecipeOptions): Recipe {
  const { epochs = recipe.epochs, batch = recipe.batch } = options;
  if (recipe.body !== undefined) {
    const { batchAbove, ...rest } = recipe;
    return { ...rest, epochs, batch, ...(options.batch === undefined && batchAbove !== undefined && { batchAbove }) };
  }
  const leastSteps = options.batch === undefined ? recipe.head.leastSteps : 1; // a batch that was asked for is kept
  return { ...recipe, epochs, batch, head: { ...recipe.head, epochs, batch, leastSteps } };
}

/**
 * Refuses a recipe that is meant for another strategy, or whose parts contradict one another.
 * @throws ThawError `unfit-recipe`, naming the field
 */
export function requireFit(recipe: Recipe, strategy: Strategy): void {
  const unfit = (message: string, next: string): ThawError => new ThawError('input', 'unfit-recipe', message, next);
  const part = learningPart(strategy);
  if (part === 'all' && recipe.body === undefined) {
    throw unfit(`The recipe ${JSON.stringify(recipe.name)} has no body, so it trains the last layer alone`, 'Use it with --strategy freeze, or give it a body');
  }
  if (recipe.body === undefined) {
    for (const field of ['epochs', 'batch'] as const) {
      if (recipe[field] !== recipe.head[field]) {
        throw unfit(`The recipe says ${field} ${recipe[field]} and head.${field} ${recipe.head[field]}, but without a body there is only one of them`, 'Give both the same number');
      }
    }
    if (recipe.batchAbove !== undefined) throw unfit('The recipe has batchAbove but no body: the last layer alone has one batch', 'Remove batchAbove');
    return;
  }
  if (part === 'head' && recipe.body.trains === 'all') {
    throw unfit(`The recipe ${JSON.stringify(recipe.name)} has a body that trains every layer`, 'Use it with --strategy finetune, remove its body, or let body.trains be head');
  }
  if (part === 'all' && recipe.body.trains === 'head') {
    throw unfit(`The recipe ${JSON.stringify(recipe.name)} trains the last layer alone: body.trains is head`, 'Use it with --strategy freeze, or let body.trains be all');
  }
  if (strategy === 'scratch' && recipe.body.headStart === 'trained') {
    throw unfit(`The recipe ${JSON.stringify(recipe.name)} begins with a last layer trained on pretrained features (body.headStart), and scratch has none`, 'Let body.headStart be random, or use it with --strategy finetune');
  }
  if (strategy === 'scratch' && recipe.body.batchNorm === 'frozen') {
    throw unfit(`The recipe ${JSON.stringify(recipe.name)} freezes batch norm's statistics (body.batchNorm), and before scratch there are none`, 'Let body.batchNorm be batch, or use it with --strategy finetune');
  }
  const { resizedCrop } = recipe.body;
  for (const field of ['scale', 'ratio'] as const) {
    const [least, largest] = resizedCrop?.[field] ?? [0, 0];
    if (least > largest) throw unfit(`body.resizedCrop.${field} goes from ${least} down to ${largest}`, 'Give the smaller number first');
  }
}

/** The strategies that a recipe of a file is meant for: those that `requireFit` lets pass. */
export function fittingStrategies(recipe: Recipe): Strategy[] {
  return STRATEGIES.filter((strategy) => {
    try {
      requireFit(recipe, strategy);
      return true;
    } catch (error) {
      if (error instanceof ThawError && error.code === 'unfit-recipe') return false;
      throw error;
    }
  });
}
