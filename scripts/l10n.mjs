// Writes l10n/bundle.l10n.json, the English text of every message that the source gives to `l10n.t` or the panel's `t`, and of every sentence that
// is recorded in English and translated where it is shown: what a translator begins with. The templates of these sentences, which the product
// finds them by, are written to src/protocol/recordedTemplates.json too.
// Usage: node scripts/l10n.mjs [--check]; with --check nothing is written, and a file that is not current is an error.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { recordedTemplates } from './recordedMessages.mjs';
import { isMain, main, ROOT, StepError } from './steps.mjs';

const FILE = path.join('l10n', 'bundle.l10n.json');
const TEMPLATES_FILE = path.join('src', 'protocol', 'recordedTemplates.json');

/** `t(…)`, `l10n.t(…)`, `vscode.l10n.t(…)` */
function isTranslation({ expression }) {
  if (ts.isIdentifier(expression)) return expression.text === 't';
  if (!ts.isPropertyAccessExpression(expression) || expression.name.text !== 't') return false;
  const owner = expression.expression;
  return (ts.isIdentifier(owner) ? owner : ts.isPropertyAccessExpression(owner) ? owner.name : undefined)?.text === 'l10n';
}

/**
 * The messages of one file of source.
 * @param {string} file its name, for errors
 * @param {string} source
 * @returns {string[]} in their order, each time they occur
 * @throws StepError for a message that is no literal, or whose placeholders are not its values
 */
export function messagesOf(file, source) {
  if (!/\bt\(/.test(source)) return []; // most files say nothing: they are not parsed
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const found = [];
  const visit = (node) => {
    if (ts.isCallExpression(node) && isTranslation(node)) {
      const [message, ...values] = node.arguments;
      const where = `${file}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
      if (message === undefined || !ts.isStringLiteralLike(message)) throw new StepError(`${where}: the message is not a literal, so it can't be translated`);
      const placeholders = [...new Set([...message.text.matchAll(/\{(\d+)\}/g)].map(([, index]) => Number(index)))].sort((a, b) => a - b);
      if (placeholders.some((index, at) => index !== at)) throw new StepError(`${where}: the placeholders of "${message.text}" skip one`);
      if (!values.some(ts.isSpreadElement) && placeholders.length !== values.length) throw new StepError(`${where}: "${message.text}" is given ${values.length} values`);
      found.push(message.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** The source, by `src/dataset/decode.ts`. */
function readSources(root) {
  const sources = new Map();
  const visit = (folder) => {
    for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const name = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(name);
      else if (name.endsWith('.ts')) sources.set(name, fs.readFileSync(path.join(root, name), 'utf8'));
    }
  };
  visit('src');
  return sources;
}

/** The bundle and the list of templates as they are committed. */
export function makeBundle(root = ROOT) {
  const sources = readSources(root);
  const templates = recordedTemplates(sources);
  const messages = new Set([...templates.sentences, ...templates.facts, ...[...sources].flatMap(([name, source]) => messagesOf(name, source))]);
  return {
    bundle: `${JSON.stringify(Object.fromEntries([...messages].sort().map((message) => [message, message])), undefined, 2)}\n`,
    templates: `${JSON.stringify(templates, undefined, 2)}\n`,
  };
}

/** What stands in one bundle and not in the other, in words; empty where they are alike. */
export function differences(made, committed) {
  const [should, is] = [made, committed].map((text) => Object.keys(JSON.parse(text)));
  return [...should.filter((key) => !is.includes(key)).map((key) => `missing: ${key}`), ...is.filter((key) => !should.includes(key)).map((key) => `superfluous: ${key}`)];
}

if (isMain(import.meta.url)) {
  void main(() => {
    const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
    const { bundle, templates } = makeBundle();
    const made = new Map([[FILE, bundle], [TEMPLATES_FILE, templates]]);
    for (const [file, text] of made) {
      if (!values.check) {
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, text);
        console.log(`Wrote ${file}`);
      } else if (fs.readFileSync(file, 'utf8') !== text) {
        throw new StepError([`${file} is not current: run npm run l10n`, ...(file === FILE ? differences(text, fs.readFileSync(file, 'utf8')) : [])].join('\n'));
      }
    }
  });
}
