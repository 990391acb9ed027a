// Recipes from outside: names, files, and fields set on the command line.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as v from 'valibot';
import { ThawError } from '../../src/protocol/errors.js';
import { recipeSchema, STRATEGIES, type Recipe } from '../../src/protocol/run.js';
import { recipeOf } from '../../src/trainer/commands/recipeOption.js';
import { remainderBounds } from '../../src/training/loop.js';
import { stepDecay } from '../../src/training/optimizer.js';
import { readRecipeFile, setField } from '../../src/training/recipeFile.js';
import { batchFor, defaultRecipe, needsFeatures, RECIPE_NAMES, learningPart, recipeNamed, requireFit, strategiesOf, withOptions } from '../../src/training/recipes.js';

const finetune = defaultRecipe('finetune', 'resnet18');
const freeze = defaultRecipe('freeze', 'resnet18');

function refused(code: string, ...said: readonly RegExp[]): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof ThawError);
    assert.equal(error.code, code);
    for (const words of said) assert.match(`${error.message}. ${error.next}`, words);
    return true;
  };
}

test('every recipe of ours fits its strategy, and the schema changes nothing in it', () => {
  for (const name of RECIPE_NAMES) {
    for (const strategy of strategiesOf(name)) {
      const recipe = recipeNamed(name, strategy, 'resnet18');
      assert.equal(recipe.name, name);
      assert.deepEqual(v.parse(recipeSchema, recipe), recipe, 'a field with a default is missing');
      requireFit(recipe, strategy);
    }
  }
});

test('a run from before a field was there reads as what it did', () => {
  const { momentum: _, ...head } = freeze.head;
  assert.deepEqual(v.parse(recipeSchema, { ...freeze, head }), freeze);
  assert.ok(finetune.body !== undefined);
  const { schedule: _1, decayEpochs: _2, decayFactor: _3, trains: _4, headStart: _5, batches: _6, ...body } = finetune.body;
  assert.deepEqual(v.parse(recipeSchema, { ...finetune, head, body }), finetune);
});

test('seed is the study\'s: batch by the number of images, no features, another batch when it is asked for', () => {
  const seed = recipeNamed('seed', 'finetune', 'resnet18');
  assert.deepEqual([1, 10_000, 10_001].map((images) => batchFor(seed, images)), [64, 64, 256]);
  assert.equal(batchFor(withOptions(seed, { batch: 8 }), 20_000), 8);
  assert.equal(batchFor(withOptions(seed, { epochs: 3 }), 20_000), 256);
  assert.deepEqual([needsFeatures(seed), needsFeatures(freeze), needsFeatures(finetune)], [false, true, true]);
  assert.throws(() => { requireFit(seed, 'freeze'); }, refused('unfit-recipe', /trains every layer/));
  assert.throws(() => { requireFit(recipeNamed('seed', 'freeze', 'resnet18'), 'finetune'); }, refused('unfit-recipe', /body\.trains is head/));
});

test('scratch starts at random and trains everything; what can\'t be is refused, naming the field', () => {
  assert.deepEqual(STRATEGIES.map(learningPart), ['head', 'all', 'all']);
  const scratch = defaultRecipe('scratch', 'resnet18');
  assert.deepEqual([scratch.body?.headStart, scratch.body?.trains, scratch.body?.batchNorm, needsFeatures(scratch)], ['random', 'all', 'batch', false]);
  assert.deepEqual(recipeNamed('seed', 'scratch', 'resnet18'), recipeNamed('seed', 'finetune', 'resnet18'));
  assert.deepEqual(RECIPE_NAMES.map((name) => strategiesOf(name).includes('scratch')), [true, false, true]);
  assert.throws(() => recipeNamed('fast', 'scratch', 'resnet18'), refused('unfit-recipe', /no recipe "fast" for scratch.*Use default/));
  const withBody = (change: Partial<NonNullable<Recipe['body']>>): Recipe => ({ ...scratch, ...(scratch.body !== undefined && { body: { ...scratch.body, ...change } }) });
  assert.throws(() => { requireFit(withBody({ headStart: 'trained' }), 'scratch'); }, refused('unfit-recipe', /body\.headStart/));
  assert.throws(() => { requireFit(withBody({ batchNorm: 'frozen' }), 'scratch'); }, refused('unfit-recipe', /body\.batchNorm/));
  assert.throws(() => { requireFit(withBody({ trains: 'head' }), 'scratch'); }, refused('unfit-recipe', /body\.trains is head/));
  assert.throws(() => { requireFit(freeze, 'scratch'); }, refused('unfit-recipe', /has no body/));
  assert.throws(() => { requireFit(finetune, 'scratch'); }, refused('unfit-recipe', /body\.headStart/));
});

test('a rate falls in steps, and an epoch ends with what remains', () => {
  // torch.optim.lr_scheduler.StepLR(step_size=10, gamma=0.1), by epoch from 1.
  assert.deepEqual([1, 10, 11, 15, 20, 21].map((epoch) => Number(stepDecay(epoch, 10, 0.1).toFixed(9))), [1, 1, 0.1, 0.1, 0.1, 0.01]);
  assert.deepEqual(remainderBounds(14, 3), [0, 3, 6, 9, 12, 14]);
  assert.deepEqual(remainderBounds(12, 3), [0, 3, 6, 9, 12]);
  assert.deepEqual(remainderBounds(2, 64), [0, 2]);
});

describe('--set', () => {
  test('sets a field of its own type', () => {
    assert.equal(setField(finetune, 'body.learningRate=1e-4').body?.learningRate, 1e-4);
    assert.equal(setField(finetune, 'body.flip=false').body?.flip, false);
    assert.equal(setField(finetune, 'body.batchNorm=batch').body?.batchNorm, 'batch');
    assert.equal(setField(finetune, 'head.epochs=3').head.epochs, 3);
    assert.equal(setField(finetune, 'epochs=3').head.epochs, finetune.head.epochs);
    assert.equal(setField(finetune, 'name=a=b').name, 'a=b');
    const study = recipeNamed('seed', 'finetune', 'resnet18');
    assert.equal(batchFor(study, 20_000), 256);
    assert.equal(batchFor(setField(study, 'batch=32'), 20_000), 32);
    assert.throws(() => setField({ ...finetune, head: { ...finetune.head, optimizer: 'sgd' } }, 'head.beta1=.8'), refused('bad-recipe', /learns by SGD/));
  });
  test('without a body, epochs and batch are those of the last layer', () => {
    for (const assignment of ['epochs=3', 'head.epochs=3']) {
      const recipe = setField(freeze, assignment);
      assert.deepEqual([recipe.epochs, recipe.head.epochs], [3, 3]);
      requireFit(recipe, 'freeze');
    }
  });
  test('refuses what is no field, with the nearest name', () => {
    for (const [written, meant] of [['body.learnigRate', 'body\\.learningRate'], ['momentun', '(?:head|body)\\.momentum'], ['epoch', 'epochs'], ['__proto__', '.']] as const) {
      assert.throws(() => setField(finetune, `${written}=1`), refused('bad-recipe', new RegExp(`nearest is ${meant}`)));
    }
    assert.throws(() => setField(finetune, 'body=1'), refused('bad-recipe', /body is a group.*body\.flip/));
    assert.throws(() => setField(finetune, 'epochs'), refused('bad-recipe', /no value/));
  });
  test('refuses a value of another type or outside the bounds, naming the field', () => {
    for (const [assignment, words] of [
      ['epochs=many', /epochs is a number/], ['epochs=', /epochs is a number/], ['epochs=0', /epochs/], ['epochs=1.5', /epochs/], ['epochs=Infinity', /epochs/],
      ['body.momentum=2', /body\.momentum/], ['body.flip=yes', /body\.flip is true or false/], ['body.batchNorm=warm', /body\.batchNorm.*"frozen" \| "batch"/],
    ] as const) assert.throws(() => setField(finetune, assignment), refused('bad-recipe', words), assignment);
  });
  test('refuses a field that the recipe has no place for', () => {
    const seed = recipeNamed('seed', 'finetune', 'resnet18');
    assert.throws(() => setField(freeze, 'body.flip=true'), refused('bad-recipe', /body\.flip has no place/));
    assert.throws(() => setField(finetune, 'batchAbove.batch=1'), refused('bad-recipe', /has no batchAbove/));
    assert.throws(() => setField(seed, 'head.epochs=3'), refused('bad-recipe', /head\.epochs does nothing/));
    for (const idle of ['head.momentum=.5', 'body.decayFactor=.5', 'body.decayEpochs=3', 'body.batchNormMomentum=.2', 'body.reestimateImages=64']) {
      assert.throws(() => setField(finetune, idle), refused('bad-recipe', / does nothing in the recipe "default": /), idle);
    }
    assert.throws(() => setField(seed, 'body.crop=true'), refused('bad-recipe', /body\.crop does nothing .* body\.resizedCrop takes its place/));
    assert.equal(setField(setField(finetune, 'body.schedule=step'), 'body.decayFactor=.5').body?.decayFactor, 0.5);
    assert.equal(setField(seed, 'batchAbove.batch=128').batchAbove?.batch, 128);
    assert.deepEqual(setField(seed, 'body.resizedCrop.scale=[0.5, 1]').body?.resizedCrop, { scale: [0.5, 1], ratio: [3 / 4, 4 / 3] });
    assert.throws(() => setField(seed, 'body.resizedCrop.scale=half'), refused('bad-recipe', /given as JSON/));
    assert.throws(() => { requireFit(setField(seed, 'body.resizedCrop.scale=[1, 0.5]'), 'finetune'); }, refused('unfit-recipe', /resizedCrop\.scale/));
  });
});

describe('a recipe file', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'thaw-recipe-'));
  const written = (value: unknown): string => {
    const file = path.join(folder, 'recipe.json');
    writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
    return file;
  };
  test('is read as it was printed, and may name its schema', async () => {
    assert.deepEqual(await readRecipeFile(written(finetune)), finetune);
    assert.deepEqual(await readRecipeFile(written({ $schema: './recipe.schema.json', ...finetune })), finetune);
  });
  test('is refused with the field that is wrong', async () => {
    const { name: _, ...nameless } = finetune;
    for (const [value, words] of [
      ['{', /is not JSON/], [[], /bad|expected|Invalid/i], [nameless, /name/], [{ ...finetune, epochs: '5' }, /epochs/], [{ ...finetune, colour: 'gray' }, /colour/],
      [{ ...finetune, body: { ...finetune.body, learningRate: -1 } }, /body\.learningRate/], [`{"__proto__":{"a":1},${JSON.stringify(finetune).slice(1)}`, /__proto__/],
      [' '.repeat(70_000), /larger than any recipe/],
    ] as const) await assert.rejects(readRecipeFile(written(value)), refused('bad-recipe', words));
    await assert.rejects(readRecipeFile(path.join(folder, 'none')), refused('no-such-recipe', /thaw recipes/));
    await assert.rejects(readRecipeFile(folder), refused('bad-recipe', /not a regular file/));
    rmSync(folder, { recursive: true });
  });
});

test('a recipe of the other strategy, or one with two numbers for the same thing, is refused', () => {
  assert.throws(() => { requireFit(freeze, 'finetune'); }, refused('unfit-recipe', /no body/));
  assert.throws(() => { requireFit(finetune, 'freeze'); }, refused('unfit-recipe', /has a body/));
  assert.throws(() => { requireFit({ ...freeze, epochs: 3 }, 'freeze'); }, refused('unfit-recipe', /head\.epochs 15/));
});

test('--recipe, --epochs and --set together: the last word is set\'s, and the name says that fields were changed', async () => {
  const recipe = (values: Parameters<typeof recipeOf>[0]): Promise<Recipe> => recipeOf(values, 'finetune', 'resnet18');
  assert.deepEqual(await recipe({}), finetune);
  assert.equal((await recipe({ recipe: 'fast' })).epochs, 2);
  assert.equal((await recipe({ recipe: 'fast', epochs: '4' })).epochs, 4);
  const changed = await recipe({ recipe: 'fast', epochs: '4', set: ['epochs=6', 'body.crop=false'] });
  assert.deepEqual([changed.epochs, changed.body?.crop, changed.name], [6, false, 'fast, changed']);
  assert.equal((await recipe({ set: ['name=mine', 'batch=8'] })).name, 'mine');
  await assert.rejects(recipe({ recipe: 'quick' }), refused('no-such-recipe', /"[^"]*quick"/));
});
