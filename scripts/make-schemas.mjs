// Writes schemas/run.schema.json and schemas/recipe.schema.json, the published JSON schemas of run.json and of a recipe file, from those that the code
// checks with (src/protocol/run.ts).
// Usage: node scripts/make-schemas.mjs [--check]; with --check nothing is written, and a schema that is not current is an error.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** File name → the schema as it is committed. */
export async function makeSchemas() {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    stdin: {
      contents: 'export { toJsonSchema } from \'@valibot/to-json-schema\'; export { recipeFileSchema, runRecordSchema } from \'./src/protocol/run.js\';',
      resolveDir: root,
      loader: 'ts',
    },
    bundle: true, platform: 'node', format: 'esm', write: false,
  });
  const { toJsonSchema, recipeFileSchema, runRecordSchema } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
  const text = (from, title, description) => {
    const { $schema, ...rest } = toJsonSchema(from, {
      // JSON has no infinity, so `finite` says nothing there; a safe integer is an integer. The one `check` is of times, of which `date-time` says the same.
      ignoreActions: ['finite', 'check'],
      overrideAction: ({ valibotAction, jsonSchema }) => (valibotAction.type === 'safe_integer' ? { ...jsonSchema, type: 'integer', maximum: Number.MAX_SAFE_INTEGER } : undefined),
    });
    return `${JSON.stringify({ $schema, title, description, ...rest }, undefined, 2)}\n`;
  };
  return new Map([
    ['run.schema.json', text(runRecordSchema, 'Thaw run', 'What a run was asked to do, where it ran, how far it is and what came out.')],
    ['recipe.schema.json', text(recipeFileSchema, 'Thaw recipe', 'How the layers learn: every number that the training loop uses.')],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, made] of await makeSchemas()) {
    const file = path.join(root, 'schemas', name);
    if (!process.argv.includes('--check')) {
      writeFileSync(file, made);
      console.log(`Wrote ${path.relative(root, file)}`);
    } else if (!existsSync(file) || readFileSync(file, 'utf8') !== made) {
      console.error(`${path.relative(root, file)} is not current: run node scripts/make-schemas.mjs`);
      process.exitCode = 1;
    }
  }
}
