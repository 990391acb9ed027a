// Recipes from outside: a file, or single fields on the command line. Neither is trusted: the schema decides, and errors name the field.
import { open } from 'node:fs/promises';
import { constants } from 'node:fs';
import * as v from 'valibot';
import { ThawError } from '../protocol/errors.js';
import { recipeFileSchema, recipeSchema, type Recipe } from '../protocol/run.js';

/** A recipe is a kilobyte. */
const MAX_BYTES = 2 ** 16;

/** Reads a recipe from a JSON file. @throws ThawError `bad-recipe`, naming the field, or `no-such-recipe` when there is no such file */
export async function readRecipeFile(file: string): Promise<Recipe> {
  const text = await readText(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ThawError('input', 'bad-recipe', `${file} is not JSON`, 'Start from what `thaw recipes default --strategy finetune` prints', { cause: error });
  }
  const { $schema: _, ...recipe } = checked(recipeFileSchema, value, file);
  return recipe;
}

/** Which fields do nothing beside others. A file states all of a recipe, so there they may stand; who sets one alone expects something of it. */
const IDLE: readonly { readonly fields: RegExp; readonly where: (recipe: Recipe) => boolean; readonly why: string; readonly next: string }[] = [
  {
    fields: /^head\./, where: ({ body }) => body?.headStart === 'random',
    why: 'its last layer begins at random, not as the trained head', next: 'Set body.headStart=trained first, or a field of body',
  },
  { fields: /^head\.momentum$/, where: ({ head }) => head.optimizer === 'adam', why: 'its last layer learns by Adam, which has no momentum to set', next: 'Set head.optimizer=sgd first' },
  {
    fields: /^head\.(?:beta1|beta2|epsilon)$/, where: ({ head }) => head.optimizer === 'sgd',
    why: 'its last layer learns by SGD', next: 'Set head.optimizer=adam first',
  },
  { fields: /^body\.decay(?:Epochs|Factor)$/, where: ({ body }) => body?.schedule === 'cosine', why: 'its rate falls by a cosine', next: 'Set body.schedule=step first' },
  {
    fields: /^body\.(?:batchNormMomentum|reestimateImages)$/, where: ({ body }) => body?.batchNorm === 'frozen',
    why: 'its batch norm keeps the statistics that it has', next: 'Set body.batchNorm=batch first',
  },
  { fields: /^body\.crop$/, where: ({ body }) => body?.resizedCrop !== undefined, why: 'body.resizedCrop takes its place', next: 'Write the recipe to a file, without resizedCrop' },
];

/**
 * A recipe with one field set, as `--set key=value` says: the key with dots, `body.learningRate`; the value of the field's own type.
 * A recipe without a body has one number of epochs and one batch, its head's: setting either of the two sets both.
 * @throws ThawError `bad-recipe`: no such field, with the nearest name; a value of another type; a field that this recipe has no place for
 */
export function setField(recipe: Recipe, assignment: string): Recipe {
  const equals = assignment.indexOf('=');
  if (equals < 1) throw bad(`--set ${JSON.stringify(assignment)} has no value`, 'Give it as --set key=value');
  const key = assignment.slice(0, equals).trim();
  const fields = fieldsOf(recipeSchema);
  const field = fields.get(key);
  if (field === undefined) {
    const inside = [...fields.keys()].filter((name) => name.startsWith(`${key}.`));
    if (inside.length > 0) throw bad(`${key} is a group of fields`, `Set one of them: ${inside.join(', ')}`);
    throw bad(`A recipe has no field ${JSON.stringify(key)}`, `The nearest is ${nearest(key, [...fields.keys()])}`);
  }
  const value = parsed(field, assignment.slice(equals + 1).trim(), key);
  const idle = IDLE.find(({ fields: named, where }) => named.test(key) && where(recipe));
  if (idle !== undefined) throw bad(`${key} does nothing in the recipe ${JSON.stringify(recipe.name)}: ${idle.why}`, idle.next);
  const result = checked(recipeSchema, withValue(recipe, key.split('.'), value, key), `--set ${key}`);
  // Whoever sets the batch means it for any number of images.
  if (key === 'batch' && result.batchAbove !== undefined) return withoutBatchAbove(result);
  const [, last] = /^(?:head\.)?(epochs|batch)$/.exec(key) ?? [];
  if (result.body !== undefined || last === undefined) return result;
  const number = (key.startsWith('head.') ? result.head : result)[last as 'epochs' | 'batch'];
  return { ...result, [last]: number, head: { ...result.head, [last]: number } };
}

function withoutBatchAbove({ batchAbove: _, ...recipe }: Recipe): Recipe {
  return recipe;
}

function withValue(group: object, [name = '', ...rest]: readonly string[], value: unknown, key: string): object {
  if (rest.length === 0) return { ...group, [name]: value };
  const inner: unknown = Object.entries(group).find(([known]) => known === name)?.[1];
  if (typeof inner !== 'object' || inner === null) throw bad(`${key} has no place in this recipe, which has no ${name}`, `Use a recipe that has ${name}, or write one to a file`);
  return { ...group, [name]: withValue(inner, rest, value, key) };
}

/** What of a valibot schema tells which fields there are. */
interface SchemaNode {
  readonly type: string;
  readonly entries?: Readonly<Record<string, SchemaNode>>;
  /** Of what may be absent. */
  readonly wrapped?: SchemaNode;
}

/** Every field that holds a value, by its key with dots. */
function fieldsOf(schema: SchemaNode, prefix = ''): Map<string, SchemaNode> {
  const node = schema.wrapped ?? schema;
  if (node.entries === undefined) return new Map([[prefix, node]]);
  return new Map(Object.entries(node.entries).flatMap(([name, entry]) => [...fieldsOf(entry, prefix === '' ? name : `${prefix}.${name}`)]));
}

function parsed({ type }: SchemaNode, text: string, key: string): unknown {
  if (type === 'number') {
    const number = Number(text);
    if (text === '' || Number.isNaN(number)) throw bad(`${key} is a number, not ${JSON.stringify(text)}`, `Give --set ${key} a number`);
    return number;
  }
  if (type === 'boolean') {
    if (text !== 'true' && text !== 'false') throw bad(`${key} is true or false, not ${JSON.stringify(text)}`, `Give --set ${key} one of them`);
    return text === 'true';
  }
  if (type === 'string' || type === 'picklist') return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ThawError('input', 'bad-recipe', `${key} is given as JSON, and ${JSON.stringify(text)} is none`, 'Write it as in a recipe file', { cause: error });
  }
}

/** The name that the fewest letters set apart from what was written (Levenshtein); a field's last part counts as its name too. */
function nearest(written: string, names: readonly string[]): string {
  const distance = (name: string): number => Math.min(editDistance(written, name), editDistance(written, name.split('.').at(-1) ?? name) + 0.5);
  return names.reduce((best, name) => (distance(name) < distance(best) ? name : best));
}

function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [index, letter] of Array.from(from.slice(0, 100)).entries()) {
    const next = [index + 1];
    for (let column = 0; column < to.length; column++) {
      next.push(Math.min((next[column] ?? 0) + 1, (row[column + 1] ?? 0) + 1, (row[column] ?? 0) + (letter === to[column] ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function checked<T extends v.GenericSchema>(schema: T, value: unknown, where: string): v.InferOutput<T> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const at = v.getDotPath(issue);
  throw bad(`${where}: ${at === null ? '' : `${at}: `}${issue.message}`, 'See `thaw recipes` for recipes that are valid, and schemas/recipe.schema.json for what a field may be');
}

async function readText(file: string): Promise<string> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw new ThawError('input', 'no-such-recipe', `There is no recipe ${JSON.stringify(file)}, neither by that name nor as a file that can be read`, 'See `thaw recipes`, or give a JSON file', { cause: error });
  });
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw bad(`${file} is not a regular file`, 'Give a JSON file');
    if (info.size > MAX_BYTES) throw bad(`${file} is larger than any recipe`, 'Give a JSON file with one recipe');
    const buffer = Buffer.alloc(MAX_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, MAX_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

function bad(message: string, next: string): ThawError {
  return new ThawError('input', 'bad-recipe', message, next);
}
