// Writes schemas/run.schema.json, the published JSON schema of run.json, from the one that the code checks with (src/protocol/run.ts).
// Usage: node scripts/make-schemas.mjs [--check]; with --check nothing is written, and a schema that is not current is an error.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const file = path.join(root, 'schemas', 'run.schema.json');

/** The schema as it is committed. */
export async function makeRunSchema() {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    stdin: {
      contents: 'export { toJsonSchema } from \'@valibot/to-json-schema\'; export { runRecordSchema } from \'./src/protocol/run.js\';',
      resolveDir: root,
      loader: 'ts',
    },
    bundle: true, platform: 'node', format: 'esm', write: false,
  });
  const { toJsonSchema, runRecordSchema } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
  const schema = toJsonSchema(runRecordSchema, {
    // JSON has no infinity, so `finite` says nothing there; a safe integer is an integer.
    ignoreActions: ['finite'],
    overrideAction: ({ valibotAction, jsonSchema }) => (valibotAction.type === 'safe_integer' ? { ...jsonSchema, type: 'integer', maximum: Number.MAX_SAFE_INTEGER } : undefined),
  });
  const { $schema, ...rest } = schema;
  return `${JSON.stringify({ $schema, title: 'Thaw run', description: 'What a run was asked to do, where it ran, how far it is and what came out.', ...rest }, undefined, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const made = await makeRunSchema();
  if (!process.argv.includes('--check')) {
    writeFileSync(file, made);
    console.log(`Wrote ${path.relative(root, file)}`);
  } else if (readFileSync(file, 'utf8') !== made) {
    console.error(`${path.relative(root, file)} is not current: run node scripts/make-schemas.mjs`);
    process.exitCode = 1;
  }
}
