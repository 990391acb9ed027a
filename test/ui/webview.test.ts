// The panel's script in a plain page, with the extension's own document and policy: every state, three themes, two widths.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { panelHtml } from '../../src/extension/panelHtml.js';
import { formatAccuracy } from '../../src/metrics/format.js';
import sharp from 'sharp';
import { proportion } from '../../src/advice/measure.js';
import { decide } from '../../src/advice/rule.js';
import { reasonText } from '../../src/advice/words.js';
import type { Advice, Measurements, Pilot } from '../../src/protocol/advice.js';
import type { Classification } from '../../src/protocol/classification.js';
import type { Comparison } from '../../src/protocol/comparison.js';
import { createLocaliser, ENGLISH, type Translations } from '../../src/protocol/localiser.js';
import type { HostMessage, PanelState, WebviewMessage } from '../../src/protocol/messages.js';
import type { RunSnapshot, UnreadableRun } from '../../src/protocol/snapshot.js';
import { verdictOn } from '../../src/runs/verdict.js';
import { launchBrowser } from '../harness/browser.js';
import { DATA, phase, snapshot, START, stepAfter } from '../harness/snapshots.js';
import { makeStudySnapshot } from '../harness/studies.js';
import { THEMES, type ThemeName } from '../harness/themes.js';

const ORIGIN = 'http://127.0.0.1:9'; // Nothing listens there: every request is answered by the test.
const SHOTS = path.resolve('shots', 'webview');
const HOSTILE = '<img src=x onerror="window.hacked = true">';
const WIDTHS = { wide: { width: 1280, height: 860 }, narrow: { width: 520, height: 860 } };

let browser: Browser;

interface OpenOptions {
  readonly theme?: ThemeName;
  readonly width?: keyof typeof WIDTHS;
  readonly state?: PanelState;
  readonly reducedMotion?: boolean;
  /** Milliseconds since 1970 that the page's clock shows, standing still until `advance`. */
  readonly now?: number;
  readonly words?: Translations;
}

/** What the test's stand-in for VS Code keeps in the page. */
interface PageWindow extends Window {
  posted: WebviewMessage[];
  violations: string[];
  kept: unknown;
  hacked?: boolean;
}

class PanelPage {
  private constructor(readonly page: Page, private readonly context: BrowserContext, private readonly errors: string[]) {}

  static async open({ theme = 'dark', width = 'wide', state, reducedMotion = false, now = START + 31_000, words }: OpenOptions = {}): Promise<PanelPage> {
    const context = await browser.newContext({ viewport: WIDTHS[width], timezoneId: 'UTC', reducedMotion: reducedMotion ? 'reduce' : 'no-preference' });
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => { if (message.type() === 'error') errors.push(message.text()); });
    await page.clock.install({ time: now - 60_000 });
    await page.clock.pauseAt(now);
    const html = panelHtml({ nonce: 'abc123', cspSource: ORIGIN, script: `${ORIGIN}/webview.js`, style: `${ORIGIN}/webview.css`, language: 'en', words });
    await page.route('**/*', (route) => {
      const file = new URL(route.request().url()).pathname;
      if (file === '/panel') return route.fulfill({ contentType: 'text/html', body: html });
      if (file === '/webview.js' || file === '/webview.css') return route.fulfill({ body: readFileSync(path.resolve('dist', file.slice(1))), contentType: file.endsWith('js') ? 'text/javascript' : 'text/css' });
      return route.abort();
    });
    await page.addInitScript(({ bodyClass, variables, saved }) => {
      const target = window as unknown as { posted: unknown[]; violations: string[]; kept: unknown; acquireVsCodeApi: () => unknown };
      target.posted = [];
      target.violations = [];
      target.kept = saved;
      target.acquireVsCodeApi = () => ({
        postMessage: (message: unknown) => { target.posted.push(message); },
        getState: () => target.kept,
        setState: (value: unknown) => { target.kept = value; },
      });
      document.addEventListener('securitypolicyviolation', (event) => { target.violations.push(`${event.violatedDirective} ${event.blockedURI}`); });
      document.addEventListener('DOMContentLoaded', () => { document.body.className = bodyClass; });
      const setVariables = () => { for (const [name, value] of Object.entries(variables)) document.documentElement.style.setProperty(`--vscode-${name}`, value); };
      new MutationObserver((_, observer) => {
        if (!(document.documentElement as Element | null)) return;
        observer.disconnect();
        setVariables();
      }).observe(document, { childList: true });
    }, { ...THEMES[theme], saved: state });
    await page.goto(`${ORIGIN}/panel`);
    await page.evaluate(() => document.fonts.ready);
    return new PanelPage(page, context, errors);
  }

  async send(message: HostMessage): Promise<void> {
    await this.page.evaluate((data) => { window.postMessage(data, '*'); }, message);
    // A message arrives in a task of its own, and drawing may wait for its quarter of a second.
    await this.page.evaluate(() => new Promise((resolve) => { const channel = new MessageChannel(); channel.port1.onmessage = resolve; channel.port2.postMessage(0); }));
    await this.page.clock.runFor(300);
  }

  run(run: RunSnapshot | UnreadableRun | undefined, more: { note?: string; cannotTrain?: string; now?: number } = {}): Promise<void> {
    return this.send({ type: 'run', run, now: START + 31_000, ...more });
  }

  posted(): Promise<WebviewMessage[]> {
    return this.page.evaluate(() => (window as unknown as PageWindow).posted);
  }

  kept(): Promise<unknown> {
    return this.page.evaluate(() => (window as unknown as PageWindow).kept);
  }

  text(selector: string): Promise<string> {
    return this.page.locator(selector).first().innerText();
  }

  async shot(name: string): Promise<void> {
    mkdirSync(SHOTS, { recursive: true });
    await this.page.screenshot({ path: path.join(SHOTS, `${name}.png`), fullPage: true });
  }

  async chartPixels(title: string): Promise<string> {
    const canvas = this.page.locator('.chart', { has: this.page.locator(`h2:text-is("${title}")`) }).locator('canvas');
    return canvas.evaluate((element) => (element as HTMLCanvasElement).toDataURL());
  }

  /** Text and background of every element with text of its own that has less contrast than 4.5. */
  faintText(): Promise<string[]> {
    return this.page.evaluate(() => {
      const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
      if (!context) throw new Error('no canvas');
      const rgba = (colour: string): [number, number, number, number] => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        const [r = 0, g = 0, b = 0, a = 0] = context.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
      };
      const over = (top: [number, number, number, number], under: [number, number, number, number]): [number, number, number, number] =>
        [0, 1, 2].map((i) => top[i]! * top[3] + under[i]! * (1 - top[3])).concat(1) as [number, number, number, number];
      const luminance = (colour: [number, number, number, number]) => [0.2126, 0.7152, 0.0722]
        .map((weight, i) => { const c = colour[i]! / 255; return weight * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); }).reduce((sum, part) => sum + part, 0);
      const groundOf = (element: Element | null): [number, number, number, number] => {
        if (!element) return rgba(getComputedStyle(document.body).backgroundColor);
        const own = rgba(getComputedStyle(element).backgroundColor);
        return own[3] === 1 ? own : over(own, groundOf(element.parentElement));
      };
      return [...document.querySelectorAll<HTMLElement>('body *')].flatMap((element) => {
        const text = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.textContent ?? '').join('').trim();
        if (!text || !element.checkVisibility() || element.classList.contains('sr') || element.closest('[aria-disabled], .is-off')) return [];
        const ground = groundOf(element);
        const [a, b] = [luminance(over(rgba(getComputedStyle(element).color), ground)), luminance(ground)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return contrast < 4.5 ? [`${text}: ${contrast.toFixed(2)}`] : [];
      });
    });
  }

  /** Nothing scrolls sideways, nothing was blocked by the policy, nothing threw. */
  async assertSound(): Promise<void> {
    const { scroll, client } = await this.page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
    assert.ok(scroll <= client, `the page is ${scroll} px wide in ${client} px`);
    assert.deepEqual(await this.page.evaluate(() => (window as unknown as PageWindow).violations), []);
    assert.equal(await this.page.evaluate(() => (window as unknown as PageWindow).hacked), undefined);
    assert.deepEqual(this.errors, []);
    assert.deepEqual((await this.posted()).filter(({ type }) => type === 'scriptError'), []);
  }

  async close(): Promise<void> {
    await this.assertSound();
    await this.context.close();
  }
}

function comparison(runs: readonly RunSnapshot[], pairs: Comparison['pairs']): Comparison {
  return { runs, pairs, verdict: verdictOn(runs, pairs, ENGLISH) };
}

const FREEZE = snapshot({ strategy: 'freeze', state: 'finished', epochs: 15 });
const FINETUNE = snapshot({ strategy: 'finetune', state: 'finished', epochs: 15 });
const TESTED = comparison([FREEZE, FINETUNE], [{
  first: FREEZE.directory, second: FINETUNE.directory, images: 153, bothRight: 142, onlyFirstRight: 5, onlySecondRight: 4, bothWrong: 2, p: 1, pHolm: 1,
}]);
/** A green square, as the trainer would send it. */
let thumbnail = '';
const classified = (): Classification => ({
  run: 'freeze on hymenoptera', directory: FREEZE.directory, score: '.961 [.917–.982], 147 of 153 right', network: FREEZE.record.configuration,
  images: [
    { type: 'prediction', path: '/pictures/bee.jpg', name: 'bee.jpg', thumbnail, top: [{ label: 'bees', probability: 0.9134 }, { label: 'ants', probability: 0.0866 }] },
    { type: 'prediction', path: `/pictures/${HOSTILE}`, name: HOSTILE, top: [{ label: HOSTILE, probability: 0.52 }, { label: 'b'.repeat(120), probability: 0.48 }] },
    { type: 'unreadable', path: '/pictures/broken.jpg', name: 'broken.jpg', reason: 'The file is empty' },
  ],
});
const STUDY = '/pictures/.thaw/studies/study-1';

/** Advice on the study's Simpsons, unless told otherwise; the probe's accuracy is freeze's. */
function advised(changes: Partial<Measurements> = {}, name = 'simpsons'): Advice {
  const measurements: Measurements = {
    classes: 20, train: 15638, validation: 3910, measured: 1000, perClass: { least: 98, median: 612, most: 1797 },
    probe: proportion(642, 1000), nearestMean: proportion(480, 1000), learningCurve: [0.25, 0.5, 1].map((share) => ({ share, ...proportion(Math.round(500 + 142 * share), 1000) })),
    headConfidence: { mean: 0.22, interval: [0.2, 0.24] }, nearness: { mean: 0.3, interval: [0.26, 0.34], photographs: 0.5, noise: 0.1 },
    logme: [{ backbone: 'efficientnet_lite0', images: 128, cuts: [2, 4, 8, 16, 32].map((stride) => ({ node: `n${String(stride)}`, stride, channels: 8 * stride, logme: stride / 100 - 0.2 })) }],
    notCompared: ['resnet50', 'mobilenet_v2'],
    seconds: { freeze: 190, finetune: 2710 }, ...changes,
  };
  const decision = decide(measurements);
  return {
    schemaVersion: 1, dataset: { name, path: `/pictures/${name}` }, network: { backbone: 'efficientnet_lite0', colour: 'rgb' }, device: 'CPU (2 threads)',
    recommendation: decision.recommendation, reason: reasonText({ decision, measurements }, ENGLISH), confidence: decision.confidence, minutes: 45, decision, measurements, seconds: 24,
  };
}
const PILOT: Pilot = { epochs: 2, trained: 300, freeze: proportion(240, 300), finetune: proportion(262, 300), onlyFreezeRight: 4, onlyFinetuneRight: 26, p: 0.00005, seconds: 60 };
const FAILURE = { code: 'out-of-memory', message: 'Out of GPU memory in epoch 7: 0.6 GiB was free, 1.1 GiB was needed.', next: 'Batch 8 would fit.' };

const STATES: Readonly<Record<string, { run: RunSnapshot | UnreadableRun | undefined; note?: string; word?: string; message?: string; action?: string; primary?: string }>> = {
  empty: { run: undefined, primary: 'Train with freeze' },
  waiting: { run: snapshot({ state: 'waiting', epochs: 0, snapshot: { phase: phase('waiting', 'Waiting for the device, 1 ahead', { done: 0, total: 1 }) } }), word: 'Waiting', message: 'Waiting for the device, 1 ahead', action: 'Stop' },
  starting: { run: snapshot({ state: 'starting', epochs: 0, snapshot: { phase: phase('loading', 'Loading TensorFlow') } }), word: 'Starting', message: 'Loading TensorFlow', action: 'Stop' },
  features: { run: snapshot({ strategy: 'freeze', epochs: 0, snapshot: { phase: phase('features', 'Computing features, 120 of 397 images', { done: 120, total: 397 }) } }), word: 'Running', message: 'Computing features, 120 of 397 images', action: 'Stop' },
  running: { run: stepAfter(snapshot()), word: 'Running', message: 'Epoch 12 of 15, step 2 of 4', action: 'Stop' },
  restored: { run: stepAfter(snapshot({ epochs: 13 })), note: 'Reconnected. 3 epochs were added while the window was closed', word: 'Running', message: 'Reconnected. 3 epochs were added while the window was closed', action: 'Stop' },
  interrupted: { run: snapshot({ state: 'interrupted', epochs: 8 }), word: 'Interrupted', message: 'The trainer stopped after epoch 8 without finishing', action: 'Train again', primary: 'Train again' },
  failed: { run: snapshot({ state: 'failed', epochs: 6, record: { failure: FAILURE } }), word: 'Failed', message: `${FAILURE.message} Batch 8 would fit`, action: 'Train again', primary: 'Train again' },
  stopped: { run: snapshot({ state: 'stopped', epochs: 6 }), word: 'Stopped', message: 'Stopped after epoch 6. The weights of epoch 5 were kept', action: 'Train again' },
  finished: { run: FINETUNE, word: 'Finished', message: 'Finished. The weights of epoch 10 were kept', action: 'Compare' },
  unreadable: { run: { directory: '/pictures/.thaw/runs/broken', id: 'broken', reason: 'run.json is not valid JSON' } },
  gone: { run: undefined, note: 'The run folder 20261124-173639-freeze-3f9a1c is gone', primary: 'Train with freeze' },
};

before(async () => {
  browser = await launchBrowser();
  thumbnail = (await sharp({ create: { width: 144, height: 144, channels: 3, background: '#7a7' } }).jpeg().toBuffer()).toString('base64');
});
after(async () => { await browser.close(); });

describe('the panel', () => {
  for (const [name, { run, note, word, message, action, primary }] of Object.entries(STATES)) {
    test(`shows a run that is ${name}`, async () => {
      const panel = await PanelPage.open();
      await panel.run(run, note === undefined ? {} : { note });
      await panel.shot(`run-state-${name}`);
      assert.deepEqual(await panel.page.locator('.button.primary:visible').allInnerTexts(), primary === undefined ? [] : [primary]);
      if (word !== undefined) assert.equal(await panel.text('[role=status]'), word);
      if (message !== undefined) assert.equal(await panel.text('.progress-what'), message);
      if (action !== undefined) assert.deepEqual(await panel.page.locator('.page-run .head .button').allInnerTexts(), [action]);
      if (name === 'unreadable') assert.match(await panel.text('.page-run'), /broken[\s\S]*run\.json is not valid JSON/);
      if (name === 'gone') assert.equal(await panel.text('.page-run h1'), note);
      if (name === 'empty') assert.match(await panel.text('.page-run'), /No run yet/);
      await panel.close();
    });
  }

  for (const theme of ['dark', 'light', 'hc'] as const) {
    for (const width of ['wide', 'narrow'] as const) {
      test(`draws its tabs in ${theme}, ${width}`, async () => {
        const panel = await PanelPage.open({ theme, width });
        await panel.run(stepAfter(snapshot()));
        await panel.shot(`run-${theme}-${width}`);
        assert.deepEqual(await panel.faintText(), []);
        await panel.assertSound();
        await panel.send({ type: 'comparison', comparison: TESTED });
        await panel.send({ type: 'show', tab: 'compare' });
        await panel.shot(`compare-${theme}-${width}`);
        assert.deepEqual(await panel.faintText(), []);
        await panel.send({ type: 'classification', classification: classified() });
        await panel.send({ type: 'show', tab: 'classify' });
        await panel.shot(`classify-${theme}-${width}`);
        assert.deepEqual(await panel.faintText(), []);
        await panel.send({ type: 'advice', advice: advised({ pilot: PILOT }) });
        await panel.send({ type: 'show', tab: 'advice' });
        await panel.shot(`advice-${theme}-${width}`);
        assert.deepEqual(await panel.faintText(), []);
        await panel.assertSound();
        await panel.close();
      });
    }
  }

  test('says everything in the words that the host hands over', async () => {
    const bundle = JSON.parse(readFileSync(path.resolve('l10n', 'bundle.l10n.json'), 'utf8')) as Translations;
    const words = Object.fromEntries(Object.keys(bundle).map((message) => [message, `⟦${message}⟧`]));
    const panel = await PanelPage.open({ words });
    // What is seen or heard, without what stands between the signs, and without names, units and numbers.
    const english = () => panel.page.evaluate(() => {
      const attributes = ['aria-label', 'aria-valuetext', 'title', 'data-label'];
      const texts = [...document.querySelectorAll('body *')].filter((element) => element.tagName !== 'SCRIPT').flatMap((element) => [
        // A paragraph is one text, whatever is set apart in it.
        ...(element.tagName === 'P' ? [element.textContent] : element.closest('p') ? []
          : [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.textContent ?? '')),
        ...attributes.flatMap((name) => element.getAttribute(name) ?? []),
      ]);
      return texts.filter((text) => {
        let rest = text.replace(/freeze|finetune|hymenoptera|ants|bees|EfficientNet-Lite0|NVIDIA RTX 4090, 24 GiB|img\/s|GiB|\bM\b|Thaw|run\.json|FILE/gi, '');
        for (let before = ''; before !== rest;) {
          before = rest;
          rest = rest.replace(/⟦[^⟦⟧]*⟧/g, '');
        }
        return /\p{L}/u.test(rest);
      });
    });
    // What the trainer recorded, in English, as it stands in the run folder.
    const data = {
      ...DATA, leftOut: [{ path: 'FILE', reason: 'The file is empty' }, { path: 'FILE', reason: 'The same image is in the class "ants", as "FILE"' }], leftOutCount: 2,
      warnings: ['Beside the split folders, ignored: "FILE"'],
    };
    const failure = { code: 'diverged', message: 'The loss stopped being a number in epoch 3, step 4', next: 'Train with a smaller learning rate or a larger batch, or use freeze' };
    const runs = [
      undefined, snapshot({ state: 'waiting', epochs: 0, snapshot: { phase: phase('waiting', 'Waiting for the device, 2 ahead') } }),
      snapshot({ epochs: 0, snapshot: { phase: phase('features', 'Computing features, 3 of 9 images') } }), stepAfter(snapshot({ data })), snapshot({ snapshot: { damagedLines: 3 } }),
      snapshot({ state: 'interrupted' }), snapshot({ state: 'stopped', epochs: 6 }), snapshot({ state: 'failed', epochs: 2, record: { failure } }), FINETUNE,
      { directory: '/pictures/.thaw/runs/FILE', id: 'FILE', reason: '"FILE" is a link, and links are not followed' },
    ];
    const recorded = new Set<string>();
    for (const run of runs) {
      await panel.run(run);
      assert.deepEqual(await english(), [], run && 'state' in run ? run.state : 'none');
      for (const text of (await panel.page.locator('#app').textContent() ?? '').match(/⟦[^⟦⟧]*⟧/g) ?? []) recorded.add(text);
    }
    for (const text of [
      '⟦Waiting for the device, 2 ahead⟧', '⟦Computing features, 3 of 9 images⟧', '⟦The loss stopped being a number in epoch 3, step 4⟧', `⟦${failure.next}⟧`, '⟦The file is empty⟧',
      '⟦The same image is in the class "ants", as "FILE"⟧', '⟦Beside the split folders, ignored: "FILE"⟧', '⟦"FILE" is a link, and links are not followed⟧',
    ]) assert.ok(recorded.has(text), `${text} in ${[...recorded].join(' ')}`);
    await panel.run(stepAfter(snapshot({ data })));
    await panel.page.locator('.page-run .chart-frame').first().press('Home');
    assert.deepEqual(await english(), [], 'the cursor');
    await panel.shot('run-translated');

    await panel.send({ type: 'show', tab: 'compare' });
    assert.deepEqual(await english(), [], 'nothing to compare');
    const { pairs } = TESTED;
    await panel.send({ type: 'comparison', comparison: { runs: TESTED.runs, pairs, verdict: verdictOn(TESTED.runs, pairs, createLocaliser(words)) } });
    assert.deepEqual(await english(), [], 'a comparison');
    assert.match(await panel.text('.verdict strong'), /^⟦Take (?:freeze|finetune):⟧$/);
    await panel.send({ type: 'classification', classification: { ...classified(), run: 'freeze', score: '', images: [{ type: 'unreadable', path: 'FILE', name: 'FILE', reason: 'It can\'t be decoded (FILE)' }] } });
    await panel.send({ type: 'show', tab: 'classify' });
    assert.deepEqual(await english(), [], 'classified images');
    const measured: readonly Partial<Measurements>[] = [{}, { pilot: PILOT }, { train: 400, validation: 100 }, { train: 2500, validation: 20 }, { validation: 9 }];
    for (const changes of measured) {
      await panel.send({ type: 'advice', advice: advised(changes, 'FILE') });
      await panel.send({ type: 'show', tab: 'advice' });
      assert.deepEqual(await english(), [], `advice ${JSON.stringify(changes)}`);
    }
    await panel.send({ type: 'show', tab: 'compare' });
    await panel.shot('compare-translated');
    await panel.close();
  });

  test('shows classified images: the picture, the classes, and why one could not be', async () => {
    const panel = await PanelPage.open({ state: { version: 1, tab: 'classify', compared: [], hidden: [] } });
    await panel.run(FREEZE);
    const tab = panel.page.locator('#tab-classify');
    assert.equal(await tab.isVisible(), false, 'no tab without anything in it');
    assert.equal(await panel.page.locator('#screen-run').isVisible(), true);
    await panel.send({ type: 'classification', classification: classified() });
    assert.equal(await tab.isVisible(), true);
    await tab.click();
    const cards = panel.page.locator('.classified-image');
    assert.equal(await cards.count(), 3);
    assert.match(await cards.nth(0).innerText(), /^bees \.913\s+bee\.jpg\s+bees\s+\.913\s+ants\s+\.087$/);
    assert.ok(await cards.nth(0).locator('img').evaluate((image) => (image as HTMLImageElement).naturalWidth === 144), 'the policy lets the picture through');
    assert.ok((await cards.nth(1).innerText()).startsWith(HOSTILE));
    assert.match(await cards.nth(2).innerText(), /broken\.jpg\s+The file is empty/);
    await panel.page.locator('[data-action=classify]').click();
    await panel.page.locator('.page-classify [data-action=openRun]').click();
    assert.deepEqual((await panel.posted()).slice(-2), [{ type: 'classify' }, { type: 'openRun', directory: FREEZE.directory }]);
    await panel.send({ type: 'classification', classification: undefined });
    assert.equal(await tab.isVisible(), false);
    await panel.close();
  });

  test('shows advice: what to do, why, how sure, and where the dataset lies', async () => {
    const panel = await PanelPage.open();
    await panel.run(FREEZE);
    const tab = panel.page.locator('#tab-advice');
    assert.equal(await tab.isVisible(), false, 'no tab without anything in it');
    await panel.send({ type: 'advice', advice: advised() });
    await panel.send({ type: 'show', tab: 'advice' });
    assert.equal(await tab.getAttribute('aria-selected'), 'true');
    assert.match(await panel.text('.page-advice .verdict'), /^Train with finetune\s+A linear classifier on the features reaches \.642 \[\.612–\.671\]; on datasets like this one \(15,638 training images, far from ImageNet \(nearness \.30\)\) finetune has removed 78% to 79% of such errors\.\s+Sure: neither /);
    assert.match(await panel.text('.page-advice .verdict'), /freeze takes about 3:10 here, finetune about 45:10\./);
    assert.deepEqual(await panel.page.locator('.page-advice .button.primary').allInnerTexts(), ['Train with Finetune']);
    assert.deepEqual(await panel.page.locator('.quadrant.is-here').allInnerTexts(), ['large, far\nfinetune: every layer has something to learn']);
    // The dot lies in the quarter that is named.
    const inside = () => panel.page.evaluate(() => {
      const [dot, cell] = ['.quadrant-dot', '.quadrant.is-here'].map((selector) => document.querySelector(selector)?.getBoundingClientRect());
      return dot !== undefined && cell !== undefined && dot.x + dot.width / 2 > cell.x && dot.x + dot.width / 2 < cell.right && dot.y + dot.height / 2 > cell.y && dot.y + dot.height / 2 < cell.bottom;
    });
    assert.equal(await inside(), true);
    assert.match(await panel.text('.measures'), /Linear probe, ¼ of the images\s+\.536 536 of 1,000\s+\[\.505–\.567\]/);
    assert.match(await panel.text('.logme'), /EfficientNet-Lite0\s+−0\.18\s+−0\.16\s+−0\.12\s+−0\.04\s+0\.12/);
    await panel.page.getByText('Not compared, for want of time: ResNet50, MobileNetV2', { exact: true }).waitFor();
    const last = async () => (await panel.posted()).at(-1);
    await panel.page.getByRole('button', { name: 'Train with Freeze', exact: true }).click();
    assert.deepEqual(await last(), { type: 'trainAdvised', dataset: advised().dataset.path, strategy: 'freeze' });
    await panel.page.getByRole('button', { name: 'Train with Finetune', exact: true }).click();
    assert.deepEqual(await last(), { type: 'trainAdvised', dataset: advised().dataset.path, strategy: 'finetune' });
    await panel.page.getByRole('button', { name: 'Try it on a pilot of two epochs' }).click();
    assert.deepEqual(await last(), { type: 'adviseAgain', dataset: advised().dataset.path });

    for (const [train, near, place] of [[300, 1.2, 'small, near'], [300, 0.2, 'small, far'], [9000, 0.8, 'large, near']] as const) {
      await panel.send({ type: 'advice', advice: advised({ train, nearness: { mean: near, interval: [near - 0.05, near + 0.05], photographs: 0.5, noise: 0.1 } }) });
      assert.ok((await panel.text('.quadrant.is-here')).startsWith(place), place);
      assert.equal(await inside(), true, place);
    }
    const { nearness: _, ...unknown } = advised().measurements;
    await panel.send({ type: 'advice', advice: { ...advised(), decision: decide(unknown), measurements: unknown } });
    assert.equal(await panel.page.locator('.quadrant.is-here').count(), 2, 'both of its size');
    assert.equal(await panel.page.locator('.quadrant-dot').count(), 0);
    await panel.send({ type: 'advice', advice: advised({ pilot: PILOT }, HOSTILE), cannotTrain: 'Nothing trains here' });
    assert.match(await panel.text('.page-advice'), /Pilot, 2 epochs of finetune on val \(p < \.001\)\s+\.873/);
    assert.equal(await panel.page.locator('.page-advice .button').count(), 0);
    assert.ok((await panel.text('.page-advice h1')).includes(HOSTILE));
    await panel.assertSound();
    assert.deepEqual(await panel.kept(), { version: 1, tab: 'advice', run: FREEZE.directory, compared: [], hidden: [], advice: `/pictures/${HOSTILE}` }, 'for a reload');
    await panel.close();
  });

  test('states the result with its doubt', async () => {
    const panel = await PanelPage.open();
    await panel.run(FINETUNE);
    const tile = await panel.text('.kpi-main');
    assert.match(tile, /\.954/);
    assert.match(tile, /\[\.909–\.978\]/);
    assert.match(tile, /146 of 153 right, epoch 10/);
    assert.match(await panel.page.locator('canvas[aria-label^="Accuracy"]').getAttribute('aria-label') ?? '', /Best val accuracy \.954, 95% interval \[\.909–\.978\], at epoch 10/);
    await panel.close();
  });

  test('tables every value behind the charts', async () => {
    const panel = await PanelPage.open();
    const run = snapshot();
    await panel.run(run);
    await panel.page.locator('summary', { hasText: 'Values by epoch' }).first().click();
    for (const epoch of run.epochs) {
      const cell = (column: string) => panel.page.locator(`.page-run td[data-epoch="${epoch.epoch}"][data-column="${column}"]`);
      assert.equal(await cell('validation.accuracy').innerText(), formatAccuracy(epoch.validation.accuracy));
      assert.equal(await cell('validation.accuracy').getAttribute('data-value'), String(epoch.validation.accuracy));
      assert.equal(await cell('train.loss').getAttribute('data-value'), String(epoch.train.loss));
    }
    assert.equal(await panel.page.locator('.page-run td[data-column="validation.accuracy"]').count(), run.epochs.length);
    const kept = await panel.kept() as PanelState;
    assert.equal(kept.valuesOpen, true);
    await panel.close();
  });

  test('redraws the same canvas for a new epoch, and its axes only widen', async () => {
    const panel = await PanelPage.open();
    await panel.run(snapshot({ epochs: 3 }));
    const before = await panel.chartPixels('Accuracy');
    const canvas = await panel.page.locator('canvas[aria-label^="Accuracy"]').elementHandle();
    const range = () => panel.page.locator('canvas[aria-label^="Accuracy"]').evaluate((element) => [element.dataset['yMin'], element.dataset['yMax'], element.dataset['epochs']]);
    assert.deepEqual(await range(), ['0.4', '1', '15']);
    await panel.run(snapshot({ epochs: 4 }));
    assert.notEqual(await panel.chartPixels('Accuracy'), before);
    assert.deepEqual(await range(), ['0.4', '1', '15']);
    const low = snapshot({ epochs: 4 });
    await panel.run({ ...low, epochs: low.epochs.map((epoch, index) => (index === 0 ? { ...epoch, train: { ...epoch.train, accuracy: 0.31 } } : epoch)) });
    assert.deepEqual(await range(), ['0.3', '1', '15']);
    await panel.run(snapshot({ epochs: 5 }));
    assert.deepEqual(await range(), ['0.3', '1', '15']);
    assert.ok(await canvas.evaluate((element) => element.isConnected));
    await panel.close();
  });

  for (const width of ['wide', 'narrow'] as const) {
    test(`does not move while a run goes on, ${width}`, async () => {
      const panel = await PanelPage.open({ width });
      await panel.run(snapshot({ state: 'starting', epochs: 0, snapshot: { phase: phase('loading', 'Loading TensorFlow') } }));
      const boxes = () => panel.page.evaluate(() => ['.progress', '.kpis', '.chart-frame', '.log'].map((selector) => {
        const { x, y, width, height } = document.querySelector(selector)!.getBoundingClientRect();
        return [selector, x, y, width, height].join(' ');
      }));
      const first = await boxes();
      for (const run of [stepAfter(snapshot({ epochs: 1 })), stepAfter(snapshot({ epochs: 11 })), FINETUNE]) {
        await panel.run(run);
        assert.deepEqual(await boxes(), first);
      }
      await panel.close();
    });
  }

  test('draws at most four times a second, and the last snapshot always', async () => {
    const panel = await PanelPage.open();
    await panel.run(snapshot({ epochs: 1 }));
    await panel.page.evaluate(() => {
      const target = window as unknown as { changes: number };
      target.changes = 0;
      new MutationObserver(() => { target.changes += 1; }).observe(document.querySelector('.progress-what')!, { childList: true, characterData: true, subtree: true });
    });
    for (let step = 1; step <= 20; step++) {
      const run = stepAfter(snapshot({ epochs: 1 }));
      const message: HostMessage = { type: 'run', run: { ...run, step: { ...run.step!, step, steps: 20 } }, now: START };
      await panel.page.evaluate((data) => { window.postMessage(data, '*'); }, message);
    }
    await panel.page.evaluate(() => new Promise((resolve) => { const channel = new MessageChannel(); channel.port1.onmessage = resolve; channel.port2.postMessage(0); }));
    await panel.page.clock.runFor(1000);
    assert.equal(await panel.text('.progress-what'), 'Epoch 2 of 15, step 20 of 20');
    assert.ok(await panel.page.evaluate(() => (window as unknown as { changes: number }).changes) <= 2);
    await panel.close();
  });

  test('lets the clock go on between snapshots, by the host\'s time', async () => {
    const panel = await PanelPage.open({ now: START + 7_200_000 });
    await panel.run(snapshot({ epochs: 0, state: 'running' }), { now: START + 27_000 });
    assert.equal(await panel.text('.progress-elapsed'), '0:27 elapsed');
    assert.equal(await panel.text('.progress-left'), 'estimating');
    await panel.page.clock.runFor(5000);
    assert.equal(await panel.text('.progress-elapsed'), '0:32 elapsed');
    await panel.run(FINETUNE);
    const ended = await panel.text('.progress-elapsed');
    await panel.page.clock.runFor(5000);
    assert.equal(await panel.text('.progress-elapsed'), ended);
    await panel.close();
  });

  test('moves the epoch cursor by keys, in both charts', async () => {
    const panel = await PanelPage.open();
    await panel.run(snapshot());
    const epochs = () => panel.page.locator('.page-run .readout-epoch').allInnerTexts();
    await panel.page.locator('.page-run .chart-frame').first().focus();
    assert.deepEqual(await epochs(), ['epoch 11', 'epoch 11']);
    for (const [key, epoch] of [['ArrowLeft', 10], ['ArrowLeft', 9], ['ArrowRight', 10], ['Home', 1], ['ArrowLeft', 1], ['b', 10], ['End', 11]] as const) {
      await panel.page.keyboard.press(key);
      assert.deepEqual(await epochs(), [`epoch ${epoch}`, `epoch ${epoch}`], key);
    }
    await panel.page.keyboard.press('Home');
    assert.equal(await panel.text('.page-run .readout-value'), '.523');
    assert.match(await panel.page.locator('.page-run .chart [aria-live]').first().innerText(), /^Epoch 1: val \.523, train \.459$/);
    await panel.page.keyboard.press('Escape');
    assert.deepEqual(await epochs(), ['epoch 11', 'epoch 11']);
    await panel.run(snapshot({ epochs: 12 }));
    assert.deepEqual(await epochs(), ['epoch 12', 'epoch 12']);
    await panel.close();
  });

  for (const theme of Object.keys(THEMES) as ThemeName[]) {
    for (const width of Object.keys(WIDTHS) as (keyof typeof WIDTHS)[]) {
      test(`shows a study in ${theme}, ${width}: readable, nothing beside the page`, async () => {
        const panel = await PanelPage.open({ theme, width });
        await panel.send({ type: 'study', study: makeStudySnapshot({ name: HOSTILE }), samples: [0, 0, 1].map((dataset) => ({ dataset, thumbnail })) });
        await panel.send({ type: 'show', tab: 'study' });
        assert.deepEqual(await panel.faintText(), []);
        await panel.shot(`study-${theme}-${width}`);
        await panel.close();
      });
    }
  }

  test('shows a study while it goes on: the table with its doubt, verdicts, curves, times, pictures', async () => {
    const panel = await PanelPage.open();
    await panel.send({ type: 'study', study: makeStudySnapshot({ done: 2, name: HOSTILE }), samples: [{ dataset: 0, thumbnail }] });
    await panel.send({ type: 'show', tab: 'study' });
    const screen = panel.page.locator('#screen-study');
    assert.equal(await screen.locator('.state').innerText(), '2 of 24 runs done, about 8:15 left');
    assert.deepEqual((await screen.locator('.study-table thead th').allInnerTexts()).map((text) => text.trim()), ['Dataset', 'freeze', 'freeze gray', 'finetune', 'finetune gray']);
    const first = screen.locator('.study-table tbody tr').first();
    assert.match(await first.innerText(), /Hymenoptera\s*244 train, 150 val, 2 classes/);
    assert.match(await first.locator('td').nth(0).innerText(), /^\.967\s*\[\.924–\.986\]\s*Wilson, 1 run\s*0:05$/);
    assert.match(await first.locator('td').nth(2).innerText(), /0:40, 8\.0 times freeze$/);
    assert.match(await first.locator('td').nth(1).innerText(), /epoch 2 of 4/);
    assert.match(await screen.locator('.verdict').innerText(), /Finetune against freeze\s*No detectable difference: Hymenoptera, colour\./);
    assert.equal(await screen.locator('.study-chart').first().locator('polyline').count(), 3);
    assert.equal(await screen.locator('.study-chart').first().locator('.study-sample').count(), 1);
    assert.match(await screen.innerText(), /fewer than 3 seeds/);
    assert.ok((await screen.innerText()).includes(HOSTILE));
    await screen.locator('[data-action=stopStudy]').click();
    await first.locator('[data-action=openStudyRun]').first().click();
    assert.deepEqual((await panel.posted()).slice(-2), [{ type: 'stopStudy', directory: STUDY }, { type: 'openStudyRun', directory: STUDY, run: makeStudySnapshot({ done: 2 }).record.runs[0]?.run }]);
    assert.equal((await panel.kept() as PanelState).study, STUDY, 'for a reload');

    await panel.send({ type: 'study', study: makeStudySnapshot({ state: 'finished', name: HOSTILE }), samples: [{ dataset: 0, thumbnail }] });
    assert.equal(await screen.locator('.state').innerText(), 'Finished, 24 of 24 runs done');
    assert.match(await first.locator('td').nth(0).innerText(), /bootstrap, 3 seeds/);
    assert.match(await screen.locator('.verdict').innerText(), /Colour against gray\s*Colour is better: Hymenoptera, freeze; Hymenoptera, finetune/);
    assert.equal(await first.locator('.strong').count(), 0, 'freeze and finetune are level: neither is named');
    assert.equal(await screen.locator('.study-pairs tbody tr').count(), 8);
    assert.equal(await screen.locator('[data-action=stopStudy], [data-action=resumeStudy]').count(), 0);
    await screen.locator('[data-action=exportStudy]').click();
    assert.deepEqual((await panel.posted()).at(-1), { type: 'exportStudy', directory: STUDY });
    await panel.close();
  });

  test('a study that was interrupted offers to resume, a failed run says why, and an unreadable study is named', async () => {
    const panel = await PanelPage.open();
    const interrupted = makeStudySnapshot({ state: 'interrupted', done: 4 });
    const runs = interrupted.record.runs.map((run, index) => (index === 4 ? { ...run, state: 'failed' as const, failure: { code: 'diverged', message: 'The loss stopped being a number', next: 'Train with freeze' } } : run));
    await panel.send({ type: 'study', study: { ...interrupted, record: { ...interrupted.record, runs } }, samples: [] });
    await panel.send({ type: 'show', tab: 'study' });
    const screen = panel.page.locator('#screen-study');
    assert.match(await screen.locator('.state').innerText(), /^Interrupted, 5 of 24 runs done$/);
    assert.match(await screen.locator('.study-failures').innerText(), /pets, freeze, colour, seed 0: The loss stopped being a number\. Train with freeze\./);
    await screen.locator('[data-action=resumeStudy]').click();
    assert.deepEqual((await panel.posted()).at(-1), { type: 'resumeStudy', directory: STUDY });
    await panel.send({ type: 'study', study: interrupted, samples: [], cannotTrain: 'Nothing trains in Restricted Mode' });
    assert.equal(await screen.locator('[data-action=resumeStudy]').count(), 0);
    await panel.send({ type: 'study', study: { directory: interrupted.directory, id: 'study-1', reason: 'study.json is not valid JSON' }, samples: [] });
    assert.match(await screen.innerText(), /study-1 can't be read: study\.json is not valid JSON\./);
    await panel.close();
  });

  test('walks its tabs by arrow keys and remembers the tab', async () => {
    const panel = await PanelPage.open();
    await panel.page.locator('#tab-run').focus();
    await panel.page.keyboard.press('ArrowRight');
    assert.equal(await panel.page.evaluate(() => document.activeElement?.id), 'tab-compare');
    assert.equal(await panel.page.locator('#tab-compare').getAttribute('aria-selected'), 'true');
    assert.equal(await panel.page.locator('#screen-run').isVisible(), false);
    assert.deepEqual((await panel.posted()).at(-1), { type: 'state', state: { version: 1, tab: 'compare', compared: [], hidden: [] } });
    await panel.page.keyboard.press('Home');
    assert.equal(await panel.page.locator('#screen-run').isVisible(), true);
    assert.deepEqual(await panel.page.locator('[role=tab]').evaluateAll((tabs) => tabs.map((tab) => (tab as HTMLElement).tabIndex)), [0, -1, -1, -1, -1]);
    await panel.close();
  });

  test('asks for everything with what it remembers, and ignores what is not a state', async () => {
    const state: PanelState = { version: 1, tab: 'compare', run: FREEZE.directory, compared: [FREEZE.directory], hidden: ['x'], valuesOpen: true };
    const restored = await PanelPage.open({ state });
    assert.deepEqual(await restored.posted(), [{ type: 'ready', state }]);
    assert.equal(await restored.page.locator('#screen-compare').isVisible(), true);
    await restored.close();
    const fresh = await PanelPage.open({ state: { version: 2, tab: 'study' } as unknown as PanelState });
    assert.deepEqual(await fresh.posted(), [{ type: 'ready' }]);
    await fresh.close();
  });

  test('posts what its buttons ask for', async () => {
    const panel = await PanelPage.open();
    await panel.run(undefined);
    const last = async () => (await panel.posted()).at(-1);
    const click = (name: string) => panel.page.getByRole('button', { name, exact: true }).click();
    await click('Train with freeze');
    assert.deepEqual(await last(), { type: 'train', strategy: 'freeze' });
    await click('Train with finetune');
    assert.deepEqual(await last(), { type: 'train', strategy: 'finetune' });
    assert.equal(await panel.page.getByRole('button', { name: 'Open run.json' }).count(), 0);
    await panel.send({ type: 'run', run: undefined, note: `The run folder ${HOSTILE} is gone`, now: Date.now() });
    assert.equal(await panel.text('.page-run h1'), `The run folder ${HOSTILE} is gone`, 'not that there is none');
    await panel.run(stepAfter(snapshot()));
    await click('Open log');
    assert.deepEqual(await last(), { type: 'openLog', directory: snapshot().directory });
    await click('Open run.json');
    assert.deepEqual(await last(), { type: 'openRecord', directory: snapshot().directory });
    await click('Stop');
    assert.deepEqual(await last(), { type: 'stop', directory: snapshot().directory });
    assert.equal(await panel.text('.progress-what'), 'Stopping at the next batch');
    assert.equal(await panel.page.getByRole('button', { name: 'Stop', exact: true }).isDisabled(), true);
    await panel.page.keyboard.press('Enter');
    assert.equal((await panel.posted()).filter(({ type }) => type === 'stop').length, 1);
    await panel.send({ type: 'stopFailed', directory: snapshot().directory });
    assert.notEqual(await panel.text('.progress-what'), 'Stopping at the next batch');
    await click('Stop');
    assert.equal((await panel.posted()).filter(({ type }) => type === 'stop').length, 2);
    await panel.run(snapshot({ state: 'failed', epochs: 2, record: { failure: FAILURE } }));
    assert.equal(await panel.page.evaluate(() => document.activeElement?.textContent), 'Train again');
    const before = (await panel.posted()).length;
    await panel.page.getByRole('button', { name: 'Train again', exact: true }).dblclick();
    assert.deepEqual((await panel.posted()).slice(before), [{ type: 'trainAgain', directory: snapshot().directory }], 'a double click counts once');
    await panel.run(FREEZE);
    await click('Compare');
    assert.deepEqual(await last(), { type: 'state', state: { version: 1, tab: 'compare', run: FREEZE.directory, compared: [FREEZE.directory], hidden: [] } });
    await panel.send({ type: 'comparison', comparison: comparison([FREEZE], []) });
    assert.match(await panel.text('.verdict'), /Add a second run/);
    await click('Add run');
    assert.deepEqual(await last(), { type: 'addRun' });
    await panel.send({ type: 'comparison', comparison: TESTED });
    await click('finetune');
    assert.deepEqual(await last(), { type: 'openRun', directory: FINETUNE.directory });
    await click('Remove finetune from the comparison');
    assert.deepEqual(await last(), { type: 'removeRun', directory: FINETUNE.directory });
    await panel.close();
  });

  test('says why nothing trains here, and offers no button', async () => {
    const panel = await PanelPage.open();
    const cannotTrain = 'This workspace is not trusted, so Thaw trains nothing here';
    await panel.run(undefined, { cannotTrain });
    assert.match(await panel.text('.page-run'), /This workspace is not trusted/);
    assert.equal(await panel.page.locator('.page-run .button:visible').count(), 0);
    await panel.run(snapshot({ state: 'failed', epochs: 2, record: { failure: FAILURE } }), { cannotTrain });
    assert.equal(await panel.page.locator('.page-run .button:visible').count(), 0);
    await panel.close();
  });

  test('shows names from disk as text', async () => {
    const data = {
      ...DATA, classes: [HOSTILE, 'bees'], counts: [{ train: 1, validation: 100, test: 0 }, { train: 1, validation: 53, test: 0 }],
      leftOut: [{ path: `ants/${HOSTILE}.jpg`, reason: `truncated ${HOSTILE}` }], leftOutCount: 1, warnings: [HOSTILE],
    };
    const panel = await PanelPage.open({ width: 'narrow' });
    const run = snapshot({ state: 'finished', epochs: 15, data, dataset: HOSTILE });
    await panel.run(run, { note: HOSTILE });
    assert.equal(await panel.text('.page-run h1 .name'), HOSTILE);
    await panel.page.locator('.left-out summary').click();
    assert.match(await panel.text('.left-out'), /<img src=x onerror/);
    const unreadable = { directory: '/r', id: HOSTILE, reason: HOSTILE };
    await panel.send({ type: 'comparison', comparison: { runs: [run], pairs: [], verdict: { title: HOSTILE, body: [HOSTILE], note: HOSTILE } } });
    await panel.send({ type: 'show', tab: 'compare' });
    assert.equal(await panel.text('.verdict-title'), HOSTILE);
    await panel.send({ type: 'show', tab: 'run' });
    await panel.run(unreadable);
    assert.equal(await panel.page.locator('img').count(), 0);
    await panel.close();
  });

  test('says that a run\'s log is damaged', async () => {
    const panel = await PanelPage.open();
    await panel.run(snapshot({ state: 'finished', epochs: 15 }));
    assert.equal(await panel.page.locator('.left-out').isVisible(), false);
    await panel.run(snapshot({ state: 'finished', epochs: 15, snapshot: { damagedLines: 2 } }));
    assert.equal(await panel.text('.left-out summary'), 'Warnings');
    await panel.page.locator('.left-out summary').click();
    assert.match(await panel.text('.left-out'), /2 lines of events\.ndjson can't be read: the curves may lack epochs/);
    await panel.close();
  });

  test('reports a message that it does not know', async () => {
    const panel = await PanelPage.open();
    await panel.page.evaluate(() => { window.postMessage({ type: 'run', run: { directory: 5 }, now: 1 }, '*'); });
    await panel.page.waitForFunction(() => (window as unknown as PageWindow).posted.some(({ type }) => type === 'scriptError'));
    await panel.page.evaluate(() => { (window as unknown as PageWindow).posted = []; });
    await panel.close();
  });

  test('compares runs: rows, pairs, curves on and off', async () => {
    const panel = await PanelPage.open();
    await panel.send({ type: 'comparison', comparison: TESTED });
    await panel.send({ type: 'show', tab: 'compare' });
    assert.match(await panel.text('.verdict'), /No detectable difference between freeze and finetune/);
    const rows = await panel.page.locator('.results tbody tr').allInnerTexts();
    assert.match(rows[0] ?? '', /freeze[\s\S]*\.961[\s\S]*\[\.917–\.982\][\s\S]*best/);
    assert.match(rows[1] ?? '', /finetune[\s\S]*\.954[\s\S]*−\.007/);
    assert.match(await panel.text('.pairs tbody'), /freeze against finetune\s+\+\.007\s+5\s+4\s+1\.00\s+No detectable difference/);
    const before = await panel.chartPixels('Val accuracy');
    const box = panel.page.getByRole('checkbox', { name: 'Show the curve of finetune' });
    await box.focus();
    await panel.page.keyboard.press('Space');
    await panel.page.locator('h1:visible').click();
    assert.notEqual(await panel.chartPixels('Val accuracy'), before);
    assert.deepEqual((await panel.kept() as PanelState).hidden, [FINETUNE.record.id]);
    assert.equal(await panel.page.locator('.page-compare .readout-value').nth(1).innerText(), '–');
    await panel.page.getByRole('checkbox', { name: 'Show the curve of freeze' }).uncheck();
    assert.equal(await panel.page.locator('.page-compare canvas').isVisible(), true);
    await panel.close();
  });

  test('tells runs of one strategy apart, says why there is no test, and marks what still goes on', async () => {
    const seeds = [0, 1, 2].map((seed) => snapshot({ strategy: 'freeze', state: 'finished', epochs: 15, seed, id: `freeze-${seed}` }));
    const going = stepAfter(snapshot({ epochs: 6, id: 'going' }));
    const runs = [...seeds, going];
    const reason = 'Different splits of the images, so they can\'t be compared image by image.';
    const other = { first: seeds[0]!.directory, second: seeds[1]!.directory, reason };
    const panel = await PanelPage.open();
    await panel.send({ type: 'comparison', comparison: comparison(runs, [other]) });
    await panel.send({ type: 'show', tab: 'compare' });
    await panel.shot('compare-many');
    const labels = await panel.page.locator('.results .c-run').allInnerTexts();
    assert.equal(new Set(labels).size, 4);
    assert.match(labels[3] ?? '', /so far/);
    assert.match(await panel.text('.pairs tbody'), /No test\. Different splits/);
    const marks = await panel.page.locator('.results .c-run svg').evaluateAll((drawings) => drawings.map((drawing) => drawing.outerHTML));
    assert.equal(new Set(marks).size, 4);
    await panel.close();
  });

  test('tells scratch and gray by word, colour, mark and dash', async () => {
    const scratch = snapshot({ strategy: 'scratch', state: 'finished', epochs: 15 });
    const { configuration } = FREEZE.record;
    const gray = snapshot({ strategy: 'freeze', state: 'finished', epochs: 15, id: 'gray', record: { configuration: { ...configuration, colour: 'gray' } } });
    const panel = await PanelPage.open();
    await panel.run(scratch);
    assert.equal(await panel.text('.strategy'), 'scratch');
    assert.match(await panel.text('.page-run .meta'), /all layers from a random start/);
    await panel.shot('run-scratch');
    await panel.run(gray);
    assert.equal(await panel.text('.strategy'), 'freeze gray');
    await panel.send({ type: 'comparison', comparison: comparison([FREEZE, gray, scratch], []) });
    await panel.send({ type: 'show', tab: 'compare' });
    await panel.shot('compare-scratch-gray');
    assert.deepEqual(await panel.page.locator('.results .c-run').allInnerTexts(), ['freeze', 'freeze gray', 'scratch']);
    const swatches = await panel.page.locator('.results .c-run svg').evaluateAll((drawings) => drawings.map((drawing) => ({
      colour: getComputedStyle(drawing).color, dash: drawing.querySelector('line')?.getAttribute('stroke-dasharray'), mark: drawing.lastElementChild?.tagName, hollow: drawing.querySelector('.hollow') !== null,
    })));
    assert.deepEqual(swatches, [
      { colour: 'rgb(86, 180, 233)', dash: null, mark: 'circle', hollow: false },
      { colour: 'rgb(86, 180, 233)', dash: '7 4', mark: 'circle', hollow: true },
      { colour: 'rgb(204, 121, 167)', dash: null, mark: 'rect', hollow: false },
    ]);
    assert.deepEqual(await panel.faintText(), []);
    await panel.close();
  });

  test('follows a switch of the theme', async () => {
    const panel = await PanelPage.open();
    await panel.run(snapshot());
    const dark = await panel.chartPixels('Accuracy');
    await panel.page.evaluate(({ bodyClass, variables }) => {
      for (const [name, value] of Object.entries(variables)) document.documentElement.style.setProperty(`--vscode-${name}`, value);
      document.body.className = bodyClass;
    }, THEMES.light);
    await panel.page.evaluate(() => new Promise((resolve) => { queueMicrotask(() => { resolve(undefined); }); }));
    assert.notEqual(await panel.chartPixels('Accuracy'), dark);
    await panel.close();
  });

  test('moves nothing under reduced motion', async () => {
    const panel = await PanelPage.open({ reducedMotion: true });
    await panel.run(stepAfter(snapshot()));
    assert.equal(await panel.page.locator('.state .spin').evaluate((element) => getComputedStyle(element).animationName), 'none');
    await panel.close();
  });

  test('speaks once an epoch and never of what was there before', async () => {
    const panel = await PanelPage.open();
    await panel.run(stepAfter(snapshot({ epochs: 3 })));
    const spoken = () => panel.page.locator('.page-run > [aria-live]').innerText();
    assert.equal(await spoken(), '');
    await panel.run(snapshot({ epochs: 4 }));
    assert.equal(await spoken(), 'Epoch 4 of 15: val .908, train .857');
    await panel.close();
  });
});
