// Every word that a person reads can be translated: the bundle holds what the source says, and the panel says nothing else.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import ts from 'typescript';
import { differences, makeBundle, messagesOf } from '../../scripts/l10n.mjs';
import { createLocaliser, ENGLISH } from '../../src/protocol/localiser.js';
import TEMPLATES from '../../src/protocol/recordedTemplates.json';
import type { RunResult } from '../../src/protocol/run.js';
import type { RunSnapshot } from '../../src/protocol/snapshot.js';
import { compareRuns } from '../../src/runs/compareRuns.js';
import { verdictOn } from '../../src/runs/verdict.js';
import { comparedPairs, comparedRuns, comparisonFacts, comparisonSummary } from '../../src/webview/compareView.js';
import { runView } from '../../src/webview/runView.js';
import { parseTranslations, t, translateWith } from '../../src/webview/words.js';
import { DATA, phase, snapshot, START, stepAfter } from '../harness/snapshots.js';

const BUNDLE = readFileSync(path.resolve('l10n', 'bundle.l10n.json'), 'utf8');
/** Every message between signs that occur nowhere else. */
const PSEUDO = Object.fromEntries(Object.keys(JSON.parse(BUNDLE) as object).map((message) => [message, `⟦${message}⟧`]));

describe('the bundle', () => {
  test('holds what the source says, nothing less and nothing more (else: npm run l10n)', () => {
    const { bundle, templates } = makeBundle();
    assert.deepEqual(differences(bundle, BUNDLE), []);
    assert.equal(bundle, BUNDLE);
    assert.deepEqual(JSON.parse(templates), TEMPLATES);
  });

  test('that lacks a message or has one too many is told from the right one', () => {
    assert.deepEqual(differences('{"a": "a", "b": "b"}', '{"b": "b", "c": "c"}'), ['missing: a', 'superfluous: c']);
  });

  test('is where the manifest says', () => {
    assert.equal((JSON.parse(readFileSync('package.json', 'utf8')) as { l10n?: string }).l10n, './l10n');
  });

  test('is made of literals, each with the values that it asks for', () => {
    assert.deepEqual(messagesOf('a.ts', 't(\'x\'); vscode.l10n.t("y {0}", 1); this.services.l10n.t(`z`); other.t(\'no\'); set(\'no\');'), ['x', 'y {0}', 'z']);
    assert.deepEqual(messagesOf('a.ts', 't(\'{0} of {1}\', ...both)'), ['{0} of {1}']);
    assert.throws(() => messagesOf('a.ts', '\nt(`epoch ${1}`)'), /^Error: a\.ts:2: the message is not a literal/);
    assert.throws(() => messagesOf('a.ts', 'l10n.t(\'{0} of {1}\', 1)'), /is given 1 values/);
    assert.throws(() => messagesOf('a.ts', 'l10n.t(\'{1}\', 1)'), /skip one/);
  });
});

describe('a localiser', () => {
  test('translates what it can, and fills each place once', () => {
    const german = createLocaliser({ 'epoch {0} of {1}': '{1} Epochen, davon {0}' });
    assert.equal(german.t('epoch {0} of {1}', 3, 15), '15 Epochen, davon 3');
    assert.equal(german.t('seed {0}', 1), 'seed 1');
    assert.equal(ENGLISH.t('{0} on {1}', 'freeze', 'a {0} b'), 'freeze on a {0} b');
    assert.equal(ENGLISH.t('constructor'), 'constructor');
  });

  test('takes only strings from the page', () => {
    assert.deepEqual(parseTranslations('{"a":"b","c":1}'), { a: 'b' });
    for (const data of [undefined, '', '{', '[]', '"a"', 'null']) assert.equal(parseTranslations(data), undefined, String(data));
  });
});

/** Letters of a text that no message brought along, with what comes from the run itself taken away. */
function untranslated(text: string): string {
  const own = [
    /freeze|finetune/gi, /hymenoptera|ants|bees/g, /EfficientNet-Lite0|efficientnet_lite0/g, /NVIDIA RTX 4090, 24 GiB/g, /\b(?:img\/s|[KMG]iB|M)\b/g,
  ].reduce((rest, pattern) => rest.replaceAll(pattern, ''), text);
  let rest = own;
  for (let inner = ''; inner !== rest;) {
    inner = rest;
    rest = rest.replaceAll(/⟦[^⟦⟧]*⟧/g, '');
  }
  return rest.replaceAll(/[^\p{L}]/gu, '');
}

/** Every text in a view, by its path. */
function textsOf(view: unknown, at = ''): [string, string][] {
  if (typeof view === 'string') return [[at, view]];
  if (typeof view !== 'object' || view === null) return [];
  return Object.entries(view).flatMap(([key, value]) => textsOf(value, `${at}.${key}`));
}

const NO_TEXT = /\.(?:icon|tone|strategy|shareOf|shape|fill|first|second|directory|id)$/;

function assertTranslated(view: unknown, what: string): void {
  const texts = textsOf(view).filter(([at]) => !NO_TEXT.test(at));
  assert.ok(texts.some(([, text]) => text.includes('⟦')), what);
  assert.deepEqual(texts.filter(([, text]) => untranslated(text) !== ''), [], what);
}

describe('in another language', () => {
  before(() => translateWith(PSEUDO));
  after(() => translateWith(undefined));
  const words = createLocaliser(PSEUDO);

  const finished = (strategy: 'freeze' | 'finetune', result: Partial<RunResult> = {}, more: Parameters<typeof snapshot>[0] = {}): RunSnapshot => {
    const run = snapshot({ strategy, state: 'finished', epochs: 15, ...more });
    return { ...run, record: { ...run.record, result: { ...run.record.result!, ...result } } };
  };
  const split = { ...DATA, layout: 'split' as const, test: 20, leftOutCount: 1 };

  test('the Run tab says nothing in English, in any state', () => {
    assert.equal(t('Stop'), '⟦Stop⟧');
    const failure = { code: 'image-gone', message: 'bees can\'t be read any more: The file is empty', next: 'Put the image back, or train again without it' };
    const runs: RunSnapshot[] = [
      snapshot({ state: 'waiting', epochs: 0 }), snapshot({ state: 'starting', epochs: 0 }), snapshot({ epochs: 0, snapshot: { phase: phase('features', 'Computing features, 3 of 9 images') } }),
      stepAfter(snapshot()), snapshot({ strategy: 'freeze' }), snapshot({ data: 'not yet', epochs: 1 }), snapshot({ data: { ...split, classes: ['ants'], leftOutCount: 3 } }),
      ...(['interrupted', 'stopped', 'failed'] as const).flatMap((state) => [snapshot({ state, epochs: 0 }), snapshot({ state, epochs: 6 })]),
      snapshot({ state: 'failed', epochs: 1, record: { failure } }), finished('finetune'), finished('finetune', { accuracySplit: 'test' }, { data: split }),
      finished('freeze', { imagesPerSecondOf: 'features' }), finished('freeze', { imagesPerSecondOf: 'cached features' }),
    ];
    for (const run of runs) {
      for (const stopping of [false, true]) {
        assertTranslated(runView(run, { now: START + 31_000, stopping, timeOfDay: () => '12:00:00' }), `${run.state} after ${run.epochs.length} epochs`);
      }
    }
  });

  const freeze = finished('freeze', { seconds: 6 });
  const finetune = finished('finetune', { seconds: 37 });
  const pair = { first: freeze.directory, second: finetune.directory, images: 153, bothRight: 142, onlyFirstRight: 5, onlySecondRight: 4, bothWrong: 2, p: 1, pHolm: 1 };

  test('the Compare tab says nothing in English', () => {
    const live = stepAfter(snapshot({ seed: 1, id: 'live' }));
    const runs = comparedRuns([freeze, finetune, live]);
    assertTranslated(runs.map(({ label }) => label), 'names');
    assertTranslated(comparisonFacts(runs), 'facts');
    assertTranslated(comparisonFacts(comparedRuns([freeze, finished('finetune', { accuracySplit: 'test' }, { seed: 1, data: split })])), 'facts of unlike runs');
    assertTranslated(comparisonSummary(runs), 'summary');
    const pairs = [pair, { ...pair, pHolm: 0.01 }, { first: freeze.directory, second: live.directory, reason: '⟦why⟧' }];
    assertTranslated(comparedPairs({ runs: [freeze, finetune, live], pairs, verdict: { title: '', body: [] } }, runs), 'pairs');
  });

  test('no verdict is in English', () => {
    const third = finished('freeze', {}, { id: 'third', seed: 1, dataset: 'ants' });
    const cached = finished('freeze', { seconds: 1, imagesPerSecondOf: 'cached features' });
    const against = { ...pair, second: third.directory };
    assertTranslated(verdictOn([], [], words), 'none');
    assertTranslated(verdictOn([freeze], [], words), 'one');
    assertTranslated(verdictOn([freeze, finetune], [pair], words), 'alike');
    assertTranslated(verdictOn([cached, finetune], [pair], words), 'alike, cached');
    assertTranslated(verdictOn([freeze, finetune], [{ ...pair, onlyFirstRight: 0, onlySecondRight: 0, pHolm: 0.01 }], words), 'one better');
    for (const pHolm of [1, 0.01]) assertTranslated(verdictOn([freeze, finetune, third], [pair, { ...against, pHolm }], words), 'three');
    assertTranslated(verdictOn([freeze, finetune, third], [pair, { ...against, onlyFirstRight: 0, onlySecondRight: 0 }], words), 'three alike');
    for (const state of ['waiting', 'starting', 'running', 'interrupted', 'failed'] as const) {
      for (const epochs of [0, 1, 6]) assertTranslated(verdictOn([freeze, snapshot({ state, epochs })], [], words), `${state} after ${epochs}`);
    }
    assert.match(verdictOn([freeze, finetune], [pair], words).body[1] ?? '', /^⟦Take freeze:⟧ ⟦as good here, and/, 'the lead that the panel sets apart');
  });

  test('no reason for not testing a pair is in English', async () => {
    const others = [finished('finetune', { accuracySplit: 'test' }), finished('finetune', {}, { data: { ...DATA, fingerprint: 'ee'.repeat(32) } }), finetune, snapshot({ state: 'failed', epochs: 2 })];
    for (const other of others) {
      const { pairs, verdict } = await compareRuns([freeze, other], { l10n: words, predictions: () => Promise.resolve([]) });
      assertTranslated(pairs, 'pairs');
      assertTranslated(verdict, 'verdict');
    }
  });
});

/** Functions and the place of the text among their arguments. */
const TEXT_ARGUMENTS: Readonly<Record<string, number>> = { h: 2, svg: 2, button: 0, spoken: 0, setText: 1, fillText: 0, LineChart: 0, ValuesTable: 0 };
/** Attributes and properties that a person reads or hears. */
const TEXT_PROPERTIES = new Set(['aria-label', 'aria-valuetext', 'aria-description', 'title', 'alt', 'placeholder', 'data-label', 'label', 'detail', 'word', 'summary', 'caption']);
const TEXT_SETTERS = new Set(['textContent', 'innerText']);
/** A name, and a colour in CSS. */
const NOT_WORDS = new Set(['Thaw', 'color-mix(in srgb, ']);
const LETTERS = /\p{L}{2}/u;
/** What reads as words of a sentence or as a heading wherever it stands. */
const PROSE = /\p{Ll} \p{Ll}|^\p{Lu}\p{Ll}+(?: |$)/u;

function nameOf(expression: ts.Node): string {
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : ts.isIdentifier(expression) || ts.isStringLiteralLike(expression) ? expression.text : '';
}

/** Where a literal ends up: up through what only chooses between values or joins them. */
function useOf(node: ts.Node): { node: ts.Node; parent: ts.Node } {
  let at = node;
  while (ts.isConditionalExpression(at.parent) || ts.isParenthesizedExpression(at.parent) || ts.isTemplateSpan(at.parent) || ts.isTemplateExpression(at.parent)
    || (ts.isBinaryExpression(at.parent) && !/^[=!]==$/.test(at.parent.operatorToken.getText()) && at.parent.operatorToken.kind !== ts.SyntaxKind.EqualsToken)) at = at.parent;
  return { node: at, parent: at.parent };
}

/** Literals of the panel's source that a person would read untranslated, with their lines. */
function literalsShown(file: string, source: string): string[] {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const isShown = (literal: ts.Node, text: string): boolean => {
    if (!LETTERS.test(text) || NOT_WORDS.has(text)) return false;
    const { node, parent } = useOf(literal);
    if (ts.isCallExpression(parent) || ts.isNewExpression(parent)) {
      const name = nameOf(parent.expression);
      if (name === 't' || name === 'reportError' || name === 'querySelector' || (ts.isNewExpression(parent) && name === 'Error')) return false; // errors are for the log
      const given: readonly ts.Node[] = parent.arguments ?? [];
      const first = name === 'setAttribute' && TEXT_PROPERTIES.has(nameOf(given[0] ?? parent)) ? 1 : TEXT_ARGUMENTS[name];
      if (first !== undefined && given.indexOf(node) >= first) return true;
    }
    if (ts.isPropertyAssignment(parent)) {
      if (parent.name === node || nameOf(parent.name) === 'class') return false;
      if (TEXT_PROPERTIES.has(nameOf(parent.name))) return true;
    }
    if (ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
      if (nameOf(parent.left) === 'className') return false;
      if (TEXT_SETTERS.has(nameOf(parent.left))) return true;
    }
    return PROSE.test(text) && !ts.isImportDeclaration(parent) && !ts.isLiteralTypeNode(parent) && !ts.isCaseClause(parent);
  };
  const visit = (node: ts.Node): void => {
    const text = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node) ? node.text : '';
    if (isShown(node, text)) found.push(`${file}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${text}`);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

describe('the panel\'s source', () => {
  test('hands no literal to the page but through t()', () => {
    const folder = path.resolve('src', 'webview');
    const files = readdirSync(folder).filter((name) => name.endsWith('.ts'));
    assert.ok(files.includes('runScreen.ts'));
    assert.deepEqual(files.flatMap((name) => literalsShown(name, readFileSync(path.join(folder, name), 'utf8'))), []);
  });

  test('is searched by a rule that finds what it should', () => {
    const shown = (source: string): number => literalsShown('a.ts', source).length;
    const faulty = [
      'h(\'p\', {}, \'best\')', 'h(\'p\', {}, a ? \'best\' : t(\'worst\'))', 'h(\'p\', { \'aria-label\': \'run\' })', 'setText(a, `epoch ${n}`)', 'button(\'Stop\', {})', 'spoken(\'show\')',
      'element.textContent = \'none\'', 'element.setAttribute(\'title\', \'open\')', 'return \'Waiting\';', 'const a = \'after the first epoch\';', 'new ValuesTable(\'values\')', 'context.fillText(\'best\', 0, 0)',
      'const tile = { label: \'epoch\' };',
    ];
    for (const source of faulty) assert.equal(shown(source), 1, source);
    const sound = [
      'h(\'p\', { class: \'a b\', role: \'status\' }, t(\'best\'))', 'setText(a, `${t(\'epoch\')}.`)', 'element.className = `tone ${tone}`', 'throw new Error(\'This is for the log\')',
      'if (a === \'run\') b();', 'element.setAttribute(\'aria-selected\', \'true\')', 'h(\'td\', {}, \'–\')',
    ];
    for (const source of sound) assert.equal(shown(source), 0, source);
  });
});
