// The English sentences that are recorded before anybody reads them (in run folders, in the CLI's JSON lines, in errors), found in the source
// as templates: 'Computing features, {0} of {1} images'. What the source puts together from parts becomes one template for each way it can turn
// out; a part that can be anything is a value.
import path from 'node:path';
import ts from 'typescript';

/** Class → which of its arguments are sentences. */
const CLASSES = { ThawError: [2, 3], UnsafePath: [0] };
/** Properties of object literals that are sentences. */
const PROPERTIES = new Set(['reason', 'message', 'next', 'detail', 'text']);
/** Codes of errors in what was typed into a terminal: nobody meets them in the editor. */
const TERMINAL_CODES = new Set(['bad-arguments', 'unknown-command', 'bad-nonce']);
/** Translated already, or only ever in a terminal. */
const ELSEWHERE = /^src\/(?:webview\/|trainer\/commands\/|trainer\/cli\.ts|trainer\/modelCard\.ts)/;
/** More ways than these, and parts that are clauses of their own become values, with templates of their own. */
const MOST_WAYS = 16;
const MOST_STEPS = 12;
/** The same in every language. */
const UNITS = /\b[KMGT]iB\b/g;
const HOLE = Symbol('value');

/**
 * The sentences, and the facts that a sentence lists: no value of a fact holds the comma between facts.
 * @param {ReadonlyMap<string, string>} sources file (`src/dataset/decode.ts`) → its text; all of them, since a helper may be elsewhere
 * @returns {{ sentences: string[], facts: string[] }} sorted, each once
 */
export function recordedTemplates(sources) {
  return new Extractor(sources).run();
}

class Extractor {
  sentences = new Set();
  listed = new Set();
  /** `file#function#index#part` of parameters that are (part of) a sentence, and `file#function` of functions whose results are. */
  parameters = new Set();
  results = new Set();
  /** `file#function` → its calls, and its declarations. */
  calls = new Map();
  functions = new Map();
  pending = [];

  constructor(sources) {
    this.trees = new Map([...sources].map(([file, text]) => [file, ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)]));
    this.imports = new Map([...this.trees].map(([file, tree]) => [file, importsOf(file, tree)]));
    for (const [file, tree] of this.trees) this.index(file, tree);
  }

  run() {
    for (const [file, tree] of this.trees) if (!ELSEWHERE.test(file)) this.collect(file, tree);
    while (this.pending.length > 0) this.pending.pop()();
    return { sentences: [...this.sentences].sort(), facts: [...this.listed].filter((fact) => !this.sentences.has(fact)).sort() };
  }

  index(file, tree) {
    const add = (map, key, value) => map.set(key, [...map.get(key) ?? [], value]);
    const visit = (node) => {
      if (ts.isFunctionLike(node)) {
        const name = functionName(node);
        if (name !== undefined && node.body !== undefined) add(this.functions, `${file}#${name}`, node);
      }
      if (ts.isCallExpression(node)) {
        const key = this.calleeKey(file, node);
        if (key !== undefined) add(this.calls, key, { file, node });
      }
      ts.forEachChild(node, visit);
    };
    visit(tree);
  }

  /** Which function of ours is called, as `file#name`: one of this file, or imported by name. */
  calleeKey(file, { expression }) {
    if (ts.isPropertyAccessExpression(expression)) {
      return expression.expression.kind === ts.SyntaxKind.ThisKeyword ? `${file}#${expression.name.text}` : undefined;
    }
    return ts.isIdentifier(expression) ? this.imports.get(file)?.get(expression.text) ?? `${file}#${expression.text}` : undefined;
  }

  collect(file, tree) {
    const inEditor = file.startsWith('src/extension/');
    const visit = (node) => {
      if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && Object.hasOwn(CLASSES, node.expression.text)) {
        const given = node.arguments ?? [];
        const code = given[1];
        if (code === undefined || !ts.isStringLiteralLike(code) || !TERMINAL_CODES.has(code.text)) {
          for (const at of CLASSES[node.expression.text]) if (given[at] !== undefined) this.sentence(file, given[at]);
        }
      } else if (!inEditor && ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
        const { name, expression: owner } = node.expression;
        if (name.text === 'phase' && owner.kind === ts.SyntaxKind.ThisKeyword && node.arguments[1] !== undefined) this.sentence(file, node.arguments[1]);
        if (name.text === 'push' && /(?:^|\.)warnings$/.test(owner.getText()) && node.arguments[0] !== undefined) this.sentence(file, node.arguments[0]);
      } else if (!inEditor && ts.isObjectLiteralExpression(node)) {
        const names = new Set(node.properties.flatMap((property) => (property.name === undefined ? [] : [property.name.getText()])));
        for (const property of node.properties) {
          if (!ts.isPropertyAssignment(property) && !ts.isShorthandPropertyAssignment(property)) continue;
          const name = property.name.getText();
          // A check's name and a device's are words too.
          if (!PROPERTIES.has(name) && !(name === 'name' && (file === 'src/trainer/doctor.ts' || (names.has('kind') && names.has('reason'))))) continue;
          this.sentence(file, ts.isPropertyAssignment(property) ? property.initializer : property.name);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(tree);
  }

  /** Takes in an expression that is a sentence. A single word is mostly a name: `PNG` in a sentence, `strides`; `Stopping` is none. */
  sentence(file, node, isPart = false, found = this.sentences) {
    for (const parts of this.ways(file, node, 0)) {
      const template = written(parts);
      if (template !== undefined && (template.includes(' ') || (!isPart && /^\p{Lu}/u.test(template)))) found.add(template);
    }
  }

  /** Each way in which an expression can turn out, as texts and values. */
  ways(file, node, depth) {
    if (depth > MOST_STEPS) return [[HOLE]];
    const again = (inner) => this.ways(file, inner, depth + 1);
    if (ts.isStringLiteralLike(node)) return [[node.text]];
    if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node) || ts.isNonNullExpression(node) || ts.isSatisfiesExpression(node)) return again(node.expression);
    if (ts.isConditionalExpression(node)) return [...again(node.whenTrue), ...again(node.whenFalse)];
    if (ts.isTemplateExpression(node)) {
      return this.joined([[[node.head.text]], ...node.templateSpans.flatMap(({ expression, literal }) => [again(expression), [[literal.text]]])]);
    }
    if (ts.isBinaryExpression(node)) {
      if (node.operatorToken.kind === ts.SyntaxKind.PlusToken) return this.joined([again(node.left), again(node.right)]);
      if (node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken || node.operatorToken.kind === ts.SyntaxKind.BarBarToken) {
        return [...again(node.left), ...again(node.right).filter((parts) => written(parts) !== undefined)]; // `?? ''` is for the compiler
      }
    }
    if (ts.isIdentifier(node)) return this.waysOfName(file, node, depth);
    if (ts.isCallExpression(node)) {
      if (ts.isPropertyAccessExpression(node.expression) && node.expression.name.text === 'slice') return again(node.expression.expression); // cut, for a record's limit
      if (ts.isPropertyAccessExpression(node.expression) && node.expression.name.text === 'join') this.facts(file, node.expression.expression);
      this.useResults(this.calleeKey(file, node));
    }
    return [[HOLE]];
  }

  waysOfName(file, node, depth) {
    const declared = declarationOf(node);
    if (declared === undefined) return [[HOLE]];
    if (ts.isParameter(declared)) {
      const owner = declared.parent;
      const name = functionName(owner);
      if (name !== undefined) this.useParameter(`${file}#${name}`, owner.parameters.indexOf(declared), depth > 0);
      return [[HOLE]];
    }
    return this.ways(file, declared.initializer, depth + 1);
  }

  /** What a list that is joined to one text is made of. */
  facts(file, node) {
    if (ts.isIdentifier(node)) {
      const declared = declarationOf(node);
      if (declared !== undefined && ts.isVariableDeclaration(declared)) this.facts(file, declared.initializer);
    } else if (ts.isConditionalExpression(node)) {
      for (const way of [node.whenTrue, node.whenFalse]) this.facts(file, way);
    } else if (ts.isArrayLiteralExpression(node)) {
      for (const element of node.elements) {
        if (ts.isSpreadElement(element)) this.facts(file, ts.isParenthesizedExpression(element.expression) ? element.expression.expression : element.expression);
        else this.sentence(file, element, true, this.listed);
      }
    }
  }

  joined(pieces) {
    const count = () => pieces.reduce((product, { length }) => product * length, 1);
    // Clauses become values first, the widest before the others: a part that may be missing, or that is a mere ending, belongs to its sentence.
    // Where there are still too many, it is a list of facts: its parts are found again at their commas.
    while (count() > MOST_WAYS) {
      const several = pieces.filter(({ length }) => length > 1);
      const clauses = several.filter((ways) => ways.every((parts) => written(parts) !== undefined));
      const [widest] = (clauses.length > 0 ? clauses : several).sort((a, b) => b.length - a.length);
      for (const part of widest.map(written)) {
        if (part?.startsWith(', ')) this.listed.add(part.slice(2));
        else if (part?.includes(' ')) this.sentences.add(part);
      }
      pieces[pieces.indexOf(widest)] = [[HOLE]];
    }
    return pieces.reduce((before, ways) => before.flatMap((parts) => ways.map((more) => [...parts, ...more])), [[]]);
  }

  /** What is given for a parameter is a sentence, or a part of one. */
  useParameter(key, at, isPart) {
    if (this.parameters.has(`${key}#${at}#${isPart}`)) return;
    this.parameters.add(`${key}#${at}#${isPart}`);
    this.pending.push(() => {
      for (const { file, node } of this.calls.get(key) ?? []) if (node.arguments[at] !== undefined) this.sentence(file, node.arguments[at], isPart);
    });
  }

  useResults(key) {
    if (key === undefined || key.startsWith('src/metrics/') || this.results.has(key)) return; // numbers and units say the same everywhere
    this.results.add(key);
    this.pending.push(() => {
      const file = key.slice(0, key.indexOf('#'));
      for (const declared of this.functions.get(key) ?? []) for (const result of resultsOf(declared)) this.sentence(file, result, true);
    });
  }
}

/** Parts as they stand in a bundle, or undefined when there is nothing in them to translate. */
function written(parts) {
  let text = '';
  let values = 0;
  let before;
  for (const part of parts.filter((each) => each !== '')) {
    if (part !== HOLE) text += part;
    else if (before !== HOLE) text += `{${values++}}`; // two values side by side can't be told apart
    before = part;
  }
  const words = parts.filter((part) => part !== HOLE).join(' ');
  return /\p{L}{2}/u.test(words.replaceAll(UNITS, '')) ? text : undefined;
}

function functionName(node) {
  if (node.name !== undefined) return node.name.getText();
  return ts.isVariableDeclaration(node.parent) && ts.isIdentifier(node.parent.name) ? node.parent.name.text : undefined;
}

/** The constant or the parameter that a name stands for, looked for from the inside to the outside. */
function declarationOf(name) {
  for (let scope = name.parent; scope !== undefined; scope = scope.parent) {
    if (ts.isFunctionLike(scope)) {
      const parameter = scope.parameters.find((each) => ts.isIdentifier(each.name) && each.name.text === name.text);
      if (parameter !== undefined) return parameter;
    }
    if (!ts.isBlock(scope) && !ts.isSourceFile(scope)) continue;
    for (const statement of scope.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      const declared = statement.declarationList.declarations.find((each) => ts.isIdentifier(each.name) && each.name.text === name.text);
      if (declared !== undefined) return declared.initializer !== undefined && (statement.declarationList.flags & ts.NodeFlags.Const) !== 0 ? declared : undefined;
    }
  }
  return undefined;
}

function resultsOf(declared) {
  if (!ts.isBlock(declared.body)) return [declared.body];
  const results = [];
  const visit = (node) => {
    if (ts.isFunctionLike(node)) return;
    if (ts.isReturnStatement(node) && node.expression !== undefined) results.push(node.expression);
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(declared.body, visit);
  return results;
}

/** Local name → `file#name` of what is imported from a file of ours. */
function importsOf(file, tree) {
  const found = new Map();
  for (const statement of tree.statements) {
    if (!ts.isImportDeclaration(statement) || !statement.moduleSpecifier.text.startsWith('.')) continue;
    const from = path.posix.join(path.posix.dirname(file), statement.moduleSpecifier.text.replace(/\.js$/, '.ts'));
    const bindings = statement.importClause?.namedBindings;
    if (bindings === undefined || !ts.isNamedImports(bindings)) continue;
    for (const { name, propertyName } of bindings.elements) found.set(name.text, `${from}#${(propertyName ?? name).text}`);
  }
  return found;
}
